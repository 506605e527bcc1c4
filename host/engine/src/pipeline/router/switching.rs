//! From one version of a rule to the next.
//!
//! A rule that is well and keeps up is switched in passing: a decision is journaled, and what comes behind it goes to the new
//! version. Nothing waits. Any other stops between two batches, and from the first position that no lane has passed on
//! its inputs go to the new version, which may be the one that can digest them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Course, Reply, Request, Router};
use crate::journal::{AFTER_ITSELF, Body, Decision, Entry, Position};
use crate::pipeline::intake::SubmitError;
use crate::pipeline::program::Version;
use crate::pipeline::runtime::{AT_WORK, Item};
use crate::recovery::Turn;

/// A rule for which more inputs wait is not switched in passing: they are not to be left to the old version.
const FEW: usize = if cfg!(test) { 4 } else { 64 };

/// A switch in passing.
pub(super) struct InPassing {
    version: Arc<Version>,
    /// The rule's reader has come to the decision.
    met: bool,
    /// The decision is durable: where, and who is to be told once it is met.
    durable: Option<(Position, Reply)>,
}

impl Course {
    /// Whether it may be switched in passing.
    fn is_well(&self) -> bool {
        let care = self.rule.care();
        let healthy = care.resting.is_none() && care.halt.is_none() && care.set_aside.is_empty();
        let free = self.switches.is_empty() && !self.deciding && self.plan.is_empty();
        healthy && free && self.current && self.rule.pending.load(Ordering::Acquire) <= FEW
    }

    /// Whether it keeps up, and comes to a decision to switch it in passing.
    pub(super) fn may_meet(&self) -> bool {
        self.current && self.in_passing.as_ref().is_some_and(|switch| !switch.met)
    }

    /// If this entry is the decision that it is switched by in passing: the version that is given what comes behind it.
    pub(super) fn meet(&mut self, entry: &Entry) -> Option<Arc<Version>> {
        let switch = self.in_passing.as_mut().filter(|switch| !switch.met)?;
        let Body::Decision { rule, decision } = &entry.body else { return None };
        let Decision::Switch { at, to, .. } = &**decision else { return None };
        if *rule != self.rule.name || *at != entry.position + 1 || *to != switch.version.record {
            return None;
        }
        switch.met = true;
        let version = Arc::clone(&switch.version);
        self.end_in_passing();
        Some(version)
    }

    /// It does not keep up any more: the switch is one of those on its own way.
    pub(super) fn plan_in_passing(&mut self) {
        let Some(switch) = self.in_passing.as_mut().filter(|switch| !switch.met) else { return };
        if let Some((at, _)) = switch.durable {
            switch.met = true;
            self.plan.push_back((at, Turn::Version(Some(Arc::clone(&switch.version)))));
            self.end_in_passing();
        }
    }

    fn end_in_passing(&mut self) {
        if let Some(InPassing { met: true, durable: Some((at, reply)), .. }) =
            self.in_passing.take_if(|switch| switch.met && switch.durable.is_some())
        {
            self.deciding = false;
            self.last_switch = self.last_switch.max(at);
            self.forgive();
            reply(Ok(at));
        }
    }

    /// A fixed version is not kept waiting for what the one before did.
    fn forgive(&self) {
        let mut care = self.rule.care();
        care.resting = None;
        care.halt = None;
        care.rests = 0;
        care.set_aside.clear();
    }
}

impl Router {
    /// Has a rule switched: in passing, or it stops between two batches.
    pub(super) fn ask_for_switch(&mut self, rule: &str, turn: Turn<Arc<Version>>, reply: Reply) {
        let Some(&slot) = self.by_name.get(rule) else {
            return reply(Err(format!("there is no rule `{rule}`")));
        };
        let course = &mut self.courses[slot];
        if let Turn::Version(Some(version)) = &turn
            && course.version.is_some()
            && course.is_well()
        {
            course.in_passing = Some(InPassing { version: Arc::clone(version), met: false, durable: None });
            return self.decide(slot, AFTER_ITSELF, turn, reply);
        }
        course.held = true;
        course.rule.hold.store(true, Ordering::Release);
        course.switches.push_back((turn, reply));
        self.switching = true;
    }

    /// Journals the switches whose rules have stopped. Until the decision is durable a rule is given nothing.
    pub(super) fn decide_switches(&mut self) {
        if !self.switching {
            return;
        }
        for slot in 0..self.courses.len() {
            let course = &self.courses[slot];
            if course.deciding || course.switches.is_empty() {
                continue;
            }
            let Some(at) = self.rewind(slot) else { continue };
            let course = &mut self.courses[slot];
            let Some((turn, reply)) = course.switches.pop_front() else { continue };
            if let Turn::Skip(to) = &turn
                && *to <= at
            {
                // It has come so far meanwhile.
                course.release();
                course.call_all(&self.shared);
                reply(Ok(at));
                continue;
            }
            self.decide(slot, at, turn, reply);
        }
        self.switching = self.courses.iter().any(|course| !course.switches.is_empty());
    }

    /// Journals a decision.
    fn decide(&mut self, slot: usize, at: Position, turn: Turn<Arc<Version>>, reply: Reply) {
        let course = &mut self.courses[slot];
        let decision = match &turn {
            Turn::Version(Some(version)) => Decision::Switch {
                at,
                to: version.record.clone(),
                version: version.description.version.clone(),
            },
            Turn::Version(None) => Decision::Unload { at },
            Turn::Skip(to) => {
                tracing::warn!(
                    rule = course.rule.name,
                    from = at,
                    to,
                    "the rule is left behind: this range of the journal is not given to it"
                );
                Decision::LeftBehind { from: at, to: *to }
            }
        };
        course.deciding = true;
        let shared = Arc::clone(&self.shared);
        let rule = course.rule.name.clone();
        self.shared.intake.append(
            vec![Body::Decision { rule: rule.clone(), decision: Box::new(decision) }],
            Box::new(move |done| {
                let in_passing = at == AFTER_ITSELF;
                let result = done.map(|position| if in_passing { position + 1 } else { at });
                shared.mailbox.ask(Request::Decided { rule, turn, result, reply });
            }),
        );
    }

    /// A rule that keeps up comes to an entry that may be the decision to switch it in passing. `true`: it is switched.
    pub(super) fn pass(&mut self, slot: usize, entry: &Entry) -> bool {
        let course = &mut self.courses[slot];
        let Some(version) = course.meet(entry) else { return false };
        course.before = entry.instant;
        self.index.remove(slot);
        self.index.insert(slot, &version.description.subscriptions);
        course.turn_to(entry.position + 1, Some(version), &*self.shared.journal);
        true
    }

    /// Finds the first position that no lane has passed, and takes back what waits in them from there on; it
    /// is the rule's position then. None: a lane is still at work.
    fn rewind(&mut self, slot: usize) -> Option<Position> {
        let course = &mut self.courses[slot];
        let next = if course.current { self.head } else { course.next };
        let skips = matches!(course.switches.front(), Some((Turn::Skip(_), _)));
        if course.waits_for_version() {
            return Some(next);
        }
        if course.version.is_none() && course.plan.is_empty() && !skips {
            // It comes back: what happened meanwhile is not given.
            let at = self.head.max(course.last_switch);
            let before = self.before;
            self.leave(slot, at, before);
            return Some(at);
        }
        if course.last_switch > next && !skips {
            // Still on its way to a switch that was decided before a restart: this one comes after it.
            return Some(course.last_switch);
        }
        let rule = Arc::clone(&course.rule);
        let mut queues: Vec<_> = rule.lanes.iter().map(|lane| lane.queue()).collect();
        let passed = rule.lanes.iter().map(|lane| lane.passed.load(Ordering::Acquire)).max().unwrap_or(0);
        if passed == AT_WORK {
            return None;
        }
        let waiting = queues.iter().flat_map(|queue| queue.iter()).filter_map(Item::position);
        let at = waiting.filter(|&position| position >= passed).min().unwrap_or(next).min(next);
        let at = if skips { at } else { at.max(course.last_switch) };
        let (mut count, mut bytes) = (0, 0);
        let mut later = Vec::new();
        for queue in &mut queues {
            queue.retain(|item| {
                let stays = match item {
                    Item::Entry { entry, .. } => entry.position < at,
                    // Within the range that is left out: it comes behind it.
                    Item::Switch { at: switch, version, .. } if *switch > at => {
                        later.push((*switch, version.clone()));
                        false
                    }
                    Item::Switch { .. } | Item::Skip { .. } => true,
                    Item::Erase { position, .. } => *position < at,
                    Item::Marker { marker, .. } => marker.record.position <= at,
                };
                if !stays {
                    count += 1;
                    bytes += item.bytes();
                }
                stays
            });
        }
        if course.marker.as_ref().is_some_and(|marker| marker.record.position > at) {
            course.marker = None;
        }
        drop(queues);
        later.sort_by_key(|(switch, _)| *switch);
        later.dedup_by_key(|(switch, _)| *switch);
        for (switch, version) in later.into_iter().rev() {
            course.plan.push_front((switch, Turn::Version(version)));
        }
        rule.pending.fetch_sub(count, Ordering::AcqRel);
        rule.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
        let before = if at == next {
            if course.current { self.before } else { course.before }
        } else {
            self.instant_before(at)
        };
        self.leave(slot, at, before);
        Some(at)
    }

    pub(super) fn decided(
        &mut self,
        rule: &str,
        turn: Turn<Arc<Version>>,
        result: Result<Position, SubmitError>,
        reply: Reply,
    ) {
        let Some(&slot) = self.by_name.get(rule) else { return };
        let course = &mut self.courses[slot];
        if let (Some(switch), Ok(at)) = (&mut course.in_passing, &result) {
            switch.durable = Some((*at, reply));
            course.end_in_passing();
            if !course.current {
                course.plan_in_passing();
            }
            return course.call_all(&self.shared);
        }
        course.in_passing = None;
        course.deciding = false;
        course.release();
        match result {
            Ok(at) => {
                if matches!(turn, Turn::Version(_)) {
                    course.last_switch = course.last_switch.max(at);
                }
                let place = course.plan.partition_point(|(known, _)| *known <= at);
                course.plan.insert(place, (at, turn));
                course.forgive();
                reply(Ok(at));
            }
            Err(error) => reply(Err(error.to_string())),
        }
        course.call_all(&self.shared);
    }
}
