//! A rule, as the router sees it: where it is, what it is given next, and when it is switched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Reply;
use crate::checkpoint::{Marker, RuleRecord};
use crate::event::Instant;
use crate::journal::{Body, Entry, Position};
use crate::pipeline::Shared;
use crate::pipeline::index::SubscriptionIndex;
use crate::pipeline::key::key_of;
use crate::pipeline::program::Version;
use crate::pipeline::runtime::{Horizon, Item, Rule};

/// How many inputs may wait in a rule's lanes. Past it the rule lags, and its inputs wait in the journal.
pub(super) const WAITING_INPUTS: usize = if cfg!(test) { 8 } else { 8_192 };
/// How many bytes of events may wait there.
const WAITING_BYTES: usize = 32 << 20;
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
    /// Versions that it is to be switched to.
    pub(super) switches: VecDeque<(Option<Arc<Version>>, Reply)>,
    /// A decision is on its way to the journal.
    pub(super) deciding: bool,
    /// Switches that come at positions not yet reached.
    pub(super) plan: VecDeque<(Position, Option<Arc<Version>>)>,
    pub(super) last_switch: Position,
    pub(super) buffers: Vec<Vec<Item>>,
    pub(super) touched: bool,
    pub(super) room: usize,
    pub(super) marker: Option<Arc<Marker>>,
    pub(super) checkpointed_at: Position,
}

impl Course {
    /// Unloaded, and nothing planned.
    pub(super) fn is_gone(&self) -> bool {
        self.version.is_none() && self.plan.is_empty() && !self.held
    }

    pub(super) fn touch(&mut self, slot: usize, touched: &mut Vec<usize>) {
        if !self.touched {
            self.touched = true;
            self.room = WAITING_INPUTS.saturating_sub(self.rule.pending.load(Ordering::Acquire));
            touched.push(slot);
        }
    }

    pub(super) fn put_event(&mut self, entry: &Arc<Entry>, subscription: u32) {
        let (Body::Event(event), Some(version)) = (&entry.body, &self.version) else { return };
        let Some(wanted) = version.description.subscriptions.get(subscription as usize) else { return };
        let Some(key) = key_of(event, &wanted.keyed_by) else {
            self.rule.counters.keyless.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let lane = Rule::lane_of(&key, self.buffers.len());
        self.put(lane, Item::Entry { key, entry: Arc::clone(entry), subscription: Some(subscription) });
    }

    /// An outcome that the rule wants to hear of, or an operator's change.
    pub(super) fn put_own(&mut self, entry: &Arc<Entry>) {
        let key = match &entry.body {
            Body::Outcome(outcome) if outcome.reference.is_some() => &outcome.key,
            Body::KeyChange(change) => &change.key,
            _ => return,
        };
        let lane = Rule::lane_of(key, self.buffers.len());
        self.put(
            lane,
            Item::Entry { key: key.as_str().into(), entry: Arc::clone(entry), subscription: None },
        );
    }

    pub(super) fn put(&mut self, lane: usize, item: Item) {
        self.rule.waiting_bytes.fetch_add(item.bytes(), Ordering::AcqRel);
        self.buffers[lane].push(item);
        self.room = self.room.saturating_sub(1);
        if self.rule.waiting_bytes.load(Ordering::Acquire) > WAITING_BYTES {
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

    /// Puts the switches in place that hold from the next position.
    pub(super) fn apply_plan(&mut self) {
        while self.plan.front().is_some_and(|(at, _)| *at <= self.next) {
            let Some((at, version)) = self.plan.pop_front() else { return };
            self.index = SubscriptionIndex::default();
            if let Some(version) = &version {
                self.index.insert(0, &version.description.subscriptions);
            }
            self.version.clone_from(&version);
            for lane in 0..self.buffers.len() {
                self.put(lane, Item::Switch { at, version: version.clone(), before: self.before });
            }
            self.rule.dirty.store(true, Ordering::Release);
            if version.is_none() {
                // A last checkpoint: until it returns it holds back nothing.
                self.mark(self.next, self.before);
            }
        }
    }

    pub(super) fn mark(&mut self, position: Position, before: Instant) {
        let version = self.version.as_ref().map(|version| version.record.clone());
        let marker = Arc::new(Marker::new(RuleRecord { position, version }, self.buffers.len()));
        for lane in 0..self.buffers.len() {
            self.put(lane, Item::Marker { marker: Arc::clone(&marker), before });
        }
        self.marker = Some(marker);
    }

    /// Moves what was put together into the lanes' queues. `position`: the rule's next.
    pub(super) fn flush(&mut self, position: Position) {
        self.touched = false;
        let count: usize = self.buffers.iter().map(Vec::len).sum();
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

/// The rule that an outcome or an operator's change is for.
pub(super) fn rule_of(body: &Body) -> Option<&String> {
    match body {
        Body::Outcome(outcome) => Some(&outcome.rule),
        Body::KeyChange(change) => Some(&change.rule),
        _ => None,
    }
}
