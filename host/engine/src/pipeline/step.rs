//! What a lane has to do next, and how it becomes a batch.
//!
//! Pure: no clocks, no locks. A [`Step`] is one entry for one key, or a key's timers up to an instant;
//! [`plan`] turns the first few inputs of a row of steps into a batch's inputs, with the timers that come
//! before each. Replanning from the same place gives the same inputs, whatever the size of the batch.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::keys::{Key, KeyHasher, Keys, Timer};
use crate::event::{Instant, PackedEvent};
use crate::journal::{Entry, InputId, InputRef, Position};

/// Something that a lane has to do.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// An entry that is about the key: its due timers first, then the entry.
    Entry { key: Key, entry: Arc<Entry>, subscription: Option<u32> },
    /// The key's timers that are due at or before an instant that the timeline has reached.
    Timers { key: Key, until: Instant },
}

impl Step {
    pub(crate) fn key(&self) -> &Key {
        match self {
            Step::Entry { key, .. } | Step::Timers { key, .. } => key,
        }
    }

    fn until(&self) -> Instant {
        match self {
            Step::Entry { entry, .. } => entry.instant,
            Step::Timers { until, .. } => *until,
        }
    }
}

/// One input of a planned batch.
#[derive(Clone, Debug)]
pub(crate) struct Planned<'a> {
    /// Position in [`Plan::keys`].
    pub(crate) key: u32,
    /// The step that it comes from.
    pub(crate) step: usize,
    /// The entry, or the one before which a timer comes.
    pub(crate) position: Position,
    pub(crate) time: Instant,
    pub(crate) now: Instant,
    pub(crate) what: What<'a>,
}

#[derive(Clone, Debug)]
pub(crate) enum What<'a> {
    Entry { entry: &'a Arc<Entry>, subscription: Option<u32> },
    Timer(Timer),
}

impl Planned<'_> {
    /// Its id. A hash: asked for only where something is named by it.
    pub(crate) fn id(&self) -> InputId {
        match &self.what {
            What::Entry { entry, subscription } => {
                InputId::of_entry(entry.epoch, entry.position, *subscription)
            }
            What::Timer(timer) => timer.id,
        }
    }

    pub(crate) fn reference(&self) -> InputRef {
        let (subscription, timer) = match &self.what {
            What::Entry { subscription, .. } => (*subscription, None),
            What::Timer(timer) => (None, Some(timer.name.to_string())),
        };
        InputRef { id: self.id(), position: self.position, subscription, timer }
    }

    /// What it sorts by among the timers of its key: an entry comes after all that are due by its instant.
    pub(crate) fn comes_after(&self, timer: &Timer) -> bool {
        match &self.what {
            What::Entry { .. } => timer.due <= self.now,
            What::Timer(own) => (timer.due, &*timer.name) < (own.due, &*own.name),
        }
    }
}

/// A batch to be, in the host's terms. It borrows from the steps: nothing is copied.
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    pub(crate) keys: Vec<&'a Key>,
    pub(crate) inputs: Vec<Planned<'a>>,
    /// How many steps, from the first, are done when this plan is.
    pub(crate) finished: usize,
}

/// Finds where the timeline reached an instant: the first entry stamped at or after it. `None`: not yet.
pub(crate) type Reached<'a> = dyn FnMut(Instant) -> Option<(Position, Instant)> + 'a;

/// For each key its place in the plan, and how many of its timers are in the plan already.
type Places<'a> = HashMap<&'a Key, (u32, usize), KeyHasher>;

/// Plans at most `limit` inputs (at least one, if there is any) from the first of `steps`.
pub(crate) fn plan<'a>(
    steps: &'a VecDeque<Step>,
    keys: &Keys,
    limit: usize,
    reached: &mut Reached<'_>,
) -> Plan<'a> {
    let mut plan = Plan::default();
    let mut places: Places<'_> =
        HashMap::with_capacity_and_hasher(limit.min(steps.len()), KeyHasher::default());
    let has_timers = keys.timers() > 0;
    for (index, step) in steps.iter().enumerate() {
        let key = step.key();
        let (mut given, mut timers) = (0, &[][..]);
        if has_timers {
            given = places.get(key).map_or(0, |(_, given)| *given);
            timers = keys.get(key).map_or(timers, |state| &state.timers);
        }
        while let Some(timer) = timers.get(given).filter(|timer| timer.due <= step.until()) {
            if plan.inputs.len() >= limit {
                return plan;
            }
            let (position, now) = given_at(timer, step, reached);
            given += 1;
            let place = place_of(key, given, &mut places, &mut plan.keys);
            let what = What::Timer(timer.clone());
            plan.inputs.push(Planned { key: place, step: index, position, time: timer.due, now, what });
        }
        if let Step::Entry { entry, subscription, .. } = step {
            if plan.inputs.len() >= limit {
                return plan;
            }
            let time = entry.body.event().and_then(PackedEvent::time).unwrap_or(entry.instant);
            plan.inputs.push(Planned {
                key: place_of(key, given, &mut places, &mut plan.keys),
                step: index,
                position: entry.position,
                time,
                now: entry.instant,
                what: What::Entry { entry, subscription: *subscription },
            });
        }
        plan.finished = index + 1;
    }
    plan
}

fn place_of<'a>(key: &'a Key, given: usize, places: &mut Places<'a>, keys: &mut Vec<&'a Key>) -> u32 {
    let next = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let (place, known) = places.entry(key).or_insert_with(|| {
        keys.push(key);
        (next, 0)
    });
    *known = given;
    *place
}

impl Plan<'_> {
    /// Keeps only the first `length` inputs.
    pub(crate) fn cut(&mut self, length: usize) {
        if let Some(first) = self.inputs.get(length) {
            // The step of the first input that goes is not finished, those before it are.
            self.finished = first.step;
            self.inputs.truncate(length);
            let used = self.inputs.iter().map(|input| input.key as usize + 1).max().unwrap_or(0);
            self.keys.truncate(used);
        }
    }
}

/// The entry before which a due timer comes, and the `now` of it: where it was set, if it was due there
/// already; else the first entry that the timeline reached it with.
fn given_at(timer: &Timer, step: &Step, reached: &mut Reached<'_>) -> (Position, Instant) {
    if timer.due <= timer.set_now {
        return (timer.set_at, timer.set_now);
    }
    reached(timer.due).unwrap_or(match step {
        Step::Entry { entry, .. } => (entry.position, entry.instant),
        Step::Timers { until, .. } => (timer.set_at, *until),
    })
}

/// Moves the steps of some keys out of the way, in their order.
pub(crate) fn take_key(steps: &mut VecDeque<Step>, key: &Key) -> VecDeque<Step> {
    let (taken, rest) = std::mem::take(steps).into_iter().partition(|step| step.key() == key);
    *steps = rest;
    taken
}
