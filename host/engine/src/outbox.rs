//! The outbox: actions on their way out.
//!
//! At least once, always under the same idempotency key, with backoff and jitter, and never begun after
//! the moment has expired. What became of an action is journaled before it leaves the outbox. A route back
//! into the host is no delivery at all: the event and the outcome go into the journal in one group, hence
//! exactly once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Monotonic};

use crate::event::Data;
use crate::journal::{ActionId, Body, OutcomeEntry};
use crate::moment::Moment;
use crate::pipeline::intake::Intake;
use crate::pipeline::lane::cut_text;
use crate::route::{Route, Target};
use crate::rule::Status;
use crate::sink::{Answer, Delivery, Reply, Sink};
use crate::status::SinkStatus;

/// When tries are repeated, and when an action is given up on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) give_up_after: Duration,
    /// How long one try may take.
    pub(crate) timeout: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(60),
            give_up_after: Duration::from_secs(24 * 3600),
            timeout: Duration::from_secs(30),
        }
    }
}

/// How many actions may wait for one sink. Past it the rules that feed it rest; their inputs wait in the journal.
pub(crate) const WAITING_PER_SINK: usize = 10_000;

/// How often what came back into the host by a route may come back again.
const MAX_HOPS: u32 = 8;

/// Bytes of an answer that are journaled. A longer one is left out, and the outcome says so.
const ANSWER_BYTES: usize = 64 << 10;

pub(crate) struct Outbox {
    state: Mutex<State>,
    wake: Condvar,
    sinks: Vec<(String, Arc<dyn Sink>)>,
    intake: Arc<Intake>,
    retry: Retry,
    /// Actions that the journal has an outcome of, from before the start.
    settled: HashSet<ActionId>,
    /// Whether somebody asks for what closed.
    checkpointed: bool,
    by_status: [AtomicU64; Status::ALL.len()],
}

#[derive(Default)]
struct State {
    open: HashMap<ActionId, Open>,
    sinks: Vec<SinkState>,
    routes: Vec<Route>,
    rule_routes: HashMap<String, Vec<Route>>,
    timed: BinaryHeap<Reverse<(Monotonic, ActionId)>>,
    closed: HashMap<String, Vec<ActionId>>,
    /// At a start rules come back before their routes do: until then their actions wait here.
    held: Option<Vec<ActionId>>,
    stopped: bool,
}

#[derive(Default)]
struct SinkState {
    queue: VecDeque<ActionId>,
    status: SinkStatus,
}

struct Open {
    moment: Arc<Moment>,
    action: usize,
    sink: Option<usize>,
    attempts: u32,
    /// A try before the last start may have gone out.
    maybe_tried: bool,
    since: Monotonic,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Where it goes is not known yet.
    Held,
    Queued,
    /// A try is under way, and must have ended by then.
    Trying(Monotonic),
    /// The next try is not before then.
    Waiting(Monotonic),
    /// What became of it is being journaled.
    Ending,
}

/// What became of an action, for the journal.
struct End {
    id: ActionId,
    status: Status,
    answer: Data,
    detail: String,
}

impl Outbox {
    pub(crate) fn new(
        sinks: Vec<(String, Arc<dyn Sink>)>,
        routes: Vec<Route>,
        intake: Arc<Intake>,
        retry: Retry,
        settled: HashSet<ActionId>,
        checkpointed: bool,
    ) -> Arc<Self> {
        let states = sinks.iter().map(|(name, _)| SinkState {
            status: SinkStatus { name: name.clone(), ..SinkStatus::default() },
            ..SinkState::default()
        });
        let state = State { sinks: states.collect(), routes, held: Some(Vec::new()), ..State::default() };
        Arc::new(Outbox {
            state: Mutex::new(state),
            wake: Condvar::new(),
            sinks,
            intake,
            retry,
            settled,
            checkpointed,
            by_status: Default::default(),
        })
    }

    /// A rule's own routes, tried before the host's.
    pub(crate) fn set_routes(&self, rule: &str, routes: Vec<Route>) {
        self.lock().rule_routes.insert(rule.to_owned(), routes);
    }

    /// Whether a sink of that name exists.
    pub(crate) fn has_sink(&self, name: &str) -> bool {
        self.sinks.iter().any(|(known, _)| known == name)
    }

    /// Takes a moment's actions. `maybe_tried`: they may have gone out before the last start.
    /// Returns why the rule should rest, if so: a sink has as much waiting as it may.
    pub(crate) fn take(self: &Arc<Self>, moment: &Arc<Moment>, maybe_tried: bool) -> Option<String> {
        let ids = {
            let mut state = self.lock();
            let mut ids = Vec::with_capacity(moment.actions.len());
            for (place, action) in moment.actions.iter().enumerate() {
                if self.settled.contains(&action.id) || state.open.contains_key(&action.id) {
                    continue;
                }
                let open = Open {
                    moment: Arc::clone(moment),
                    action: place,
                    sink: None,
                    attempts: 0,
                    maybe_tried,
                    since: Monotonic::now(),
                    phase: Phase::Held,
                };
                state.open.insert(action.id, open);
                ids.push(action.id);
            }
            if let Some(held) = &mut state.held {
                held.extend(ids);
                return (held.len() >= WAITING_PER_SINK).then(|| "routes are not known yet".to_owned());
            }
            ids
        };
        self.direct(&ids)
    }

    /// Routes are known: what was held back goes on its way.
    pub(crate) fn open(self: &Arc<Self>) {
        let held = self.lock().held.take().unwrap_or_default();
        // Nothing more can be put in than there is already.
        drop(self.direct(&held));
    }

    /// Puts actions on their way: to a sink's queue, back into the host, or nowhere.
    fn direct(self: &Arc<Self>, ids: &[ActionId]) -> Option<String> {
        let mut full = None;
        let mut ends = Vec::new();
        let mut backs = Vec::new();
        {
            let mut state = self.lock();
            for &id in ids {
                let Some(open) = state.open.get(&id) else { continue };
                let moment = Arc::clone(&open.moment);
                let action = &moment.actions[open.action];
                let mut withhold = |detail: String| {
                    ends.push(End { id, status: Status::Withheld, answer: Data::Absent, detail })
                };
                let (sink, phase) = match state.target_of(&moment.rule, &action.name) {
                    Some(Target::Host { event_type }) => {
                        backs.push((id, moment, event_type));
                        (None, Phase::Ending)
                    }
                    Some(Target::Sink(name)) => match self.sinks.iter().position(|(known, _)| *known == name)
                    {
                        Some(sink) => {
                            let of_sink = &mut state.sinks[sink];
                            of_sink.queue.push_back(id);
                            of_sink.status.waiting += 1;
                            if of_sink.status.waiting >= WAITING_PER_SINK {
                                full =
                                    Some(format!("the sink `{name}` has as many actions waiting as it may"));
                            }
                            (Some(sink), Phase::Queued)
                        }
                        None => {
                            withhold(format!(
                                "the route leads to the sink `{name}`, which is not configured"
                            ));
                            (None, Phase::Ending)
                        }
                    },
                    None => {
                        withhold(format!("no route takes the action `{}`", action.name));
                        (None, Phase::Ending)
                    }
                };
                if let Some(open) = state.open.get_mut(&id) {
                    open.sink = sink;
                    open.phase = phase;
                }
            }
        }
        for (id, moment, event_type) in backs {
            self.send_back(id, &moment, event_type.as_deref());
        }
        for end in ends {
            self.end(end);
        }
        self.wake.notify_one();
        full
    }

    /// Begins tries until stopped.
    pub(crate) fn run(self: &Arc<Self>) {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return;
            }
            let now = Monotonic::now();
            let given_up = self.wake_timed(&mut state, now);
            if !given_up.is_empty() {
                drop(state);
                given_up.into_iter().for_each(|end| self.end(end));
                state = self.lock();
                continue;
            }
            if let Some((sink, id)) = state.next_try(&self.sinks) {
                drop(state);
                self.begin(sink, id);
                state = self.lock();
                continue;
            }
            let wait = state
                .timed
                .peek()
                .map_or(Duration::from_secs(3600), |Reverse((at, _))| at.saturating_duration_since(now));
            state = self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Looks after waits and tries whose time has come. Returns what is given up on.
    fn wake_timed(&self, state: &mut State, now: Monotonic) -> Vec<End> {
        let mut given_up = Vec::new();
        while state.timed.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, id))) = state.timed.pop() else { break };
            let Some(open) = state.open.get_mut(&id) else { continue };
            let Some(sink) = open.sink else { continue };
            match open.phase {
                Phase::Waiting(at) if at <= now => {
                    open.phase = Phase::Queued;
                    state.sinks[sink].queue.push_back(id);
                }
                Phase::Trying(until) if until <= now => {
                    state.sinks[sink].status.in_flight -= 1;
                    given_up.extend(self.again(
                        state,
                        id,
                        "the sink gave no answer in time".to_owned(),
                        None,
                    ));
                }
                _ => {}
            }
        }
        given_up
    }

    /// Begins one try, unless the moment has expired.
    fn begin(self: &Arc<Self>, sink: usize, id: ActionId) {
        let timeline = self.intake.timeline_now();
        let (delivery, attempt) = {
            let mut state = self.lock();
            let Some(open) = state.open.get_mut(&id) else { return };
            let expires = open.moment.expires;
            if expires.is_some_and(|expires| expires < timeline) {
                let tried = open.attempts > 0 || open.maybe_tried;
                open.phase = Phase::Ending;
                drop(state);
                let (status, detail) = if tried {
                    (Status::Failed, "the moment expired after a try whose result is not known")
                } else {
                    (Status::Expired, "the moment expired before the first try")
                };
                self.end(End { id, status, answer: Data::Absent, detail: detail.to_owned() });
                return;
            }
            let left = expires
                .map_or(self.retry.timeout, |expires| Duration::from_millis((expires - timeline).max(1)));
            let timeout = left.min(self.retry.timeout);
            open.attempts += 1;
            let attempt = open.attempts;
            // A second more: the sink is to give up by itself.
            let until = Monotonic::now() + timeout + Duration::from_secs(1);
            open.phase = Phase::Trying(until);
            let moment = Arc::clone(&open.moment);
            let action = &moment.actions[open.action];
            let event = Arc::new(moment.action_event(action, None));
            let status = &mut state.sinks[sink].status;
            status.in_flight += 1;
            status.retries += u64::from(attempt > 1);
            state.timed.push(Reverse((until, id)));
            (Delivery { id, attempt, expires, timeout, event }, attempt)
        };
        let outbox = Arc::clone(self);
        let reply = Reply::new(move |answer| outbox.answered(id, attempt, answer));
        self.sinks[sink].1.deliver(delivery, reply);
    }

    fn answered(self: &Arc<Self>, id: ActionId, attempt: u32, answer: Answer) {
        let mut state = self.lock();
        let Some(open) = state.open.get_mut(&id) else { return };
        // A late answer of a try that was given up on already.
        if open.attempts != attempt || !matches!(open.phase, Phase::Trying(_)) {
            return;
        }
        let Some(sink) = open.sink else { return };
        state.sinks[sink].status.in_flight -= 1;
        let end = match answer {
            Answer::Delivered(answer) => End { id, status: Status::Delivered, answer, detail: String::new() },
            Answer::Rejected(detail, answer) => {
                state.sinks[sink].status.last_error = Some(cut_text(&detail, 512));
                End { id, status: Status::Rejected, answer, detail }
            }
            Answer::Again { reason, after } => {
                let given_up = self.again(&mut state, id, reason, after);
                drop(state);
                if let Some(end) = given_up {
                    self.end(end);
                }
                self.wake.notify_one();
                return;
            }
        };
        if let Some(open) = state.open.get_mut(&id) {
            open.phase = Phase::Ending;
        }
        drop(state);
        self.end(end);
        self.wake.notify_one();
    }

    /// Plans another try. `Some`: it is given up on.
    fn again(&self, state: &mut State, id: ActionId, reason: String, after: Option<Duration>) -> Option<End> {
        let open = state.open.get_mut(&id)?;
        if open.since.elapsed() >= self.retry.give_up_after {
            open.phase = Phase::Ending;
            let detail = format!("given up on after {} tries: {}", open.attempts, cut_text(&reason, 512));
            return Some(End { id, status: Status::Failed, answer: Data::Absent, detail });
        }
        let doubled = self.retry.first.saturating_mul(1 << open.attempts.saturating_sub(1).min(16));
        let backoff = doubled.min(self.retry.longest);
        // Between a half and the whole of it, by the action's own hash: many do not come back at once.
        let share = u32::from(id.0[0] ^ u8::try_from(open.attempts % 256).unwrap_or(0));
        let jittered = backoff / 2 + backoff / 512 * share;
        let at = Monotonic::now() + jittered.max(after.unwrap_or_default().min(Duration::from_secs(3600)));
        open.phase = Phase::Waiting(at);
        if let Some(sink) = open.sink {
            state.sinks[sink].status.last_error = Some(cut_text(&reason, 512));
        }
        state.timed.push(Reverse((at, id)));
        None
    }

    /// Journals what became of an action; once that is durable it leaves the outbox.
    fn end(self: &Arc<Self>, end: End) {
        let Some(body) = self.outcome_of(&end) else { return };
        let outbox = Arc::clone(self);
        let (id, status) = (end.id, end.status);
        self.intake.append(
            vec![body],
            Box::new(move |done| {
                if done.is_ok() {
                    outbox.close(id, status);
                }
            }),
        );
    }

    /// A route back into the host: the journal entry is the delivery.
    fn send_back(self: &Arc<Self>, id: ActionId, moment: &Arc<Moment>, event_type: Option<&str>) {
        let Some(action) = moment.actions.iter().find(|action| action.id == id) else { return };
        if moment.hops >= MAX_HOPS {
            let detail = format!("it came back into the host {MAX_HOPS} times already: a loop of routes?");
            self.end(End { id, status: Status::Withheld, answer: Data::Absent, detail });
            return;
        }
        if moment.expires.is_some_and(|expires| expires < self.intake.timeline_now()) {
            let detail = "the moment expired before it came back into the host".to_owned();
            self.end(End { id, status: Status::Expired, answer: Data::Absent, detail });
            return;
        }
        let event = moment.action_event(action, event_type);
        let end = if event.validate_own(self.intake.limits.event_bytes).is_err() {
            let detail = "as an event it is larger than the host takes, or not valid".to_owned();
            End { id, status: Status::Rejected, answer: Data::Absent, detail }
        } else {
            End { id, status: Status::Delivered, answer: Data::Absent, detail: String::new() }
        };
        let Some(outcome) = self.outcome_of(&end) else { return };
        let mut bodies = Vec::with_capacity(2);
        if end.status == Status::Delivered {
            bodies.push(Body::Event(event));
        }
        bodies.push(outcome);
        let outbox = Arc::clone(self);
        let done = move |done: Result<_, _>| {
            if done.is_ok() {
                outbox.close(id, end.status);
            }
        };
        self.intake.append(bodies, Box::new(done));
    }

    fn outcome_of(&self, end: &End) -> Option<Body> {
        let state = self.lock();
        let open = state.open.get(&end.id)?;
        let action = &open.moment.actions[open.action];
        let (answer, detail) = if end.answer.len() > ANSWER_BYTES {
            (
                Data::Absent,
                format!("the answer of {} bytes is left out: {ANSWER_BYTES} are kept", end.answer.len()),
            )
        } else {
            (end.answer.clone(), cut_text(&end.detail, 1024))
        };
        Some(Body::Outcome(OutcomeEntry {
            id: end.id,
            rule: open.moment.rule.clone(),
            key: open.moment.key.clone(),
            action: action.name.clone(),
            reference: action.reference.clone(),
            status: end.status,
            answer,
            detail,
        }))
    }

    fn close(&self, id: ActionId, status: Status) {
        let mut state = self.lock();
        let Some(open) = state.open.remove(&id) else { return };
        self.by_status[status as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(sink) = open.sink {
            let of_sink = &mut state.sinks[sink].status;
            of_sink.waiting -= 1;
            match status {
                Status::Delivered => of_sink.delivered += 1,
                Status::Rejected => of_sink.rejected += 1,
                Status::Failed => of_sink.failed += 1,
                Status::Expired => of_sink.expired += 1,
                Status::Withheld => {}
            }
        }
        if self.checkpointed {
            state.closed.entry(open.moment.rule.clone()).or_default().push(id);
        }
    }

    /// Actions of a rule that ended since this was last asked.
    pub(crate) fn take_closed(&self, rule: &str) -> Vec<ActionId> {
        self.lock().closed.remove(rule).unwrap_or_default()
    }

    /// The moment with only those actions that are still open; none if none is.
    pub(crate) fn still_open(&self, moments: &[Arc<Moment>]) -> Vec<Moment> {
        let state = self.lock();
        let mut open = Vec::new();
        for moment in moments {
            for action in moment.actions.iter().filter(|action| state.open.contains_key(&action.id)) {
                open.push(Moment { actions: vec![action.clone()], ..Moment::clone(moment) });
            }
        }
        open
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().open.is_empty()
    }

    pub(crate) fn open_actions(&self) -> usize {
        self.lock().open.len()
    }

    pub(crate) fn sink_status(&self) -> Vec<SinkStatus> {
        self.lock().sinks.iter().map(|sink| sink.status.clone()).collect()
    }

    pub(crate) fn by_status(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Status::ALL
            .iter()
            .map(|&status| (status.as_str(), self.by_status[status as usize].load(Ordering::Relaxed)))
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn target_of(&self, rule: &str, action: &str) -> Option<Target> {
        let own = self.rule_routes.get(rule).into_iter().flatten();
        own.chain(&self.routes).find(|route| route.matches(action)).map(|route| route.to.clone())
    }

    fn next_try(&mut self, sinks: &[(String, Arc<dyn Sink>)]) -> Option<(usize, ActionId)> {
        for (place, (sink, (_, seam))) in self.sinks.iter_mut().zip(sinks).enumerate() {
            if sink.status.in_flight < seam.concurrency().max(1)
                && let Some(id) = sink.queue.pop_front()
            {
                return Some((place, id));
            }
        }
        None
    }
}
