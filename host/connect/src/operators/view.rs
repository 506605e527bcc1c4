//! What an operator is shown.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a host is doing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StatusView {
    /// The host's version.
    pub version: String,
    /// Whether it takes events.
    pub ready: bool,
    /// Why it doesn't, for people.
    pub not_ready_because: Vec<String>,
    /// Its clock.
    pub timeline: TimelineView,
    /// Its journal.
    pub journal: JournalView,
    /// What came in.
    pub intake: IntakeView,
    /// Moments that occurred.
    pub moments: u64,
    /// Actions by what became of them.
    pub actions: BTreeMap<String, u64>,
    /// Each plugin file and rule.
    pub plugins: Vec<PluginView>,
    /// Each sink.
    pub sinks: Vec<SinkView>,
    /// Inputs that are set aside now.
    pub dead_letters: u64,
}

/// The host's clock.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TimelineView {
    /// `received` or `event`.
    pub mode: String,
    /// Where it stands, in RFC 3339.
    pub now: String,
}

/// The journal.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JournalView {
    /// The first position that is kept.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// What it takes on disk, or in memory.
    pub bytes: u64,
}

/// What came in.
#[derive(Clone, Debug, Default, Serialize)]
pub struct IntakeView {
    /// Events that were taken.
    pub accepted: u64,
    /// Events that the host had already.
    pub repeated: u64,
    /// Events that were refused.
    pub refused: u64,
    /// Events that wait to be handled.
    pub waiting_events: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// How many may wait.
    pub limit_events: u64,
    /// How many of their bytes.
    pub limit_bytes: u64,
}

/// A plugin file and its rule.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PluginView {
    /// The rule's name; empty while it is not known.
    pub rule: String,
    /// The file.
    pub file: String,
    /// What it is doing.
    pub state: PluginState,
    /// Why it is in that state, for people.
    pub reason: Option<String>,
    /// The component's hash, in hexadecimal.
    pub hash: Option<String>,
    /// The rule's version.
    pub version: Option<String>,
    /// Since when it is in that state, in RFC 3339.
    pub since: Option<String>,
    /// Up to where it has read the journal.
    pub position: u64,
    /// How many entries it has not read yet.
    pub behind: u64,
    /// Inputs that it handled.
    pub inputs: u64,
    /// Calls that it took.
    pub batches: u64,
    /// Moments that it returned.
    pub moments: u64,
    /// Inputs of it that were set aside.
    pub set_aside: u64,
    /// Traps, and calls that ran out of time.
    pub traps: u64,
    /// Versions that were put in its place.
    pub reloads_ok: u64,
    /// Versions that were refused.
    pub reloads_refused: u64,
    /// Inputs that wait for it.
    pub queue: u64,
    /// Keys that have a state.
    pub keys: u64,
    /// Timers that are set.
    pub timers: u64,
    /// Log lines that were dropped.
    pub log_dropped: u64,
    /// How long its calls take.
    pub handle: HandleView,
}

/// What a plugin is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PluginState {
    /// It is being checked and compiled.
    #[default]
    Loading,
    /// It handles its inputs.
    Active,
    /// A new version was refused; the last good one handles the inputs.
    Failing,
    /// It was refused, and there is no good version.
    Refused,
    /// Too many of its inputs were set aside: it rests.
    Quarantined,
    /// Its file is gone.
    Removed,
}

impl PluginState {
    /// All of them.
    pub const ALL: [PluginState; 6] = [
        PluginState::Loading,
        PluginState::Active,
        PluginState::Failing,
        PluginState::Refused,
        PluginState::Quarantined,
        PluginState::Removed,
    ];

    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            PluginState::Loading => "loading",
            PluginState::Active => "active",
            PluginState::Failing => "failing",
            PluginState::Refused => "refused",
            PluginState::Quarantined => "quarantined",
            PluginState::Removed => "removed",
        }
    }
}

/// A histogram of how long calls take.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HandleView {
    /// How many calls took at most so many seconds and more than the bucket before: not cumulated.
    pub buckets: Vec<(f64, u64)>,
    /// Seconds of all calls together.
    pub sum_seconds: f64,
    /// How many calls there were.
    pub count: u64,
}

/// A sink.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SinkView {
    /// Its name.
    pub name: String,
    /// Why nothing is sent to it any more.
    pub stopped: Option<String>,
    /// Actions that wait.
    pub waiting: u64,
    /// Actions that it took.
    pub delivered: u64,
    /// Actions that it refused.
    pub rejected: u64,
    /// Actions that were given up.
    pub failed: u64,
    /// Actions that expired before the first try.
    pub expired: u64,
    /// Tries after the first.
    pub retries: u64,
    /// Tries that are under way.
    pub in_flight: u64,
}
