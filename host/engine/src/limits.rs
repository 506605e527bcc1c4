//! What a plugin may use. Every bound has a default; there is no "unlimited".

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one plugin may use; an operator changes it in `NAME.toml`, under `[limits]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Limits {
    /// Linear memory of one instance, in bytes, all its memories together.
    pub memory_bytes: usize,
    /// Elements of each table of an instance.
    pub table_elements: usize,
    /// CPU time of one `handle` or `migrate`, in milliseconds. The guest traps some time after: the
    /// clock is looked at every tick (10 ms).
    pub handle_cpu_ms: u64,
    /// Wall-clock time of one `handle`, in milliseconds, as a last stop where a machine hiccups.
    pub handle_wall_ms: u64,
    /// CPU time of a start: instantiation with start functions, and `init`, in milliseconds.
    pub init_cpu_ms: u64,
    /// Bytes of one key's state.
    pub state_bytes: usize,
    /// Bytes of all states of the rule. At the bound the rule stops, and its inputs wait; it may be overshot by
    /// what each lane handles in one turn.
    pub total_state_bytes: usize,
    /// Keys that the rule may remember; at the bound it stops too.
    pub keys: usize,
    /// Moments from one batch, per input.
    pub moments_per_input: usize,
    /// Actions of one moment.
    pub actions_per_moment: usize,
    /// Timer changes from one batch, per input.
    pub timers_per_input: usize,
    /// Timers that one key may have set.
    pub timers_per_key: usize,
    /// Timer inputs that one key gets before one journal entry.
    pub timer_inputs_per_entry: u32,
    /// Bytes of all strings and lists that one call returns.
    pub effects_bytes: usize,
    /// Log lines a second; more are counted and dropped.
    pub log_lines_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            handle_cpu_ms: 500,
            handle_wall_ms: 10_000,
            init_cpu_ms: 5_000,
            state_bytes: 64 << 10,
            total_state_bytes: 4 << 30,
            keys: 20_000_000,
            moments_per_input: 16,
            actions_per_moment: 16,
            timers_per_input: 16,
            timers_per_key: 64,
            timer_inputs_per_entry: 1_000,
            effects_bytes: 8 << 20,
            log_lines_per_second: 20,
        }
    }
}

impl Limits {
    pub(crate) fn handle_cpu(&self) -> Duration {
        Duration::from_millis(self.handle_cpu_ms)
    }

    pub(crate) fn handle_wall(&self) -> Duration {
        Duration::from_millis(self.handle_wall_ms)
    }

    pub(crate) fn init_cpu(&self) -> Duration {
        Duration::from_millis(self.init_cpu_ms)
    }
}
