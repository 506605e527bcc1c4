//! Steps in order, and what was done is undone when one fails.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Version, milliseconds};
use crate::{Error, Instant, Outcome, Output, Result, Status};

/// How many steps a plan may have.
const MAX_STEPS: usize = 16;
/// How often undoing a step may be tried, at most.
const MAX_TRIES: u8 = 50;

/// Steps that are taken one after the other, each an action whose outcome is awaited. When one is not taken,
/// or nobody answers in time, what was done before is undone, the last first, by actions that are awaited
/// too, and tried again until they are taken or given up.
///
/// It emits nothing itself: it says what is to be asked for ([`Command`]), and when its timer is due.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::Status;
/// # use carpe_sdk::patterns::{Command, Ended, Plan, Saga, Step};
/// # fn main() -> carpe_sdk::Result<()> {
/// const PLAN: Plan<'_> = Plan {
///     steps: &[Step::new("pay", Duration::from_secs(30)), Step::new("ship", Duration::from_secs(60))],
///     grace: Duration::from_secs(5),
///     undo_within: Duration::from_secs(60),
///     undo_tries: 5,
///     undo_pause: Duration::from_secs(10),
/// };
/// let mut order = Saga::default();
/// let asked = order.start(1, &PLAN, 0)?;
/// assert_eq!(asked, [Command::Do { step: 0, reference: "1/pay/0".to_owned(), until: 30_000 }]);
/// let asked = order.answered("1/pay/0", Status::Delivered, &PLAN, 2_000)?;
/// assert_eq!(asked, [Command::Do { step: 1, reference: "1/ship/0".to_owned(), until: 62_000 }]);
/// let asked = order.answered("1/ship/0", Status::Rejected, &PLAN, 3_000)?;
/// assert_eq!(asked, [Command::Undo { step: 0, reference: "1/pay/1".to_owned(), until: 63_000 }]);
/// assert_eq!(order.answered("1/pay/1", Status::Delivered, &PLAN, 4_000)?, [Command::Ended(Ended::Undone)]);
/// # Ok(())
/// # }
/// ```
///
/// # What holds
/// - **A step is asked for once.** To try its delivery again is the host's business.
/// - **A step whose fate is not known is undone** like one that was taken: where its outcome is
///   [`Status::Failed`], or has not come by its time. So undoing must be harmless where nothing was done, and
///   where it was undone already. And it must last: a try of the step that the host has given up may still be
///   on its way, and arrive after it. Then it is to be declined.
/// - **A late outcome counts.** One that says that a step was taken, or may have been, after it was given up:
///   it is undone then, again if need be, for the first undoing may have come before it; even after the end.
///   One that says it was not taken: there is nothing to undo any more.
/// - **Repeated** outcomes, those of another run, and of tries that are over change nothing.
/// - **It ends**: a step is undone in at most `undo_tries` tries, and as many once more after a late outcome;
///   each takes at most `undo_within` and `grace`, and a pause, which doubles up to 64 times `undo_pause`.
///   What could not be undone is said in [`Command::GaveUp`] and [`Ended::Stuck`].
/// - **References are unique** within the key: `RUN/STEP/TRY`, where `0` is the step itself.
///
/// An outcome of each action is certain to come, the host says; as long as one is missing
/// ([`Saga::is_awaiting`]), the state must be kept, even after the end.
///
/// Time in proportion to the steps, of which there are at most 16; at most [`Saga::MAX_BYTES`]. A version of
/// a rule that changes the steps of its plan, other than by more of them at the end, must migrate its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saga {
    #[serde(rename = "v")]
    version: Version<1>,
    run: u64,
    phase: Phase,
    /// When the phase is over, if nothing comes.
    due: Option<Instant>,
    steps: Vec<Progress>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    #[default]
    Idle,
    /// This step was asked for.
    Doing(usize),
    /// Undoing this step was asked for.
    Undoing(usize),
    /// Before undoing this step is tried again.
    Pausing(usize),
    Completed,
    /// All that was to be undone is, or was given up.
    Undone,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    fate: Fate,
    /// Its outcome has come.
    answered: bool,
    /// How many times undoing it was asked for.
    tries: u8,
    /// How many of these are void: they may have come before the step itself.
    void: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    #[default]
    Open,
    Taken,
    /// It may have been taken.
    Unknown,
    NotTaken,
    Undone,
    /// Undoing it was given up.
    GaveUp,
}

/// What a [`Saga`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan<'p> {
    /// In order: 1 to 16.
    pub steps: &'p [Step<'p>],
    /// How long after an action has expired its outcome is waited for. What comes later counts too, but the
    /// step has been given up by then.
    pub grace: Duration,
    /// How long an action that undoes may be taken.
    pub undo_within: Duration,
    /// How many times undoing is tried: 1 to 50.
    pub undo_tries: u8,
    /// How long it is paused before undoing is tried again; it doubles each time.
    pub undo_pause: Duration,
}

/// A step of a [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'p> {
    /// Its name, in references: not empty, without `/`, at most 64 bytes.
    pub name: &'p str,
    /// How long its action may be taken.
    pub within: Duration,
    /// Whether there is something to undo.
    pub can_undo: bool,
    /// Whether what was done before is undone if this fails; else it goes on without.
    pub is_required: bool,
}

/// What is to be done for a [`Saga`]. `until` is when the action's moment expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask for a step, with its outcome.
    Do {
        /// Which, from 0.
        step: usize,
        /// The action's reference.
        reference: String,
        /// When it expires.
        until: Instant,
    },
    /// Ask for a step to be undone, with its outcome.
    Undo {
        /// Which, from 0.
        step: usize,
        /// The action's reference.
        reference: String,
        /// When it expires.
        until: Instant,
    },
    /// Undoing this step was given up: somebody has to see to it.
    GaveUp {
        /// Which, from 0.
        step: usize,
    },
    /// It has come to an end. Said again when a late outcome has changed something, and it has come to an end
    /// again.
    Ended(Ended),
}

/// How a [`Saga`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All required steps were taken.
    Completed,
    /// What was done is undone.
    Undone,
    /// As [`Ended::Undone`], but for what was given up.
    Stuck,
}

impl<'p> Step<'p> {
    /// A step that is required and can be undone.
    pub const fn new(name: &'p str, within: Duration) -> Self {
        Step { name, within, can_undo: true, is_required: true }
    }

    /// There is nothing to undo of it.
    #[must_use]
    pub const fn without_undo(self) -> Self {
        Step { can_undo: false, ..self }
    }

    /// If it fails, it goes on without.
    #[must_use]
    pub const fn optional(self) -> Self {
        Step { is_required: false, ..self }
    }
}

impl Plan<'_> {
    /// Whether it can be followed: for [`Rule::check`](crate::Rule::check).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<()> {
        if !(1..=MAX_STEPS).contains(&self.steps.len()) {
            return Err(Error::new(format!(
                "a plan has 1 to {MAX_STEPS} steps, and this one {}",
                self.steps.len()
            )));
        }
        if !(1..=MAX_TRIES).contains(&self.undo_tries) {
            return Err(Error::new(format!(
                "undoing is tried 1 to {MAX_TRIES} times, not {}",
                self.undo_tries
            )));
        }
        for (at, Step { name, .. }) in self.steps.iter().enumerate() {
            if name.is_empty() || name.contains('/') || name.len() > 64 {
                return Err(Error::new(format!("`{name}` names no step: 1 to 64 bytes, without `/`")));
            }
            if self.steps.iter().skip(at + 1).any(|other| other.name == *name) {
                return Err(Error::new(format!("two steps are called `{name}`")));
            }
        }
        Ok(())
    }
}

impl Saga {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 112 + 72 * MAX_STEPS;

    /// Starts a run: its number must be above that of each earlier run of this key.
    ///
    /// # Errors
    /// One is under way, or an outcome of the last is missing; or the plan cannot be followed.
    pub fn start(&mut self, run: u64, plan: &Plan<'_>, now: Instant) -> Result<Vec<Command>> {
        plan.check()?;
        if self.is_under_way() || self.is_awaiting() {
            return Err(Error::new(format!("run {} is not over yet: run {run} cannot start", self.run)));
        }
        let steps = vec![Progress::default(); plan.steps.len()];
        *self = Saga { run, steps, ..Saga::default() };
        self.change(plan, now, |change| change.do_step(0))
    }

    /// It is known what became of an action. An outcome of something else changes nothing.
    ///
    /// # Errors
    /// The run has more steps than the plan.
    pub fn answered(
        &mut self,
        reference: &str,
        status: Status,
        plan: &Plan<'_>,
        now: Instant,
    ) -> Result<Vec<Command>> {
        let Some((step, try_number)) = self.find(reference, plan) else { return Ok(Vec::new()) };
        self.change(plan, now, |change| match try_number {
            0 => change.step_answered(step, status),
            _ => change.undoing_answered(step, try_number, status == Status::Delivered),
        })
    }

    /// [`Saga::answered`], as a rule is told.
    ///
    /// # Errors
    /// As there.
    pub fn on_outcome(&mut self, outcome: &Outcome, plan: &Plan<'_>) -> Result<Vec<Command>> {
        self.answered(outcome.reference(), outcome.status(), plan, outcome.now())
    }

    /// The timer came due; one that comes early changes nothing.
    ///
    /// # Errors
    /// The run has more steps than the plan.
    pub fn on_time(&mut self, plan: &Plan<'_>, now: Instant) -> Result<Vec<Command>> {
        if self.due.is_none_or(|due| now < due) {
            return Ok(Vec::new());
        }
        self.change(plan, now, |change| match change.saga.phase {
            Phase::Doing(step) => change.give_up_step(step, Fate::Unknown),
            Phase::Undoing(step) => change.undo_again(step),
            Phase::Pausing(step) => change.undo(step),
            Phase::Idle | Phase::Completed | Phase::Undone => {}
        })
    }

    /// Takes it back: what was done is undone, also if it is complete; a step that was asked for is given up.
    /// Changes nothing where it is being undone anyway.
    ///
    /// # Errors
    /// The run has more steps than the plan.
    pub fn take_back(&mut self, plan: &Plan<'_>, now: Instant) -> Result<Vec<Command>> {
        self.change(plan, now, |change| {
            if matches!(change.saga.phase, Phase::Doing(_) | Phase::Completed) {
                change.undo_next();
            }
        })
    }

    /// Sets the timer of this name to when it is due, or cancels it: after each call.
    pub fn set_timer(&self, name: &str, out: &mut Output) {
        match self.due {
            Some(due) => out.timer(name).at(due),
            None => out.timer(name).cancel(),
        }
    }

    /// When [`Saga::on_time`] is to be called.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it was started and has not come to an end.
    pub fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::Doing(_) | Phase::Undoing(_) | Phase::Pausing(_))
    }

    /// The step that was asked for, while steps are being taken.
    pub fn current(&self) -> Option<usize> {
        match self.phase {
            Phase::Doing(step) => Some(step),
            _ => None,
        }
    }

    /// Whether the outcome of a step that was asked for has not come yet.
    pub fn is_awaiting(&self) -> bool {
        self.steps.iter().any(|step| step.fate != Fate::Open && !step.answered)
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        match self.phase {
            Phase::Completed => Some(Ended::Completed),
            Phase::Undone if self.steps.iter().any(|step| step.fate == Fate::GaveUp) => Some(Ended::Stuck),
            Phase::Undone => Some(Ended::Undone),
            Phase::Idle | Phase::Doing(_) | Phase::Undoing(_) | Phase::Pausing(_) => None,
        }
    }

    /// Whether this step was taken, and was not undone, as far as is known.
    pub fn is_taken(&self, step: usize) -> bool {
        self.steps.get(step).is_some_and(|step| step.fate == Fate::Taken)
    }

    /// The step and try of a reference that this run has given.
    fn find(&self, reference: &str, plan: &Plan<'_>) -> Option<(usize, u8)> {
        let mut parts = reference.split('/');
        let (run, name, number) = (parts.next()?, parts.next()?, parts.next()?);
        let step = plan.steps.iter().position(|step| step.name == name)?;
        let progress = self.steps.get(step)?;
        let number: u8 = number.parse().ok()?;
        let is_ours = run.parse() == Ok(self.run) && progress.fate != Fate::Open && number <= progress.tries;
        (is_ours && parts.next().is_none()).then_some((step, number))
    }

    fn change(
        &mut self,
        plan: &Plan<'_>,
        now: Instant,
        make: impl FnOnce(&mut Change<'_, '_>),
    ) -> Result<Vec<Command>> {
        if plan.steps.len() < self.steps.len() {
            return Err(Error::new(format!(
                "run {} has {} steps, and the plan {}: a version with fewer must migrate the state",
                self.run,
                self.steps.len(),
                plan.steps.len()
            )));
        }
        let mut change = Change { saga: self, plan, now, commands: Vec::new() };
        make(&mut change);
        Ok(change.commands)
    }
}

/// A change in the making.
struct Change<'s, 'p> {
    saga: &'s mut Saga,
    plan: &'s Plan<'p>,
    now: Instant,
    commands: Vec<Command>,
}

impl Change<'_, '_> {
    /// Asks for a step, or completes the run after the last.
    fn do_step(&mut self, step: usize) {
        if step >= self.saga.steps.len() {
            return self.end(Phase::Completed);
        }
        // Until it is answered nobody knows.
        self.progress(step).fate = Fate::Unknown;
        let until = self.after(self.plan.steps[step].within);
        self.wait(Phase::Doing(step), until);
        let reference = self.reference(step, 0);
        self.commands.push(Command::Do { step, reference, until });
    }

    fn step_answered(&mut self, step: usize, status: Status) {
        if std::mem::replace(&mut self.progress(step).answered, true) {
            return;
        }
        let fate = match status {
            Status::Delivered => Fate::Taken,
            Status::Failed => Fate::Unknown,
            Status::Rejected | Status::Withheld | Status::Expired => Fate::NotTaken,
        };
        match self.saga.phase {
            Phase::Doing(asked) if asked == step && fate == Fate::Taken => {
                self.progress(step).fate = fate;
                self.do_step(step + 1);
            }
            Phase::Doing(asked) if asked == step => self.give_up_step(step, fate),
            // One that it went on without.
            Phase::Doing(_) | Phase::Completed => self.progress(step).fate = fate,
            Phase::Undoing(_) | Phase::Pausing(_) | Phase::Undone => self.answered_late(step, fate),
            Phase::Idle => {}
        }
    }

    /// A step was not taken, or nobody knows.
    fn give_up_step(&mut self, step: usize, fate: Fate) {
        self.progress(step).fate = fate;
        if self.plan.steps[step].is_required {
            self.undo_next();
        } else {
            self.do_step(step + 1);
        }
    }

    /// What became of a step is known only while steps are being undone, or after the end.
    fn answered_late(&mut self, step: usize, fate: Fate) {
        let is_current = matches!(self.saga.phase, Phase::Undoing(at) | Phase::Pausing(at) if at == step);
        let before = self.saga.ended();
        let progress = self.progress(step);
        if fate == Fate::NotTaken {
            if progress.fate != Fate::Undone {
                progress.fate = fate;
            }
            if is_current {
                self.undo_next();
            } else if self.saga.ended() != before {
                self.end(Phase::Undone);
            }
            return;
        }
        // Tries so far may have come before the step itself.
        progress.fate = fate;
        progress.void = progress.tries;
        if is_current {
            self.undo(step);
        } else if self.saga.phase == Phase::Undone {
            self.undo_next();
        }
    }

    fn undoing_answered(&mut self, step: usize, number: u8, is_taken: bool) {
        let phase = self.saga.phase;
        let progress = self.progress(step);
        if number <= progress.void {
            return;
        }
        let is_current = phase == Phase::Undoing(step);
        match progress.fate {
            Fate::Taken | Fate::Unknown if is_taken && (is_current || phase == Phase::Pausing(step)) => {
                progress.fate = Fate::Undone;
                self.undo_next();
            }
            Fate::Taken | Fate::Unknown if is_current && number == progress.tries => self.undo_again(step),
            // It was taken after all.
            Fate::GaveUp if is_taken => {
                progress.fate = Fate::Undone;
                if self.saga.ended() == Some(Ended::Undone) {
                    self.end(Phase::Undone);
                }
            }
            _ => {}
        }
    }

    /// Undoes the last step that was taken, or may have been; or ends the run.
    fn undo_next(&mut self) {
        loop {
            let is_to_undo = |step: &Progress| matches!(step.fate, Fate::Taken | Fate::Unknown);
            match self.saga.steps.iter().rposition(is_to_undo) {
                None => return self.end(Phase::Undone),
                Some(step) if self.plan.steps[step].can_undo => return self.undo(step),
                Some(step) => self.progress(step).fate = Fate::Undone,
            }
        }
    }

    fn undo(&mut self, step: usize) {
        let progress = self.progress(step);
        progress.tries = progress.tries.saturating_add(1);
        let number = progress.tries;
        let until = self.after(self.plan.undo_within);
        self.wait(Phase::Undoing(step), until);
        let reference = self.reference(step, number);
        self.commands.push(Command::Undo { step, reference, until });
    }

    /// A try to undo a step was not taken, or nobody knows.
    fn undo_again(&mut self, step: usize) {
        let Progress { tries, void, .. } = *self.progress(step);
        let tried = tries - void;
        if tried < self.plan.undo_tries.min(MAX_TRIES) {
            let pause = self.plan.undo_pause.saturating_mul(1 << (tried - 1).min(6));
            self.saga.phase = Phase::Pausing(step);
            self.saga.due = Some(self.after(pause));
        } else {
            self.progress(step).fate = Fate::GaveUp;
            self.commands.push(Command::GaveUp { step });
            self.undo_next();
        }
    }

    fn end(&mut self, phase: Phase) {
        self.saga.phase = phase;
        self.saga.due = None;
        self.commands.extend(self.saga.ended().map(Command::Ended));
    }

    /// Waits for an outcome, until some time after the action has expired.
    fn wait(&mut self, phase: Phase, until: Instant) {
        self.saga.phase = phase;
        self.saga.due = Some(until.saturating_add(milliseconds(self.plan.grace)));
    }

    fn progress(&mut self, step: usize) -> &mut Progress {
        &mut self.saga.steps[step]
    }

    fn reference(&self, step: usize, number: u8) -> String {
        format!("{}/{}/{number}", self.saga.run, self.plan.steps[step].name)
    }

    fn after(&self, duration: Duration) -> Instant {
        self.now.saturating_add(milliseconds(duration)).min(crate::INSTANT_LIMIT - 1)
    }
}

#[cfg(test)]
mod tests;
