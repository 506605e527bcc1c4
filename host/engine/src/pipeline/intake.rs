//! The way in: what waits to be journaled, and the one thread that journals it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::known::{EventKey, KnownIds, event_key};
use super::timeline::{Stamp, Timeline, wall_clock};
use crate::event::{AdmitError, Event, Instant};
use crate::journal::{Body, Entry, Epoch, Journal, JournalError, Position, SourceRead};
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
    /// The journal cannot be written.
    #[error("the journal cannot be written: {0}")]
    Journal(String),
}

struct EventsRequest {
    events: Vec<(EventKey, Event)>,
    read: Option<SourceRead>,
    bytes: usize,
    reply: oneshot::Sender<Result<Accepted, SubmitError>>,
}

/// Called when what was asked for is durable, or never will be.
pub(crate) type Done = Box<dyn FnOnce(Result<Position, SubmitError>) + Send>;

/// Something of the host's own to be journaled.
pub(crate) struct Own {
    pub(crate) bodies: Vec<Body>,
    pub(crate) done: Done,
}

#[derive(Default)]
struct State {
    events: VecDeque<EventsRequest>,
    own: VecDeque<Own>,
    waiting_events: usize,
    waiting_bytes: usize,
    advance: Option<Instant>,
    /// A group is being made durable.
    working: bool,
    draining: bool,
    stopped: bool,
    failed: Option<String>,
}

/// What waits to be journaled.
pub(crate) struct Intake {
    state: Mutex<State>,
    wake: Condvar,
    pub(crate) limits: IntakeLimits,
    accepted: AtomicU64,
    repeated: AtomicU64,
    refused: AtomicU64,
    /// The instant of the last durable entry.
    now: AtomicU64,
    /// How far each source has been read, durably.
    cursors: Mutex<HashMap<String, String>>,
    mode: Timeline,
}

impl Intake {
    pub(crate) fn new(
        limits: IntakeLimits,
        mode: Timeline,
        now: Instant,
        cursors: HashMap<String, String>,
    ) -> Self {
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

    /// Takes events in. Never blocks.
    pub(crate) fn submit(
        &self,
        events: Vec<Event>,
        read: Option<SourceRead>,
    ) -> Result<oneshot::Receiver<Result<Accepted, SubmitError>>, SubmitError> {
        let refuse = |error: SubmitError| {
            self.refused.fetch_add(events.len() as u64, Ordering::Relaxed);
            Err(error)
        };
        let (count, limit) = (events.len(), self.limits.batch_events);
        if count > limit {
            return refuse(SubmitError::TooMany { count, limit });
        }
        for (index, event) in events.iter().enumerate() {
            if let Err(error) = event.validate(self.limits.event_bytes) {
                return refuse(SubmitError::Invalid { index, error });
            }
        }
        let bytes: usize = events.iter().map(Event::size).sum();
        let keyed: Vec<(EventKey, Event)> =
            events.into_iter().map(|event| (event_key(&event), event)).collect();
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
            self.refused.fetch_add(count as u64, Ordering::Relaxed);
            return Err(error);
        }
        state.waiting_events += count;
        state.waiting_bytes += bytes;
        state.events.push_back(EventsRequest { events: keyed, read, bytes, reply });
        self.wake.notify_one();
        Ok(receipt)
    }

    /// Has something of the host's own journaled. Its producers bound how much of it there can be.
    pub(crate) fn append(&self, bodies: Vec<Body>, done: Done) {
        let mut state = self.lock();
        if state.failed.is_some() || state.stopped {
            let error = match &state.failed {
                Some(reason) => SubmitError::Journal(reason.clone()),
                None => SubmitError::Stopped,
            };
            drop(state);
            done(Err(error));
            return;
        }
        state.own.push_back(Own { bodies, done });
        self.wake.notify_one();
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
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }

    /// Where the timeline stands: what an entry would be stamped with now.
    pub(crate) fn timeline_now(&self) -> Instant {
        Stamp { mode: self.mode, last: self.last_instant() }.other(wall_clock())
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one writer of the journal.
pub(crate) struct Appender {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) epoch: Epoch,
    pub(crate) stamp: Stamp,
    pub(crate) known: KnownIds,
    /// The earliest instant that a lane waits for.
    pub(crate) next_alarm: Box<dyn Fn() -> Option<Instant> + Send>,
    /// Given each group once it is durable.
    pub(crate) publish: Box<dyn Fn(Vec<Arc<Entry>>) + Send>,
}

/// About how many bytes of events go into one group.
const GROUP_BYTES: usize = 4 << 20;

/// Who is to be told when a group is durable.
enum Waiter {
    Sender(oneshot::Sender<Result<Accepted, SubmitError>>, Accepted),
    Own(Done, Position),
}

#[derive(Default)]
struct Group {
    entries: Vec<Arc<Entry>>,
    waiters: Vec<Waiter>,
    keys: Vec<(EventKey, Instant)>,
    events: usize,
    bytes: usize,
}

impl Appender {
    /// Journals what comes in until the intake is stopped.
    pub(crate) fn run(mut self) {
        while let Some(work) = self.wait() {
            let mut group = Group::default();
            let mut taken = HashMap::new();
            for own in work.own {
                self.add_own(own, &mut group, &mut taken);
            }
            for request in work.events {
                group.events += request.events.len();
                group.bytes += request.bytes;
                self.add_events(request, &mut group, &mut taken);
            }
            if let Some(to) = work.advance.filter(|&to| to > self.stamp.last) {
                self.stamp.last = to;
                self.push(Body::Tick, to, &mut group);
            }
            self.commit(group);
            self.intake.lock().working = false;
        }
        self.fail("the host has stopped", true);
    }

    /// Waits for something to do: `None` once stopped and drained.
    fn wait(&self) -> Option<Work> {
        let mut state = self.intake.lock();
        loop {
            if !state.events.is_empty() || !state.own.is_empty() || state.advance.is_some() {
                let mut work = Work {
                    own: state.own.drain(..).collect(),
                    advance: state.advance.take(),
                    ..Work::default()
                };
                let mut bytes = 0;
                while bytes < GROUP_BYTES
                    && let Some(request) = state.events.pop_front()
                {
                    bytes += request.bytes;
                    work.events.push(request);
                }
                state.working = true;
                return Some(work);
            }
            if state.stopped {
                return None;
            }
            let alarm = (self.next_alarm)().filter(|_| self.stamp.mode == Timeline::Received);
            let wait = match alarm {
                None => Duration::from_secs(3600),
                Some(due) => {
                    let wall = wall_clock();
                    if wall >= due && self.stamp.last < due {
                        state.working = true;
                        return Some(Work { advance: Some(wall), ..Work::default() });
                    }
                    // Already reached: the lane is on its way to it.
                    Duration::from_millis(
                        if self.stamp.last >= due { 1_000 } else { due - wall }.clamp(1, 60_000),
                    )
                }
            };
            state = self.intake.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn push(&self, body: Body, instant: Instant, group: &mut Group) {
        let position = self.journal.end() + group.entries.len() as u64;
        group.entries.push(Arc::new(Entry { position, epoch: self.epoch, instant, body }));
    }

    fn add_own(&mut self, own: Own, group: &mut Group, taken: &mut HashMap<EventKey, ()>) {
        let position = self.journal.end() + group.entries.len() as u64;
        let instant = self.stamp.other(wall_clock());
        self.stamp.last = instant;
        for body in own.bodies {
            if let Body::Event(event) = &body {
                // A route back into the host: its id is the action's idempotency key.
                let key = event_key(event);
                if self.known.contains(&key) || taken.insert(key, ()).is_some() {
                    continue;
                }
                group.keys.push((key, instant));
            }
            self.push(body, instant, group);
        }
        group.waiters.push(Waiter::Own(own.done, position));
    }

    fn add_events(&mut self, request: EventsRequest, group: &mut Group, taken: &mut HashMap<EventKey, ()>) {
        let wall = wall_clock();
        // The whole batch or nothing: look before anything is stamped.
        let mut stamp = self.stamp;
        let mut instants = Vec::with_capacity(request.events.len());
        for (index, (_, event)) in request.events.iter().enumerate() {
            match stamp.event(event.time, wall) {
                Ok(instant) => {
                    stamp.last = instant;
                    instants.push(instant);
                }
                Err(bound) => {
                    self.intake.refused.fetch_add(request.events.len() as u64, Ordering::Relaxed);
                    let error = AdmitError::too_far_ahead(event.time.unwrap_or(0), bound);
                    drop(request.reply.send(Err(SubmitError::Invalid { index, error })));
                    return;
                }
            }
        }
        let mut accepted = Accepted { accepted: 0, repeated: 0 };
        for ((key, event), instant) in request.events.into_iter().zip(instants) {
            if self.known.contains(&key) || taken.insert(key, ()).is_some() {
                accepted.repeated += 1;
                continue;
            }
            accepted.accepted += 1;
            group.keys.push((key, instant));
            self.stamp.last = instant;
            self.push(Body::Event(event), instant, group);
        }
        if let Some(read) = request.read {
            let instant = self.stamp.other(wall);
            self.stamp.last = instant;
            self.push(Body::SourceRead(read), instant, group);
        }
        group.waiters.push(Waiter::Sender(request.reply, accepted));
    }

    /// Makes a group durable, tells those who wait for it, and passes it on.
    fn commit(&mut self, group: Group) {
        let written = if group.entries.is_empty() { Ok(()) } else { self.journal.append(&group.entries) };
        {
            let mut state = self.intake.lock();
            state.waiting_events -= group.events.min(state.waiting_events);
            state.waiting_bytes -= group.bytes.min(state.waiting_bytes);
        }
        if let Err(error) = written {
            let reason = describe(&error);
            tracing::error!(error = reason, "the journal cannot be written: nothing more is accepted");
            for waiter in group.waiters {
                waiter.tell_failed(&reason);
            }
            self.fail(&reason, false);
            return;
        }
        for (key, instant) in group.keys {
            self.known.insert(key, instant);
        }
        self.intake.now.store(self.stamp.last, Ordering::Release);
        for entry in &group.entries {
            if let Body::SourceRead(read) = &entry.body {
                let mut cursors = self.intake.cursors.lock().unwrap_or_else(PoisonError::into_inner);
                cursors.insert(read.source.clone(), read.cursor.clone());
            }
        }
        if !group.entries.is_empty() {
            (self.publish)(group.entries);
        }
        for waiter in group.waiters {
            match waiter {
                Waiter::Sender(reply, accepted) => {
                    self.intake.accepted.fetch_add(accepted.accepted as u64, Ordering::Relaxed);
                    self.intake.repeated.fetch_add(accepted.repeated as u64, Ordering::Relaxed);
                    drop(reply.send(Ok(accepted)));
                }
                Waiter::Own(done, position) => done(Ok(position)),
            }
        }
    }

    /// Tells all that wait that nothing more is journaled.
    fn fail(&self, reason: &str, stopped: bool) {
        let (events, own) = {
            let mut state = self.intake.lock();
            if stopped {
                state.stopped = true;
            } else {
                state.failed = Some(reason.to_owned());
            }
            state.waiting_events = 0;
            state.waiting_bytes = 0;
            (std::mem::take(&mut state.events), std::mem::take(&mut state.own))
        };
        for request in events {
            Waiter::Sender(request.reply, Accepted { accepted: 0, repeated: 0 }).tell_failed(reason);
        }
        for own in own {
            Waiter::Own(own.done, 0).tell_failed(reason);
        }
    }
}

#[derive(Default)]
struct Work {
    own: Vec<Own>,
    events: Vec<EventsRequest>,
    advance: Option<Instant>,
}

impl Waiter {
    fn tell_failed(self, reason: &str) {
        let error = SubmitError::Journal(reason.to_owned());
        match self {
            Waiter::Sender(reply, _) => drop(reply.send(Err(error))),
            Waiter::Own(done, _) => done(Err(error)),
        }
    }
}

/// An error with all its causes.
pub(crate) fn describe(error: &JournalError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
