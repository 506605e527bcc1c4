//! One rule's fold over the journal.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{ReplayError, ReplayedRule, Source};
use crate::checkpoint::Checkpoint;
use crate::event::Instant;
use crate::host::KeyInfo;
use crate::journal::{Body, Entry, Erasure, InputId, Journal, Position, VersionRecord};
use crate::moment::Moment;
use crate::pipeline::index::SubscriptionIndex;
use crate::pipeline::key::{Routed, own_key, rule_of};
use crate::pipeline::keys::{Key, KeyState};
use crate::pipeline::lane::{DeadLetter, Halt, Lane, LaneWorld};
use crate::pipeline::program::{CallFailure, Version};
use crate::pipeline::runtime::Rule;
use crate::pipeline::step::{Planned, Step};
use crate::plugin::load::recover_version;
use crate::recovery::{RuleDecisions, Turn};

/// How much of the journal is read at a time.
const READ_BYTES: usize = 1 << 20;

/// Keys whose timers are fired at once.
const TIMER_KEYS: usize = 256;

/// Time limits are so many times what they were: an input that took too long was set aside by a decision, and any
/// other did not.
const PATIENCE: u64 = 20;

pub(crate) struct Fold<'a> {
    source: &'a Source<'a>,
    world: World<'a>,
    lanes: Vec<Lane>,
    version: Option<Arc<Version>>,
    versions: HashMap<VersionRecord, Arc<Version>>,
    components: Vec<String>,
    index: SubscriptionIndex,
    plan: VecDeque<(Position, Turn<VersionRecord>)>,
    /// The next entry, and the instant of the one before it.
    pub(crate) next: Position,
    before: Instant,
    /// It never had a version.
    new: bool,
    pub(crate) erased: u64,
    moments: u64,
}

impl<'a> Fold<'a> {
    pub(super) fn begin(
        source: &'a Source<'a>,
        rule: &str,
        checkpoint: Checkpoint,
        decided: RuleDecisions,
    ) -> Result<Self, ReplayError> {
        let first = decided.turns.first().map_or(source.journal.end(), |(at, _)| *at);
        let new = checkpoint.record.is_none();
        let (next, record) = match checkpoint.record {
            Some(record) => (record.position, record.version),
            None => (first, None),
        };
        let mut letters = checkpoint.letters;
        letters.retain(|letter| letter.input.position < next);
        let mut fold = Fold {
            source,
            world: World {
                rule: rule.to_owned(),
                journal: &*source.journal,
                set_aside: decided.set_aside,
                closed: decided.closed,
                found: Mutex::new(Found { letters, ..Found::default() }),
            },
            lanes: (0..source.options.threads.max(1)).map(|_| Lane::new(None, next, false)).collect(),
            version: None,
            versions: HashMap::new(),
            components: Vec::new(),
            index: SubscriptionIndex::default(),
            plan: decided.turns.into_iter().filter(|(at, _)| *at >= next).collect(),
            next,
            before: instant_before(&*source.journal, next)?,
            new,
            erased: 0,
            moments: 0,
        };
        if let Some(record) = record {
            fold.turn_to(Some(record), None)?;
        }
        for (key, state) in checkpoint.keys {
            let lane = Rule::lane_of(&key, fold.lanes.len());
            fold.lanes[lane].keys.load(&key, state);
        }
        Ok(fold)
    }

    /// Goes on until `until` is the next entry, or further if the rule was left behind there.
    pub(crate) fn run_to(
        &mut self,
        until: Position,
        on_moment: &mut dyn FnMut(&Moment),
    ) -> Result<(), ReplayError> {
        while self.next < until {
            self.apply_plan()?;
            let stop = self.plan.front().map_or(until, |(at, _)| until.min(*at));
            if self.next >= stop {
                break;
            }
            let mut steps: Vec<VecDeque<Step>> = vec![VecDeque::new(); self.lanes.len()];
            for entry in self.source.journal.read(self.next, READ_BYTES)? {
                if entry.position >= stop {
                    break;
                }
                if let Body::ErasureAsked(erasure) = &entry.body
                    && erasure.rule.as_ref().is_none_or(|rule| *rule == self.world.rule)
                {
                    self.before = entry.instant;
                    self.give(&mut steps)?;
                    self.lanes.iter_mut().for_each(|lane| lane.erase(erasure));
                }
                self.put(&entry, &mut steps);
                self.next = entry.position + 1;
                self.before = entry.instant;
            }
            self.give(&mut steps)?;
            self.tell(on_moment);
        }
        self.give(&mut vec![VecDeque::new(); self.lanes.len()])?;
        self.tell(on_moment);
        Ok(())
    }

    fn put(&mut self, entry: &Arc<Entry>, steps: &mut [VecDeque<Step>]) {
        let mut add = |key: Key, subscription| {
            let lane = Rule::lane_of(&key, steps.len());
            steps[lane].push_back(Step::Entry { key, entry: Arc::clone(entry), subscription });
        };
        let version = self.version.as_deref();
        match &entry.body {
            Body::Event(event) => {
                let mut found = Vec::new();
                let event = event.fields();
                self.index.matches(event.kind(), &mut found);
                for (_, subscription) in found {
                    let routed = version.map(|version| version.route(&event, subscription));
                    if let Some(Routed::To(key)) = routed {
                        add(key, Some(subscription));
                    }
                }
            }
            Body::Erased => self.erased += 1,
            body if rule_of(body) == Some(&self.world.rule) => {
                if let Some((key, subscription)) = own_key(body, version) {
                    add(key, subscription);
                }
            }
            _ => {}
        }
    }

    /// Gives the lanes what is theirs, and then fires what is due.
    fn give(&mut self, steps: &mut [VecDeque<Step>]) -> Result<(), ReplayError> {
        let (world, until) = (&self.world, self.before);
        let work = self.lanes.iter_mut().zip(steps.iter_mut().map(std::mem::take));
        let halted: Option<Halt> = std::thread::scope(|scope| {
            let running: Vec<_> =
                work.map(|(lane, steps)| scope.spawn(move || run_lane(lane, steps, until, world))).collect();
            let ended = running.into_iter().map(|lane| {
                lane.join().unwrap_or_else(|_| Err(Halt::pause("a thread of the host broke down")))
            });
            ended.filter_map(Result::err).last()
        });
        match halted {
            Some(halt) => Err(ReplayError::Rule {
                rule: self.world.rule.clone(),
                position: self.next,
                reason: halt.reason,
            }),
            None => Ok(()),
        }
    }

    fn tell(&mut self, on_moment: &mut dyn FnMut(&Moment)) {
        let mut moments = std::mem::take(&mut self.world.found().moments);
        self.moments += moments.len() as u64;
        // Those of one key lie in one lane, in order.
        moments.sort_by_key(|moment| moment.position);
        moments.iter().for_each(|moment| on_moment(moment));
    }

    fn apply_plan(&mut self) -> Result<(), ReplayError> {
        while self.plan.front().is_some_and(|(at, _)| *at <= self.next) {
            match self.plan.pop_front() {
                Some((at, Turn::Version(record))) => {
                    let back = self.version.is_none() && record.is_some() && !self.new;
                    let floor = if back { Some((at, instant_of(&*self.source.journal, at)?)) } else { None };
                    self.new = false;
                    self.turn_to(record, floor)?;
                }
                Some((_, Turn::Skip(to))) if to > self.next => self.skip_to(to)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn turn_to(
        &mut self,
        record: Option<VersionRecord>,
        floor: Option<(Position, Instant)>,
    ) -> Result<(), ReplayError> {
        self.index = SubscriptionIndex::default();
        self.version = match record {
            None => None,
            Some(record) => {
                self.components.push(blake3::Hash::from_bytes(record.component).to_string());
                let version = match self.versions.get(&record) {
                    Some(version) => Arc::clone(version),
                    None => {
                        let Source { sandbox, folder, budget, .. } = self.source;
                        let rule = &self.world.rule;
                        recover_version(sandbox, &folder.components, rule, &record, PATIENCE, budget)
                            .map_err(ReplayError::Component)?
                    }
                };
                self.versions.insert(record, Arc::clone(&version));
                self.index.insert(0, &version.description.subscriptions);
                Some(version)
            }
        };
        for lane in &mut self.lanes {
            lane.version.clone_from(&self.version);
            lane.floor = lane.floor.max(floor.unwrap_or_default());
        }
        Ok(())
    }

    fn skip_to(&mut self, to: Position) -> Result<(), ReplayError> {
        let mut kept = Vec::new();
        self.source.journal.visit_decisions(self.next, &mut |entry| {
            if entry.position < to {
                kept.push(entry);
            }
            Ok(())
        })?;
        let mut steps: Vec<VecDeque<Step>> = vec![VecDeque::new(); self.lanes.len()];
        for entry in kept {
            match &entry.body {
                Body::KeyChange(_) => self.put(&entry, &mut steps),
                Body::ErasureAsked(erasure)
                    if erasure.rule.as_ref().is_none_or(|rule| *rule == self.world.rule) =>
                {
                    self.before = entry.instant;
                    self.give(&mut steps)?;
                    self.lanes.iter_mut().for_each(|lane| lane.erase(erasure));
                }
                _ => {}
            }
        }
        self.give(&mut steps)?;
        let instant = instant_of(&*self.source.journal, to)?;
        self.next = to;
        self.before = instant_before(&*self.source.journal, to)?;
        self.lanes.iter_mut().for_each(|lane| lane.floor = lane.floor.max((to, instant)));
        Ok(())
    }

    /// All keys, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&Key, &KeyState)> {
        self.lanes.iter().flat_map(|lane| lane.keys.iter())
    }

    pub(crate) fn rule(&self) -> &str {
        &self.world.rule
    }

    /// The version that decides from the next entry on.
    pub(crate) fn version(&self) -> Option<&VersionRecord> {
        self.version.as_ref().map(|version| &version.record)
    }

    /// Dead letters that nobody gave again, dropped or had erased.
    pub(crate) fn letters(&self) -> Vec<DeadLetter> {
        let found = self.world.found();
        let open = |letter: &&DeadLetter| {
            let erased = |(asked, erasure): &(Position, Erasure)| {
                letter.input.position < *asked
                    && erasure.rule.as_ref().is_none_or(|rule| *rule == self.world.rule)
                    && (erasure.names(&letter.key)
                        || letter.subject.as_deref().is_some_and(|name| erasure.names(name)))
            };
            !self.world.closed.contains(&letter.input.id) && !self.source.erasures.iter().any(erased)
        };
        found.letters.iter().filter(open).cloned().collect()
    }

    pub(super) fn is_closed(&self, id: &InputId) -> bool {
        self.world.closed.contains(id)
    }

    pub(super) fn report(&self) -> ReplayedRule {
        let mut keys: Vec<KeyInfo> = self.keys().map(|(key, state)| KeyInfo::of(key, state)).collect();
        keys.sort_by(|one, other| one.key.cmp(&other.key));
        let place = |letter: &DeadLetter| (letter.input.position, letter.reason.clone());
        let mut dead_letters: Vec<_> = self.letters().iter().map(place).collect();
        dead_letters.sort();
        let found = self.world.found();
        ReplayedRule {
            rule: self.world.rule.clone(),
            components: self.components.clone(),
            inputs: found.inputs,
            moments: self.moments,
            keys,
            dead_letters,
            undecided: found.undecided.iter().map(place).collect(),
        }
    }
}

fn run_lane(lane: &mut Lane, steps: VecDeque<Step>, until: Instant, world: &World<'_>) -> Result<(), Halt> {
    if !steps.is_empty() {
        lane.run(steps, world).map_err(|(_, halt)| halt)?;
    }
    while lane.version.is_some() {
        let due = lane.keys.due_keys(until, TIMER_KEYS);
        if due.is_empty() {
            break;
        }
        let steps = due.into_iter().map(|key| Step::Timers { key, until }).collect();
        lane.run(steps, world).map_err(|(_, halt)| halt)?;
    }
    Ok(())
}

fn instant_of(journal: &dyn Journal, position: Position) -> Result<Instant, ReplayError> {
    Ok(journal.read(position, 1)?.first().map_or(0, |entry| entry.instant))
}

fn instant_before(journal: &dyn Journal, position: Position) -> Result<Instant, ReplayError> {
    // The entry before the first that is kept is gone: nothing was due then that the base does not say.
    match position.checked_sub(1) {
        Some(before) if before >= journal.start() => instant_of(journal, before),
        _ => Ok(0),
    }
}

/// The world around the lanes of a fold: the journal, and what was decided.
struct World<'a> {
    rule: String,
    journal: &'a dyn Journal,
    set_aside: HashMap<InputId, DeadLetter>,
    closed: HashSet<InputId>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    letters: Vec<DeadLetter>,
    undecided: Vec<DeadLetter>,
    moments: Vec<Arc<Moment>>,
    inputs: u64,
}

impl World<'_> {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LaneWorld for World<'_> {
    fn rule(&self) -> &str {
        &self.rule
    }

    fn reached(&self, instant: Instant) -> Option<(Position, Instant)> {
        self.journal.at_or_after(instant).ok().flatten()
    }

    fn was_set_aside(&self, input: &Planned<'_>) -> Option<DeadLetter> {
        self.set_aside.get(&input.id()).cloned()
    }

    fn set_aside(&self, letter: DeadLetter) -> Result<(), Halt> {
        let mut found = self.found();
        found.undecided.push(letter.clone());
        found.letters.push(letter);
        Ok(())
    }

    fn failed(&self, letter: DeadLetter) {
        self.found().letters.push(letter);
    }

    fn halted(&self) -> Option<Halt> {
        None
    }

    fn emit(&self, moment: Moment) -> Arc<Moment> {
        let moment = Arc::new(moment);
        self.found().moments.push(Arc::clone(&moment));
        moment
    }

    fn called(&self, inputs: usize, _: Duration, failure: Option<&CallFailure>) {
        if failure.is_none() {
            self.found().inputs += inputs as u64;
        }
    }
}
