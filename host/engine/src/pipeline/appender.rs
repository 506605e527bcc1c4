//! The one writer of the journal.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant as Monotonic};

use tokio::sync::oneshot;

use super::intake::{Accepted, Done, EventsRequest, Intake, Own, SubmitError};
use super::known::{EventKey, KnownIds};
use super::timeline::{Stamp, Timeline, wall_clock};
use crate::event::{AdmitError, Instant};
use crate::journal::{AFTER_ITSELF, Body, Decision, Entry, Epoch, Journal, JournalError, Position};
use crate::words::words;

/// The one writer of the journal.
pub(crate) struct Appender {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) epoch: Epoch,
    /// A random number that no start before had.
    pub(crate) new_epoch: fn() -> Epoch,
    pub(crate) stamp: Stamp,
    pub(crate) known: KnownIds,
    /// Within what time after it was written a group is made durable; none: before it is acknowledged.
    pub(crate) sync_within: Option<Duration>,
    /// When that has to be done for what was written.
    pub(crate) sync_at: Option<Monotonic>,
    /// The earliest instant that a lane waits for.
    pub(crate) next_alarm: Box<dyn Fn() -> Option<Instant> + Send>,
    /// Given each group once it may be read.
    pub(crate) publish: Box<dyn Fn(Vec<Arc<Entry>>) + Send>,
}

/// About how many bytes of events go into one group.
const GROUP_BYTES: usize = 1 << 20;

/// How long after events an outcome that nobody waits for does, for more of them to share its group with.
const LOOKS_AFTER: Duration = Duration::from_millis(2);

/// Has a decision to switch that holds from `from` on hold from `to` on.
fn move_switch(body: &mut Body, from: Position, to: Position) {
    if let Body::Decision { decision, .. } = body
        && let Decision::Switch { at, .. } = &mut **decision
        && *at == from
    {
        *at = to;
    }
}

/// How long a journal that cannot be written is left alone before it is tried again: at first, and at most.
const RESUME_AFTER: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

/// Who is to be told when a group is durable.
enum Waiter {
    Sender(oneshot::Sender<Result<Accepted, SubmitError>>, Accepted),
    Own(OwnWaiter),
}

/// What of a group is the host's own, so that it can be put back if the group could not be written.
struct OwnWaiter {
    done: Done,
    position: Position,
    /// Its first entry in the group, and how many there are.
    first: usize,
    count: usize,
    /// Repeats that were left out, with their places.
    left_out: Vec<(usize, Body)>,
}

#[derive(Default)]
struct Group {
    /// Where it will stand in the journal.
    first: Position,
    entries: Vec<Arc<Entry>>,
    waiters: Vec<Waiter>,
    /// How many events are new to those that are known.
    new: usize,
    events: usize,
    bytes: usize,
}

impl Appender {
    /// Journals what comes in until the intake is stopped.
    pub(crate) fn run(mut self) {
        let mut after_events = false;
        while let Some(work) = self.wait(after_events) {
            after_events = !work.events.is_empty();
            if work.sync {
                self.sync();
            }
            let mut group = Group { first: self.journal.end(), ..Group::default() };
            for own in work.own {
                self.add_own(own, &mut group);
            }
            for request in work.events {
                group.events += request.batch.len();
                group.bytes += request.batch.bytes();
                self.add_events(request, &mut group);
            }
            if let Some(to) = work.advance.filter(|&to| to > self.stamp.last) {
                self.stamp.last = to;
                self.push(Body::Tick, to, &mut group);
            }
            self.commit(group);
            self.intake.lock().working = false;
        }
        if let Err(error) = self.journal.sync() {
            tracing::error!(error = words(&error), "the end of the journal could not be made durable");
        }
        self.end();
    }

    /// Waits for something to do: `None` once stopped and drained.
    fn wait(&self, after_events: bool) -> Option<Work> {
        let mut state = self.intake.lock();
        state.looks_soon = after_events;
        loop {
            // What still waits cannot be written.
            if state.stopped && state.failed.is_some() {
                return None;
            }
            let sync = self.sync_at.is_some_and(|at| at <= Monotonic::now());
            let own = !state.own.is_empty() && (!state.looks_soon || state.stopped);
            if sync || !state.events.is_empty() || own || state.advance.is_some() {
                let mut work = Work {
                    own: state.own.drain(..).collect(),
                    advance: state.advance.take(),
                    sync,
                    ..Work::default()
                };
                let mut bytes = 0;
                while bytes < GROUP_BYTES
                    && let Some(request) = state.events.pop_front()
                {
                    bytes += request.batch.bytes();
                    work.events.push(request);
                }
                state.working = true;
                state.looks_soon = false;
                return Some(work);
            }
            if state.stopped {
                return None;
            }
            let alarm = (self.next_alarm)().filter(|_| self.stamp.mode == Timeline::Received);
            let mut wait = match alarm {
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
            if state.looks_soon {
                wait = wait.min(LOOKS_AFTER);
            }
            if let Some(at) = self.sync_at {
                wait = wait.min(at.saturating_duration_since(Monotonic::now()));
            }
            let (locked, waited) =
                self.intake.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            state = locked;
            state.looks_soon &= !waited.timed_out();
        }
    }

    fn next_position(group: &Group) -> Position {
        group.first + group.entries.len() as u64
    }

    fn push(&self, body: Body, instant: Instant, group: &mut Group) {
        let position = Self::next_position(group);
        group.entries.push(Arc::new(Entry { position, epoch: self.epoch, instant, body }));
    }

    fn add_own(&mut self, own: Own, group: &mut Group) {
        let position = Self::next_position(group);
        let instant = self.stamp.other(wall_clock());
        self.stamp.last = instant;
        let (first, mut left_out) = (group.entries.len(), Vec::new());
        for (place, mut body) in own.bodies.into_iter().enumerate() {
            let behind = Self::next_position(group) + 1;
            move_switch(&mut body, AFTER_ITSELF, behind);
            if let Body::Event(event) = &body {
                // A route back into the host: its id is the action's idempotency key.
                if !self.known.insert(self.known.key(&event.fields()), instant) {
                    left_out.push((place, body));
                    continue;
                }
                group.new += 1;
            }
            self.push(body, instant, group);
        }
        let count = group.entries.len() - first;
        group.waiters.push(Waiter::Own(OwnWaiter { done: own.done, position, first, count, left_out }));
    }

    fn add_events(&mut self, request: EventsRequest, group: &mut Group) {
        let wall = wall_clock();
        let EventsRequest { batch, read, reply } = request;
        // The whole batch or nothing: look before anything is stamped.
        let mut stamp = self.stamp;
        let mut instants = Vec::with_capacity(batch.len());
        for (index, time) in batch.times().enumerate() {
            match stamp.event(time, wall) {
                Ok(instant) => {
                    stamp.last = instant;
                    instants.push(instant);
                }
                Err(bound) => {
                    self.intake.refused.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    let error = AdmitError::too_far_ahead(time.unwrap_or(0), bound);
                    drop(reply.send(Err(SubmitError::Invalid { index, error })));
                    return;
                }
            }
        }
        let mut accepted = Accepted { accepted: 0, repeated: 0, first_position: None };
        // One after the other in each step: what is looked for far away in memory is then looked for at the same time.
        let keys: Vec<EventKey> = batch.fields().map(|event| self.known.key(&event)).collect();
        let new: Vec<bool> =
            keys.into_iter().zip(&instants).map(|(key, instant)| self.known.insert(key, *instant)).collect();
        for ((event, instant), new) in batch.events().zip(instants).zip(new) {
            if !new {
                accepted.repeated += 1;
                continue;
            }
            group.new += 1;
            accepted.accepted += 1;
            accepted.first_position.get_or_insert(Self::next_position(group));
            self.stamp.last = instant;
            self.push(Body::Event(event), instant, group);
        }
        if let Some(read) = read {
            let instant = self.stamp.other(wall);
            self.stamp.last = instant;
            self.push(Body::SourceRead(Box::new(read)), instant, group);
        }
        group.waiters.push(Waiter::Sender(reply, accepted));
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
            self.known.take_back(group.new);
            self.put_back(group, &error);
            if !matches!(error, JournalError::Refused { .. }) {
                self.recover(&error);
            }
            return;
        }
        self.known.forget_old();
        if let Some(within) = self.sync_within
            && !group.entries.is_empty()
        {
            self.sync_at.get_or_insert_with(|| Monotonic::now() + within);
        }
        self.intake.now.store(self.stamp.last, Ordering::Release);
        {
            let mut cursors = self.intake.cursors();
            for entry in &group.entries {
                if let Body::SourceRead(read) = &entry.body {
                    cursors.by_source.insert(read.source.clone(), read.cursor.clone());
                }
            }
            cursors.position = self.journal.end();
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
                Waiter::Own(own) => (own.done)(Ok(own.position)),
            }
        }
    }

    /// Makes durable what was written.
    fn sync(&mut self) {
        self.sync_at = None;
        if let Err(error) = self.journal.sync() {
            self.recover(&error);
        }
    }

    /// A group could not be written: its senders are told so, what is the host's own waits on.
    fn put_back(&mut self, group: Group, error: &JournalError) {
        let reason = words(error);
        let mut bodies: Vec<Option<Body>> = group
            .entries
            .into_iter()
            .map(|entry| {
                let behind = entry.position + 1;
                let mut body =
                    Arc::try_unwrap(entry).map_or_else(|shared| shared.body.clone(), |entry| entry.body);
                move_switch(&mut body, behind, AFTER_ITSELF);
                Some(body)
            })
            .collect();
        let mut own = Vec::new();
        for waiter in group.waiters {
            match waiter {
                Waiter::Sender(reply, _) => drop(reply.send(Err(SubmitError::Journal(reason.clone())))),
                // A fault in the host: waiting would not mend it.
                Waiter::Own(waiter) if matches!(error, JournalError::Refused { .. }) => {
                    (waiter.done)(Err(SubmitError::Journal(reason.clone())));
                }
                Waiter::Own(waiter) => {
                    let written = bodies[waiter.first..waiter.first + waiter.count].iter_mut();
                    let mut again: Vec<Body> = written.filter_map(Option::take).collect();
                    for (place, body) in waiter.left_out {
                        again.insert(place.min(again.len()), body);
                    }
                    own.push(Own { bodies: again, done: waiter.done });
                }
            }
        }
        let mut state = self.intake.lock();
        for own in own.into_iter().rev() {
            state.own.push_front(own);
        }
    }

    /// Tries until the journal takes groups again, or the host is stopped. Nothing is accepted meanwhile; rules go on
    /// with what is durable.
    fn recover(&mut self, error: &JournalError) {
        let mut reason = words(error);
        tracing::error!(error = reason, "the journal cannot be written: nothing is accepted until it can");
        let mut pause = RESUME_AFTER[0];
        loop {
            self.refuse_all(&reason);
            let deadline = Monotonic::now() + pause;
            let mut state = self.intake.lock();
            loop {
                let left = deadline.saturating_duration_since(Monotonic::now());
                if state.stopped || left.is_zero() {
                    break;
                }
                state = self.intake.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            if state.stopped {
                // What waits is told by the end of the run.
                state.advance = None;
                return;
            }
            drop(state);
            match self.journal.resume() {
                Ok(()) => break,
                Err(error) => reason = words(&error),
            }
            pause = (pause * 2).min(RESUME_AFTER[1]);
        }
        // Positions of the group that failed are used again: no id may be.
        self.epoch = (self.new_epoch)();
        self.sync_at = None;
        self.intake.lock().failed = None;
        tracing::warn!("the journal can be written again: the host goes on");
    }

    fn refuse_all(&self, reason: &str) {
        let mut state = self.intake.lock();
        state.failed = Some(reason.to_owned());
        state.waiting_events = 0;
        state.waiting_bytes = 0;
        for request in state.events.drain(..) {
            drop(request.reply.send(Err(SubmitError::Journal(reason.to_owned()))));
        }
    }

    /// Tells all that wait that nothing more is journaled.
    fn end(&self) {
        let (events, own) = {
            let mut state = self.intake.lock();
            state.stopped = true;
            state.waiting_events = 0;
            state.waiting_bytes = 0;
            (std::mem::take(&mut state.events), std::mem::take(&mut state.own))
        };
        for request in events {
            drop(request.reply.send(Err(SubmitError::Stopped)));
        }
        for own in own {
            (own.done)(Err(SubmitError::Stopped));
        }
    }
}

#[derive(Default)]
struct Work {
    own: Vec<Own>,
    events: Vec<EventsRequest>,
    advance: Option<Instant>,
    /// What was written is to be made durable.
    sync: bool,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::VersionRecord;

    #[test]
    fn a_switch_holds_from_behind_wherever_its_decision_comes_to_stand() {
        let to = VersionRecord { component: [1; 32], configuration: "{}".to_owned(), limits: String::new() };
        let switch = |at| {
            let decision = Decision::Switch { at, to: to.clone(), version: "1".to_owned() };
            Body::Decision { rule: "r".to_owned(), decision: Box::new(decision) }
        };
        let mut body = switch(AFTER_ITSELF);
        move_switch(&mut body, AFTER_ITSELF, 8);
        assert_eq!(body, switch(8));
        // It could not be written, and is to be tried again.
        move_switch(&mut body, 8, AFTER_ITSELF);
        assert_eq!(body, switch(AFTER_ITSELF));
        let mut elsewhere = switch(5);
        move_switch(&mut elsewhere, 8, AFTER_ITSELF);
        assert_eq!(elsewhere, switch(5));
    }
}
