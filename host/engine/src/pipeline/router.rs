//! The router: reads the durable journal, and puts each entry into the lanes of the rules that it is for.
//!
//! Rules that keep up share one reader. One whose lanes are full, or that starts in the past, has its own
//! position and is read for alone until it has caught up; it never holds up the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Monotonic};

use super::Shared;
use super::index::{Match, SubscriptionIndex};
use super::intake::SubmitError;
use super::key::key_of;
use super::program::Version;
use super::runtime::{AT_WORK, Horizon, Item, Rest, Rule};
use crate::checkpoint::{Marker, RuleRecord};
use crate::event::Instant;
use crate::journal::{Body, Decision, Entry, JournalError, Position};

/// How many inputs may wait in a rule's lanes. Past it the rule lags, and its inputs wait in the journal.
const WAITING_INPUTS: usize = if cfg!(test) { 8 } else { 8_192 };
/// How many bytes of events may wait there.
const WAITING_BYTES: usize = 32 << 20;
/// A rule that lags is read for again when fewer than this wait.
pub(crate) const ROOM: usize = if cfg!(test) { 4 } else { 2_048 };
/// How much of the journal is read for a rule at a time.
const READ_BYTES: usize = 1 << 20;

/// Told from which position a switch holds, or why there is none.
pub(crate) type Reply = Box<dyn FnOnce(Result<Position, String>) + Send>;

/// What the router is asked.
pub(crate) enum Request {
    /// A rule that was never seen, or that comes from a checkpoint, starts or goes on at `from`; `plan` holds
    /// the switches that the journal names from there on.
    Add {
        rule: Arc<Rule>,
        from: Position,
        plan: VecDeque<(Position, Option<Arc<Version>>)>,
    },
    /// From the first position that no lane has passed, inputs go to this version; none unloads the rule.
    Switch {
        rule: String,
        version: Option<Arc<Version>>,
        reply: Reply,
    },
    /// A decision to switch is durable, or could not be written.
    Decided {
        rule: String,
        at: Position,
        version: Option<Arc<Version>>,
        result: Result<(), SubmitError>,
        reply: Reply,
    },
    /// Write checkpoints of all rules that changed, now; told when all markers are on their way.
    Checkpoint {
        reply: Box<dyn FnOnce() + Send>,
    },
    /// Where each rule stands, and whether everything up to the journal's end was handed out.
    Report {
        reply: Box<dyn FnOnce(Report) + Send>,
    },
    Stop,
}

/// What the router knows of where rules stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Each rule's next position.
    pub(crate) rules: HashMap<String, Position>,
    /// All rules keep up, and nothing waits in their lanes; those in quarantine aside.
    pub(crate) idle: bool,
}

/// A rule, as the router sees it.
struct Course {
    rule: Arc<Rule>,
    /// The version whose subscriptions count; none: it is unloaded.
    version: Option<Arc<Version>>,
    index: SubscriptionIndex,
    /// The next position, and the instant of the entry before it; of a rule that keeps up, the head's count.
    next: Position,
    before: Instant,
    current: bool,
    /// It is to be switched, and given nothing until that is decided.
    held: bool,
    /// Versions that it is to be switched to.
    switches: VecDeque<(Option<Arc<Version>>, Reply)>,
    /// A decision is on its way to the journal.
    deciding: bool,
    /// Switches that come at positions not yet reached.
    plan: VecDeque<(Position, Option<Arc<Version>>)>,
    last_switch: Position,
    buffers: Vec<Vec<Item>>,
    touched: bool,
    room: usize,
    marker: Option<Arc<Marker>>,
    checkpointed_at: Position,
}

pub(crate) struct Router {
    shared: Arc<Shared>,
    /// The next position that rules which keep up are given.
    head: Position,
    before: Instant,
    /// Groups before the next one in the mailbox are to be read from the journal.
    missed: bool,
    index: SubscriptionIndex,
    courses: Vec<Course>,
    by_name: HashMap<String, usize>,
    checkpoint_every: Duration,
    next_checkpoint: Monotonic,
}

impl Router {
    /// A router that starts at the journal's end.
    pub(crate) fn new(
        shared: Arc<Shared>,
        head: Position,
        before: Instant,
        checkpoint_every: Duration,
    ) -> Self {
        Router {
            shared,
            head,
            before,
            missed: false,
            index: SubscriptionIndex::default(),
            courses: Vec::new(),
            by_name: HashMap::new(),
            checkpoint_every,
            next_checkpoint: Monotonic::now() + checkpoint_every,
        }
    }

    /// Routes until stopped.
    pub(crate) fn run(mut self) {
        let mut busy = false;
        loop {
            let mail = self.shared.mailbox.take(if busy { Duration::ZERO } else { self.longest_wait() });
            for request in mail.requests {
                if matches!(request, Request::Stop) {
                    return;
                }
                self.serve(request);
            }
            for group in mail.groups {
                self.route_group(&group);
            }
            self.missed |= mail.missed;
            busy = self.missed && self.catch_up_with_journal();
            busy |= self.advance_lagging();
            self.decide_switches();
            self.wake_rested();
            if Monotonic::now() >= self.next_checkpoint {
                self.checkpoint();
            }
        }
    }

    fn longest_wait(&self) -> Duration {
        if self.courses.iter().any(|course| course.held && !course.deciding) {
            // A lane's turn has to end; it also says so.
            return Duration::from_millis(10);
        }
        let resting = self.courses.iter().any(|course| course.rule.is_resting());
        let checkpoint = self.next_checkpoint.saturating_duration_since(Monotonic::now());
        if resting { checkpoint.min(Duration::from_millis(50)) } else { checkpoint }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Add { rule, from, plan } => self.add(rule, from, plan),
            Request::Switch { rule, version, reply } => self.ask_for_switch(&rule, version, reply),
            Request::Decided { rule, at, version, result, reply } => {
                self.decided(&rule, at, version, result, reply)
            }
            Request::Checkpoint { reply } => {
                self.checkpoint();
                reply();
            }
            Request::Report { reply } => reply(self.report()),
            Request::Stop => {}
        }
    }

    fn add(&mut self, rule: Arc<Rule>, from: Position, plan: VecDeque<(Position, Option<Arc<Version>>)>) {
        let lanes = rule.lanes.len();
        let before = self.instant_before(from);
        let version = rule.lanes.first().and_then(|slot| slot.lock().version.clone());
        let mut index = SubscriptionIndex::default();
        if let Some(version) = &version {
            index.insert(0, &version.description.subscriptions);
        }
        rule.set_horizon(Horizon::at(before));
        rule.position.store(from, Ordering::Release);
        rule.lagging.store(true, Ordering::Release);
        let last_switch = plan.back().map_or(0, |(at, _)| *at);
        self.by_name.insert(rule.name.clone(), self.courses.len());
        self.courses.push(Course {
            rule,
            version,
            index,
            next: from,
            before,
            current: false,
            held: false,
            switches: VecDeque::new(),
            deciding: false,
            plan,
            last_switch,
            buffers: (0..lanes).map(|_| Vec::new()).collect(),
            touched: false,
            room: 0,
            marker: None,
            checkpointed_at: from,
        });
    }

    /// The instant of the entry before a position.
    fn instant_before(&self, position: Position) -> Instant {
        let Some(before) = position.checked_sub(1) else { return 0 };
        match self.shared.journal.read(before, 1) {
            Ok(entries) => entries.first().map_or(0, |entry| entry.instant),
            Err(_) => 0,
        }
    }

    // ---- rules that keep up ----

    /// Gives a group to the rules that keep up.
    fn route_group(&mut self, group: &[Arc<Entry>]) {
        // One that was dropped for want of room is read from the journal.
        if group.first().is_some_and(|entry| entry.position > self.head) {
            return;
        }
        let mut touched = Vec::new();
        let mut found: Vec<Match> = Vec::new();
        for entry in group {
            if entry.position < self.head {
                continue;
            }
            match &entry.body {
                Body::Event(event) => {
                    self.index.matches(&event.kind, &mut found);
                    for matched in found.chunk_by(|one, other| one.0 == other.0) {
                        let slot = matched[0].0;
                        let course = &mut self.courses[slot];
                        if course.current {
                            course.touch(slot, &mut touched);
                            matched
                                .iter()
                                .for_each(|(_, subscription)| course.put_event(entry, *subscription));
                            course.lag_if_full(entry);
                        }
                    }
                }
                Body::Outcome(_) | Body::KeyChange(_) => {
                    if let Some(&slot) = rule_of(&entry.body).and_then(|rule| self.by_name.get(rule))
                        && self.courses[slot].current
                    {
                        let course = &mut self.courses[slot];
                        course.touch(slot, &mut touched);
                        course.put_own(entry);
                        course.lag_if_full(entry);
                    }
                }
                _ => {}
            }
            self.head = entry.position + 1;
            self.before = entry.instant;
        }
        for &slot in &touched {
            self.courses[slot].flush(self.head);
            if !self.courses[slot].current {
                self.index.remove(slot);
            }
        }
        self.shared.head.reach(self.before);
        for slot in touched {
            self.courses[slot].call_lanes(&self.shared);
        }
        for (rule, lane) in self.shared.alarms.due(self.before) {
            self.shared.run.call(&rule, lane);
        }
    }

    /// Reads what was published but found no room in the mailbox. `true`: there may be more. What cannot be
    /// read is tried again.
    fn catch_up_with_journal(&mut self) -> bool {
        self.missed = self.head < self.shared.journal.end();
        if !self.missed {
            return false;
        }
        match self.shared.journal.read(self.head, READ_BYTES) {
            Ok(entries) => {
                self.route_group(&entries);
                true
            }
            Err(error) => {
                tracing::error!(error = %error, position = self.head, "the journal cannot be read");
                false
            }
        }
    }

    // ---- rules that do not ----

    /// Reads on for the rules that lag and have room. `true`: one of them has more to read.
    fn advance_lagging(&mut self) -> bool {
        let mut more = false;
        for slot in 0..self.courses.len() {
            let course = &self.courses[slot];
            let idle = course.current || course.held || course.is_gone() || course.rule.is_resting();
            if idle || course.rule.pending.load(Ordering::Acquire) >= ROOM {
                continue;
            }
            more |= self.advance(slot);
        }
        more
    }

    fn advance(&mut self, slot: usize) -> bool {
        let entries = match self.shared.journal.read(self.courses[slot].next, READ_BYTES) {
            Ok(entries) => entries,
            Err(JournalError::OutOfRange { start, .. }) if start > self.courses[slot].next => {
                self.leave_behind(slot, start);
                return true;
            }
            Err(error) => {
                let course = &self.courses[slot];
                tracing::error!(rule = course.rule.name, error = %error, "the journal cannot be read: tried again");
                let reason = format!("the journal cannot be read at position {}: {error}", course.next);
                let until = Monotonic::now() + Duration::from_secs(10);
                course.rule.care().resting = Some(Rest { until, reason, quarantine: true });
                return false;
            }
        };
        let course = &mut self.courses[slot];
        course.room = WAITING_INPUTS;
        for entry in &entries {
            course.apply_plan();
            if course.is_gone() || course.room == 0 {
                break;
            }
            if course.version.is_none() {
                // Unloaded for a while: it goes on where the next switch is.
                course.skip(entry);
                continue;
            }
            match &entry.body {
                Body::Event(event) => {
                    let mut found = Vec::new();
                    course.index.matches(&event.kind, &mut found);
                    found.iter().for_each(|(_, subscription)| course.put_event(entry, *subscription));
                }
                body if rule_of(body) == Some(&course.rule.name) => course.put_own(entry),
                _ => {}
            }
            course.skip(entry);
        }
        course.apply_plan();
        course.flush(course.next);
        course.rule.horizon().reach(course.before);
        course.call_lanes(&self.shared);
        let caught_up = course.next == self.head && course.plan.is_empty() && !course.is_gone();
        if caught_up {
            self.join(slot);
        }
        !caught_up && !entries.is_empty()
    }

    /// What a rule was to be given next is not kept any more: it goes on where the journal begins, and that
    /// is said.
    fn leave_behind(&mut self, slot: usize, start: Position) {
        let before = self.instant_before(start);
        let course = &mut self.courses[slot];
        let (rule, from) = (course.rule.name.clone(), course.next);
        tracing::warn!(
            rule,
            from,
            to = start,
            "a rule fell so far behind that a range of the journal is gone"
        );
        course.next = start;
        course.before = before.max(course.before);
        let body = Body::Decision { rule, decision: Decision::LeftBehind { from, to: start } };
        self.shared.intake.append(vec![body], Box::new(|_| {}));
    }

    /// From here on a rule shares the reader.
    fn join(&mut self, slot: usize) {
        let course = &mut self.courses[slot];
        course.current = true;
        course.rule.lagging.store(false, Ordering::Release);
        if let Some(version) = &course.version {
            self.index.insert(slot, &version.description.subscriptions);
        }
        course.rule.set_horizon(Arc::clone(&self.shared.head));
        course.call_all(&self.shared);
    }

    /// From here on a rule has its own reader.
    fn leave(&mut self, slot: usize, next: Position, before: Instant) {
        let course = &mut self.courses[slot];
        if course.current {
            self.index.remove(slot);
        }
        let course = &mut self.courses[slot];
        course.current = false;
        course.next = next;
        course.before = before;
        course.rule.lagging.store(true, Ordering::Release);
        course.rule.position.store(next, Ordering::Release);
        course.rule.set_horizon(Horizon::at(before));
    }

    // ---- versions ----

    /// Has a rule stop between two batches, for a switch.
    fn ask_for_switch(&mut self, rule: &str, version: Option<Arc<Version>>, reply: Reply) {
        let Some(&slot) = self.by_name.get(rule) else {
            return reply(Err(format!("there is no rule `{rule}`")));
        };
        let course = &mut self.courses[slot];
        course.held = true;
        course.rule.hold.store(true, Ordering::Release);
        course.switches.push_back((version, reply));
    }

    /// Journals the switches whose rules have stopped. Until the decision is durable a rule is given nothing.
    fn decide_switches(&mut self) {
        for slot in 0..self.courses.len() {
            let course = &self.courses[slot];
            if course.deciding || course.switches.is_empty() {
                continue;
            }
            let Some(at) = self.rewind(slot) else { continue };
            let course = &mut self.courses[slot];
            let Some((version, reply)) = course.switches.pop_front() else { continue };
            course.deciding = true;
            let decision = match &version {
                Some(version) => Decision::Switch {
                    at,
                    to: version.record.clone(),
                    version: version.description.version.clone(),
                },
                None => Decision::Unload { at },
            };
            let shared = Arc::clone(&self.shared);
            let rule = course.rule.name.clone();
            self.shared.intake.append(
                vec![Body::Decision { rule: rule.clone(), decision }],
                Box::new(move |done| {
                    let result = done.map(drop);
                    shared.mailbox.ask(Request::Decided { rule, at, version, result, reply });
                }),
            );
        }
    }

    /// Finds the first position that no lane has passed, and takes back what waits in them from there on; it
    /// is the rule's position then. None: a lane is still at work.
    fn rewind(&mut self, slot: usize) -> Option<Position> {
        let course = &mut self.courses[slot];
        let next = if course.current { self.head } else { course.next };
        if course.version.is_none() && course.plan.is_empty() {
            // It comes back: what happened meanwhile is not given.
            let at = self.head.max(course.last_switch);
            self.leave(slot, at, self.before);
            return Some(at);
        }
        if course.last_switch > next {
            // Still on its way to a switch that was decided before a restart: this one comes after it.
            return Some(course.last_switch);
        }
        let rule = Arc::clone(&course.rule);
        let mut queues: Vec<_> = rule.lanes.iter().map(|lane| lane.queue()).collect();
        let passed = rule.lanes.iter().map(|lane| lane.passed.load(Ordering::Acquire)).max().unwrap_or(0);
        if passed == AT_WORK {
            return None;
        }
        let waiting = queues.iter().flat_map(|queue| queue.iter()).filter_map(Item::position);
        let at = waiting.filter(|&position| position >= passed).min().unwrap_or(next).min(next);
        let at = at.max(course.last_switch);
        let (mut count, mut bytes) = (0, 0);
        for queue in &mut queues {
            queue.retain(|item| {
                let stays = match item {
                    Item::Entry { entry, .. } => entry.position < at,
                    Item::Switch { .. } => true,
                    Item::Marker { marker, .. } => marker.record.position <= at,
                };
                if !stays {
                    count += 1;
                    bytes += item.bytes();
                }
                stays
            });
        }
        if course.marker.as_ref().is_some_and(|marker| marker.record.position > at) {
            course.marker = None;
        }
        drop(queues);
        rule.pending.fetch_sub(count, Ordering::AcqRel);
        rule.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
        let before = if at == next {
            if course.current { self.before } else { course.before }
        } else {
            self.instant_before(at)
        };
        self.leave(slot, at, before);
        Some(at)
    }

    fn decided(
        &mut self,
        rule: &str,
        at: Position,
        version: Option<Arc<Version>>,
        result: Result<(), SubmitError>,
        reply: Reply,
    ) {
        let Some(&slot) = self.by_name.get(rule) else { return };
        let course = &mut self.courses[slot];
        course.deciding = false;
        course.held = !course.switches.is_empty();
        course.rule.hold.store(course.held, Ordering::Release);
        match result {
            Ok(()) => {
                let place = course.plan.partition_point(|(known, _)| *known <= at);
                course.plan.insert(place, (at, version));
                course.last_switch = course.last_switch.max(at);
                // A fixed version is not kept waiting for what the one before did.
                let mut care = course.rule.care();
                care.resting = None;
                care.halt = None;
                care.rests = 0;
                care.set_aside.clear();
                drop(care);
                reply(Ok(at));
            }
            Err(error) => reply(Err(error.to_string())),
        }
        course.call_all(&self.shared);
    }

    // ---- checkpoints, rests ----

    /// Sends markers through the lanes of all rules that changed.
    fn checkpoint(&mut self) {
        self.next_checkpoint = Monotonic::now() + self.checkpoint_every;
        if self.shared.checkpoints.is_none() {
            return;
        }
        for slot in 0..self.courses.len() {
            let head = (self.head, self.before);
            let course = &mut self.courses[slot];
            let (position, before) = if course.current { head } else { (course.next, course.before) };
            let busy = course.marker.as_ref().is_some_and(|marker| Arc::strong_count(marker) > 1);
            let changed =
                course.rule.dirty.load(Ordering::Acquire) || position > course.checkpointed_at + 10_000;
            if busy || course.held || !changed {
                continue;
            }
            course.rule.dirty.store(false, Ordering::Release);
            course.checkpointed_at = position;
            course.mark(position, before);
            course.flush(position);
            course.call_all(&self.shared);
        }
    }

    /// Has rules go on whose rest is over.
    fn wake_rested(&mut self) {
        let now = Monotonic::now();
        for course in &self.courses {
            let mut care = course.rule.care();
            if care.resting.as_ref().is_some_and(|rest| rest.until <= now) {
                care.resting = None;
                drop(care);
                course.call_all(&self.shared);
            }
        }
    }

    fn report(&self) -> Report {
        let settled = |course: &Course| {
            let settled = course.rule.pending.load(Ordering::Acquire) == 0 && !course.held;
            // What a quarantined rule has left waits in the journal: nothing comes of it now.
            let resting = course.rule.care().resting.as_ref().is_some_and(|rest| rest.quarantine);
            resting || settled && (course.current || course.is_gone())
        };
        let position = |course: &Course| if course.current { self.head } else { course.next };
        Report {
            rules: self.courses.iter().map(|course| (course.rule.name.clone(), position(course))).collect(),
            idle: self.courses.iter().all(settled)
                && self.shared.run.is_quiet()
                && self.head == self.shared.journal.end(),
        }
    }
}

impl Course {
    /// Unloaded, and nothing planned.
    fn is_gone(&self) -> bool {
        self.version.is_none() && self.plan.is_empty() && !self.held
    }

    fn touch(&mut self, slot: usize, touched: &mut Vec<usize>) {
        if !self.touched {
            self.touched = true;
            self.room = WAITING_INPUTS.saturating_sub(self.rule.pending.load(Ordering::Acquire));
            touched.push(slot);
        }
    }

    fn put_event(&mut self, entry: &Arc<Entry>, subscription: u32) {
        let (Body::Event(event), Some(version)) = (&entry.body, &self.version) else { return };
        let Some(wanted) = version.description.subscriptions.get(subscription as usize) else { return };
        let Some(key) = key_of(event, &wanted.keyed_by) else {
            self.rule.counters.keyless.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let lane = Rule::lane_of(&key, self.buffers.len());
        self.put(lane, Item::Entry { key, entry: Arc::clone(entry), subscription: Some(subscription) });
    }

    /// An outcome that the rule wants to hear of, or an operator's change.
    fn put_own(&mut self, entry: &Arc<Entry>) {
        let key = match &entry.body {
            Body::Outcome(outcome) if outcome.reference.is_some() => &outcome.key,
            Body::KeyChange(change) => &change.key,
            _ => return,
        };
        let lane = Rule::lane_of(key, self.buffers.len());
        self.put(
            lane,
            Item::Entry { key: key.as_str().into(), entry: Arc::clone(entry), subscription: None },
        );
    }

    fn put(&mut self, lane: usize, item: Item) {
        self.rule.waiting_bytes.fetch_add(item.bytes(), Ordering::AcqRel);
        self.buffers[lane].push(item);
        self.room = self.room.saturating_sub(1);
        if self.rule.waiting_bytes.load(Ordering::Acquire) > WAITING_BYTES {
            self.room = 0;
        }
    }

    /// A rule that keeps up does so no more from the entry after this one.
    fn lag_if_full(&mut self, entry: &Entry) {
        if self.room == 0 {
            self.current = false;
            self.next = entry.position + 1;
            self.before = entry.instant;
            self.rule.lagging.store(true, Ordering::Release);
            self.rule.set_horizon(Horizon::at(entry.instant));
        }
    }

    fn skip(&mut self, entry: &Entry) {
        self.next = entry.position + 1;
        self.before = entry.instant;
    }

    /// Puts the switches in place that hold from the next position.
    fn apply_plan(&mut self) {
        while self.plan.front().is_some_and(|(at, _)| *at <= self.next) {
            let Some((at, version)) = self.plan.pop_front() else { return };
            self.index = SubscriptionIndex::default();
            if let Some(version) = &version {
                self.index.insert(0, &version.description.subscriptions);
            }
            self.version.clone_from(&version);
            for lane in 0..self.buffers.len() {
                self.put(lane, Item::Switch { at, version: version.clone(), before: self.before });
            }
            self.rule.dirty.store(true, Ordering::Release);
            if version.is_none() {
                // A last checkpoint: until it returns it holds back nothing.
                self.mark(self.next, self.before);
            }
        }
    }

    fn mark(&mut self, position: Position, before: Instant) {
        let version = self.version.as_ref().map(|version| version.record.clone());
        let marker = Arc::new(Marker::new(RuleRecord { position, version }, self.buffers.len()));
        for lane in 0..self.buffers.len() {
            self.put(lane, Item::Marker { marker: Arc::clone(&marker), before });
        }
        self.marker = Some(marker);
    }

    /// Moves what was put together into the lanes' queues. `position`: the rule's next.
    fn flush(&mut self, position: Position) {
        self.touched = false;
        let count: usize = self.buffers.iter().map(Vec::len).sum();
        if count > 0 {
            self.rule.pending.fetch_add(count, Ordering::AcqRel);
            self.rule.dirty.fetch_or(self.buffers.iter().flatten().any(Item::is_entry), Ordering::AcqRel);
        }
        let position = if self.current { position } else { self.next };
        self.rule.position.store(position, Ordering::Release);
        for (buffer, lane) in self.buffers.iter_mut().zip(&self.rule.lanes) {
            if !buffer.is_empty() {
                lane.queue().extend(buffer.drain(..));
            }
        }
    }

    /// Calls the lanes that have something, or all if the rule lags: its timers go by its own reader.
    fn call_lanes(&self, shared: &Shared) {
        for (place, lane) in self.rule.lanes.iter().enumerate() {
            if !self.current || !lane.queue().is_empty() {
                shared.run.call(&self.rule, place);
            }
        }
    }

    fn call_all(&self, shared: &Shared) {
        for place in 0..self.rule.lanes.len() {
            shared.run.call(&self.rule, place);
        }
    }
}

/// The rule that an outcome or an operator's change is for.
fn rule_of(body: &Body) -> Option<&String> {
    match body {
        Body::Outcome(outcome) => Some(&outcome.rule),
        Body::KeyChange(change) => Some(&change.rule),
        _ => None,
    }
}
