//! The outbox: actions on their way out.
//!
//! At least once, always under the same idempotency key, with backoff and jitter, and never begun after
//! the moment has expired. What became of an action is journaled before it leaves the outbox. A route back
//! into the host is no delivery at all: the event and the outcome go into the journal in one group, hence
//! exactly once.
//!
//! What is decided stands in [`state`], without threads and clocks; here it is done.
//!
//! **Invariant:** an action that was taken leaves by an outcome in the journal, and in no other way. While the
//! journal cannot be written it stays.
//!
//! **Invariant:** what waits for one sink is bounded. Past the bound the rules that feed it rest, or what finds no
//! room is set aside, as the operator chose; intake and other rules go on. A rule is told before its next batch,
//! so that the bound is overshot by one batch at most of each lane of a rule that feeds the sink.

mod breaker;
mod lines;
mod queue;
mod retry;
mod room;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Monotonic};

use self::queue::SinkQueue;
use self::state::{Deed, Ending, State, Try};
use crate::event::{Data, Instant};
use crate::guardrail::{Guard, Judged, refusal};
use crate::journal::{ActionId, Body, Decision, Erasure, OutcomeEntry, Position, Verdict};
use crate::life::Lives;
use crate::moment::Moment;
use crate::pipeline::intake::Intake;
use crate::pipeline::lane::cut_text;
use crate::pipeline::timeline::Timeline;
use crate::route::{Route, Target};
use crate::rule::Status;
use crate::sink::{Answer, Delivery, Reply};
use crate::status::{OutcomeCounters, SinkStatus};

pub(crate) use self::queue::NamedSink;
pub(crate) use self::retry::Retry;

/// How often what came back into the host by a route may come back again.
const MAX_HOPS: u32 = 8;

/// Bytes of an answer that are journaled. A longer one is left out, and the outcome says so.
const ANSWER_BYTES: usize = 64 << 10;

/// How long to wait before what could not be journaled is tried again.
const JOURNAL_PAUSE: Duration = if cfg!(test) { Duration::from_millis(5) } else { Duration::from_secs(1) };

/// How many moments are looked through while the outbox is locked, and how long it is left to others then.
const MOMENTS_AT_ONCE: usize = 256;
const BETWEEN_LOOKS: Duration = Duration::from_micros(100);

/// How many tries are begun before the clock is looked at again.
const TRIES_AT_ONCE: usize = 64;

pub(crate) struct Outbox {
    state: Mutex<State>,
    wake: Condvar,
    sinks: Vec<String>,
    guard: Arc<Guard>,
    lives: Arc<Lives>,
    intake: Arc<Intake>,
    retry: Retry,
    /// By rule: actions that left since a checkpoint last asked; none: there are no checkpoints.
    closed: Option<Mutex<HashMap<String, Vec<ActionId>>>>,
    /// Some rule is to rest.
    holds_up: AtomicBool,
    stopped: AtomicBool,
    by_status: [AtomicU64; Status::ALL.len()],
    pub(crate) by_rule: OutcomeCounters,
}

impl Outbox {
    pub(crate) fn new(
        sinks: Vec<NamedSink>,
        (routes, default_route): (Vec<Route>, Option<Target>),
        (guard, lives): (Arc<Guard>, Arc<Lives>),
        intake: Arc<Intake>,
        retry: Retry,
        settled: HashMap<ActionId, Status>,
        checkpointed: bool,
    ) -> Arc<Self> {
        let names = sinks.iter().map(|sink| sink.name.clone()).collect();
        let sinks = sinks.into_iter().map(SinkQueue::new).collect();
        let state = State::new(sinks, routes, default_route, Arc::clone(&guard), settled, checkpointed);
        Arc::new(Outbox {
            sinks: names,
            state: Mutex::new(state),
            guard,
            lives,
            wake: Condvar::new(),
            intake,
            retry,
            closed: checkpointed.then(Mutex::default),
            holds_up: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            by_status: Default::default(),
            by_rule: OutcomeCounters::default(),
        })
    }

    /// A rule's own routes, tried before the host's.
    pub(crate) fn set_routes(&self, rule: &str, routes: Vec<Route>) {
        self.lock().rule_routes.insert(rule.to_owned(), routes);
    }

    /// Whether a sink of that name exists.
    pub(crate) fn has_sink(&self, name: &str) -> bool {
        self.sinks.iter().any(|known| known == name)
    }

    /// Takes a moment's actions. `maybe_tried`: they may have gone out before the last start.
    pub(crate) fn take(self: &Arc<Self>, moment: &Arc<Moment>, maybe_tried: bool) {
        let give_up_at = Monotonic::now().checked_add(self.retry.give_up_after);
        let timeline = self.intake.timeline_now();
        let mut deeds = Vec::new();
        let mut state = self.lock();
        for (place, action) in moment.actions.iter().enumerate() {
            if let Some(status) = state.settled.get(&action.id).copied() {
                // A checkpoint may hold it open: once its outcome is not kept any more, it would go out again.
                self.note_closed(&moment.rule, action.id);
                self.lives.ended(moment.id, action, status, timeline, "before the host started");
                if status != Status::Withheld && action.copy.is_none() {
                    deeds.extend(state.take_copies_of(moment, place, timeline));
                }
            } else if !state.open.contains_key(&action.id) {
                deeds.extend(state.take(moment, place, maybe_tried, give_up_at, timeline));
                self.tell_if_held(&state, action.id);
            }
        }
        self.unlock(state, deeds);
    }

    /// The next checkpoint of a rule holds an action open no more.
    pub(crate) fn note_closed(&self, rule: &str, id: ActionId) {
        if let Some(closed) = &self.closed {
            let mut closed = closed.lock().unwrap_or_else(PoisonError::into_inner);
            closed.entry(rule.to_owned()).or_default().push(id);
        }
    }

    /// Routes are known: what was held back goes on its way.
    pub(crate) fn open(self: &Arc<Self>) {
        let mut state = self.lock();
        let deeds = state.release(self.intake.timeline_now());
        state.detained.iter().for_each(|(_, id)| self.tell_if_held(&state, *id));
        self.unlock(state, deeds);
    }

    /// Why a rule is to rest before its next batch, if so: it feeds a sink that has as much waiting as it may.
    pub(crate) fn holds_up(&self, rule: &str) -> Option<String> {
        if self.holds_up.load(Ordering::Acquire) { self.lock().holds_up(rule) } else { None }
    }

    /// The timeline has moved: what has expired by now ends.
    pub(crate) fn timeline_moved(&self, to: Instant) {
        let state = self.lock();
        let expired = state.expiries.first().is_some_and(|(expires, _)| *expires < to);
        if expired || state.detained.first().is_some_and(|(until, _)| *until <= to) {
            self.wake.notify_one();
        }
    }

    /// Begins tries until stopped.
    pub(crate) fn run(self: &Arc<Self>) {
        let mut state = self.lock();
        while !self.stopped.load(Ordering::Acquire) {
            let (now, timeline) = (Monotonic::now(), self.intake.timeline_now());
            let mut deeds = state.due(now, timeline, &self.retry);
            let tries = std::iter::from_fn(|| state.next_try(now, timeline, &self.retry));
            deeds.extend(tries.take(TRIES_AT_ONCE));
            if !deeds.is_empty() {
                drop(state);
                deeds.into_iter().for_each(|deed| self.act(deed));
                state = self.lock();
                continue;
            }
            let until = self.looks_at(&state, now);
            state.asleep_until = Some(until);
            let wait = until.saturating_duration_since(now);
            state = self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
            state.asleep_until = None;
        }
    }

    /// When there is something to do by the clock, or an hour from now.
    fn looks_at(&self, state: &State, now: Monotonic) -> Monotonic {
        // Event time moves with events alone: see `timeline_moved`.
        let timeline = (self.intake.mode() == Timeline::Received).then(|| self.intake.timeline_now());
        let at = |instant: Instant| {
            let after = instant.saturating_sub(timeline?);
            now.checked_add(Duration::from_millis(after))
        };
        let expiry = state.expiries.first().and_then(|(expires, _)| at(expires.saturating_add(1)));
        let detained = state.detained.first().and_then(|(until, _)| at(*until));
        let hour = now + Duration::from_secs(3600);
        state.next_wake().into_iter().chain(expiry).chain(detained).fold(hour, Monotonic::min)
    }

    /// Does what the state asked for, which it is not locked for. Whoever begins tries is woken if there is one, or something
    /// that is to be looked at sooner.
    fn unlock(self: &Arc<Self>, mut state: MutexGuard<'_, State>, deeds: Vec<Deed>) {
        self.holds_up.store(state.holds_up_any(), Ordering::Release);
        let now = Monotonic::now();
        let wakes =
            state.asleep_until.is_some_and(|until| state.has_try(now) || self.looks_at(&state, now) < until);
        if wakes {
            state.asleep_until = None;
        }
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
        deeds.into_iter().for_each(|deed| self.act(deed));
    }

    fn act(self: &Arc<Self>, deed: Deed) {
        match deed {
            Deed::Try(attempt) => self.begin(attempt),
            Deed::Journal(id, ending) => self.journal(id, ending),
            Deed::Judge(judged) => self.journal_judged(judged),
        }
    }

    fn begin(self: &Arc<Self>, Try { sink, id, attempt, timeout, moment, action }: Try) {
        let emitted = &moment.actions[action];
        let event = Arc::new(moment.action_event(emitted, None));
        if attempt == 1 {
            let why = self.guard.approved(id).unwrap_or_default();
            self.lives.acting(moment.id, emitted, self.intake.timeline_now(), why);
        }
        let sent_as = emitted.sent_as();
        let outbox = Arc::clone(self);
        let reply = Reply::new(move |answer| outbox.answered(id, attempt, answer));
        sink.deliver(Delivery { id: sent_as, attempt, expires: moment.expires, timeout, event }, reply);
    }

    fn answered(self: &Arc<Self>, id: ActionId, attempt: u32, answer: Answer) {
        let at = (Monotonic::now(), self.intake.timeline_now());
        let mut state = self.lock();
        let deed = state.answered(id, attempt, answer, at, &self.retry);
        self.unlock(state, deed.into_iter().collect());
    }

    /// Journals what became of an action; once that is durable it leaves the outbox. What cannot be journaled
    /// is tried again until the host stops; after that the next start finds no outcome, and tries it.
    fn journal(self: &Arc<Self>, id: ActionId, ending: Ending) {
        let Some(bodies) = self.bodies_of(id, &ending) else { return };
        let Some(status) = bodies.iter().find_map(status_of) else {
            // An event that would come into the journal too late: its expiry is judged when there is room.
            return self.not_written(id, ending);
        };
        let detail = bodies.iter().find_map(detail_of).unwrap_or_default();
        let outbox = Arc::clone(self);
        self.intake.append(
            bodies,
            Box::new(move |done| match done {
                Ok(_) => outbox.close(id, status, &detail),
                Err(_) => outbox.not_written(id, ending),
            }),
        );
    }

    /// Journals what guardrails said, in one group; once that is durable it holds. What cannot be journaled was not said.
    fn journal_judged(self: &Arc<Self>, judged: Vec<Judged>) {
        let ids: Vec<ActionId> = judged.iter().map(|judged| judged.judgement.id).collect();
        let bodies = judged.into_iter().map(|Judged { rule, judgement }| Body::Decision {
            rule,
            decision: Box::new(Decision::Judged(judgement)),
        });
        let outbox = Arc::clone(self);
        self.intake.append(
            bodies.collect(),
            Box::new(move |done| {
                let durable = match done {
                    Ok(_) => Ok(outbox.intake.timeline_now()),
                    Err(_) => {
                        outbox.guard.not_judged(ids.iter().copied());
                        Err(Monotonic::now() + JOURNAL_PAUSE)
                    }
                };
                let mut state = outbox.lock();
                let mut deeds = Vec::new();
                for id in ids {
                    deeds.extend(state.judged(id, durable, (Monotonic::now(), &outbox.retry)));
                    outbox.tell_if_held(&state, id);
                }
                outbox.unlock(state, deeds);
            }),
        );
    }

    /// That a guardrail holds an action is part of its life.
    fn tell_if_held(&self, state: &State, id: ActionId) {
        let Some(open) = state.open.get(&id).filter(|open| open.is_detained()) else { return };
        if let Some(Verdict::Held { guardrail, reason, until, .. }) = self.guard.verdict(id) {
            let (action, now) = (&open.moment.actions[open.action], self.intake.last_instant());
            self.lives.held(open.moment.id, action, now, until, refusal(&guardrail, &reason));
        }
    }

    /// Somebody decided about an action that a guardrail holds.
    pub(crate) fn judge_again(self: &Arc<Self>, id: ActionId) {
        let mut state = self.lock();
        let deeds = state.judge_again(id, self.intake.timeline_now());
        self.unlock(state, deeds);
    }

    /// Actions that guardrails hold, with their moments, in the order in which they are let go.
    pub(crate) fn detained(&self) -> Vec<(ActionId, Arc<Moment>, usize)> {
        let state = self.lock();
        let held = state.detained.iter().filter_map(|(_, id)| {
            let open = state.open.get(id)?;
            Some((*id, Arc::clone(&open.moment), open.action))
        });
        held.collect()
    }

    /// What is to be journaled, in one group. Nothing: not now.
    fn bodies_of(&self, id: ActionId, ending: &Ending) -> Option<Vec<Body>> {
        let (moment, action) = {
            let state = self.lock();
            let open = state.open.get(&id)?;
            (Arc::clone(&open.moment), open.action)
        };
        let outcome =
            |status, answer: &Data, detail: &str| outcome_of(&moment, action, status, answer, detail);
        let event_type = match ending {
            Ending::Outcome { status, answer, detail } => {
                return Some(vec![outcome(*status, answer, detail)]);
            }
            Ending::Back { event_type } => event_type.as_deref(),
        };
        let instead = |status, detail: &str| Some(vec![outcome(status, &Data::Absent, detail)]);
        if moment.hops >= MAX_HOPS {
            let detail = format!("it came back into the host {MAX_HOPS} times already: a loop of routes?");
            return instead(Status::Withheld, &detail);
        }
        // Also after a restart: had it been delivered, the journal would have its outcome.
        if moment.expires.is_some_and(|expires| expires < self.intake.timeline_now()) {
            return instead(Status::Expired, "the moment expired before it came back into the host");
        }
        if self.intake.failed().is_some() {
            return Some(Vec::new());
        }
        let event = moment.action_event(&moment.actions[action], event_type);
        if event.validate_own(self.intake.limits.event_bytes).is_err() {
            return instead(Status::Rejected, "as an event it is larger than the host takes, or not valid");
        }
        Some(vec![Body::Event(event.into()), outcome(Status::Delivered, &Data::Absent, "")])
    }

    fn not_written(self: &Arc<Self>, id: ActionId, ending: Ending) {
        let mut state = self.lock();
        state.not_written(id, ending, Monotonic::now() + JOURNAL_PAUSE);
        self.unlock(state, Vec::new());
    }

    fn close(self: &Arc<Self>, id: ActionId, status: Status, detail: &str) {
        let mut state = self.lock();
        if let Some(open) = state.open.get(&id) {
            let now = self.intake.last_instant();
            self.lives.ended(open.moment.id, &open.moment.actions[open.action], status, now, detail);
        }
        let Some(rule) = state.close(id, status) else { return };
        self.by_status[status as usize].fetch_add(1, Ordering::Relaxed);
        self.by_rule.add(&rule, status);
        // While the state is locked: whoever finds the action gone finds it here.
        self.note_closed(&rule, id);
        self.unlock(state, Vec::new());
    }

    /// Actions of a rule that ended since this was last asked.
    pub(crate) fn take_closed(&self, rule: &str) -> Vec<ActionId> {
        let Some(closed) = &self.closed else { return Vec::new() };
        closed.lock().unwrap_or_else(PoisonError::into_inner).remove(rule).unwrap_or_default()
    }

    /// Copies of a rule's actions that were made since this was last asked, and are still open.
    pub(crate) fn take_copies(&self, rule: &str) -> Vec<Moment> {
        let copies = self.lock().new_copies.as_mut().and_then(|new| new.remove(rule)).unwrap_or_default();
        self.still_open(&copies)
    }

    /// The moment with only those actions that are still open; none if none is. Takes its time: what it looks through may be
    /// long, and actions are not to wait for it.
    pub(crate) fn still_open(&self, moments: &[Arc<Moment>]) -> Vec<Moment> {
        let mut open = Vec::new();
        for moments in moments.chunks(MOMENTS_AT_ONCE) {
            let state = self.lock();
            for moment in moments {
                for action in &moment.actions {
                    if let Some(still) = state.open.get(&action.id) {
                        let (_, order) = still.order();
                        open.push(Moment { order, actions: vec![action.clone()], ..Moment::clone(moment) });
                    }
                }
            }
            drop(state);
            if moments.len() == MOMENTS_AT_ONCE {
                // Whoever waits for the lock would hardly get it between two turns.
                std::thread::sleep(BETWEEN_LOOKS);
            }
        }
        open
    }

    /// The first position that an open action comes from.
    pub(crate) fn open_from(&self) -> Option<Position> {
        self.lock().open.values().map(|open| open.moment.position).min()
    }

    /// Drops the open actions of a key, or about a subject, without an outcome: nothing is to be left of them.
    pub(crate) fn erase(self: &Arc<Self>, erasure: &Erasure) {
        let named: Vec<ActionId> = {
            let state = self.lock();
            let open = state.open.iter().filter(|(_, open)| open.moment.is_meant_by(erasure));
            open.map(|(id, _)| *id).collect()
        };
        named.into_iter().for_each(|id| self.close(id, Status::Withheld, "erased"));
    }

    /// Whether nothing is on its way out. What guardrails hold is not: that may take days.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.open.len() == state.detained.len()
    }

    pub(crate) fn open_actions(&self) -> usize {
        self.lock().open.len()
    }

    pub(crate) fn sink_status(&self) -> Vec<SinkStatus> {
        let now = Monotonic::now();
        self.lock().sinks.iter().map(|sink| sink.status(now)).collect()
    }

    pub(crate) fn by_status(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Status::ALL
            .iter()
            .map(|&status| (status.as_str(), self.by_status[status as usize].load(Ordering::Relaxed)))
    }

    pub(crate) fn stop(&self) {
        // Locked, or it could fall between the loop's look at it and its wait.
        let state = self.lock();
        self.stopped.store(true, Ordering::Release);
        drop(state);
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome_of(moment: &Moment, action: usize, status: Status, answer: &Data, detail: &str) -> Body {
    let action = &moment.actions[action];
    let (answer, detail) = if answer.len() > ANSWER_BYTES {
        let left_out = format!("the answer of {} bytes is left out: {ANSWER_BYTES} are kept", answer.len());
        (Data::Absent, left_out)
    } else {
        (answer.clone(), cut_text(detail, 1024))
    };
    Body::Outcome(Box::new(OutcomeEntry {
        id: action.id,
        rule: moment.rule.clone(),
        key: moment.key.clone(),
        action: action.name.clone(),
        reference: action.reference.clone(),
        status,
        answer,
        detail,
    }))
}

fn detail_of(body: &Body) -> Option<String> {
    match body {
        Body::Outcome(outcome) => Some(outcome.detail.clone()),
        _ => None,
    }
}

fn status_of(body: &Body) -> Option<Status> {
    match body {
        Body::Outcome(outcome) => Some(outcome.status),
        _ => None,
    }
}
