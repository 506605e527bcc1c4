//! What became of each moment: detected, held, acting, and how it ended.
//!
//! Of moments whose actions are not all at an end, and of the last that are. It is kept in memory alone, since it can be
//! computed again from the journal.
//!
//! **Invariant:** what is kept of moments that are at an end is bounded by number and by bytes; others are bounded by the
//! outbox.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::event::Instant;
use crate::journal::{ActionId, Erasure, MomentId};
use crate::moment::{Moment, MomentAction};
use crate::rule::Status;

/// How many moments that are at an end are kept, and about how many bytes of them.
const KEPT: usize = 10_000;
const KEPT_BYTES: usize = 16 << 20;

/// About what a moment takes besides its words.
const OVERHEAD_BYTES: usize = 400;

/// How far a moment, or one of its actions, has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// It occurred. A moment without actions comes no further.
    Detected,
    /// A guardrail holds it.
    Held,
    /// It goes out: a first try was begun.
    Acting,
    /// The other side took it.
    Done,
    /// It never went out: a guardrail stopped it, or no route takes it.
    Withheld,
    /// The other side refused it.
    Rejected,
    /// It was given up on.
    Failed,
    /// It was too late for it.
    Expired,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 8] = [
        Stage::Detected,
        Stage::Held,
        Stage::Acting,
        Stage::Done,
        Stage::Withheld,
        Stage::Rejected,
        Stage::Failed,
        Stage::Expired,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Detected => "detected",
            Stage::Held => "held",
            Stage::Acting => "acting",
            Stage::Done => "done",
            Stage::Withheld => "withheld",
            Stage::Rejected => "rejected",
            Stage::Failed => "failed",
            Stage::Expired => "expired",
        }
    }

    /// Whether nothing comes after it, for an action.
    pub fn is_end(self) -> bool {
        !matches!(self, Stage::Detected | Stage::Held | Stage::Acting)
    }

    /// Reads the word for one.
    ///
    /// # Errors
    /// Which words there are.
    pub fn parse(word: &str) -> Result<Stage, String> {
        Stage::ALL.into_iter().find(|stage| stage.as_str() == word).ok_or_else(|| {
            let all = Stage::ALL.map(Stage::as_str).join(", ");
            format!("`{}` is no stage: it must be one of {all}", word.escape_debug())
        })
    }

    fn of(status: Status) -> Self {
        match status {
            Status::Delivered => Stage::Done,
            Status::Rejected => Stage::Rejected,
            Status::Withheld => Stage::Withheld,
            Status::Failed => Stage::Failed,
            Status::Expired => Stage::Expired,
        }
    }
}

/// A step of an action's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LifeStep {
    /// How far it came.
    pub stage: Stage,
    /// Where the timeline stood.
    pub at: Instant,
    /// Why, for people; empty: that goes without saying.
    pub why: String,
    /// Until when it is held, at most.
    pub until: Option<Instant>,
}

/// The life of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ActionLife {
    /// Its idempotency key, in hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What happened to it, in order; it begins with `detected`.
    pub steps: Vec<LifeStep>,
}

impl ActionLife {
    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.steps.last().map_or(Stage::Detected, |step| step.stage)
    }
}

/// The life of a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MomentLife {
    /// What occurred. After a restart, of its actions only those that were open.
    pub moment: Arc<Moment>,
    /// How far it has come: as far as the action that is furthest behind; once all are at an end, the worst of their ends.
    pub stage: Stage,
    /// Each of its actions.
    pub actions: Vec<ActionLife>,
}

/// Which moments are asked for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MomentFilter {
    /// Of this rule.
    pub rule: Option<String>,
    /// About this subject.
    pub subject: Option<String>,
    /// That have come so far.
    pub stage: Option<Stage>,
    /// Only this one, by its id in hexadecimal.
    pub id: Option<String>,
    /// The last so many; none: 100.
    pub limit: Option<usize>,
}

impl MomentFilter {
    /// Whether it asks for a moment, whatever has become of it.
    pub(crate) fn takes(&self, moment: &Moment) -> bool {
        let is = |asked: &Option<String>, known: &str| asked.as_deref().is_none_or(|asked| asked == known);
        is(&self.rule, &moment.rule)
            && is(&self.subject, moment.subject())
            && self.id.as_ref().is_none_or(|id| *id == moment.id.to_string())
    }
}

/// An action's steps, without what its moment says.
struct Steps {
    id: ActionId,
    steps: Vec<LifeStep>,
}

struct Life {
    moment: Arc<Moment>,
    /// Counts up: the order in which they were detected.
    number: u64,
    /// In the order of the moment's actions.
    actions: Vec<Steps>,
}

#[derive(Default)]
struct State {
    lives: HashMap<MomentId, Life>,
    /// Those at an end, the longest first.
    ended: VecDeque<MomentId>,
    ended_bytes: usize,
    next_number: u64,
}

/// The lives of moments.
#[derive(Default)]
pub(crate) struct Lives(Mutex<State>);

impl Lives {
    /// A moment occurred, or came back from a checkpoint.
    pub(crate) fn detected(&self, moment: &Arc<Moment>) {
        // Of before ids were: nothing tells them apart. And copies are no moments of their own.
        if moment.id == MomentId::default() || moment.actions.iter().any(|action| action.copy.is_some()) {
            return;
        }
        let mut state = self.lock();
        let number = state.next_number;
        let known = state.lives.get(&moment.id);
        // Of a moment whose actions come back one by one each is another part.
        let together = known.map(|known| {
            let mut together = Moment::clone(&known.moment);
            let new = moment
                .actions
                .iter()
                .filter(|action| together.actions.iter().all(|known| known.id != action.id));
            let new: Vec<_> = new.cloned().collect();
            together.actions.extend(new);
            Arc::new(together)
        });
        let moment = together.unwrap_or_else(|| Arc::clone(moment));
        state.next_number += 1;
        let life = state.lives.entry(moment.id).or_insert_with(|| Life {
            moment: Arc::clone(&moment),
            number,
            actions: Vec::with_capacity(moment.actions.len()),
        });
        life.moment = Arc::clone(&moment);
        let step = LifeStep { stage: Stage::Detected, at: moment.now, why: String::new(), until: None };
        for action in &moment.actions[life.actions.len()..] {
            life.actions.push(Steps { id: action.id, steps: vec![step.clone()] });
        }
        if moment.actions.is_empty() {
            state.end(moment.id);
        }
    }

    /// A guardrail holds an action.
    pub(crate) fn held(
        &self,
        moment: MomentId,
        action: &MomentAction,
        at: Instant,
        until: Instant,
        why: String,
    ) {
        self.step(moment, action, LifeStep { stage: Stage::Held, at, why, until: Some(until) });
    }

    /// An action's first try is begun.
    pub(crate) fn acting(&self, moment: MomentId, action: &MomentAction, at: Instant, why: String) {
        self.step(moment, action, LifeStep { stage: Stage::Acting, at, why, until: None });
    }

    /// An action has an outcome.
    pub(crate) fn ended(
        &self,
        moment: MomentId,
        action: &MomentAction,
        status: Status,
        at: Instant,
        why: &str,
    ) {
        self.step(
            moment,
            action,
            LifeStep { stage: Stage::of(status), at, why: why.to_owned(), until: None },
        );
    }

    fn step(&self, id: MomentId, action: &MomentAction, step: LifeStep) {
        if action.copy.is_some() {
            return;
        }
        let mut state = self.lock();
        let Some(life) = state.lives.get_mut(&id) else { return };
        let Some(steps) = life.actions.iter_mut().find(|steps| steps.id == action.id) else { return };
        let last = steps.steps.last();
        // Held a while longer is held.
        if last.is_some_and(|last| last.stage.is_end() || (last.stage, &last.why) == (step.stage, &step.why))
        {
            return;
        }
        steps.steps.push(step);
        if life.actions.iter().all(|action| stage_of(&action.steps).is_end()) {
            state.end(id);
        }
    }

    /// Nothing is to be left of a key, or of whom moments are about.
    pub(crate) fn erase(&self, erasure: &Erasure) {
        let mut state = self.lock();
        state.lives.retain(|_, life| !life.moment.is_meant_by(erasure));
        let State { lives, ended, ended_bytes, .. } = &mut *state;
        ended.retain(|id| lives.contains_key(id));
        *ended_bytes = ended.iter().filter_map(|id| lives.get(id)).map(bytes_of).sum();
    }

    /// A moment's life; none: it is not kept.
    pub(crate) fn of(&self, id: MomentId) -> Option<MomentLife> {
        self.lock().lives.get(&id).map(shown)
    }

    /// Those that are asked for, the last first.
    pub(crate) fn list(&self, filter: &MomentFilter) -> Vec<MomentLife> {
        let state = self.lock();
        let wanted = |life: &&Life| {
            filter.takes(&life.moment) && filter.stage.is_none_or(|stage| stage == overall(life))
        };
        let mut wanted: Vec<&Life> = state.lives.values().filter(wanted).collect();
        wanted.sort_unstable_by_key(|life| std::cmp::Reverse(life.number));
        wanted.into_iter().take(filter.limit.unwrap_or(100)).map(shown).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, id: MomentId) {
        let Some(life) = self.lives.get(&id) else { return };
        self.ended_bytes += bytes_of(life);
        self.ended.push_back(id);
        while is_past_bound(self.ended.len(), self.ended_bytes) {
            let Some(first) = self.ended.pop_front() else { return };
            if let Some(life) = self.lives.remove(&first) {
                self.ended_bytes = self.ended_bytes.saturating_sub(bytes_of(&life));
            }
        }
    }
}

fn bytes_of(life: &Life) -> usize {
    moment_bytes(&life.moment)
}

/// Whether so many moments, of so many bytes, are more than are kept.
pub(crate) fn is_past_bound(moments: usize, bytes: usize) -> bool {
    moments > KEPT || bytes > KEPT_BYTES
}

/// About what a moment and its life take.
pub(crate) fn moment_bytes(moment: &Moment) -> usize {
    let Moment { rule, key, kind, why, subject, data, actions, .. } = moment;
    let words = rule.len() + key.len() + kind.len() + why.len();
    let more = subject.as_ref().map_or(0, String::len) + data.as_ref().map_or(0, String::len);
    let each = |action: &MomentAction| action.name.len() + action.data.len() + OVERHEAD_BYTES;
    OVERHEAD_BYTES + words + more + actions.iter().map(each).sum::<usize>()
}

fn stage_of(steps: &[LifeStep]) -> Stage {
    steps.last().map_or(Stage::Detected, |step| step.stage)
}

fn overall(life: &Life) -> Stage {
    let stages = || life.actions.iter().map(|action| stage_of(&action.steps));
    let behind = stages().filter(|stage| !stage.is_end()).min();
    behind.or_else(|| stages().max()).unwrap_or(Stage::Detected)
}

fn shown(life: &Life) -> MomentLife {
    let actions = life.moment.actions.iter().zip(&life.actions).map(|(action, steps)| ActionLife {
        id: action.id.to_string(),
        name: action.name.clone(),
        steps: steps.steps.clone(),
    });
    MomentLife { moment: Arc::clone(&life.moment), stage: overall(life), actions: actions.collect() }
}
