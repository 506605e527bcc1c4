//! One turn of a lane on a worker: take what waits, give it to the rule, fire what is due.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Monotonic};

use super::lane::{BATCH_INPUTS, DeadLetter, Halt, Lane, LaneWorld};
use super::program::{CallFailure, FailureKind};
use super::runtime::{AT_WORK, Item, LaneSlot, Quota, Rule};
use super::step::{Planned, Step};
use super::{Shared, ToCheckpoint};
use crate::event::Instant;
use crate::journal::{Body, Decision, Position};
use crate::moment::Moment;

/// How many rounds of timers one turn fires before other lanes get theirs.
const TIMER_ROUNDS: usize = 64;

/// How many dead letters of a rule are kept, and how many bytes so that they can be given again. At the bound the
/// rule stops rather than lose one.
pub(crate) const DEAD_LETTERS: usize = 10_000;
pub(crate) const DEAD_LETTER_BYTES: u64 = 256 << 20;

/// So many moments of a lane are worth a checkpoint: until there is one, they are in memory.
const EMITTED: usize = 20_000;

/// A rule that was not quarantined for so long starts with the shortest pause again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(3600);

/// What a turn found in the queue.
enum Taken {
    /// The rule is to be switched: no batch begins.
    Held,
    Nothing,
    /// With their bytes.
    Entries(VecDeque<Step>, usize),
    Control(Item),
}

/// Runs one turn. `true`: the lane has more to do.
pub(crate) fn turn(shared: &Shared, rule: &Arc<Rule>, place: usize) -> bool {
    if rule.is_resting() {
        return false;
    }
    let slot = &rule.lanes[place];
    let mut lane = slot.lock();
    // Before the queue: all that lies up to here is in the queue by now.
    let horizon = rule.horizon().instant();
    let taken = take(slot, rule);
    let world = World { shared, rule };
    let outcome = match taken {
        Taken::Held => return false,
        Taken::Nothing => fire_due(&mut lane, horizon, &world, rule),
        Taken::Entries(steps, bytes) => give(&mut lane, slot, steps, bytes, &world, rule),
        Taken::Control(item) => control(&mut lane, slot, item, &world, shared, rule),
    };
    // Before the router can see that the turn is over, and release the rule.
    let held = rule.hold.load(Ordering::Acquire);
    slot.passed.store(lane.passed, Ordering::Release);
    slot.keys.store(lane.keys.len(), Ordering::Relaxed);
    slot.timers.store(lane.keys.timers(), Ordering::Relaxed);
    slot.state_bytes.store(lane.keys.bytes(), Ordering::Relaxed);
    if lane.emitted.len() >= EMITTED && !shared.much_emitted.swap(true, Ordering::AcqRel) {
        shared.mailbox.nudge();
    }
    if held {
        shared.mailbox.nudge();
    }
    match outcome {
        // It only made way for a switch: the router calls it again.
        Err(_) if held => false,
        Err(halt) => {
            rest(rule, &halt);
            shared.resting.store(true, Ordering::Release);
            shared.mailbox.nudge();
            false
        }
        Ok(Progress::More) => true,
        Ok(Progress::Done) => !slot.queue().is_empty() || wants_timer(&lane, shared, rule, place),
    }
}

enum Progress {
    Done,
    /// Timers are due that were not fired yet.
    More,
}

fn take(slot: &LaneSlot, rule: &Rule) -> Taken {
    let mut queue = slot.queue();
    // Under the queue's lock: the router, which holds all of them, either sees the lane at work or is seen.
    if rule.hold.load(Ordering::Acquire) {
        return Taken::Held;
    }
    // Until the turn ends nobody knows what of this the rule will have been given.
    slot.passed.store(AT_WORK, Ordering::Release);
    let entries =
        queue.iter().take(BATCH_INPUTS).take_while(|item| matches!(item, Item::Entry { .. })).count();
    if entries > 0 {
        let mut bytes = 0;
        let step = |item: Item| {
            bytes += item.bytes();
            item.into_step()
        };
        let steps = queue.drain(..entries).filter_map(step).collect();
        return Taken::Entries(steps, bytes);
    }
    queue.pop_front().map_or(Taken::Nothing, Taken::Control)
}

/// Gives entries, of so many bytes, to the rule; puts back what it did not come to.
fn give(
    lane: &mut Lane,
    slot: &LaneSlot,
    steps: VecDeque<Step>,
    bytes: usize,
    world: &World<'_>,
    rule: &Rule,
) -> Result<Progress, Halt> {
    let count = steps.len();
    let reached = match steps.back() {
        Some(Step::Entry { entry, .. }) => entry.instant,
        _ => 0,
    };
    let outcome = lane.run(steps, world);
    let Err((left, halt)) = outcome else {
        done(world.shared, rule, count, bytes);
        return fire_due(lane, reached, world, rule);
    };
    let mut queue = slot.queue();
    let mut left_bytes = 0;
    let left_count = left.len();
    for step in left.into_iter().rev() {
        if let Step::Entry { key, entry, subscription } = step {
            let item = Item::Entry { key, entry, subscription };
            left_bytes += item.bytes();
            queue.push_front(item);
        }
    }
    drop(queue);
    done(world.shared, rule, count - left_count, bytes.saturating_sub(left_bytes));
    Err(halt)
}

fn done(shared: &Shared, rule: &Rule, count: usize, bytes: usize) {
    let before = rule.pending.fetch_sub(count, Ordering::AcqRel);
    rule.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
    // A rule that lags waits for room; nobody else needs to know.
    if rule.lagging.load(Ordering::Acquire) && before >= count && before - count < super::router::ROOM {
        shared.mailbox.nudge();
    }
}

fn control(
    lane: &mut Lane,
    slot: &LaneSlot,
    item: Item,
    world: &World<'_>,
    shared: &Shared,
    rule: &Arc<Rule>,
) -> Result<Progress, Halt> {
    let before = match &item {
        Item::Switch { before, .. } | Item::Marker { before, .. } | Item::Erase { before, .. } => *before,
        Item::Skip { .. } | Item::Entry { .. } => 0,
    };
    match fire_due(lane, before, world, rule) {
        Ok(Progress::Done) => {}
        unfinished => {
            slot.queue().push_front(item);
            return unfinished;
        }
    }
    match item {
        Item::Switch { at, version, floor, .. } => {
            lane.version = version;
            lane.floor = lane.floor.max(floor.unwrap_or_default());
            lane.passed = lane.passed.max(at);
        }
        Item::Skip { to, instant } => {
            lane.floor = lane.floor.max((to, instant));
            lane.passed = lane.passed.max(to);
        }
        Item::Erase { erasure, position, .. } => {
            lane.erase(&erasure);
            lane.passed = lane.passed.max(position + 1);
        }
        Item::Marker { marker, .. } => {
            lane.passed = lane.passed.max(marker.record.position);
            let changes = lane.keys.take_changes();
            let emitted = std::mem::take(&mut lane.emitted);
            if let Some(collected) = marker.hand_over(changes, emitted) {
                shared.complete(ToCheckpoint { rule: Arc::clone(rule), marker, collected });
            }
        }
        Item::Entry { .. } => {}
    }
    done(shared, rule, 1, 0);
    Ok(Progress::Done)
}

/// Fires all timers that are due at or before an instant that the timeline has reached.
fn fire_due(lane: &mut Lane, until: Instant, world: &World<'_>, rule: &Rule) -> Result<Progress, Halt> {
    if lane.version.is_none() {
        return Ok(Progress::Done);
    }
    for _ in 0..TIMER_ROUNDS {
        let keys = lane.keys.due_keys(until, BATCH_INPUTS);
        if keys.is_empty() {
            return Ok(Progress::Done);
        }
        rule.dirty.store(true, Ordering::Release);
        let steps = keys.into_iter().map(|key| Step::Timers { key, until }).collect();
        lane.run(steps, world).map_err(|(_, halt)| halt)?;
    }
    Ok(Progress::More)
}

/// Sees to it that the lane is called when its next timer is due. `true`: that is now.
fn wants_timer(lane: &Lane, shared: &Shared, rule: &Arc<Rule>, place: usize) -> bool {
    let Some(due) = lane.keys.next_due().filter(|_| lane.version.is_some()) else { return false };
    if due <= rule.horizon().instant() {
        return true;
    }
    // A rule that lags is called whenever it has been given more.
    if due > shared.head.instant() {
        if shared.alarms.set(due, rule, place) {
            shared.intake.nudge();
        }
        return due <= shared.head.instant() && due <= rule.horizon().instant();
    }
    false
}

/// Has a rule rest, longer each time.
fn rest(rule: &Rule, halt: &Halt) {
    let mut care = rule.care();
    care.halt = None;
    let pause = if halt.quarantine {
        // Long after the last time it counts as the first.
        if care.rested_at.is_some_and(|last| last.elapsed() > FORGIVEN_AFTER) {
            care.rests = 0;
        }
        care.rested_at = Some(Monotonic::now());
        care.rests += 1;
        let doubled = care.release.probation().saturating_mul(1 << (care.rests - 1).min(6));
        tracing::warn!(
            rule = rule.name,
            reason = halt.reason,
            seconds = doubled.as_secs(),
            "the rule is quarantined"
        );
        doubled
    } else {
        Duration::from_millis(250)
    };
    care.set_aside.clear();
    care.resting = Some(super::runtime::Rest {
        until: Monotonic::now() + pause,
        reason: halt.reason.clone(),
        quarantine: halt.quarantine,
    });
}

/// Whether the rule remembers more than it may. It stops then: which input was one too many depends on how lanes
/// interleave, so none is set aside.
fn over_quota(rule: &Rule, quota: Quota) -> Option<String> {
    let sum = |count: fn(&LaneSlot) -> usize| rule.lanes.iter().map(count).sum::<usize>();
    let keys = sum(|lane| lane.keys.load(Ordering::Relaxed));
    let bytes = sum(|lane| lane.state_bytes.load(Ordering::Relaxed));
    let (limit, name) = if keys > quota.keys {
        (quota.keys, "keys")
    } else if bytes > quota.state_bytes {
        (quota.state_bytes, "total_state_bytes")
    } else {
        return None;
    };
    Some(format!(
        "it remembers {keys} keys with {bytes} bytes of state, past the limit `{name}` of {limit}: raise that in its .toml \
         file"
    ))
}

/// The world around a lane, for real.
struct World<'a> {
    shared: &'a Shared,
    rule: &'a Arc<Rule>,
}

impl World<'_> {
    fn keep(&self, letter: DeadLetter) {
        if self.rule.closed.contains(&letter.input.id) || self.shared.is_erased(&self.rule.name, &letter) {
            return;
        }
        let mut care = self.rule.care();
        care.letter_bytes += letter.bytes;
        care.new_letters.push(letter.clone());
        care.letters.push_back(letter);
    }

    /// Counts an input that the rule broke on; too many within its window are enough.
    fn count_set_aside(&self) {
        let mut care = self.rule.care();
        let now = Monotonic::now();
        care.set_aside.push_back(now);
        let (within, limit) = (care.release.within(), care.release.set_aside.get() as usize);
        while care.set_aside.front().is_some_and(|first| now.duration_since(*first) > within) {
            care.set_aside.pop_front();
        }
        if care.set_aside.len() >= limit {
            care.halt = Some(Halt::quarantine(format!(
                "{limit} inputs were set aside within {} s: the last one, {}",
                within.as_secs(),
                care.letters.back().map_or("", |letter| letter.reason.as_str())
            )));
        }
    }
}

impl LaneWorld for World<'_> {
    fn rule(&self) -> &str {
        &self.rule.name
    }

    fn reached(&self, instant: Instant) -> Option<(Position, Instant)> {
        match self.shared.journal.at_or_after(instant) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(rule = self.rule.name, error = %error, "the journal cannot be read");
                None
            }
        }
    }

    fn was_set_aside(&self, input: &Planned<'_>) -> Option<DeadLetter> {
        if self.rule.set_aside.is_empty() {
            return None;
        }
        self.rule.set_aside.get(&input.id()).cloned()
    }

    fn set_aside(&self, letter: DeadLetter) -> Result<(), Halt> {
        tracing::warn!(
            rule = self.rule.name,
            key = letter.key,
            position = letter.input.position,
            reason = letter.reason,
            "an input is set aside"
        );
        let decision = Decision::SetAside {
            input: letter.input.clone(),
            key: letter.key.clone(),
            reason: letter.reason.clone(),
            backtrace: letter.backtrace.clone(),
        };
        let body = Body::Decision { rule: self.rule.name.clone(), decision: Box::new(decision) };
        self.shared.intake.append_wait(vec![body]).map_err(|error| Halt::pause(error.to_string()))?;
        self.keep(letter);
        self.count_set_aside();
        Ok(())
    }

    fn failed(&self, letter: DeadLetter) {
        self.keep(letter);
    }

    fn halted(&self) -> Option<Halt> {
        if self.rule.hold.load(Ordering::Acquire) {
            return Some(Halt::pause("a switch"));
        }
        if let Some(reason) = self.shared.outbox.holds_up(&self.rule.name) {
            return Some(Halt::pause(reason));
        }
        let care = self.rule.care();
        if let Some(reason) = over_quota(self.rule, care.quota) {
            return Some(Halt::quarantine(reason));
        }
        if care.letters.len() >= DEAD_LETTERS || care.letter_bytes >= DEAD_LETTER_BYTES {
            return Some(Halt::quarantine(format!(
                "{} inputs were set aside, as many as are kept: the rule stops rather than lose one; `carpe \
                 dead-letters` shows them, gives them again or drops them",
                care.letters.len()
            )));
        }
        care.halt.clone()
    }

    fn emit(&self, moment: Moment) -> Arc<Moment> {
        self.rule.counters.moments.fetch_add(1, Ordering::Relaxed);
        self.shared.announce(moment)
    }

    fn called(&self, inputs: usize, took: Duration, failure: Option<&CallFailure>) {
        let counters = &self.rule.counters;
        counters.took(took);
        if failure.is_none() {
            counters.inputs.fetch_add(inputs as u64, Ordering::Relaxed);
        }
        if failure.is_some_and(|failure| failure.kind != FailureKind::Refused) {
            counters.traps.fetch_add(1, Ordering::Relaxed);
        }
    }
}
