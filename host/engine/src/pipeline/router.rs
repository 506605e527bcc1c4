//! The router: reads the durable journal, and puts each entry into the lanes of the rules that it is for.
//!
//! Rules that keep up share one reader. One whose lanes are full, or that starts in the past, has its own
//! position and is read for alone until it has caught up; it never holds up the others.

mod course;
mod switching;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Monotonic};

use self::course::{Course, WAITING_INPUTS, instant_of};
use super::Shared;
use super::index::{Match, SubscriptionIndex};
use super::intake::SubmitError;
use super::key::rule_of;
use super::program::Version;
use super::runtime::{Horizon, Rest, Rule};
use crate::event::Instant;
use crate::host::Recovery;
use crate::journal::{Body, Entry, Erasure, JournalError, Position};
use crate::recovery::Turn;

/// A rule that lags is read for again when fewer than this wait.
pub(crate) const ROOM: usize = if cfg!(test) { 4 } else { 2_048 };
/// How much of the journal is read for a rule at a time.
const READ_BYTES: usize = 1 << 20;

/// How often the router asks whether it is time for a checkpoint.
const LOOK: Duration = Duration::from_millis(5);

/// A rule that nothing changed for has a new checkpoint after so many entries, so that a start need not read them.
const UNMARKED: u64 = 10_000;

/// Told from which position a switch holds, or why there is none.
pub(crate) type Reply = Box<dyn FnOnce(Result<Position, String>) + Send>;

/// What the router is asked.
pub(crate) enum Request {
    /// A rule that was never seen, or that comes from a checkpoint, starts or goes on at `from`; `plan` holds
    /// the switches that the journal names from there on.
    Add {
        rule: Arc<Rule>,
        from: Position,
        plan: VecDeque<(Position, Turn<Arc<Version>>)>,
        /// It never had a version.
        new: bool,
    },
    /// From the decision on, or from the first position that no lane has passed, inputs go to another version, or to
    /// nobody; or what comes before a position is not given at all, since the rule is left behind.
    Switch {
        rule: String,
        turn: Turn<Arc<Version>>,
        reply: Reply,
    },
    /// A decision to switch is durable, or could not be written.
    Decided {
        rule: String,
        turn: Turn<Arc<Version>>,
        /// From where on it holds.
        result: Result<Position, SubmitError>,
        reply: Reply,
    },
    /// Write checkpoints of all rules that changed, now, or of all that moved at all; told when all markers are on
    /// their way.
    Checkpoint {
        all: bool,
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
    /// About what rules would compute again after a crash now.
    pub(crate) next_start: Duration,
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
    /// Those that do not keep up, by their slots. There may be thousands of rules: what is done for each group is done
    /// for those alone that it concerns.
    behind: BTreeSet<usize>,
    /// A rule may wait to be switched.
    switching: bool,
    by_name: HashMap<String, usize>,
    recovery: Recovery,
    next_checkpoint: Monotonic,
    /// When to look at what a start would take.
    next_look: Monotonic,
    /// All rules have caught up with where the journal ended at the start.
    recovered: bool,
}

impl Router {
    /// A router that starts at the journal's end.
    pub(crate) fn new(shared: Arc<Shared>, head: Position, before: Instant, recovery: Recovery) -> Self {
        Router {
            shared,
            head,
            before,
            missed: false,
            index: SubscriptionIndex::default(),
            courses: Vec::new(),
            behind: BTreeSet::new(),
            switching: false,
            by_name: HashMap::new(),
            recovery,
            next_checkpoint: Monotonic::now() + recovery.every,
            next_look: Monotonic::now(),
            recovered: false,
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
            if self.wants_checkpoint() {
                self.checkpoint(false);
            }
            self.note_recovered();
        }
    }

    fn wants_checkpoint(&mut self) -> bool {
        let now = Monotonic::now();
        if now < self.next_look {
            return false;
        }
        self.next_look = now + LOOK;
        let much_emitted = self.shared.much_emitted.swap(false, Ordering::AcqRel);
        much_emitted || now >= self.next_checkpoint || self.next_start() > self.start_budget()
    }

    /// About what rules would compute again after a crash now.
    fn next_start(&self) -> Duration {
        let busy: u64 = self.courses.iter().map(Course::busy_us).sum();
        let lanes = self.courses.first().map_or(1, |course| course.rule.lanes.len().max(1));
        Duration::from_micros(busy / lanes as u64)
    }

    /// How much that may be: a half of what loading leaves, since it goes on while a checkpoint is written.
    fn start_budget(&self) -> Duration {
        let loads = Duration::from_millis(self.shared.recovery().load_ms);
        self.recovery.within.saturating_sub(loads).max(self.recovery.within / 10) / 2
    }

    fn note_recovered(&mut self) {
        if self.recovered {
            return;
        }
        let done = |course: &Course| {
            course.current && course.rule.pending.load(Ordering::Acquire) == 0 || course.rule.is_resting()
        };
        self.recovered = self.courses.iter().all(done) && self.head >= self.shared.recovered_to;
        if self.recovered {
            let took = self.shared.begun_ms();
            let mut recovery = self.shared.recovery();
            recovery.caught_up_ms = Some(took);
            if recovery.entries > 0 {
                tracing::info!(entries = recovery.entries, milliseconds = took, "caught up");
            }
        }
    }

    fn longest_wait(&self) -> Duration {
        if self.switching && self.courses.iter().any(|course| course.held && !course.deciding) {
            // A lane's turn has to end; it also says so.
            return Duration::from_millis(10);
        }
        let resting = self.shared.resting.load(Ordering::Acquire);
        let checkpoint = self.next_checkpoint.max(self.next_look).saturating_duration_since(Monotonic::now());
        if resting { checkpoint.min(Duration::from_millis(50)) } else { checkpoint }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Add { rule, from, plan, new } => self.add(rule, from, plan, new),
            Request::Switch { rule, turn, reply } => self.ask_for_switch(&rule, turn, reply),
            Request::Decided { rule, turn, result, reply } => self.decided(&rule, turn, result, reply),
            Request::Checkpoint { all, reply } => {
                self.checkpoint(all);
                reply();
            }
            Request::Report { reply } => reply(self.report()),
            Request::Stop => {}
        }
    }

    fn add(
        &mut self,
        rule: Arc<Rule>,
        from: Position,
        plan: VecDeque<(Position, Turn<Arc<Version>>)>,
        new: bool,
    ) {
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
        let switches = plan.iter().filter(|(_, turn)| matches!(turn, Turn::Version(_)));
        let last_switch = switches.map(|(at, _)| *at).max().unwrap_or(0);
        self.by_name.insert(rule.name.clone(), self.courses.len());
        self.behind.insert(self.courses.len());
        self.switching = true;
        self.courses.push(Course {
            rule,
            version,
            index,
            next: from,
            before,
            current: false,
            held: false,
            new,
            switches: VecDeque::new(),
            deciding: false,
            in_passing: None,
            plan,
            last_switch,
            buffers: (0..lanes).map(|_| Vec::new()).collect(),
            touched: false,
            room: 0,
            room_bytes: 0,
            buffered_bytes: 0,
            marker: None,
            checkpointed_at: from,
            busy_at_mark: 0,
        });
    }

    /// The instant of the entry before a position.
    fn instant_before(&self, position: Position) -> Instant {
        let Some(before) = position.checked_sub(1) else { return 0 };
        instant_of(&*self.shared.journal, before).unwrap_or(0)
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
        // Events of one type often follow each other.
        let mut found_for = None;
        for entry in group {
            if entry.position < self.head {
                continue;
            }
            match &entry.body {
                Body::Event(event) => {
                    let event = event.fields();
                    let kind = event.kind();
                    if found_for.replace(kind) != Some(kind) {
                        self.index.matches(kind, &mut found);
                    }
                    for matched in found.chunk_by(|one, other| one.0 == other.0) {
                        let slot = matched[0].0;
                        let course = &mut self.courses[slot];
                        if course.current {
                            course.touch(slot, &mut touched);
                            matched
                                .iter()
                                .for_each(|(_, subscription)| course.put_event(entry, &event, *subscription));
                            course.lag_if_full(entry);
                        }
                    }
                }
                Body::ErasureAsked(erasure) => {
                    let erasure = Arc::new(Erasure::clone(erasure));
                    let courses = self.courses.iter_mut().enumerate();
                    for (slot, course) in
                        courses.filter(|(_, course)| course.current && course.is_meant(&erasure))
                    {
                        course.touch(slot, &mut touched);
                        course.put_erasure(entry, &erasure);
                    }
                }
                body => {
                    if let Body::Decision { rule, .. } = body
                        && let Some(&slot) = self.by_name.get(rule)
                        && self.courses[slot].may_meet()
                    {
                        self.courses[slot].touch(slot, &mut touched);
                        if self.pass(slot, entry) {
                            found_for = None;
                        }
                    }
                    if let Some(&slot) = rule_of(body).and_then(|rule| self.by_name.get(rule))
                        && self.courses[slot].current
                    {
                        let course = &mut self.courses[slot];
                        course.touch(slot, &mut touched);
                        course.put_own(entry);
                        course.lag_if_full(entry);
                    }
                }
            }
            self.head = entry.position + 1;
            self.before = entry.instant;
        }
        for &slot in &touched {
            self.courses[slot].flush(self.head);
            if !self.courses[slot].current {
                self.index.remove(slot);
                self.behind.insert(slot);
                self.courses[slot].plan_in_passing();
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
        for slot in self.behind.iter().copied().collect::<Vec<_>>() {
            let course = &self.courses[slot];
            let idle =
                course.current || course.held || course.waits_for_version() || course.rule.is_resting();
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
                return false;
            }
            Err(error) => {
                let course = &self.courses[slot];
                tracing::error!(rule = course.rule.name, error = %error, "the journal cannot be read: tried again");
                let reason = format!("the journal cannot be read at position {}: {error}", course.next);
                let until = Monotonic::now() + Duration::from_secs(10);
                course.rule.care().resting = Some(Rest { until, reason, quarantine: true });
                self.shared.resting.store(true, Ordering::Release);
                return false;
            }
        };
        let journal = Arc::clone(&self.shared.journal);
        let course = &mut self.courses[slot];
        course.look_for_room();
        course.room = WAITING_INPUTS;
        for entry in &entries {
            course.apply_plan(&*journal);
            if entry.position < course.next {
                continue;
            }
            if entry.position > course.next || course.room == 0 {
                break;
            }
            if let Some(version) = course.meet(entry) {
                course.plan.push_back((entry.position + 1, Turn::Version(Some(version))));
            }
            match &entry.body {
                _ if course.version.is_none() => course.put_for_operators(entry),
                Body::Event(event) => {
                    let mut found = Vec::new();
                    let event = event.fields();
                    course.index.matches(event.kind(), &mut found);
                    found.iter().for_each(|(_, subscription)| course.put_event(entry, &event, *subscription));
                }
                Body::ErasureAsked(_) => course.put_for_operators(entry),
                body if rule_of(body) == Some(&course.rule.name) => course.put_own(entry),
                _ => {}
            }
            course.skip(entry);
        }
        course.apply_plan(&*journal);
        course.flush(course.next);
        course.rule.horizon().reach(course.before);
        course.call_lanes(&self.shared);
        let caught_up = course.next == self.head && course.plan.is_empty();
        if caught_up {
            self.join(slot);
        }
        !caught_up && !entries.is_empty()
    }

    /// What a rule was to be given next is not kept any more: it goes on where the journal begins, and that
    /// is journaled.
    fn leave_behind(&mut self, slot: usize, start: Position) {
        let rule = self.courses[slot].rule.name.clone();
        self.ask_for_switch(&rule, Turn::Skip(start), Box::new(|_| {}));
    }

    /// From here on a rule shares the reader.
    fn join(&mut self, slot: usize) {
        self.behind.remove(&slot);
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
        self.behind.insert(slot);
        course.current = false;
        course.next = next;
        course.before = before;
        course.rule.lagging.store(true, Ordering::Release);
        course.rule.position.store(next, Ordering::Release);
        course.rule.set_horizon(Horizon::at(before));
    }

    // ---- checkpoints, rests ----

    /// Sends markers through the lanes of all rules that changed; with `all`, of those too that only moved on.
    fn checkpoint(&mut self, all: bool) {
        self.next_checkpoint = Monotonic::now() + self.recovery.every;
        if self.shared.checkpoints.is_none() {
            return;
        }
        for slot in 0..self.courses.len() {
            let head = (self.head, self.before);
            let course = &mut self.courses[slot];
            let (position, before) = if course.current { head } else { (course.next, course.before) };
            let busy = course.marker.as_ref().is_some_and(|marker| Arc::strong_count(marker) > 1);
            let moved = position.saturating_sub(course.checkpointed_at);
            let changed = course.rule.dirty.load(Ordering::Acquire) || moved > if all { 0 } else { UNMARKED };
            if busy || course.held || !changed {
                continue;
            }
            course.rule.dirty.store(false, Ordering::Release);
            course.checkpointed_at = position;
            course.busy_at_mark = course.rule.counters.busy_us();
            course.mark(position, before);
            course.flush(position);
            course.call_all(&self.shared);
        }
    }

    /// Has rules go on whose rest is over.
    fn wake_rested(&mut self) {
        // Whoever rests says so after: one that this pass does not see is seen by the next.
        if !self.shared.resting.swap(false, Ordering::AcqRel) {
            return;
        }
        let now = Monotonic::now();
        for course in &self.courses {
            let mut care = course.rule.care();
            match &care.resting {
                None => {}
                Some(rest) if rest.until > now => self.shared.resting.store(true, Ordering::Release),
                Some(_) => {
                    care.resting = None;
                    drop(care);
                    course.call_all(&self.shared);
                }
            }
        }
    }

    fn report(&self) -> Report {
        let settled = |course: &Course| {
            let settled = course.rule.pending.load(Ordering::Acquire) == 0 && !course.held;
            // What a quarantined rule has left waits in the journal: nothing comes of it now.
            let resting = course.rule.care().resting.as_ref().is_some_and(|rest| rest.quarantine);
            resting || settled && course.current
        };
        let position = |course: &Course| if course.current { self.head } else { course.next };
        Report {
            rules: self.courses.iter().map(|course| (course.rule.name.clone(), position(course))).collect(),
            idle: self.courses.iter().all(settled)
                && self.shared.run.is_quiet()
                && self.head == self.shared.journal.end(),
            next_start: self.next_start(),
        }
    }
}
