//! A rule at work: its lanes, what waits in them, and the threads that run them.
//!
//! A lane belongs to no thread: it is put into one run queue when it has work, and whichever worker is free
//! takes it for one turn. So a rule that uses all of its time holds up nobody else for longer than a turn,
//! and when all workers are held up, the pool grows for a while.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::keys::Key;
use super::lane::{DeadLetter, Halt, Lane};
use super::program::Version;
use super::step::Step;
use crate::checkpoint::Marker;
use crate::event::Instant;
use crate::journal::{ActionId, Body, Entry, Erasure, InputId, InputRef, Position};
use crate::plugin::Release;
use crate::status::RuleCounters;

/// A rule, by its name: its lanes and what all of them share.
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) lanes: Vec<LaneSlot>,
    pub(crate) counters: RuleCounters,
    /// How far the router has given this rule what is its: shared by all rules that keep up.
    horizon: RwLock<Arc<Horizon>>,
    /// Items that were put into lanes and are not done.
    pub(crate) pending: AtomicUsize,
    /// Bytes of events that wait in lanes.
    pub(crate) waiting_bytes: AtomicUsize,
    /// The next position that the router gives it.
    pub(crate) position: AtomicU64,
    /// Whether a lane changed since the last checkpoint.
    pub(crate) dirty: AtomicBool,
    /// Inputs that the journal says were set aside before a restart.
    pub(crate) set_aside: HashMap<InputId, DeadLetter>,
    /// Inputs whose letters the journal says were given again or dropped before a restart.
    pub(crate) closed: HashSet<InputId>,
    /// It does not keep up: the router reads the journal for it alone.
    pub(crate) lagging: AtomicBool,
    /// It is to be switched to another version: no lane begins a batch.
    pub(crate) hold: AtomicBool,
    pub(crate) care: Mutex<Care>,
    /// Actions that the store of checkpoints holds open: most come and go between two checkpoints, and need not be
    /// taken out of it.
    pub(crate) stored_open: Mutex<HashSet<ActionId>>,
}

/// What a rule has been through lately, and whether it rests.
#[derive(Default)]
pub(crate) struct Care {
    /// When inputs were set aside, in the window.
    pub(crate) set_aside: VecDeque<std::time::Instant>,
    /// It is to stop before its next batch.
    pub(crate) halt: Option<Halt>,
    pub(crate) resting: Option<Rest>,
    /// The operator's thresholds.
    pub(crate) release: Release,
    /// How much it may remember. Not part of a version: what holds now decides, or a rule that has stopped would
    /// never come to the version that may remember more.
    pub(crate) quota: Quota,
    /// How often it had to rest, and when last.
    pub(crate) rests: u32,
    pub(crate) rested_at: Option<std::time::Instant>,
    pub(crate) letters: VecDeque<DeadLetter>,
    /// Bytes that are kept so that they can be given again.
    pub(crate) letter_bytes: u64,
    /// Letters since the last checkpoint.
    pub(crate) new_letters: Vec<DeadLetter>,
    /// Letters that were given again or dropped since.
    pub(crate) closed_letters: Vec<InputRef>,
    /// While one is on its way to be given again or dropped: from where on the decision may stand in the journal.
    pub(crate) closing: Vec<Position>,
}

/// How much a rule may remember.
#[derive(Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) keys: usize,
    pub(crate) state_bytes: usize,
}

impl Default for Quota {
    /// Until it is known what the operator wants.
    fn default() -> Self {
        Quota { keys: usize::MAX, state_bytes: usize::MAX }
    }
}

/// A rule is given nothing for a while.
#[derive(Clone)]
pub(crate) struct Rest {
    pub(crate) until: std::time::Instant,
    pub(crate) reason: String,
    /// It failed too often, rather than that something else is not ready.
    pub(crate) quarantine: bool,
}

/// How far a reader of the journal has come.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    instant: AtomicU64,
}

impl Horizon {
    pub(crate) fn at(instant: Instant) -> Arc<Self> {
        Arc::new(Horizon { instant: AtomicU64::new(instant) })
    }

    pub(crate) fn reach(&self, instant: Instant) {
        self.instant.fetch_max(instant, Ordering::AcqRel);
    }

    pub(crate) fn instant(&self) -> Instant {
        self.instant.load(Ordering::Acquire)
    }
}

/// What the router puts into a lane.
pub(crate) enum Item {
    Entry {
        key: Key,
        entry: Arc<Entry>,
        subscription: Option<u32>,
    },
    /// From here on inputs go to this version. All timers due by `before` are the old version's.
    /// None: the rule is unloaded.
    Switch {
        at: Position,
        version: Option<Arc<Version>>,
        before: Instant,
        /// The rule comes back here: timers that came due meanwhile are given here.
        floor: Option<(Position, Instant)>,
    },
    /// The rule was left behind, and goes on at `to`, whose instant is `instant`.
    Skip {
        to: Position,
        instant: Instant,
    },
    /// Forget the keys of a name. All timers due by `before` come first.
    Erase {
        erasure: Arc<Erasure>,
        position: Position,
        before: Instant,
    },
    /// Hand over what changed. All timers due by `before` come first.
    Marker {
        marker: Arc<Marker>,
        before: Instant,
    },
}

/// [`LaneSlot::passed`] while a turn is going on.
pub(crate) const AT_WORK: Position = Position::MAX;

/// A lane with its queue and its place in the run queue.
pub(crate) struct LaneSlot {
    queue: Mutex<VecDeque<Item>>,
    pub(crate) lane: Mutex<Lane>,
    run: RunState,
    /// What the status shows, without waiting for the lane's turn to end.
    pub(crate) keys: AtomicUsize,
    pub(crate) timers: AtomicUsize,
    pub(crate) state_bytes: AtomicUsize,
    /// One past the last position that the lane has given the rule something at; [`AT_WORK`] during a turn.
    /// Set to that under the queue's lock.
    pub(crate) passed: AtomicU64,
}

impl LaneSlot {
    pub(crate) fn new(lane: Lane) -> Self {
        LaneSlot {
            queue: Mutex::default(),
            keys: AtomicUsize::new(lane.keys.len()),
            timers: AtomicUsize::new(lane.keys.timers()),
            state_bytes: AtomicUsize::new(lane.keys.bytes()),
            lane: Mutex::new(lane),
            run: RunState::default(),
            passed: AtomicU64::new(0),
        }
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a lane waits, is queued, or runs; and whether it was called while it ran.
#[derive(Default)]
struct RunState(AtomicU8);

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const CALLED: u8 = 3;

impl RunState {
    /// `true`: the caller is to put it into the run queue.
    fn call(&self) -> bool {
        let next = |state| match state {
            IDLE => Some(QUEUED),
            RUNNING => Some(CALLED),
            _ => None,
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE)
    }

    fn begin(&self) {
        self.0.store(RUNNING, Ordering::Release);
    }

    /// `true`: it has more to do, or was called meanwhile, and is to go into the run queue again.
    fn end(&self, more: bool) -> bool {
        let next = |state| Some(if more || state == CALLED { QUEUED } else { IDLE });
        let before = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        more || before == Ok(CALLED)
    }
}

impl Rule {
    pub(crate) fn new(
        name: String,
        lanes: Vec<Lane>,
        horizon: Arc<Horizon>,
        set_aside: HashMap<InputId, DeadLetter>,
        closed: HashSet<InputId>,
        letters: VecDeque<DeadLetter>,
    ) -> Arc<Self> {
        let letter_bytes = letters.iter().map(|letter| letter.bytes).sum();
        Arc::new(Rule {
            name,
            lanes: lanes.into_iter().map(LaneSlot::new).collect(),
            counters: RuleCounters::default(),
            horizon: RwLock::new(horizon),
            pending: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            position: AtomicU64::new(0),
            dirty: AtomicBool::new(false),
            set_aside,
            closed,
            lagging: AtomicBool::new(false),
            hold: AtomicBool::new(false),
            care: Mutex::new(Care { letters, letter_bytes, ..Care::default() }),
            stored_open: Mutex::default(),
        })
    }

    pub(crate) fn horizon(&self) -> Arc<Horizon> {
        Arc::clone(&self.horizon.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_horizon(&self, horizon: Arc<Horizon>) {
        *self.horizon.write().unwrap_or_else(PoisonError::into_inner) = horizon;
    }

    pub(crate) fn care(&self) -> MutexGuard<'_, Care> {
        self.care.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_resting(&self) -> bool {
        self.care().resting.is_some()
    }

    /// The lane that a key belongs to: stored nowhere, another number of lanes is another spread.
    pub(crate) fn lane_of(key: &str, lanes: usize) -> usize {
        const SPREAD: ahash::RandomState = ahash::RandomState::with_seeds(1, 2, 3, 4);
        let hash = SPREAD.hash_one(key);
        usize::try_from(hash % lanes.max(1) as u64).unwrap_or(0)
    }
}

impl Item {
    /// How much of the bound on waiting bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Item::Entry { entry, .. } => match &entry.body {
                Body::Event(event) => event.size(),
                Body::Outcome(outcome) => 128 + outcome.answer.len(),
                _ => 64,
            },
            _ => 0,
        }
    }

    /// How much of the group that it comes from it keeps in memory: see [`PackedEvent::holds`](crate::PackedEvent).
    pub(crate) fn holds(&self) -> Option<(usize, usize)> {
        match self {
            Item::Entry { entry, .. } => match &entry.body {
                Body::Event(event) => Some(event.holds()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Copies its event out of its group.
    pub(crate) fn let_go_of_the_rest(&mut self) {
        if let Item::Entry { entry, .. } = self
            && let Body::Event(event) = &entry.body
        {
            let Entry { position, epoch, instant, .. } = **entry;
            *entry = Arc::new(Entry { position, epoch, instant, body: Body::Event(event.alone()) });
        }
    }

    pub(crate) fn position(&self) -> Option<Position> {
        match self {
            Item::Entry { entry, .. } => Some(entry.position),
            Item::Erase { position, .. } => Some(*position),
            _ => None,
        }
    }

    pub(crate) fn is_entry(&self) -> bool {
        matches!(self, Item::Entry { .. })
    }

    pub(crate) fn into_step(self) -> Option<Step> {
        match self {
            Item::Entry { key, entry, subscription } => Some(Step::Entry { key, entry, subscription }),
            _ => None,
        }
    }
}

/// The run queue: lanes that have work.
#[derive(Default)]
pub(crate) struct RunQueue {
    state: Mutex<RunQueueState>,
    wake: std::sync::Condvar,
    /// Told when work waits and no worker is free.
    busy: std::sync::Condvar,
    /// Told only at the stop.
    never: std::sync::Condvar,
}

#[derive(Default)]
struct RunQueueState {
    lanes: VecDeque<(Arc<Rule>, usize)>,
    idle: usize,
    running: usize,
    threads: usize,
    /// When a lane was last taken out, or found the queue empty.
    moved: Option<std::time::Instant>,
    stopped: bool,
}

impl RunQueue {
    /// Has a lane run, or run again.
    pub(crate) fn call(&self, rule: &Arc<Rule>, lane: usize) {
        if rule.lanes[lane].run.call() {
            self.push(Arc::clone(rule), lane);
        }
    }

    fn push(&self, rule: Arc<Rule>, lane: usize) {
        let mut state = self.lock();
        if state.lanes.is_empty() {
            state.moved = Some(std::time::Instant::now());
        }
        state.lanes.push_back((rule, lane));
        if state.idle > 0 {
            self.wake.notify_one();
        }
        // A worker that was called counts as idle until it runs: there may be fewer than there is work for.
        if state.lanes.len() > state.idle {
            self.busy.notify_one();
        }
    }

    /// Takes lanes and runs them until the queue is stopped, or, for an extra worker, until there has
    /// been nothing to do for a second. `turn` says whether the lane has more to do.
    pub(crate) fn work(&self, extra: bool, turn: &dyn Fn(&Arc<Rule>, usize) -> bool) {
        loop {
            let (rule, lane) = {
                let mut state = self.lock();
                loop {
                    if state.stopped {
                        state.threads -= 1;
                        return;
                    }
                    if let Some(next) = state.lanes.pop_front() {
                        state.moved = Some(std::time::Instant::now());
                        state.running += 1;
                        break next;
                    }
                    state.idle += 1;
                    let (locked, waited) = self
                        .wake
                        .wait_timeout(state, std::time::Duration::from_secs(if extra { 1 } else { 3600 }))
                        .unwrap_or_else(PoisonError::into_inner);
                    state = locked;
                    state.idle -= 1;
                    if extra && waited.timed_out() && state.lanes.is_empty() {
                        state.threads -= 1;
                        return;
                    }
                }
            };
            let slot = &rule.lanes[lane];
            loop {
                slot.run.begin();
                let more = turn(&rule, lane);
                if !slot.run.end(more) {
                    break;
                }
                let mut state = self.lock();
                if !state.lanes.is_empty() || state.stopped {
                    drop(state);
                    self.push(Arc::clone(&rule), lane);
                    break;
                }
                // Nobody waits: to hand it to another worker would only wake that one, and take the lane's keys to
                // another core.
                state.moved = Some(std::time::Instant::now());
            }
            self.lock().running -= 1;
        }
    }

    /// Whether work has waited for `patience` while no worker was free and fewer than `limit` run. If so
    /// the caller is to start one more, which is counted already.
    pub(crate) fn wants_more(&self, patience: std::time::Duration, limit: usize) -> bool {
        let mut state = self.lock();
        let held_up = !state.lanes.is_empty()
            && state.idle == 0
            && state.moved.is_some_and(|moved| moved.elapsed() >= patience);
        let wanted = held_up && state.threads < limit && !state.stopped;
        if wanted {
            state.threads += 1;
            state.moved = Some(std::time::Instant::now());
        }
        wanted
    }

    /// Sleeps while there is nothing to do, else for `patience`. `false`: stopped.
    pub(crate) fn wait_for_work(&self, patience: std::time::Duration) -> bool {
        let state = self.lock();
        if state.stopped {
            return false;
        }
        let idle = state.lanes.is_empty();
        let wait = if idle { std::time::Duration::from_secs(3600) } else { patience };
        let wake = if idle { &self.busy } else { &self.never };
        let (state, _) = wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }

    /// A worker that was asked for could not be started.
    pub(crate) fn thread_failed(&self) {
        self.lock().threads -= 1;
    }

    pub(crate) fn add_thread(&self) {
        self.lock().threads += 1;
    }

    pub(crate) fn threads(&self) -> usize {
        self.lock().threads
    }

    /// No lane runs or waits to.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.lanes.is_empty() && state.running == 0
    }

    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.lanes.clear();
        self.wake.notify_all();
        self.busy.notify_all();
        self.never.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, RunQueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lanes that wait for an instant, the earliest first: at most one alarm for each.
#[derive(Default)]
pub(crate) struct Alarms(Mutex<AlarmState>);

#[derive(Default)]
struct AlarmState {
    by_due: std::collections::BTreeMap<(Instant, usize, usize), Arc<Rule>>,
    of_lane: HashMap<(usize, usize), Instant>,
}

impl Alarms {
    /// Has a lane called once the timeline reaches `due`. `true`: that is now the earliest of all.
    pub(crate) fn set(&self, due: Instant, rule: &Arc<Rule>, lane: usize) -> bool {
        let place = (Arc::as_ptr(rule).addr(), lane);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = state.of_lane.insert(place, due) {
            state.by_due.remove(&(old, place.0, place.1));
        }
        state.by_due.insert((due, place.0, place.1), Arc::clone(rule));
        state.by_due.first_key_value().is_some_and(|((first, ..), _)| *first == due)
    }

    /// Takes the lanes whose instant has come.
    pub(crate) fn due(&self, now: Instant) -> Vec<(Arc<Rule>, usize)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        while let Some(first) = state.by_due.first_entry() {
            if first.key().0 > now {
                break;
            }
            let ((_, rule, lane), owner) = first.remove_entry();
            state.of_lane.remove(&(rule, lane));
            due.push((owner, lane));
        }
        due
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.by_due.first_key_value().map(|((due, ..), _)| *due)
    }
}
