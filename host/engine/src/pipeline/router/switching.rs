//! From one version of a rule to the next: it stops between two batches, a decision is journaled, and what
//! no lane has passed goes to the new version.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Reply, Request, Router};
use crate::journal::{Body, Decision, Position};
use crate::pipeline::intake::SubmitError;
use crate::pipeline::program::Version;
use crate::pipeline::runtime::{AT_WORK, Item};
use crate::recovery::Turn;

impl Router {
    /// Has a rule stop between two batches, for a switch.
    pub(super) fn ask_for_switch(&mut self, rule: &str, turn: Turn<Arc<Version>>, reply: Reply) {
        let Some(&slot) = self.by_name.get(rule) else {
            return reply(Err(format!("there is no rule `{rule}`")));
        };
        let course = &mut self.courses[slot];
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
            let decision = match &turn {
                Turn::Version(Some(version)) => Decision::Switch {
                    at,
                    to: version.record.clone(),
                    version: version.description.version.clone(),
                },
                Turn::Version(None) => Decision::Unload { at },
                Turn::Skip(to) if *to <= at => {
                    // It has come so far meanwhile.
                    course.release();
                    course.call_all(&self.shared);
                    reply(Ok(at));
                    continue;
                }
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
                    let result = done.map(drop);
                    shared.mailbox.ask(Request::Decided { rule, at, turn, result, reply });
                }),
            );
        }
        self.switching = self.courses.iter().any(|course| !course.switches.is_empty());
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
        at: Position,
        turn: Turn<Arc<Version>>,
        result: Result<(), SubmitError>,
        reply: Reply,
    ) {
        let Some(&slot) = self.by_name.get(rule) else { return };
        let course = &mut self.courses[slot];
        course.deciding = false;
        course.release();
        match result {
            Ok(()) => {
                if matches!(turn, Turn::Version(_)) {
                    course.last_switch = course.last_switch.max(at);
                }
                let place = course.plan.partition_point(|(known, _)| *known <= at);
                course.plan.insert(place, (at, turn));
                // A fixed version is not kept waiting for what the one before did.
                let mut care = course.rule.care();
                care.resting = None;
                care.halt = None;
                care.rests = 0;
                care.set_aside.clear();
                drop(care);
                reply(Ok(at));
            }
            Err(error) => reply(Err(error.to_string())),
        }
        course.call_all(&self.shared);
    }
}
