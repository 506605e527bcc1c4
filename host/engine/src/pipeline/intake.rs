//! The way in: what waits to be journaled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::timeline::{Stamp, Timeline, wall_clock};
use crate::event::{AdmitError, EventBatch, Instant};
use crate::journal::{Body, Position, SourceRead};
use crate::status::IntakeStatus;

/// How much may wait to be journaled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IntakeLimits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    /// Bytes of one event.
    pub(crate) event_bytes: usize,
    /// Events of one batch.
    pub(crate) batch_events: usize,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        IntakeLimits { events: 65_536, bytes: 64 << 20, event_bytes: 1 << 20, batch_events: 10_000 }
    }
}

/// Events that were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// New ones, now durable.
    pub accepted: usize,
    /// Repeats of ones that are durable: they have no effect.
    pub repeated: usize,
    /// Where the first new one stands in the journal; the others follow it. A moment that one of them makes
    /// occur has its position.
    pub first_position: Option<Position>,
}

/// Why events were not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// As much waits as may.
    #[error("too many events wait to be journaled: try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// An event is not valid; none of its batch was taken.
    #[error("event {index} of the batch (from 0) is not valid")]
    Invalid {
        /// Which one, from 0.
        index: usize,
        /// What is wrong.
        #[source]
        error: AdmitError,
    },
    /// The batch has too many events.
    #[error("the batch has {count} events, more than the limit of {limit}: send it in parts")]
    TooMany {
        /// How many.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The host is stopping.
    #[error("the host is stopping")]
    Stopped,
    /// The journal cannot be written at the moment: nothing was taken. The host tries to go on by itself.
    #[error("the journal cannot be written: {0}; try again later")]
    Journal(String),
}

pub(super) struct EventsRequest {
    pub(super) batch: EventBatch,
    pub(super) read: Option<SourceRead>,
    pub(super) reply: oneshot::Sender<Result<Accepted, SubmitError>>,
}

/// Called when what was asked for is durable, or never will be.
pub(crate) type Done = Box<dyn FnOnce(Result<Position, SubmitError>) + Send>;

/// Something of the host's own to be journaled.
pub(crate) struct Own {
    pub(crate) bodies: Vec<Body>,
    pub(crate) done: Done,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) events: VecDeque<EventsRequest>,
    pub(super) own: VecDeque<Own>,
    pub(super) waiting_events: usize,
    pub(super) waiting_bytes: usize,
    pub(super) advance: Option<Instant>,
    /// A group is being made durable.
    pub(super) working: bool,
    /// The appender looks soon, whether or not it is told that something waits.
    pub(super) looks_soon: bool,
    pub(super) draining: bool,
    pub(super) stopped: bool,
    pub(super) failed: Option<String>,
}

/// How far sources have been read, by what the journal holds before a position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursors {
    pub(crate) by_source: BTreeMap<String, String>,
    pub(crate) position: Position,
}

/// What waits to be journaled.
pub(crate) struct Intake {
    pub(super) state: Mutex<State>,
    pub(super) wake: Condvar,
    pub(crate) limits: IntakeLimits,
    pub(super) accepted: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// The instant of the last durable entry.
    pub(super) now: AtomicU64,
    /// How far each source has been read, durably.
    pub(super) cursors: Mutex<Cursors>,
    pub(super) mode: Timeline,
}

impl Intake {
    pub(crate) fn new(limits: IntakeLimits, mode: Timeline, now: Instant, cursors: Cursors) -> Self {
        Intake {
            state: Mutex::default(),
            wake: Condvar::new(),
            limits,
            accepted: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            now: AtomicU64::new(now),
            cursors: Mutex::new(cursors),
            mode,
        }
    }

    /// That a batch has no more events than it may.
    pub(crate) fn check_count(&self, count: usize) -> Result<(), SubmitError> {
        let limit = self.limits.batch_events;
        if count <= limit {
            return Ok(());
        }
        self.refused.fetch_add(count as u64, Ordering::Relaxed);
        Err(SubmitError::TooMany { count, limit })
    }

    /// Takes events in. Never blocks.
    pub(crate) fn submit(
        &self,
        batch: &EventBatch,
        read: Option<SourceRead>,
    ) -> Result<oneshot::Receiver<Result<Accepted, SubmitError>>, SubmitError> {
        let count = batch.len();
        self.check_count(count)?;
        let refuse = |error: SubmitError| {
            self.refused.fetch_add(count as u64, Ordering::Relaxed);
            Err(error)
        };
        if let Err((index, error)) = batch.check(self.limits.event_bytes) {
            return refuse(SubmitError::Invalid { index, error });
        }
        let bytes = batch.bytes();
        let (reply, receipt) = oneshot::channel();
        let mut state = self.lock();
        let error = if let Some(reason) = &state.failed {
            Some(SubmitError::Journal(reason.clone()))
        } else if state.draining || state.stopped {
            Some(SubmitError::Stopped)
        } else if state.waiting_events > 0
            && (state.waiting_events + count > self.limits.events
                || state.waiting_bytes + bytes > self.limits.bytes)
        {
            Some(SubmitError::Busy { retry_after: Duration::from_millis(100) })
        } else {
            None
        };
        if let Some(error) = error {
            return refuse(error);
        }
        state.waiting_events += count;
        state.waiting_bytes += bytes;
        state.events.push_back(EventsRequest { batch: batch.clone(), read, reply });
        self.wake.notify_one();
        Ok(receipt)
    }

    /// Has something of the host's own journaled; while the journal cannot be written, it waits. Its producers
    /// bound how much of it there can be.
    pub(crate) fn append(&self, bodies: Vec<Body>, done: Done) {
        let mut state = self.lock();
        if state.stopped {
            drop(state);
            done(Err(SubmitError::Stopped));
            return;
        }
        // An outcome that nobody wants to hear of shares a group with events, if they keep coming: an fsync of its own would
        // serve nobody.
        let unheard = |body: &Body| matches!(body, Body::Outcome(outcome) if outcome.reference.is_none());
        let waits = state.looks_soon && bodies.iter().all(unheard);
        state.own.push_back(Own { bodies, done });
        if !waits {
            state.looks_soon = false;
            self.wake.notify_one();
        }
    }

    /// The same, and waits until it is durable.
    pub(crate) fn append_wait(&self, bodies: Vec<Body>) -> Result<Position, SubmitError> {
        let (reply, result) = std::sync::mpsc::sync_channel(1);
        self.append(bodies, Box::new(move |done| drop(reply.send(done))));
        result.recv().unwrap_or(Err(SubmitError::Stopped))
    }

    /// Moves the timeline to an instant by a tick, if it is not there yet.
    pub(crate) fn advance(&self, to: Instant) {
        let mut state = self.lock();
        state.advance = state.advance.max(Some(to));
        self.wake.notify_one();
    }

    /// Has the appender look at the alarms again.
    pub(crate) fn nudge(&self) {
        self.wake.notify_one();
    }

    /// Takes no more events; what waits is journaled.
    pub(crate) fn drain(&self) {
        self.lock().draining = true;
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.wake.notify_one();
    }

    pub(crate) fn cursor(&self, source: &str) -> Option<String> {
        self.cursors().by_source.get(source).cloned()
    }

    pub(crate) fn cursors(&self) -> MutexGuard<'_, Cursors> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the timeline stands: what an entry would be stamped with now.
    pub(crate) fn timeline_now(&self) -> Instant {
        let now = Stamp { mode: self.mode, last: self.last_instant() }.other(wall_clock());
        #[cfg(feature = "planted-faults")]
        let now = crate::planted::timeline(now);
        now
    }

    pub(crate) fn last_instant(&self) -> Instant {
        self.now.load(Ordering::Acquire)
    }

    pub(crate) fn mode(&self) -> Timeline {
        self.mode
    }

    pub(crate) fn failed(&self) -> Option<String> {
        self.lock().failed.clone()
    }

    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.events.is_empty() && state.own.is_empty() && state.advance.is_none() && !state.working
    }

    pub(crate) fn status(&self) -> IntakeStatus {
        let state = self.lock();
        IntakeStatus {
            accepted: self.accepted.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            waiting_events: state.waiting_events,
            waiting_bytes: state.waiting_bytes,
            limit_events: self.limits.events,
            limit_bytes: self.limits.bytes,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
