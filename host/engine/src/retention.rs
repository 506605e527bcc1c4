//! What is kept: bases, old segments of the journal, components; and what is to be forgotten.
//!
//! One thread looks every now and then. It makes a base when the journal has grown by a part of what is kept,
//! removes segments that are too old once a later base exists, leaves rules behind that hold the journal back for
//! too long, and carries out erasures.

mod erasing;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant as Monotonic};

use crate::checkpoint::base::{self, Base};
use crate::checkpoint::{CheckpointError, CheckpointStore};
use crate::event::Instant;
use crate::journal::{Body, Decision, JournalError, Position, SegmentInfo};
use crate::pipeline::Shared;
use crate::pipeline::known::KnownLimits;
use crate::pipeline::router::Request;
use crate::plugin::registry::Registry;
use crate::recovery::{Turn, known_from};
use crate::words::words;

/// How much of the journal is kept, and for how long it waits for rules that lag.
///
/// Time goes by the timeline. What recognising repeats needs is kept in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// A segment goes when its last entry is older. Default 7 days.
    pub keep_for: Duration,
    /// The oldest segments go when all of them have more bytes. Default 8 GiB.
    pub keep_bytes: u64,
    /// A segment that a rule, or an open action, still needs is kept until its last entry is older. Then the rule
    /// is left behind: it goes on with what is kept. Default 14 days.
    pub wait_for: Duration,
    /// The same by bytes. Default 16 GiB.
    pub wait_bytes: u64,
    /// Within what time an erasure is carried out. Default a day.
    pub erase_within: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3600);
        Retention {
            keep_for: day * 7,
            keep_bytes: 8 << 30,
            wait_for: day * 14,
            wait_bytes: 16 << 30,
            erase_within: day,
        }
    }
}

/// How often the thread looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long it waits for rules to have new checkpoints.
const CHECKPOINTS_WITHIN: Duration = Duration::from_secs(3);

/// How often it looks whether they have.
const PAUSE: Duration = Duration::from_millis(100);

/// A base is made when the journal has grown by this part of what is kept: so many exist at most, and one.
const BASES: u32 = 8;

/// A component that no decision names goes after so long: it may be on its way to be named.
const COMPONENT_GRACE: Duration = Duration::from_secs(600);

/// The thread's own.
pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) bases: PathBuf,
    pub(crate) components: PathBuf,
    pub(crate) limits: Retention,
    pub(crate) known: KnownLimits,
    pub(crate) signal: Arc<Signal>,
    /// Rules that were warned of.
    pub(crate) warned: BTreeSet<String>,
}

/// How others speak to the thread, and what it shows.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    wake: Condvar,
    pub(crate) bases: AtomicU64,
    pub(crate) base_position: AtomicU64,
}

#[derive(Default)]
struct SignalState {
    stopped: bool,
    erase_now: bool,
    /// It was asked for and could not be done yet.
    erase_again: bool,
    failed: Option<String>,
    /// Rules that will be left behind if they lag on.
    lagging: BTreeSet<String>,
}

impl Signal {
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.wake.notify_all();
    }

    /// Erasures are carried out now, not only in time.
    pub(crate) fn erase_now(&self) {
        self.lock().erase_now = true;
        self.wake.notify_all();
    }

    pub(crate) fn failed(&self) -> Option<String> {
        self.lock().failed.clone()
    }

    pub(crate) fn lagging(&self) -> Vec<String> {
        self.lock().lagging.iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why something could not be kept or removed. It is tried again.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("cannot tidy the folder of components")]
    Components(#[source] std::io::Error),
}

impl Keeper {
    /// Looks until it is stopped.
    pub(crate) fn run(mut self) {
        while let Some(erase_now) = self.wait() {
            let looked = self.look(erase_now);
            let erased = looked.as_ref().is_ok_and(|erased| *erased);
            let reason = looked.err().map(|error| words(&error));
            let mut state = self.signal.lock();
            if let Some(reason) = &reason
                && state.failed.as_ref() != Some(reason)
            {
                tracing::error!(
                    error = reason,
                    "what is kept could not be brought up to date: it is tried again"
                );
            }
            state.erase_again = erase_now && !erased;
            state.failed = reason;
        }
    }

    fn wait(&self) -> Option<bool> {
        let mut state = self.signal.lock();
        let deadline = Monotonic::now() + LOOK_EVERY;
        loop {
            let left = deadline.saturating_duration_since(Monotonic::now());
            if state.stopped {
                return None;
            }
            if left.is_zero() || state.erase_now {
                let again = std::mem::take(&mut state.erase_again);
                return Some(std::mem::take(&mut state.erase_now) || again);
            }
            state = self.signal.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Brings what is kept up to date. `false`: an erasure is due that could not be carried out yet.
    fn look(&mut self, erase_now: bool) -> Result<bool, KeepError> {
        let shared = Arc::clone(&self.shared);
        let Some(store) = &shared.checkpoints else { return Ok(true) };
        let erased = self.erase(store, erase_now)?;
        let bases = base::list(&self.bases, false)?;
        let segments = self.shared.journal.segments();
        let Some((now, _)) = self.shared.journal.last() else { return Ok(erased) };
        let keep = Bound { age: self.limits.keep_for, bytes: self.limits.keep_bytes };
        if self.base_is_due(&bases, &segments, now) {
            self.new_checkpoints(self.shared.journal.end());
            store.write_base(&self.bases)?;
        }
        let wanted = keep.past(&segments, now);
        if wanted > self.shared.journal.start() {
            self.remove(store, wanted, &segments, now)?;
        }
        let bases = base::list(&self.bases, false)?;
        self.signal.bases.store(bases.len() as u64, Ordering::Relaxed);
        self.signal.base_position.store(bases.last().map_or(0, |base| base.position), Ordering::Relaxed);
        Ok(erased)
    }

    /// Whether the journal has grown by enough since the last base.
    fn base_is_due(&self, bases: &[Base], segments: &[SegmentInfo], now: Instant) -> bool {
        let last = bases.last().map_or(self.shared.journal.start(), |base| base.position);
        let since = || segments.iter().filter(|segment| segment.finished && segment.first >= last);
        let bytes: u64 = since().map(|segment| segment.bytes).sum();
        let oldest = since().filter_map(|segment| segment.last_instant).min();
        bytes >= self.limits.keep_bytes / u64::from(BASES)
            || oldest.is_some_and(|oldest| now.saturating_sub(oldest) >= millis(self.limits.keep_for / BASES))
    }

    /// Removes segments up to `wanted`, as far as a later base and all rules allow.
    fn remove(
        &mut self,
        store: &CheckpointStore,
        wanted: Position,
        segments: &[SegmentInfo],
        now: Instant,
    ) -> Result<(), KeepError> {
        let shared = Arc::clone(&self.shared);
        let journal = &*shared.journal;
        let known = known_from(journal, self.known)?.unwrap_or(wanted);
        let waits = Bound { age: self.limits.wait_for, bytes: self.limits.wait_bytes };
        let given_up = waits.past(segments, now).min(wanted);
        self.new_checkpoints(wanted);
        self.leave_behind(given_up, waits.half().past(segments, now).min(wanted));
        let rules = self.rules().map(|(_, position)| position).min().unwrap_or(wanted);
        let open = self.shared.outbox.open_from().unwrap_or(wanted).max(given_up);
        let end = boundary(segments, wanted.min(known).min(rules).min(open));
        if end <= journal.start() {
            return Ok(());
        }
        let mut bases = base::list(&self.bases, false)?;
        if bases.last().is_none_or(|base| base.position < end) {
            bases.push(store.write_base(&self.bases)?);
        }
        // The oldest that is late enough: what follows it can be computed again.
        let chosen = bases.iter().find(|base| base.position >= end).or(bases.last());
        let Some(chosen) = chosen.cloned() else { return Ok(()) };
        let end = boundary(segments, end.min(chosen.position));
        if end <= journal.start() {
            return Ok(());
        }
        let start = journal.remove_before(end)?;
        tracing::info!(start, base = chosen.position, "old segments of the journal were removed");
        for older in bases.iter().filter(|base| base.position < chosen.position) {
            remove_file(&older.path)?;
        }
        self.remove_components()
    }

    /// Rules that run or ran, with how far their checkpoints are.
    fn rules(&self) -> impl Iterator<Item = (String, Position)> + use<> {
        self.shared.written().rules.clone().into_iter()
    }

    /// Has all rules write checkpoints, and waits until they reach `position`, or some do not in time.
    fn new_checkpoints(&self, position: Position) {
        let deadline = Monotonic::now() + CHECKPOINTS_WITHIN;
        while !self.reached(position) && Monotonic::now() < deadline && !self.signal.lock().stopped {
            // Again: a rule may have been busy, or not so far yet.
            self.shared.mailbox.ask(Request::Checkpoint { all: true, reply: Box::new(|| {}) });
            let written = self.shared.written();
            drop(
                self.shared
                    .written_changed
                    .wait_timeout(written, PAUSE)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    fn reached(&self, position: Position) -> bool {
        // Nothing comes of waiting for one that rests.
        let rests = |rule: &str| self.registry.rule(rule).is_some_and(|rule| rule.is_resting());
        self.rules().all(|(rule, written)| written >= position || rests(&rule))
    }

    /// Rules that lag further than the journal waits for go on at `end`; those that lag further than half of that
    /// are warned of.
    fn leave_behind(&mut self, end: Position, half: Position) {
        let mut lagging = BTreeSet::new();
        for (rule, position) in self.rules().filter(|(_, position)| *position < half.max(end)) {
            if position < end {
                self.skip(&rule, end);
            }
            if self.warned.insert(rule.clone()) {
                tracing::warn!(
                    rule,
                    position,
                    "the rule lags so far that it will be left behind: half of what the journal waits for it is over"
                );
            }
            lagging.insert(rule);
        }
        self.warned.retain(|rule| lagging.contains(rule));
        self.signal.lock().lagging = lagging;
        if end > 0 {
            self.new_checkpoints(end);
        }
    }

    fn skip(&self, rule: &str, to: Position) {
        let (reply, decided) = std::sync::mpsc::sync_channel(1);
        self.shared.mailbox.ask(Request::Switch {
            rule: rule.to_owned(),
            turn: Turn::Skip(to),
            reply: Box::new(move |result| drop(reply.send(result))),
        });
        let deadline = Monotonic::now() + CHECKPOINTS_WITHIN;
        while Monotonic::now() < deadline && !self.signal.lock().stopped {
            match decided.recv_timeout(PAUSE) {
                Ok(Ok(_)) => return,
                Ok(Err(reason)) => {
                    return tracing::error!(rule, reason, "a rule that lags cannot be left behind");
                }
                Err(_) => {}
            }
        }
    }

    /// Removes components that no decision, base or checkpoint names any more.
    fn remove_components(&self) -> Result<(), KeepError> {
        let mut named: HashSet<[u8; 32]> = self.registry.components().collect();
        self.shared.journal.visit_decisions(0, &mut |entry| {
            if let Body::Decision { decision, .. } = &entry.body
                && let Decision::Switch { to, .. } = &**decision
            {
                named.insert(to.component);
            }
            Ok(())
        })?;
        for base in base::list(&self.bases, false)? {
            let mut standing = crate::checkpoint::rows::Standing::default();
            base::read(&base.path, &mut |key, value| {
                if key.first() == Some(&b'm') { standing.add(key, value) } else { Ok(()) }
            })?;
            named.extend(standing.rules.into_values().filter_map(|rule| Some(rule.version?.component)));
        }
        let named: HashSet<String> =
            named.into_iter().map(|hash| format!("{}.wasm", blake3::Hash::from_bytes(hash))).collect();
        for entry in std::fs::read_dir(&self.components).map_err(KeepError::Components)? {
            let entry = entry.map_err(KeepError::Components)?;
            let age = entry
                .metadata()
                .and_then(|about| about.modified())
                .map(|at| at.elapsed().unwrap_or_default());
            let old = age.is_ok_and(|age| age >= COMPONENT_GRACE);
            if old && !named.contains(&*entry.file_name().to_string_lossy()) {
                remove_file(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn remove_file(path: &std::path::Path) -> Result<(), KeepError> {
    std::fs::remove_file(path).map_err(crate::checkpoint::io("remove", path)).map_err(Into::into)
}

/// How old, and how many bytes, segments may be.
#[derive(Clone, Copy)]
struct Bound {
    age: Duration,
    bytes: u64,
}

impl Bound {
    fn half(self) -> Self {
        Bound { age: self.age / 2, bytes: self.bytes / 2 }
    }

    /// The end of the last finished segment that is past the bound.
    fn past(self, segments: &[SegmentInfo], now: Instant) -> Position {
        let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let mut end = 0;
        for segment in segments.iter().take_while(|segment| segment.finished) {
            let age = segment.last_instant.map_or(0, |last| now.saturating_sub(last));
            if bytes <= self.bytes && age <= millis(self.age) {
                break;
            }
            bytes -= segment.bytes;
            end = segment.end;
        }
        end
    }
}

/// The last end of a finished segment at or before a position.
fn boundary(segments: &[SegmentInfo], position: Position) -> Position {
    let ends = segments.iter().filter(|segment| segment.finished).map(|segment| segment.end);
    ends.take_while(|end| *end <= position).last().unwrap_or(0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Vec<SegmentInfo> {
        let segment = |number: u64| SegmentInfo {
            first: number * 10,
            end: number * 10 + 10,
            bytes: 100,
            last_instant: Some(number * 1_000),
            finished: number < 5,
        };
        (0..6).map(segment).collect()
    }

    #[test]
    fn segments_go_by_age_or_by_size_but_never_the_last() {
        let past =
            |age_ms, bytes| Bound { age: Duration::from_millis(age_ms), bytes }.past(&segments(), 5_500);
        assert_eq!(past(100_000, 1_000), 0);
        assert_eq!(past(100_000, 600), 0);
        assert_eq!(past(100_000, 599), 10);
        assert_eq!(past(100_000, 0), 50);
        assert_eq!(past(4_000, 1_000), 20);
        assert_eq!(past(0, 1_000), 50);
    }

    #[test]
    fn only_whole_segments_go() {
        assert_eq!(boundary(&segments(), 9), 0);
        assert_eq!(boundary(&segments(), 10), 10);
        assert_eq!(boundary(&segments(), 49), 40);
        assert_eq!(boundary(&segments(), 1_000), 50);
    }
}
