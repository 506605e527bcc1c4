//! The router: reads the durable journal, and puts each entry into the lanes of the rules that it is for.
//!
//! Rules that keep up share one reader. One whose lanes are full, or that starts in the past, has its own
//! position and is read for alone until it has caught up; it never holds up the others.

mod course;
mod switching;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Monotonic};

use self::course::{Course, WAITING_INPUTS, rule_of};
use super::Shared;
use super::index::{Match, SubscriptionIndex};
use super::intake::SubmitError;
use super::program::Version;
use super::runtime::{Horizon, Rest, Rule};
use crate::event::Instant;
use crate::journal::{Body, Decision, Entry, JournalError, Position};

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
