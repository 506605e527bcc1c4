//! Which actions are open, and what is to be done about them next. Time is passed in, and nothing is called.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};

use super::breaker::Allowed;
use super::lines::Order;
use super::queue::SinkQueue;
use super::retry::Retry;
use super::room::Room;
use crate::event::{Data, Instant};
use crate::guardrail::{Guard, Judged, Leave, Question};
use crate::journal::{ActionId, Verdict};
use crate::moment::{CopyOf, Moment, MomentAction};
use crate::pipeline::lane::cut_text;
use crate::route::{Route, Target};
use crate::rule::Status;
use crate::sink::{Answer, Sink, WhenFull};

/// How many actions that go to no sink may wait to be journaled, and how many may wait for routes at a start.
const MOST_WITHOUT_SINK: usize = 10_000;

/// A sink is to give up by itself; if it does not within so long, the try is given up on.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct State {
    pub(super) open: HashMap<ActionId, Open>,
    pub(super) sinks: Vec<SinkQueue>,
    pub(super) routes: Vec<Route>,
    pub(super) rule_routes: HashMap<String, Vec<Route>>,
    /// Where an action goes that no route takes.
    pub(super) default_route: Option<Target>,
    pub(super) guard: Arc<Guard>,
    /// Actions that the journal has an outcome of, from before the start.
    pub(super) settled: HashMap<ActionId, Status>,
    /// When each action is to be looked at next.
    wakes: BTreeSet<(Monotonic, ActionId)>,
    /// Of the actions that no try is under way for: when they expire.
    pub(super) expiries: BTreeSet<(Instant, ActionId)>,
    /// Of the actions that a guardrail holds: until when.
    pub(super) detained: BTreeSet<(Instant, ActionId)>,
    /// At a start rules come back before their routes do: until then their actions wait here.
    held: Option<Vec<ActionId>>,
    /// The same for actions that ended before, but perhaps not all of their copies.
    ended: Option<Vec<(Arc<Moment>, usize)>>,
    /// By rule: copies that were made since a checkpoint last asked; none: there are no checkpoints.
    pub(super) new_copies: Option<HashMap<String, Vec<Arc<Moment>>>>,
    /// What goes to no sink, and waits to be journaled.
    sinkless: Room,
    next_ticket: u64,
    /// The sink that is asked first for its next try.
    turn: usize,
    /// Whoever begins tries sleeps, and looks again then at the latest.
    pub(super) asleep_until: Option<Monotonic>,
}

pub(super) struct Open {
    pub(super) moment: Arc<Moment>,
    pub(super) action: usize,
    sink: Option<usize>,
    /// It counts among what goes to no sink, and waits to be journaled.
    sinkless: bool,
    attempts: u32,
    /// A try before the last start may have gone out.
    maybe_tried: bool,
    /// None: never.
    give_up_at: Option<Monotonic>,
    /// When it is seen to that it is given up on: then, or a little later.
    look_at: Option<Monotonic>,
    phase: Phase,
    /// What could not be journaled yet.
    unwritten: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Where it goes is not known yet.
    Held,
    /// What guardrails said of it is being journaled.
    Judging,
    /// A guardrail holds it until then.
    Detained(Instant),
    /// The sink keeps order, and another one of its key comes first.
    Behind,
    /// In the sink's queue, under this number.
    Ready(u64),
    /// A try is under way, and must have ended by then.
    Trying(Monotonic),
    /// The next try is not before then.
    Waiting(Monotonic),
    /// What became of it is being journaled.
    Ending,
    /// That could not be journaled, and is tried again then.
    Unwritten(Monotonic),
}

/// How an action leaves the outbox.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    Outcome {
        status: Status,
        answer: Data,
        detail: String,
    },
    /// As an event, back into the host.
    Back {
        event_type: Option<String>,
    },
}

impl Ending {
    pub(super) fn of(status: Status, detail: impl Into<String>) -> Self {
        Ending::Outcome { status, answer: Data::Absent, detail: detail.into() }
    }
}

/// What is to be done.
pub(super) enum Deed {
    Try(Try),
    Journal(ActionId, Ending),
    /// What guardrails said is to be journaled before anything follows from it.
    Judge(Vec<Judged>),
}

pub(super) struct Try {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) id: ActionId,
    pub(super) attempt: u32,
    pub(super) timeout: Duration,
    pub(super) moment: Arc<Moment>,
    pub(super) action: usize,
}

impl State {
    pub(super) fn new(
        sinks: Vec<SinkQueue>,
        routes: Vec<Route>,
        default_route: Option<Target>,
        guard: Arc<Guard>,
        settled: HashMap<ActionId, Status>,
        checkpointed: bool,
    ) -> Self {
        State {
            open: HashMap::new(),
            sinks,
            routes,
            rule_routes: HashMap::new(),
            default_route,
            guard,
            settled,
            wakes: BTreeSet::new(),
            expiries: BTreeSet::new(),
            detained: BTreeSet::new(),
            held: Some(Vec::new()),
            ended: Some(Vec::new()),
            new_copies: checkpointed.then(HashMap::new),
            sinkless: Room::new(MOST_WITHOUT_SINK, true),
            next_ticket: 0,
            turn: 0,
            asleep_until: None,
        }
    }

    // ---- coming in ----

    /// An action comes in, on its way if routes are known. Returns what is to be done about it at once.
    pub(super) fn take(
        &mut self,
        moment: &Arc<Moment>,
        action: usize,
        maybe_tried: bool,
        give_up_at: Option<Monotonic>,
        timeline: Instant,
    ) -> Vec<Deed> {
        let id = moment.actions[action].id;
        self.open.insert(id, Open::new(Arc::clone(moment), action, maybe_tried, give_up_at));
        match &mut self.held {
            Some(held) => {
                held.push(id);
                Vec::new()
            }
            None => self.direct(id, false, timeline),
        }
    }

    /// Routes are known: what was held back goes on its way, in the journal's order. Rules come back in any.
    pub(super) fn release(&mut self, timeline: Instant) -> Vec<Deed> {
        let mut held = self.held.take().unwrap_or_default();
        held.sort_by_key(|id| self.open.get(id).map(Open::order));
        // There may be more than a sink's bound; there was when the host stopped.
        let mut deeds: Vec<Deed> = held.into_iter().flat_map(|id| self.direct(id, true, timeline)).collect();
        for (moment, action) in self.ended.take().unwrap_or_default() {
            deeds.extend(self.take_copies_of(&moment, action, timeline));
        }
        deeds
    }

    /// Puts an action on its way, if guardrails let it go. `anyway`: also past a sink's bound.
    fn direct(&mut self, id: ActionId, anyway: bool, timeline: Instant) -> Vec<Deed> {
        let Some(open) = self.open.get(&id) else { return Vec::new() };
        let (moment, action) = (Arc::clone(&open.moment), open.action);
        // What leads back into the host has not left it.
        let target = self.targets_of(&moment, &moment.actions[action]).next();
        let Some(Target::Sink(sink)) = &target else {
            return self.send(id, anyway, timeline);
        };
        let answer = self.guard.ask(&Question { moment: &moment, action, sink }, timeline);
        match answer {
            Leave::Go => self.send(id, anyway, timeline),
            Leave::Held(until) => {
                self.enter(id, Phase::Detained(until));
                Vec::new()
            }
            Leave::Withheld(reason) => vec![self.end(id, Ending::of(Status::Withheld, reason))],
            Leave::Judged(judged) => {
                for Judged { judgement, .. } in &judged {
                    self.wait_for_journal(judgement.id);
                    self.enter(judgement.id, Phase::Judging);
                }
                vec![Deed::Judge(judged)]
            }
        }
    }

    /// What guardrails said of an action is durable. `Err`: it could not be journaled, and is asked for again then.
    pub(super) fn judged(
        &mut self,
        id: ActionId,
        durable: Result<Instant, Monotonic>,
        (now, retry): (Monotonic, &Retry),
    ) -> Vec<Deed> {
        let timeline = match durable {
            Ok(timeline) => timeline,
            Err(again_at) => {
                self.enter(id, Phase::Unwritten(again_at));
                return Vec::new();
            }
        };
        if self.open.get(&id).is_none_or(|open| open.phase != Phase::Judging) {
            return Vec::new();
        }
        if self.guard.is_being_journaled(id) {
            // Of this one there is more to come: another moment has beaten it meanwhile.
            return Vec::new();
        }
        match self.guard.verdict(id) {
            Some(Verdict::Held { until, .. }) => {
                self.no_longer_waits(id);
                self.enter(id, Phase::Detained(until));
                Vec::new()
            }
            Some(Verdict::Allowed { .. } | Verdict::Withheld { .. }) => {
                if let Some(open) = self.open.get_mut(&id) {
                    // It could not be tried before.
                    open.give_up_at = now.checked_add(retry.give_up_after);
                    open.look_at = open.give_up_at;
                }
                self.direct(id, false, timeline)
            }
            // Whom it is about was erased meanwhile: it is about to be dropped.
            None => Vec::new(),
        }
    }

    /// What a guardrail holds is judged again, whether or not it is time: somebody decided about it.
    pub(super) fn judge_again(&mut self, id: ActionId, timeline: Instant) -> Vec<Deed> {
        let detained = self.open.get(&id).is_some_and(Open::is_detained);
        if detained { self.direct(id, false, timeline) } else { Vec::new() }
    }

    /// Puts an action that may go into a sink's queue, back into the host, or nowhere; and copies of it into those of
    /// further sinks.
    fn send(&mut self, id: ActionId, anyway: bool, timeline: Instant) -> Vec<Deed> {
        let Some(open) = self.open.get(&id) else { return Vec::new() };
        let (moment, action) = (Arc::clone(&open.moment), open.action);
        let tried = (open.maybe_tried, open.give_up_at);
        let mut targets: Vec<Target> = self.targets_of(&moment, &moment.actions[action]).collect();
        let further = targets.split_off(targets.len().min(1));
        let name = &moment.actions[action].name;
        let sent = match targets.pop() {
            Some(Target::Host { event_type }) => Err(Ending::Back { event_type }),
            Some(Target::Sink(sink)) => self.send_to(id, &sink, &moment, anyway),
            None => Err(Ending::of(Status::Withheld, format!("no route takes the action `{name}`"))),
        };
        let mut deeds: Vec<Deed> = sent.err().map(|ending| self.end(id, ending)).into_iter().collect();
        for to in further {
            deeds.extend(self.copy(&moment, action, to, tried, timeline));
        }
        deeds
    }

    fn send_to(&mut self, id: ActionId, name: &str, moment: &Moment, anyway: bool) -> Result<(), Ending> {
        let Some(sink) = self.sinks.iter().position(|queue| queue.name == name) else {
            let detail = format!("the route leads to the sink `{name}`, which is not configured");
            return Err(Ending::of(Status::Withheld, detail));
        };
        let queue = &mut self.sinks[sink];
        let no_room = !anyway && queue.when_full == WhenFull::SetAside && queue.room.is_full();
        if no_room {
            queue.counts.set_aside += 1;
            queue.count(Status::Failed);
            let most = queue.room.most();
            let detail = format!("the sink `{name}` had no room: {most} actions waited for it");
            return Err(Ending::of(Status::Failed, detail));
        }
        self.no_longer_waits(id);
        self.line_up(id, sink, moment);
        Ok(())
    }

    /// Copies of an action that ended before the last start, unless they did too.
    pub(super) fn take_copies_of(
        &mut self,
        moment: &Arc<Moment>,
        action: usize,
        timeline: Instant,
    ) -> Vec<Deed> {
        if let Some(ended) = &mut self.ended {
            ended.push((Arc::clone(moment), action));
            return Vec::new();
        }
        let targets = self.targets_of(moment, &moment.actions[action]).skip(1);
        let targets: Vec<Target> = targets.collect();
        let copies = targets.into_iter().flat_map(|to| self.copy(moment, action, to, (true, None), timeline));
        copies.collect()
    }

    /// A copy of an action goes on a way of its own, unless it has been it: what becomes of it is counted, and told to
    /// nobody.
    fn copy(
        &mut self,
        moment: &Arc<Moment>,
        action: usize,
        to: Target,
        (maybe_tried, give_up_at): (bool, Option<Monotonic>),
        timeline: Instant,
    ) -> Vec<Deed> {
        let original = &moment.actions[action];
        let id = original.id.copy_for(match &to {
            Target::Sink(sink) => sink,
            Target::Host { event_type } => event_type.as_deref().unwrap_or(&original.name),
        });
        if self.settled.contains_key(&id) || self.open.contains_key(&id) {
            return Vec::new();
        }
        let copy = CopyOf { id: original.id, to };
        let copy = MomentAction { id, reference: None, copy: Some(copy), ..original.clone() };
        let order = moment.order + action as u64;
        let moment = Arc::new(Moment { actions: vec![copy], order, ..Moment::clone(moment) });
        if let Some(new) = &mut self.new_copies {
            new.entry(moment.rule.clone()).or_default().push(Arc::clone(&moment));
        }
        self.open.insert(id, Open::new(moment, 0, maybe_tried, give_up_at));
        self.direct(id, false, timeline)
    }

    /// Ends an action, for what reason.
    fn end(&mut self, id: ActionId, ending: Ending) -> Deed {
        self.wait_for_journal(id);
        self.enter(id, Phase::Ending);
        Deed::Journal(id, ending)
    }

    /// It goes to no sink, as long as it waits to be journaled.
    fn wait_for_journal(&mut self, id: ActionId) {
        if let Some(open) = self.open.get_mut(&id).filter(|open| open.sink.is_none() && !open.sinkless) {
            open.sinkless = true;
            self.sinkless.enter(&open.moment.rule);
        }
    }

    fn no_longer_waits(&mut self, id: ActionId) {
        if let Some(open) = self.open.get_mut(&id).filter(|open| open.sinkless) {
            open.sinkless = false;
            self.sinkless.leave();
        }
    }

    fn line_up(&mut self, id: ActionId, sink: usize, moment: &Moment) {
        let Some(open) = self.open.get_mut(&id) else { return };
        open.sink = Some(sink);
        let order = open.order();
        let queue = &mut self.sinks[sink];
        queue.room.enter(&moment.rule);
        let first = match &mut queue.lines {
            Some(lines) => lines.join(&moment.rule, &moment.key, order, id),
            None => true,
        };
        if first { self.make_ready(id) } else { self.enter(id, Phase::Behind) }
    }

    /// Where an action goes, that is to say the first; then where copies of it go.
    fn targets_of(&self, moment: &Moment, action: &MomentAction) -> impl Iterator<Item = Target> {
        let copy = action.copy.as_ref().map(|copy| copy.to.clone());
        let own = self.rule_routes.get(&moment.rule).into_iter().flatten();
        let taken = own.chain(&self.routes).filter(|route| copy.is_none() && route.takes(moment, action));
        let mut targets: Vec<Target> = Vec::new();
        for route in taken {
            // Several routes may lead to one place.
            if !targets.contains(&route.to) {
                targets.push(route.to.clone());
            }
        }
        if targets.is_empty() {
            targets.extend(copy.or_else(|| self.default_route.clone()));
        }
        targets.into_iter()
    }

    // ---- what is next ----

    /// What has come due: ends of actions, and what was waited for.
    pub(super) fn due(&mut self, now: Monotonic, timeline: Instant, retry: &Retry) -> Vec<Deed> {
        let mut deeds = Vec::new();
        while let Some(&(expires, id)) = self.expiries.first()
            && expires < timeline
        {
            deeds.extend(self.expire(id));
        }
        let over: Vec<ActionId> = {
            let over = self.detained.iter().take_while(|(until, _)| *until <= timeline);
            let mut over: Vec<ActionId> = over.map(|(_, id)| *id).collect();
            // Who came first goes first, where there is not room for all.
            over.sort_by_key(|id| self.open.get(id).map(Open::order));
            over
        };
        for id in over {
            deeds.extend(self.judge_again(id, timeline));
        }
        while let Some(&(at, id)) = self.wakes.first()
            && at <= now
        {
            let Some(open) = self.open.get_mut(&id) else {
                self.wakes.remove(&(at, id));
                continue;
            };
            match open.phase {
                Phase::Trying(_) => {
                    let reason = "the sink gave no answer in time".to_owned();
                    deeds.extend(self.failed(id, reason, None, (now, timeline), retry));
                }
                Phase::Unwritten(_) => {
                    match open.unwritten.take() {
                        Some(ending) => {
                            self.enter(id, Phase::Ending);
                            deeds.push(Deed::Journal(id, ending));
                        }
                        // What guardrails said of it could not be journaled.
                        None => deeds.extend(self.direct(id, false, timeline)),
                    }
                }
                Phase::Waiting(until) if until <= now && open.give_up_at.is_none_or(|at| at > now) => {
                    self.make_ready(id);
                }
                // However soon it is to be given up on: one try, unless the sink is known to take nothing.
                Phase::Behind | Phase::Ready(_)
                    if open.attempts == 0
                        && open.sink.is_some_and(|sink| !self.sinks[sink].breaker.is_open()) =>
                {
                    open.look_at = Some(now + GRACE);
                    self.wakes.remove(&(at, id));
                    self.wakes.insert((now + GRACE, id));
                }
                Phase::Behind | Phase::Ready(_) | Phase::Waiting(_) => {
                    let last = open.sink.and_then(|sink| self.sinks[sink].counts.last_error.clone());
                    deeds.extend(self.give_up(id, last.as_deref().unwrap_or("the sink took no more")));
                }
                Phase::Held | Phase::Judging | Phase::Detained(_) | Phase::Ending => {
                    self.wakes.remove(&(at, id));
                }
            }
        }
        deeds
    }

    /// Begins one try, if any may be begun: sinks take turns. What is expired is known to [`State::due`].
    pub(super) fn next_try(&mut self, now: Monotonic, timeline: Instant, retry: &Retry) -> Option<Deed> {
        let sinks = self.sinks.len();
        let (sink, id) = (0..sinks)
            .map(|step| (self.turn + step) % sinks)
            .find_map(|sink| self.pick(sink, now).map(|id| (sink, id)))?;
        self.turn = (sink + 1) % sinks;
        let open = self.open.get_mut(&id)?;
        let left = open.moment.expires.map(|expires| expires.saturating_sub(timeline).max(1));
        let timeout = left.map_or(retry.timeout, |left| retry.timeout.min(Duration::from_millis(left)));
        open.attempts = open.attempts.saturating_add(1);
        let attempt = open.attempts;
        let (moment, action) = (Arc::clone(&open.moment), open.action);
        self.enter(id, Phase::Trying(now + timeout + GRACE));
        let queue = &mut self.sinks[sink];
        queue.breaker.begun(id);
        queue.counts.retries += u64::from(attempt > 1);
        Some(Deed::Try(Try { sink: Arc::clone(&queue.sink), id, attempt, timeout, moment, action }))
    }

    /// Whether a try may be begun.
    pub(super) fn has_try(&self, now: Monotonic) -> bool {
        self.sinks.iter().any(|queue| {
            !queue.ready.is_empty() && queue.has_slot() && queue.breaker.allowed(now) != Allowed::Nothing
        })
    }

    fn pick(&self, sink: usize, now: Monotonic) -> Option<ActionId> {
        let queue = &self.sinks[sink];
        if queue.ready.is_empty() || !queue.has_slot() {
            return None;
        }
        match queue.breaker.allowed(now) {
            Allowed::Any => queue.ready.first_key_value().map(|(_, id)| *id),
            // The one that was tried least: what the sink cannot digest does not keep the breaker open.
            Allowed::Probe => {
                let attempts = |id: &ActionId| self.open.get(id).map_or(0, |open| open.attempts);
                queue.ready.values().copied().min_by_key(attempts)
            }
            Allowed::Nothing => None,
        }
    }

    /// When there may be something to do, by the clock alone.
    pub(super) fn next_wake(&self) -> Option<Monotonic> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        self.sinks.iter().filter_map(SinkQueue::probe_at).chain(wake).min()
    }

    // ---- what came of a try ----

    /// What a try came to. An answer that comes too late still counts, if it is one: the other side took the
    /// action, or refused it.
    pub(super) fn answered(
        &mut self,
        id: ActionId,
        attempt: u32,
        answer: Answer,
        at: (Monotonic, Instant),
        retry: &Retry,
    ) -> Option<Deed> {
        let open = self.open.get(&id)?;
        let (sink, attempts) = (open.sink?, open.attempts);
        let in_time = matches!(open.phase, Phase::Trying(_)) && attempts == attempt;
        let late = matches!(open.phase, Phase::Ready(_) | Phase::Waiting(_));
        if !in_time && !late {
            return None;
        }
        let (status, answer, detail) = match answer {
            Answer::Delivered(answer) => (Status::Delivered, answer, String::new()),
            Answer::Rejected(detail, answer) => (Status::Rejected, answer, detail),
            Answer::Again { reason, after } if in_time => {
                return self.failed(id, reason, after, at, retry);
            }
            Answer::Again { .. } => return None,
        };
        let queue = &mut self.sinks[sink];
        if status == Status::Rejected {
            queue.counts.last_error = Some(cut_text(&detail, 512));
        }
        if in_time && queue.breaker.answered() {
            tracing::info!(sink = queue.name, "the sink answers again: the circuit breaker is closed");
        }
        self.enter(id, Phase::Ending);
        Some(Deed::Journal(id, Ending::Outcome { status, answer, detail }))
    }

    /// A try failed: another one is planned, or the action ends.
    fn failed(
        &mut self,
        id: ActionId,
        reason: String,
        after: Option<Duration>,
        (now, timeline): (Monotonic, Instant),
        retry: &Retry,
    ) -> Option<Deed> {
        let open = self.open.get(&id)?;
        let (sink, attempts) = (open.sink?, open.attempts);
        let (expires, give_up_at) = (open.moment.expires, open.give_up_at);
        // Many do not come back at once, by their own hashes.
        let salt = id.0[0] ^ u8::try_from(attempts % 256).unwrap_or(0);
        let queue = &mut self.sinks[sink];
        queue.counts.last_error = Some(cut_text(&reason, 512));
        if queue.breaker.failed(id, now, retry, salt, after) {
            tracing::warn!(
                sink = queue.name,
                reason = cut_text(&reason, 512),
                "too many tries in a row failed: the circuit breaker is open"
            );
        }
        if expires.is_some_and(|expires| expires < timeline) {
            return self.expire(id);
        }
        if give_up_at.is_some_and(|at| at <= now) {
            return self.give_up(id, &reason);
        }
        self.enter(id, Phase::Waiting(now + retry.pause(attempts, salt, after)));
        None
    }

    fn expire(&mut self, id: ActionId) -> Option<Deed> {
        let open = self.open.get(&id)?;
        let ending = if open.attempts > 0 {
            let detail = format!(
                "the moment expired after {}, none of which is known to have been taken",
                tries(open.attempts)
            );
            Ending::of(Status::Failed, detail)
        } else if open.maybe_tried {
            let detail = "the moment expired; whether it had been tried before the host started is not known";
            Ending::of(Status::Failed, detail)
        } else {
            Ending::of(Status::Expired, "the moment expired before the first try")
        };
        if let Some(sink) = open.sink {
            self.sinks[sink].counts.missed += 1;
        }
        self.enter(id, Phase::Ending);
        Some(Deed::Journal(id, ending))
    }

    fn give_up(&mut self, id: ActionId, reason: &str) -> Option<Deed> {
        let attempts = self.open.get(&id)?.attempts;
        let detail = format!("given up on after {}: {}", tries(attempts), cut_text(reason, 512));
        self.enter(id, Phase::Ending);
        Some(Deed::Journal(id, Ending::of(Status::Failed, detail)))
    }

    // ---- going out ----

    /// An ending could not be journaled: it is tried again.
    pub(super) fn not_written(&mut self, id: ActionId, ending: Ending, again_at: Monotonic) {
        if let Some(open) = self.open.get_mut(&id) {
            open.unwritten = Some(ending);
            self.enter(id, Phase::Unwritten(again_at));
        }
    }

    /// What became of an action is durable: it leaves. Returns its rule.
    pub(super) fn close(&mut self, id: ActionId, status: Status) -> Option<String> {
        self.enter(id, Phase::Ending);
        let open = self.open.remove(&id)?;
        let Some(sink) = open.sink else {
            if open.sinkless {
                self.sinkless.leave();
            }
            return Some(open.moment.rule.clone());
        };
        let queue = &mut self.sinks[sink];
        queue.room.leave();
        queue.count(status);
        let order = open.order();
        let lines = queue.lines.as_mut();
        if let Some(next) = lines.and_then(|lines| lines.leave(&open.moment.rule, &open.moment.key, order))
            && self.open.get(&next).is_some_and(|next| next.phase == Phase::Behind)
        {
            self.make_ready(next);
        }
        Some(open.moment.rule.clone())
    }

    // ---- who rests ----

    /// Why a rule is to rest, if so: it feeds something that has no room.
    pub(super) fn holds_up(&self, rule: &str) -> Option<String> {
        if let Some(queue) = self.sinks.iter().find(|queue| queue.room.holds_up(rule)) {
            let (name, most) = (&queue.name, queue.room.most());
            return Some(format!(
                "the sink `{name}` has as many actions waiting as it may, {most}: the rule goes on when half \
                 of them are done"
            ));
        }
        if self.is_holding_too_many() {
            return Some("as many actions as may wait until the plugins are loaded".to_owned());
        }
        let journal = "as many actions as may wait to be journaled";
        self.sinkless.holds_up(rule).then(|| journal.to_owned())
    }

    /// Whether any rule is to rest.
    pub(super) fn holds_up_any(&self) -> bool {
        self.is_holding_too_many()
            || self.sinkless.holds_up_any()
            || self.sinks.iter().any(|queue| queue.room.holds_up_any())
    }

    fn is_holding_too_many(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.len() >= MOST_WITHOUT_SINK)
    }

    // ---- phases ----

    fn make_ready(&mut self, id: ActionId) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.enter(id, Phase::Ready(ticket));
    }

    /// Has an action change its phase, with all that follows from the phase.
    fn enter(&mut self, id: ActionId, phase: Phase) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let old = std::mem::replace(&mut open.phase, phase);
        let look_at = open.look_at;
        if let Some(at) = old.wake(look_at) {
            self.wakes.remove(&(at, id));
        }
        if let Some(at) = phase.wake(look_at) {
            self.wakes.insert((at, id));
        }
        if let Some(expires) = open.moment.expires {
            if phase.may_expire() {
                self.expiries.insert((expires, id));
            } else {
                self.expiries.remove(&(expires, id));
            }
        }
        if let Phase::Detained(until) = old {
            self.detained.remove(&(until, id));
        }
        if let Phase::Detained(until) = phase {
            self.detained.insert((until, id));
        }
        let Some(queue) = open.sink.and_then(|sink| self.sinks.get_mut(sink)) else { return };
        if let Phase::Ready(ticket) = old {
            queue.ready.remove(&ticket);
        }
        if let Phase::Ready(ticket) = phase {
            queue.ready.insert(ticket, id);
        }
        queue.counts.in_flight -= usize::from(matches!(old, Phase::Trying(_)));
        queue.counts.in_flight += usize::from(matches!(phase, Phase::Trying(_)));
    }
}

impl Phase {
    /// When an action is to be looked at, at the latest.
    fn wake(self, look_at: Option<Monotonic>) -> Option<Monotonic> {
        match self {
            Phase::Held | Phase::Judging | Phase::Detained(_) | Phase::Ending => None,
            Phase::Behind | Phase::Ready(_) => look_at,
            Phase::Waiting(at) => Some(look_at.map_or(at, |look_at| at.min(look_at))),
            Phase::Trying(until) => Some(until),
            Phase::Unwritten(at) => Some(at),
        }
    }

    fn may_expire(self) -> bool {
        matches!(self, Phase::Detained(_) | Phase::Behind | Phase::Ready(_) | Phase::Waiting(_))
    }
}

impl Open {
    fn new(moment: Arc<Moment>, action: usize, maybe_tried: bool, give_up_at: Option<Monotonic>) -> Self {
        Open {
            moment,
            action,
            sink: None,
            sinkless: false,
            attempts: 0,
            maybe_tried,
            give_up_at,
            look_at: give_up_at,
            phase: Phase::Held,
            unwritten: None,
        }
    }

    pub(super) fn is_detained(&self) -> bool {
        matches!(self.phase, Phase::Detained(_))
    }

    pub(super) fn order(&self) -> Order {
        (self.moment.position, self.moment.order + self.action as u64)
    }
}

fn tries(count: u32) -> String {
    if count == 1 { "1 try".to_owned() } else { format!("{count} tries") }
}
