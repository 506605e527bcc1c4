//! What the host holds for one instance.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::deadline::{Deadline, Overrun};
use super::limiter::Limiter;
use super::log::{GuestLog, Writer};
use super::wasi::Wasi;
use crate::limits::Limits;

/// The data of a store.
pub(super) struct State {
    clock: Arc<Clock>,
    deadline: Deadline,
    pub(super) limiter: Limiter,
    pub(super) wasi: Wasi,
    pub(super) log: Writer,
}

impl State {
    pub(super) fn new(clock: Arc<Clock>, limits: &Limits, log: Arc<dyn GuestLog>) -> State {
        State {
            clock,
            deadline: Deadline::begin(Duration::ZERO, Duration::ZERO),
            limiter: Limiter::new(limits.memory_bytes, limits.table_elements),
            wasi: Wasi::new(),
            log: Writer::new(log, limits.log_lines_per_second),
        }
    }

    /// Before the guest is entered: every call begins alike.
    pub(super) fn enter(&mut self, cpu_limit: Duration, wall_limit: Duration) {
        self.limiter.forget_refused();
        self.wasi.reset();
        self.deadline = Deadline::begin(cpu_limit, wall_limit);
        self.clock.is_needed();
    }

    /// Whether the call that runs may go on.
    ///
    /// # Errors
    /// The limit that was overrun.
    pub(super) fn check(&mut self) -> Result<(), Overrun> {
        self.clock.is_needed();
        self.deadline.check()
    }

    /// After it has returned or trapped.
    pub(super) fn leave(&mut self) {
        self.wasi.flush(&mut self.log);
        self.log.settle();
    }
}
