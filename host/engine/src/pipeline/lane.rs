//! A lane: some of a rule's keys, handled by one thread at a time.
//!
//! [`Lane::run`] gives steps to the rule in batches and applies what comes back. All it needs of the
//! world stands in [`LaneWorld`], so that it is tried without threads, files and WebAssembly.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::effects::{KeyEffects, by_key, check, failures};
use super::keys::{Key, KeyState, Keys};
use super::payload::batch_of;
use super::program::{CallFailure, Callee, FailureKind, Version};
use super::step::{Plan, Planned, Step, What, plan, take_key};
use crate::event::Instant;
use crate::journal::{ActionId, Body, Erasure, Given, InputId, InputRef, MomentId, Position};
use crate::moment::{Moment, MomentAction};
use crate::rule::{Effects, EmittedMoment};

/// What a lane needs of the world around it.
pub(crate) trait LaneWorld {
    fn rule(&self) -> &str;
    /// The first entry stamped at or after an instant.
    fn reached(&self, instant: Instant) -> Option<(Position, Instant)>;
    /// The letter of an input that the journal says was set aside before a restart.
    fn was_set_aside(&self, input: &Planned<'_>) -> Option<DeadLetter>;
    /// Journals that an input is set aside, and returns once that is durable. `Err`: it could not be.
    fn set_aside(&self, letter: DeadLetter) -> Result<(), Halt>;
    /// A dead letter that can be computed again, and needs no decision.
    fn failed(&self, letter: DeadLetter);
    /// Whether the rule is to stop before its next batch: it has had too many inputs set aside, or remembers too much.
    fn halted(&self) -> Option<Halt>;
    /// A moment occurred.
    fn emit(&self, moment: Moment) -> Arc<Moment>;
    /// A call was made: how many inputs, how long it took, whether it failed.
    fn called(&self, inputs: usize, took: std::time::Duration, failure: Option<&CallFailure>);
}

/// An input that has no effect, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct DeadLetter {
    pub(crate) input: InputRef,
    pub(crate) key: String,
    /// Whom the event is about, if it was one.
    pub(crate) subject: Option<String>,
    pub(crate) reason: String,
    pub(crate) backtrace: Vec<String>,
    pub(crate) now: Instant,
    /// About how much is kept so that it can be given again.
    pub(crate) bytes: u64,
}

impl DeadLetter {
    fn of(input: &Planned<'_>, key: &str, reason: &str, backtrace: Vec<String>) -> Self {
        let (subject, bytes) = match &input.what {
            What::Entry { entry, .. } => about(&entry.body),
            What::Timer(_) => (None, 0),
        };
        DeadLetter {
            input: input.reference(),
            key: key.to_owned(),
            subject,
            reason: cut_text(reason, 4096),
            backtrace,
            now: input.now,
            bytes,
        }
    }
}

/// Whom an input is about, and how large it is.
fn about(body: &Body) -> (Option<String>, u64) {
    match body {
        Body::Event(event) => (event.get().subject.map(str::to_owned), event.size() as u64),
        Body::Outcome(outcome) => (None, outcome.answer.len() as u64),
        body => match body.given_again() {
            Some(Given::Event(event)) => (event.get().subject.map(str::to_owned), event.size() as u64),
            Some(Given::Outcome(outcome)) => (None, outcome.answer.len() as u64),
            Some(Given::Timer(_)) | None => (None, 0),
        },
    }
}

/// The rule stops here for a while: its inputs wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Halt {
    pub(crate) reason: String,
    /// The rule failed too often; else something that it needs is not ready.
    pub(crate) quarantine: bool,
}

impl Halt {
    pub(crate) fn quarantine(reason: impl Into<String>) -> Self {
        Halt { reason: reason.into(), quarantine: true }
    }

    pub(crate) fn pause(reason: impl Into<String>) -> Self {
        Halt { reason: reason.into(), quarantine: false }
    }
}

/// How many inputs a batch has at most: 256 gets most of the gain of batching.
pub(crate) const BATCH_INPUTS: usize = 256;

pub(crate) struct Lane {
    pub(crate) keys: Keys,
    pub(crate) version: Option<Arc<Version>>,
    /// Moments with actions since the last checkpoint, if there are checkpoints.
    pub(crate) emitted: Vec<Arc<Moment>>,
    pub(crate) checkpointed: bool,
    /// One past the last position that the rule was given something at.
    pub(crate) passed: Position,
    /// How large a batch may be: less after one took too long.
    pub(crate) batch: usize,
    /// Where the rule came back, or went on after it was left behind: timers that came due meanwhile are given
    /// there, whatever of the journal before is still kept.
    pub(crate) floor: (Position, Instant),
}

/// What came of one attempt.
struct Attempt {
    /// How many steps are done.
    finished: usize,
    /// How many inputs were handled.
    inputs: usize,
    /// Keys whose effects did not count.
    again: Vec<Key>,
    /// The input at fault was found and set aside.
    found: bool,
    /// The batch was cut down to this, since a larger one failed.
    failed_at: Option<usize>,
}

impl Lane {
    /// A lane without keys.
    pub(crate) fn new(version: Option<Arc<Version>>, passed: Position, checkpointed: bool) -> Self {
        Lane {
            keys: Keys::new(checkpointed),
            version,
            emitted: Vec::new(),
            checkpointed,
            passed,
            batch: BATCH_INPUTS,
            floor: (0, 0),
        }
    }

    /// The first entry stamped at or after an instant, as far as the rule is given it.
    fn reached(&self, instant: Instant, world: &dyn LaneWorld) -> Option<(Position, Instant)> {
        if self.floor.1 > instant {
            return Some(self.floor);
        }
        world.reached(instant).map(|found| found.max(self.floor))
    }

    /// Forgets all keys that an erasure names.
    pub(crate) fn erase(&mut self, erasure: &Erasure) {
        let named: Vec<Key> =
            self.keys.iter().filter(|(key, _)| erasure.names(key)).map(|(key, _)| key.clone()).collect();
        for key in named {
            self.keys.set(&key, KeyState::default());
        }
    }

    /// Gives all steps to the rule. `Err`: what is left, in order, with the reason.
    pub(crate) fn run(
        &mut self,
        steps: VecDeque<Step>,
        world: &dyn LaneWorld,
    ) -> Result<(), (VecDeque<Step>, Halt)> {
        let Some(version) = self.version.clone() else {
            self.change_keys(&steps);
            return Ok(());
        };
        #[cfg(feature = "planted-faults")]
        let steps = crate::planted::in_order(steps);
        let mut instance = None;
        // Rows share no keys; the last is next.
        let mut rows = vec![(steps, self.batch)];
        let mut outcome = Ok(());
        while let Some((steps, size)) = rows.pop() {
            if let Err((left, halt)) = self.run_row(steps, size, &version, &mut instance, &mut rows, world) {
                rows.push((left, 0));
                outcome = Err((in_order(rows), halt));
                break;
            }
        }
        if let Some(instance) = instance {
            version.give_back(instance);
        }
        outcome
    }

    fn run_row(
        &mut self,
        mut steps: VecDeque<Step>,
        mut size: usize,
        version: &Version,
        instance: &mut Option<Box<dyn Callee>>,
        rows: &mut Vec<(VecDeque<Step>, usize)>,
        world: &dyn LaneWorld,
    ) -> Result<(), (VecDeque<Step>, Halt)> {
        // While a batch that failed is searched for the input at fault: how many inputs it had left.
        let mut suspects = 0;
        while !steps.is_empty() {
            if let Some(halt) = world.halted() {
                return Err((steps, halt));
            }
            let attempt = match self.attempt(&steps, size, version, instance, world) {
                Ok(attempt) => attempt,
                Err(halt) => return Err((steps, halt)),
            };
            if let Some(failed) = attempt.failed_at {
                suspects = suspects.max(failed);
                size = attempt.inputs.max(1);
            }
            suspects = if attempt.found { 0 } else { suspects.saturating_sub(attempt.inputs) };
            if suspects == 0 {
                size = (size * 2).clamp(1, self.batch);
            }
            #[cfg(feature = "planted-faults")]
            let attempt = Attempt { finished: crate::planted::finished(attempt.finished), ..attempt };
            let done: Vec<Step> = steps.drain(..attempt.finished).collect();
            for key in attempt.again {
                let mut row: VecDeque<Step> =
                    done.iter().filter(|step| *step.key() == key).cloned().collect();
                row.extend(take_key(&mut steps, &key));
                rows.push((row, 1));
            }
        }
        Ok(())
    }

    /// Gives the first few inputs, fewer if that fails.
    fn attempt(
        &mut self,
        steps: &VecDeque<Step>,
        size: usize,
        version: &Version,
        instance: &mut Option<Box<dyn Callee>>,
        world: &dyn LaneWorld,
    ) -> Result<Attempt, Halt> {
        let mut plan = plan(steps, &self.keys, size, &mut |instant| self.reached(instant, world));
        let mut attempt =
            Attempt { finished: 0, inputs: 0, again: Vec::new(), found: false, failed_at: None };
        if let Some(aside) = self.cut_at_special(&mut plan, version, instance, world)? {
            attempt.finished = self.settle_special(&plan, aside, world)?;
            attempt.inputs = 1;
            attempt.found = true;
            return Ok(attempt);
        }
        let mut fresh = false;
        while !plan.inputs.is_empty() {
            if instance.is_none() {
                let started = if fresh { version.fresh() } else { version.take() };
                *instance = Some(started.map_err(cannot_start)?);
            }
            let Some(callee) = instance.as_mut() else { break };
            match self.call(&plan, version, callee.as_mut(), world) {
                Ok((effects, states)) => {
                    attempt.inputs = plan.inputs.len();
                    attempt.again = self.apply(&effects, states, &plan, world);
                    attempt.finished = plan.finished;
                    if attempt.failed_at.is_none() {
                        self.batch = (self.batch + self.batch / 8 + 1).min(BATCH_INPUTS);
                    }
                    return Ok(attempt);
                }
                Err(failure) => {
                    if failure.kind != FailureKind::Refused {
                        *instance = None;
                    }
                    let inputs = plan.inputs.len();
                    if matches!(failure.kind, FailureKind::CpuTime | FailureKind::Host) {
                        self.batch = (inputs / 2).max(1);
                    }
                    if failure.kind == FailureKind::Host {
                        return Err(Halt::pause(failure.reason));
                    }
                    if inputs > 1 {
                        attempt.failed_at = attempt.failed_at.or(Some(inputs));
                        plan.cut(inputs / 2);
                    } else if !fresh {
                        *instance = None;
                        fresh = true;
                    } else {
                        let aside = Special::Aside { reason: failure.reason, backtrace: failure.backtrace };
                        attempt.finished = self.settle_special(&plan, aside, world)?;
                        attempt.inputs = 1;
                        attempt.found = true;
                        return Ok(attempt);
                    }
                }
            }
        }
        attempt.finished = plan.finished;
        Ok(attempt)
    }

    fn call(
        &self,
        plan: &Plan<'_>,
        version: &Version,
        callee: &mut dyn Callee,
        world: &dyn LaneWorld,
    ) -> Result<(Effects, Vec<KeyEffects>), CallFailure> {
        let known: Vec<Option<&KeyState>> = plan.keys.iter().map(|key| self.keys.get(key)).collect();
        let batch = batch_of(plan, &known, version);
        let begun = std::time::Instant::now();
        let checked = callee.handle(&batch).and_then(|mut effects| {
            check(&effects, plan, &version.description, &version.limits)?;
            let states =
                by_key(&mut effects, plan, &self.keys, &known, &version.description, &version.limits)?;
            Ok((effects, states))
        });
        world.called(plan.inputs.len(), begun.elapsed(), checked.as_ref().err());
        checked
    }

    /// Makes checked effects happen. Returns the keys whose effects do not count.
    fn apply(
        &mut self,
        effects: &Effects,
        states: Vec<KeyEffects>,
        plan: &Plan<'_>,
        world: &dyn LaneWorld,
    ) -> Vec<Key> {
        let mut counts = Counts::default();
        for emitted in &effects.moments {
            let Some(input) = plan.inputs.get(emitted.cause as usize) else { continue };
            if matches!(states[input.key as usize], KeyEffects::Again) {
                continue;
            }
            let moment = moment_of(emitted, input, plan.keys[input.key as usize], world.rule(), &mut counts);
            let wanted = !moment.actions.is_empty();
            let moment = world.emit(moment);
            if wanted && self.checkpointed {
                self.emitted.push(moment);
            }
        }
        // A failure is a fold over the inputs, not a decision: nothing is journaled.
        for (input, failure) in failures(effects, plan, &states) {
            let key = &plan.keys[input.key as usize];
            world.failed(DeadLetter::of(input, key, &failure.message, Vec::new()));
        }
        self.pass(plan);
        let mut again = Vec::new();
        for (key, effects) in plan.keys.iter().zip(states) {
            match effects {
                KeyEffects::Unchanged => {}
                KeyEffects::Changed(state) => self.keys.set(key, state),
                KeyEffects::Again => again.push(Key::clone(key)),
            }
        }
        again
    }
}

/// An input that the rule is not called for.
enum Special {
    /// It is set aside, for the first time.
    Aside { reason: String, backtrace: Vec<String> },
    /// It was set aside before a restart: nothing is to be journaled.
    Known(DeadLetter),
    /// An operator changed the key.
    KeyChange,
}

impl Lane {
    /// Cuts the plan before the first input that the rule is not called for; says which, if it is the
    /// first of all. Brings older states of the keys up to date on the way.
    fn cut_at_special(
        &mut self,
        plan: &mut Plan<'_>,
        version: &Version,
        instance: &mut Option<Box<dyn Callee>>,
        world: &dyn LaneWorld,
    ) -> Result<Option<Special>, Halt> {
        let mut stale: Vec<Option<String>> = Vec::with_capacity(plan.keys.len());
        let mut fired: Vec<(Position, u32)> = Vec::with_capacity(plan.keys.len());
        for key in &plan.keys {
            let mut known = self.keys.get(key);
            let migrated = match known {
                Some(state) if state.state_version != version.description.state_version => {
                    let migrated = self.migrate(key, version, instance, world)?;
                    known = self.keys.get(key);
                    migrated
                }
                _ => None,
            };
            stale.push(migrated);
            fired.push(known.map_or((0, 0), |state| state.fired));
        }
        let limit = version.limits.timer_inputs_per_entry;
        for (index, input) in plan.inputs.iter().enumerate() {
            let special = if let Some(letter) = world.was_set_aside(input) {
                Some(Special::Known(letter))
            } else if let Some(reason) = stale[input.key as usize].take() {
                Some(Special::Aside { reason, backtrace: Vec::new() })
            } else {
                special_of(input, &mut fired[input.key as usize], limit)
            };
            if let Some(special) = special {
                if index == 0 {
                    plan.cut(1);
                    return Ok(Some(special));
                }
                plan.cut(index);
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Does what stands instead of a call for the plan's only input. Returns how many steps that finishes.
    fn settle_special(
        &mut self,
        plan: &Plan<'_>,
        special: Special,
        world: &dyn LaneWorld,
    ) -> Result<usize, Halt> {
        let Some(input) = plan.inputs.first() else { return Ok(plan.finished) };
        let key = &plan.keys[input.key as usize];
        let mut state = self.keys.get(key).cloned().unwrap_or_default();
        match special {
            Special::Aside { reason, backtrace } => {
                world.set_aside(DeadLetter::of(input, key, &reason, backtrace))?;
            }
            Special::Known(letter) => {
                let found = DeadLetter::of(input, key, &letter.reason, letter.backtrace);
                world.failed(DeadLetter { now: letter.now, ..found });
            }
            Special::KeyChange => {
                if let What::Entry { entry, .. } = &input.what
                    && let Body::KeyChange(change) = &entry.body
                {
                    state = KeyState::of_image(change.to.as_ref(), input.id(), input.position, input.now);
                }
            }
        }
        match &input.what {
            What::Timer(timer) => state.change_timer(&timer.name, None),
            What::Entry { .. } => state.fired = (0, 0),
        }
        self.keys.set(key, state);
        self.pass(plan);
        Ok(plan.finished)
    }

    /// What operators change while the rule is unloaded.
    fn change_keys(&mut self, steps: &VecDeque<Step>) {
        for step in steps {
            if let Step::Entry { key, entry, .. } = step
                && let Body::KeyChange(change) = &entry.body
            {
                let id = InputId::of_entry(entry.epoch, entry.position, None);
                let state = KeyState::of_image(change.to.as_ref(), id, entry.position, entry.instant);
                self.keys.set(key, state);
            }
        }
    }

    fn pass(&mut self, plan: &Plan<'_>) {
        let last = plan.inputs.iter().map(|input| input.position + 1).max();
        self.passed = self.passed.max(last.unwrap_or(0));
    }

    /// Brings a key's state to the version's format. `Some`: why it can't be.
    fn migrate(
        &mut self,
        key: &Key,
        version: &Version,
        instance: &mut Option<Box<dyn Callee>>,
        world: &dyn LaneWorld,
    ) -> Result<Option<String>, Halt> {
        let Some(state) = self.keys.get(key) else { return Ok(None) };
        let from = state.state_version;
        if from == version.description.state_version {
            return Ok(None);
        }
        let Some(bytes) = state.state.clone() else { return Ok(None) };
        if !version.has_migration || from > version.description.state_version {
            return Ok(Some(format!(
                "the key's state has format {from}, which version {} of the rule cannot read",
                version.description.version
            )));
        }
        if instance.is_none() {
            *instance = Some(version.take().map_err(cannot_start)?);
        }
        let Some(callee) = instance.as_mut() else { return Ok(None) };
        let begun = std::time::Instant::now();
        let migrated = callee.migrate(from, key, &bytes);
        world.called(0, begun.elapsed(), migrated.as_ref().err());
        match migrated {
            Ok(migrated) => {
                let mut state = state.clone();
                state.state = migrated.as_deref().map(Into::into);
                state.state_version = version.description.state_version;
                self.keys.set(key, state);
                Ok(None)
            }
            Err(failure) => {
                if failure.kind != FailureKind::Refused {
                    *instance = None;
                }
                if failure.kind == FailureKind::Host {
                    return Err(Halt::pause(failure.reason));
                }
                Ok(Some(format!(
                    "the key's state could not be brought from format {from}: {}",
                    failure.reason
                )))
            }
        }
    }
}

fn special_of(input: &Planned<'_>, fired: &mut (Position, u32), limit: u32) -> Option<Special> {
    match &input.what {
        What::Entry { entry, .. } => {
            *fired = (0, 0);
            matches!(entry.body, Body::KeyChange(_)).then_some(Special::KeyChange)
        }
        What::Timer(timer) => {
            *fired = if fired.0 == input.position { (fired.0, fired.1 + 1) } else { (input.position, 1) };
            (fired.1 > limit).then(|| Special::Aside {
                reason: format!(
                    "the timer `{}` is past the limit `timer_inputs_per_entry` of {limit}: the rule sets \
                     timers faster than the timeline moves",
                    timer.name
                ),
                backtrace: Vec::new(),
            })
        }
    }
}

fn cannot_start(failure: CallFailure) -> Halt {
    Halt::quarantine(format!("no instance could be started: {}", failure.reason))
}

/// Steps of rows that share no keys, as they stood in the lane's queue. Timers are found again.
fn in_order(rows: Vec<(VecDeque<Step>, usize)>) -> VecDeque<Step> {
    let mut left: Vec<(Position, u32, Step)> = Vec::new();
    for step in rows.into_iter().flat_map(|(steps, _)| steps) {
        if let Step::Entry { entry, subscription, .. } = &step {
            left.push((entry.position, subscription.unwrap_or(0), step));
        }
    }
    left.sort_by_key(|(position, subscription, _)| (*position, *subscription));
    left.into_iter().map(|(_, _, step)| step).collect()
}

/// How many equal ones of one input there were: of moments by their kind, of actions by that and their name.
#[derive(Default)]
struct Counts<'a> {
    moments: HashMap<(u32, &'a str), u32>,
    actions: HashMap<(u32, &'a str, &'a str), u32>,
}

fn moment_of<'a>(
    emitted: &'a EmittedMoment,
    input: &Planned<'_>,
    key: &str,
    rule: &str,
    counts: &mut Counts<'a>,
) -> Moment {
    let mut actions = Vec::with_capacity(emitted.actions.len());
    for action in &emitted.actions {
        let equal = (emitted.cause, emitted.kind.as_str(), action.name.as_str());
        let count = counts.actions.entry(equal).and_modify(|count| *count += 1).or_insert(0);
        actions.push(MomentAction {
            id: ActionId::new(rule, key, input.id(), &emitted.kind, &action.name, *count),
            name: action.name.clone(),
            reference: action.reference.clone(),
            data: action.data.clone(),
            copy: None,
        });
    }
    let count = counts.moments.entry((emitted.cause, emitted.kind.as_str()));
    let count = count.and_modify(|count| *count += 1).or_insert(0);
    Moment {
        id: MomentId::new(rule, key, input.id(), &emitted.kind, *count),
        rule: rule.to_owned(),
        key: key.to_owned(),
        kind: emitted.kind.clone(),
        why: cut_text(&emitted.why, 1024),
        subject: emitted.subject.clone(),
        data: emitted.data.clone(),
        time: input.time,
        now: input.now,
        expires: emitted.expires,
        position: input.position,
        hops: hops_of(input),
        order: 0,
        actions,
    }
}

/// How often what caused an input came back into the host.
fn hops_of(input: &Planned<'_>) -> u32 {
    match &input.what {
        What::Entry { entry, .. } => {
            let hops = entry.body.event().and_then(|event| event.get().extension("carpehop")?.parse().ok());
            hops.unwrap_or(0)
        }
        What::Timer(_) => 0,
    }
}

/// At most `bytes` of a text, cut between characters.
pub(crate) fn cut_text(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &text[..end])
}
