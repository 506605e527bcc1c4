//! The one writer of the journal.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::intake::{Accepted, Done, EventsRequest, Intake, Own, SubmitError};
use super::known::{EventKey, KnownIds, event_key};
use super::timeline::{Stamp, Timeline, wall_clock};
use crate::event::{AdmitError, Instant};
use crate::journal::{Body, Entry, Epoch, Journal, JournalError, Position};

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

    fn next_position(&self, group: &Group) -> Position {
        self.journal.end() + group.entries.len() as u64
    }

    fn push(&self, body: Body, instant: Instant, group: &mut Group) {
        let position = self.next_position(group);
        group.entries.push(Arc::new(Entry { position, epoch: self.epoch, instant, body }));
    }

    fn add_own(&mut self, own: Own, group: &mut Group, taken: &mut HashMap<EventKey, ()>) {
        let position = self.next_position(group);
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
        let mut accepted = Accepted { accepted: 0, repeated: 0, first_position: None };
        for ((key, event), instant) in request.events.into_iter().zip(instants) {
            if self.known.contains(&key) || taken.insert(key, ()).is_some() {
                accepted.repeated += 1;
                continue;
            }
            accepted.accepted += 1;
            accepted.first_position.get_or_insert(self.next_position(group));
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
        #[cfg(feature = "planted-faults")]
        let group = tell_early(group);
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
            Waiter::Sender(request.reply, Accepted { accepted: 0, repeated: 0, first_position: None })
                .tell_failed(reason);
        }
        for own in own {
            Waiter::Own(own.done, 0).tell_failed(reason);
        }
    }
}

/// A planted fault.
#[cfg(feature = "planted-faults")]
fn tell_early(mut group: Group) -> Group {
    if crate::planted::acknowledges_early() {
        for waiter in std::mem::take(&mut group.waiters) {
            match waiter {
                Waiter::Sender(reply, accepted) => drop(reply.send(Ok(accepted))),
                own => group.waiters.push(own),
            }
        }
        crate::planted::dawdle();
    }
    group
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
