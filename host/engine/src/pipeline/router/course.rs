//! A rule, as the router sees it: where it is, what it is given next, and when it is switched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Reply;
use super::switching::InPassing;
use crate::checkpoint::{Marker, RuleRecord};
use crate::event::{Fields, Instant};
use crate::journal::{Body, Entry, Erasure, Journal, Position};
use crate::pipeline::Shared;
use crate::pipeline::index::SubscriptionIndex;
use crate::pipeline::key::{Routed, own_key, rule_of};
use crate::pipeline::program::Version;
use crate::pipeline::runtime::{Horizon, Item, Rule};
use crate::recovery::Turn;

/// How many inputs may wait in a rule's lanes. Past it the rule lags, and its inputs wait in the journal.
pub(super) const WAITING_INPUTS: usize = if cfg!(test) { 8 } else { 8_192 };
/// How many bytes of events may wait there.
const WAITING_BYTES: usize = 32 << 20;

/// How many bytes of groups may be held in memory for each byte that waits there.
const HELD_FOR_EACH: usize = 4;

/// A rule, as the router sees it.
pub(super) struct Course {
    pub(super) rule: Arc<Rule>,
    /// The version whose subscriptions count; none: it is unloaded.
    pub(super) version: Option<Arc<Version>>,
    pub(super) index: SubscriptionIndex,
    /// The next position, and the instant of the entry before it; of a rule that keeps up, the head's count.
    pub(super) next: Position,
    pub(super) before: Instant,
    pub(super) current: bool,
    /// It is to be switched, and given nothing until that is decided.
    pub(super) held: bool,
    /// It never had a version: it begins where it was told to.
    pub(super) new: bool,
    /// Versions that it is to be switched to, and where it is to go on after it was left behind.
    pub(super) switches: VecDeque<(Turn<Arc<Version>>, Reply)>,
    /// A decision is on its way to the journal, or one to switch in passing is not met yet.
    pub(super) deciding: bool,
    pub(super) in_passing: Option<InPassing>,
    /// What changes at positions not yet reached.
    pub(super) plan: VecDeque<(Position, Turn<Arc<Version>>)>,
    pub(super) last_switch: Position,
    pub(super) buffers: Vec<Vec<Item>>,
    pub(super) touched: bool,
    pub(super) room: usize,
    /// The same in bytes, and how many are in the buffers.
    pub(super) room_bytes: usize,
    pub(super) buffered_bytes: usize,
    pub(super) marker: Option<Arc<Marker>>,
    pub(super) checkpointed_at: Position,
    /// How long the rule had been at work when the last marker was sent.
    pub(super) busy_at_mark: u64,
}

impl Course {
    /// How long the rule was at work since the last marker, in microseconds.
    pub(super) fn busy_us(&self) -> u64 {
        self.rule.counters.busy_us().saturating_sub(self.busy_at_mark)
    }

    /// A rule that is new is given nothing before it is known where it begins.
    pub(super) fn waits_for_version(&self) -> bool {
        self.new && self.plan.is_empty()
    }

    /// It goes on, unless it is to be switched once more.
    pub(super) fn release(&mut self) {
        self.held = !self.switches.is_empty();
        self.rule.hold.store(self.held, Ordering::Release);
    }

    pub(super) fn touch(&mut self, slot: usize, touched: &mut Vec<usize>) {
        if !self.touched {
            self.touched = true;
            self.look_for_room();
            touched.push(slot);
        }
    }

    /// How much may still be put into the lanes.
    pub(super) fn look_for_room(&mut self) {
        self.room = WAITING_INPUTS.saturating_sub(self.rule.pending.load(Ordering::Acquire));
        self.room_bytes = WAITING_BYTES.saturating_sub(self.rule.waiting_bytes.load(Ordering::Acquire));
    }

    pub(super) fn put_event(&mut self, entry: &Arc<Entry>, event: &Fields<'_>, subscription: u32) {
        let Some(version) = &self.version else { return };
        let counters = &self.rule.counters;
        let key = match version.route(event, subscription) {
            Routed::To(key) => key,
            Routed::Filtered => return,
            Routed::FilterFailed => {
                counters.filter_failures.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Routed::Keyless => {
                counters.keyless.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        let lane = Rule::lane_of(&key, self.buffers.len());
        self.put(lane, Item::Entry { key, entry: Arc::clone(entry), subscription: Some(subscription) });
    }

    /// What is for this rule alone.
    pub(super) fn put_own(&mut self, entry: &Arc<Entry>) {
        let Some((key, subscription)) = own_key(&entry.body, self.version.as_deref()) else { return };
        let lane = Rule::lane_of(&key, self.buffers.len());
        self.put(lane, Item::Entry { key, entry: Arc::clone(entry), subscription });
    }

    /// All lanes look for the keys that are to be forgotten.
    pub(super) fn put_erasure(&mut self, entry: &Arc<Entry>, erasure: &Arc<Erasure>) {
        for lane in 0..self.buffers.len() {
            let erasure = Arc::clone(erasure);
            self.put(lane, Item::Erase { erasure, position: entry.position, before: entry.instant });
        }
        self.rule.dirty.store(true, Ordering::Release);
    }

    pub(super) fn put(&mut self, lane: usize, item: Item) {
        self.buffered_bytes += item.bytes();
        self.buffers[lane].push(item);
        self.room = self.room.saturating_sub(1);
        if self.buffered_bytes > self.room_bytes {
            self.room = 0;
        }
    }

    /// A rule that keeps up does so no more from the entry after this one.
    pub(super) fn lag_if_full(&mut self, entry: &Entry) {
        if self.room == 0 {
            self.current = false;
            self.next = entry.position + 1;
            self.before = entry.instant;
            self.rule.lagging.store(true, Ordering::Release);
            self.rule.set_horizon(Horizon::at(entry.instant));
        }
    }

    pub(super) fn skip(&mut self, entry: &Entry) {
        self.next = entry.position + 1;
        self.before = entry.instant;
    }

    /// Does what changes from the next position on.
    pub(super) fn apply_plan(&mut self, journal: &dyn Journal) {
        while self.plan.front().is_some_and(|(at, _)| *at <= self.next) {
            match self.plan.pop_front() {
                Some((at, Turn::Version(version))) => self.turn_to(at, version, journal),
                Some((_, Turn::Skip(to))) => self.skip_to(to, journal),
                None => return,
            }
        }
    }

    pub(super) fn turn_to(&mut self, at: Position, version: Option<Arc<Version>>, journal: &dyn Journal) {
        self.index = SubscriptionIndex::default();
        if let Some(version) = &version {
            self.index.insert(0, &version.description.subscriptions);
        }
        // It comes back: what came due meanwhile is given here.
        let back = self.version.is_none() && version.is_some() && !self.new;
        let floor = back.then(|| (at, instant_of(journal, at).unwrap_or(self.before)));
        self.new = false;
        self.version.clone_from(&version);
        for lane in 0..self.buffers.len() {
            self.put(lane, Item::Switch { at, version: version.clone(), before: self.before, floor });
        }
        self.rule.dirty.store(true, Ordering::Release);
        if version.is_none() {
            // A last checkpoint: until it returns it holds back nothing.
            self.mark(self.next, self.before);
        }
    }

    /// It was left behind: it goes on at `to`. What operators did to its keys meanwhile holds all the same.
    fn skip_to(&mut self, to: Position, journal: &dyn Journal) {
        if to <= self.next {
            return;
        }
        let from = self.next;
        self.rule.counters.left_behind.fetch_add(to - from, Ordering::Relaxed);
        let mut kept = Vec::new();
        let looked = journal.visit_decisions(from, &mut |entry| {
            if entry.position < to && matches!(entry.body, Body::KeyChange(_) | Body::ErasureAsked(_)) {
                kept.push(entry);
            }
            Ok(())
        });
        if let Err(error) = looked {
            tracing::error!(rule = self.rule.name, %error, "what operators did in the range that the rule was not given cannot be read");
        }
        for entry in kept {
            self.put_for_operators(&entry);
        }
        self.next = to;
        let instant = instant_of(journal, to).unwrap_or(self.before);
        self.before = to.checked_sub(1).and_then(|last| instant_of(journal, last)).unwrap_or(instant);
        for lane in 0..self.buffers.len() {
            self.put(lane, Item::Skip { to, instant });
        }
        self.rule.dirty.store(true, Ordering::Release);
    }

    /// What holds for a rule even where it is given nothing else.
    pub(super) fn put_for_operators(&mut self, entry: &Arc<Entry>) {
        match &entry.body {
            Body::KeyChange(_) if rule_of(&entry.body) == Some(&self.rule.name) => self.put_own(entry),
            Body::ErasureAsked(erasure) if self.is_meant(erasure) => {
                self.put_erasure(entry, &Arc::new(Erasure::clone(erasure)));
            }
            _ => {}
        }
    }

    pub(super) fn is_meant(&self, erasure: &Erasure) -> bool {
        erasure.rule.as_ref().is_none_or(|rule| *rule == self.rule.name)
    }

    pub(super) fn mark(&mut self, position: Position, before: Instant) {
        let version = self.version.as_ref().map(|version| version.record.clone());
        let record = RuleRecord { position, version, letters_from: position };
        let marker = Arc::new(Marker::new(record, self.buffers.len()));
        for lane in 0..self.buffers.len() {
            self.put(lane, Item::Marker { marker: Arc::clone(&marker), before });
        }
        self.marker = Some(marker);
    }

    /// Moves what was put together into the lanes' queues. `position`: the rule's next.
    pub(super) fn flush(&mut self, position: Position) {
        self.touched = false;
        let_go_of_the_rest(&mut self.buffers, self.buffered_bytes);
        let count: usize = self.buffers.iter().map(Vec::len).sum();
        self.rule.waiting_bytes.fetch_add(std::mem::take(&mut self.buffered_bytes), Ordering::AcqRel);
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
    pub(super) fn call_lanes(&self, shared: &Shared) {
        for (place, lane) in self.rule.lanes.iter().enumerate() {
            if !self.current || !lane.queue().is_empty() {
                shared.run.call(&self.rule, place);
            }
        }
    }

    pub(super) fn call_all(&self, shared: &Shared) {
        for place in 0..self.rule.lanes.len() {
            shared.run.call(&self.rule, place);
        }
    }
}

/// The instant of an entry; none: it cannot be read.
pub(super) fn instant_of(journal: &dyn Journal, position: Position) -> Option<Instant> {
    journal.read(position, 1).ok()?.first().map(|entry| entry.instant)
}

/// What is put into the lanes shares the memory of the batches that it comes from. If it is a small part of them, it is
/// copied: what waits must not hold much more than the `bytes` that it counts for.
fn let_go_of_the_rest(buffers: &mut [Vec<Item>], bytes: usize) {
    let (mut last, mut held) = (None, 0);
    for (batch, bytes) in buffers.iter().flatten().filter_map(Item::holds) {
        if last.replace(batch) != Some(batch) {
            held += bytes;
        }
    }
    if held > HELD_FOR_EACH * bytes {
        buffers.iter_mut().flatten().for_each(Item::let_go_of_the_rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventBatch};

    #[test]
    fn a_few_of_many_events_do_not_hold_all_of_them() {
        let mut batch = EventBatch::new(2_000);
        for id in 0..100 {
            batch.push(&Event::new(id.to_string(), "/s", "t").with_json("x".repeat(1_000))).unwrap();
        }
        let item = |event| Item::Entry {
            key: "k".into(),
            entry: Arc::new(Entry { position: 7, epoch: 8, instant: 9, body: Body::Event(event) }),
            subscription: Some(0),
        };
        for (taken, copied) in [(1, true), (10, true), (50, false), (100, false)] {
            let items: Vec<Item> = batch.events().take(taken).map(item).collect();
            let bytes = items.iter().map(Item::bytes).sum();
            let mut buffers = [Vec::new(), items];
            let_go_of_the_rest(&mut buffers, bytes);
            for (item, event) in buffers[1].iter().zip(batch.events()) {
                let held = item.holds().unwrap().1;
                assert_eq!(held < 2_000, copied, "{taken} taken: {held} bytes held");
                let Item::Entry { entry, .. } = item else { unreachable!() };
                assert_eq!((entry.position, entry.epoch, entry.instant), (7, 8, 9));
                assert_eq!(entry.body, Body::Event(event));
            }
        }
    }
}
