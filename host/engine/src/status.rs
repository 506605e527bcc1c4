//! What a host is doing, for people and for monitoring: a snapshot, all of it serialisable.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::event::Instant;
use crate::journal::Position;
use crate::rule;

/// A snapshot of a host.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The host's version.
    pub version: &'static str,
    /// Whether it takes events and its plugins have been looked at.
    pub ready: bool,
    /// If it is not ready, why, for people.
    pub not_ready_because: Vec<String>,
    /// The clock.
    pub timeline: TimelineStatus,
    /// The journal.
    pub journal: JournalStatus,
    /// Events on their way in.
    pub intake: IntakeStatus,
    /// Moments that occurred since the start.
    pub moments: u64,
    /// Actions since the start, by what became of them.
    pub actions: BTreeMap<&'static str, u64>,
    /// Actions without an outcome: on their way, or held by a guardrail.
    pub open_actions: usize,
    /// Every plugin of the folder and every one given as bytes, by file.
    pub plugins: Vec<PluginStatus>,
    /// Where actions go.
    pub sinks: Vec<SinkStatus>,
    /// What stands between them and moments.
    pub guardrails: GuardrailsStatus,
    /// What the start had to do, and what the next one would.
    pub recovery: RecoveryStatus,
    /// What is kept, and what is to be forgotten.
    pub kept: KeptStatus,
    /// Inputs set aside, over all rules.
    pub dead_letters: u64,
    /// Reloads since the start: versions that became active.
    pub reloads_ok: u64,
    /// Versions that were refused.
    pub reloads_refused: u64,
    /// Worker threads at this moment.
    pub threads: usize,
}

/// The host's clock.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TimelineStatus {
    /// `received` or `event`.
    pub mode: &'static str,
    /// The instant of the last entry.
    pub now: Instant,
}

/// The journal.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct JournalStatus {
    /// The first kept position.
    pub start: Position,
    /// One past the last durable position.
    pub end: Position,
    /// Bytes on disk.
    pub bytes: u64,
    /// Why it takes nothing more, if so.
    pub failed: Option<String>,
    /// What the start had to mend.
    pub notes: Vec<String>,
}

/// What a start had to do, and what the next one would.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RecoveryStatus {
    /// Where states came from: checkpoints, a base, the journal's beginning.
    pub from: String,
    /// Rules that came back.
    pub rules: usize,
    /// Keys that came back.
    pub keys: usize,
    /// Journal entries that the rule furthest back had to read again.
    pub entries: u64,
    /// Until all states were in memory, in milliseconds.
    pub load_ms: u64,
    /// Until all rules had caught up with where the journal ended at the start, in milliseconds; none: they have not.
    pub caught_up_ms: Option<u64>,
    /// What a start after a crash now would take, in milliseconds: about what this one took to load, and what
    /// rules computed since their last checkpoints.
    pub next_ms: u64,
    /// What that is to stay below, in milliseconds.
    pub target_ms: u64,
    /// Why no checkpoints can be written at the moment, if so.
    pub checkpoints_failed: Option<String>,
}

impl RecoveryStatus {
    pub(crate) fn of(from: String) -> Self {
        RecoveryStatus { from, ..RecoveryStatus::default() }
    }
}

/// What is kept of the past, and what is to be forgotten.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct KeptStatus {
    /// Bases from which the journal can be computed again.
    pub bases: u64,
    /// The position of the newest.
    pub base_position: Position,
    /// Rules that lag so far that they will be left behind.
    pub lagging: Vec<String>,
    /// Erasures that are not done: the positions where they were asked for.
    pub erasures: Vec<Position>,
    /// Why it could not be brought up to date, if so; it is tried again.
    pub failed: Option<String>,
}

/// What guardrails hold and remember.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct GuardrailsStatus {
    /// Each, in the order in which they are asked.
    pub guardrails: Vec<GuardrailStatus>,
    /// Actions that are held.
    pub held: usize,
    /// How many may be.
    pub max_held: usize,
    /// Counts that are kept: one of each guardrail that counts, and of each subject.
    pub counts: usize,
    /// How many may be.
    pub max_counts: usize,
    /// Yeses and noes of persons that are known.
    pub consents: usize,
    /// How many may be.
    pub max_consents: usize,
    /// What is muted by command.
    pub mutes: Vec<MutedStatus>,
}

/// A guardrail.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct GuardrailStatus {
    /// Its name.
    pub name: String,
    /// What it asks, e.g. `quiet-hours`.
    pub kind: &'static str,
    /// Actions that it held since the start.
    pub held: u64,
    /// Actions that it withheld since the start.
    pub withheld: u64,
}

/// Something that is muted.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct MutedStatus {
    /// `rule`, `moment` or `subject`.
    pub sort: &'static str,
    /// Its name; of a subject its hash, in hexadecimal.
    pub name: String,
    /// Until when; none: until it is unmuted.
    pub until: Option<Instant>,
    /// Why, for people.
    pub why: String,
}

/// Events on their way in.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct IntakeStatus {
    /// Events accepted since the start.
    pub accepted: u64,
    /// Repeats of known events.
    pub repeated: u64,
    /// Events refused: invalid, or no room.
    pub refused: u64,
    /// Events waiting to be journaled.
    pub waiting_events: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// The bound on waiting events.
    pub limit_events: usize,
    /// The bound on waiting bytes.
    pub limit_bytes: usize,
}

/// What state a plugin is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PluginState {
    /// Being read, compiled or tried.
    Loading,
    /// Its rule runs.
    Active,
    /// Its newest version is refused: the last good one still runs.
    Failing,
    /// It never ran: see the reason.
    Refused,
    /// Too many of its inputs failed: it rests, its inputs wait in the journal.
    Quarantined,
    /// Its file is gone: the state of its rule stays.
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

    /// The word for it.
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

/// One plugin.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PluginStatus {
    /// The file's name without `.wasm`, or the name it was given with.
    pub file: String,
    /// Its rule, once known.
    pub rule: Option<String>,
    /// What state it is in.
    pub state: PluginState,
    /// Why, for people.
    pub reason: Option<String>,
    /// Since when, by the wall clock.
    pub since: Instant,
    /// How far a newer content of its file is on its way, for people; none: there is none.
    pub loading: Option<String>,
    /// The rule's own version, of what runs.
    pub version: Option<String>,
    /// blake3 of the component that runs, in hexadecimal.
    pub hash: Option<String>,
    /// What the rule is doing, if it runs or ran.
    pub work: Option<RuleStatus>,
}

/// A rule at work.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RuleStatus {
    /// The next entry that it is given.
    pub position: Position,
    /// How many entries it is behind the journal's end.
    pub behind: u64,
    /// Inputs that wait in its lanes.
    pub waiting: usize,
    /// Keys that it remembers.
    pub keys: usize,
    /// Timers that are set.
    pub timers: usize,
    /// Bytes of state.
    pub state_bytes: usize,
    /// Inputs handled since the start.
    pub inputs: u64,
    /// Batches handled.
    pub batches: u64,
    /// Events that matched a subscription, but have no key: they are given to nobody.
    pub keyless: u64,
    /// Events that a subscription's filter could not be evaluated for, mostly since they lack an attribute that it names:
    /// they are not given for it.
    pub filter_failures: u64,
    /// Moments that occurred.
    pub moments: u64,
    /// Its actions that ended since the start, by what became of them.
    pub actions: BTreeMap<&'static str, u64>,
    /// Traps and broken limits.
    pub traps: u64,
    /// Inputs set aside, kept as dead letters.
    pub dead_letters: usize,
    /// Journal entries that it was not given, since it lagged too far.
    pub left_behind: u64,
    /// Log lines of the guest that were dropped.
    pub log_dropped: u64,
    /// How long `handle` took, by call.
    pub handle: Histogram,
}

/// A histogram of durations.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// Upper bounds in seconds, each with how many calls took at most so long.
    pub buckets: Vec<(f64, u64)>,
    /// All of them together, in seconds.
    pub sum_seconds: f64,
    /// How many there were.
    pub count: u64,
}

/// A sink.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SinkStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Actions that wait, those under way included.
    pub waiting: usize,
    /// How many may.
    pub max_waiting: usize,
    /// Tries under way.
    pub in_flight: usize,
    /// Actions taken.
    pub delivered: u64,
    /// Actions refused for good.
    pub rejected: u64,
    /// Actions given up on.
    pub failed: u64,
    /// Actions whose moment expired before the first try.
    pub expired: u64,
    /// Actions whose moment expired before they were taken: all expired ones, and some of the failed.
    pub missed: u64,
    /// Of the failed: actions that found no room.
    pub set_aside: u64,
    /// Tries after the first.
    pub retries: u64,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// Its circuit breaker.
    pub breaker: BreakerStatus,
}

/// The circuit breaker of a sink.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct BreakerStatus {
    /// Whether tries are begun.
    pub state: BreakerState,
    /// If it is open: no try is begun before then, by the wall clock.
    pub until: Option<Instant>,
    /// Failed tries in a row.
    pub failures: u32,
    /// How often it opened.
    pub opened: u64,
}

/// Whether tries of a sink are begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BreakerState {
    /// They are.
    #[default]
    Closed,
    /// Too many in a row failed: one at a time is, ever more seldom, until one is answered.
    Open,
}

const BUCKETS_US: [u64; 12] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 50_000, 250_000, 1_000_000];

/// Counts of a rule that worker threads add to.
#[derive(Debug, Default)]
pub(crate) struct RuleCounters {
    pub(crate) inputs: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) moments: AtomicU64,
    pub(crate) traps: AtomicU64,
    pub(crate) keyless: AtomicU64,
    pub(crate) filter_failures: AtomicU64,
    pub(crate) left_behind: AtomicU64,
    buckets: [AtomicU64; BUCKETS_US.len()],
    sum_us: AtomicU64,
}

impl RuleCounters {
    pub(crate) fn took(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|&bound| bound < micros);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// How long calls took, all together, in microseconds.
    pub(crate) fn busy_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }

    #[expect(clippy::cast_precision_loss, reason = "monitoring needs no more than a float holds")]
    pub(crate) fn histogram(&self) -> Histogram {
        let mut below = 0;
        let buckets = self.buckets.iter().zip(BUCKETS_US).map(|(count, bound)| {
            below += count.load(Ordering::Relaxed);
            (bound as f64 / 1e6, below)
        });
        Histogram {
            buckets: buckets.collect(),
            sum_seconds: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6,
            count: self.batches.load(Ordering::Relaxed),
        }
    }
}

/// What became of the actions of each rule. One that is gone keeps its counts, as the host's own do.
#[derive(Debug, Default)]
pub(crate) struct OutcomeCounters(Mutex<HashMap<String, [u64; rule::Status::ALL.len()]>>);

impl OutcomeCounters {
    pub(crate) fn add(&self, rule: &str, status: rule::Status) {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match rules.get_mut(rule) {
            Some(counts) => counts[status as usize] += 1,
            None => rules.entry(rule.to_owned()).or_default()[status as usize] += 1,
        }
    }

    pub(crate) fn of(&self, rule: &str) -> BTreeMap<&'static str, u64> {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = rules.get(rule).copied().unwrap_or_default();
        rule::Status::ALL.iter().map(|&status| (status.as_str(), counts[status as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_by_rule() {
        let counters = OutcomeCounters::default();
        counters.add("flood-alert", rule::Status::Delivered);
        counters.add("flood-alert", rule::Status::Delivered);
        counters.add("medication", rule::Status::Expired);
        let of = |rule, status| counters.of(rule)[status];
        assert_eq!((of("flood-alert", "delivered"), of("flood-alert", "expired")), (2, 0));
        assert_eq!((of("medication", "delivered"), of("medication", "expired")), (0, 1));
        assert_eq!(of("unknown", "withheld"), 0);
    }
}
