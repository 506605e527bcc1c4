//! What the guardrails remember: a fold over the journal, and what was judged and is not durable yet.
//!
//! **Invariant:** what was judged counts at once, so that no two actions are let through on the same count; a checkpoint
//! holds only what the journal holds.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::window::Window;
use crate::event::Instant;
use crate::journal::{
    ActionId, Body, Contender, Counted, Decision, Entry, Erasure, GuardChange, Judgement, Muted, Position,
    Verdict,
};

/// For how many subjects counts are kept, over all guardrails. Past it, whoever has none yet is withheld from.
pub(super) const MOST_COUNTS: usize = 1_000_000;
/// How many yeses and noes are kept. Past it no more are taken.
pub(super) const MOST_CONSENTS: usize = 1_000_000;
/// How many mutes there may be.
pub(super) const MOST_MUTES: usize = 1_000;
/// How many actions may be held at a time. Past it, what would be held is withheld.
pub(super) const MOST_HELD: usize = 10_000;

/// What a count is kept under: a guardrail, and the hash of whom it is about; all zeros for all together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Counter {
    pub(super) guardrail: String,
    pub(super) subject: [u8; 32],
}

/// What counts, and how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) period_ms: u64,
    pub(super) window: Window,
}

/// A person's yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Consent {
    pub(super) given: bool,
    /// When it was said.
    pub(super) said: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mute {
    pub(super) until: Option<Instant>,
    pub(super) why: String,
}

/// How an action stands that was judged and has no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) rule: String,
    pub(super) judgement: Judgement,
    /// What a person decided about it, and why.
    pub(super) approval: Option<(bool, String)>,
}

/// What is to be written to the next checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Row {
    Count(Counter),
    Consent(String, [u8; 32]),
    Record(ActionId),
    Mute(Muted),
}

#[derive(Default)]
pub(super) struct State {
    pub(super) counts: HashMap<Counter, Count>,
    pub(super) consents: HashMap<(String, [u8; 32]), Consent>,
    pub(super) mutes: BTreeMap<Muted, Mute>,
    pub(super) records: HashMap<ActionId, Record>,
    /// Erasures that were asked for and are not done, and where.
    pub(super) erasures: Vec<(Position, Erasure)>,
    /// The first position that is not in it.
    pub(super) position: Position,
    /// The position that is kept with the rows: what was changed before it is in them.
    pub(super) kept: Position,
    pub(super) changed: HashSet<Row>,
    /// What is being journaled.
    pending: HashMap<ActionId, Record>,
    pending_counts: HashMap<Counter, u64>,
    /// Of a guardrail and a subject: what is held so that only the most important acts, and until when.
    contenders: HashMap<Counter, Vec<(Instant, ActionId)>>,
    held: usize,
    /// How many counts there were after those that are over were last let go of.
    counts_swept: usize,
}

impl State {
    /// How an action stands, whether durable or not.
    pub(super) fn record(&self, id: ActionId) -> Option<&Record> {
        self.pending.get(&id).or_else(|| self.records.get(&id))
    }

    pub(super) fn is_pending(&self, id: ActionId) -> bool {
        self.pending.contains_key(&id)
    }

    /// How many actions are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// What counts already, durable or not.
    pub(super) fn sum(&self, counter: &Counter, now: Instant, period_ms: u64) -> u64 {
        let durable = self.counts.get(counter).map_or(0, |count| count.window.sum(now, period_ms));
        durable.saturating_add(self.pending_counts.get(counter).copied().unwrap_or(0))
    }

    /// The first instant at which `amount` more would fit below `at_most`, if any.
    pub(super) fn free_at(
        &self,
        counter: &Counter,
        now: Instant,
        period_ms: u64,
        at_most: u64,
        amount: u64,
    ) -> Option<Instant> {
        let pending = self.pending_counts.get(counter).copied().unwrap_or(0);
        let left = at_most.saturating_sub(pending);
        match self.counts.get(counter) {
            // All of it is being journaled: it counts from about now on.
            _ if left < amount => (amount <= at_most).then_some(now.saturating_add(period_ms)),
            Some(count) => count.window.free_at(now, period_ms, left, amount),
            None => Some(now),
        }
    }

    /// Whether a counter may be begun.
    pub(super) fn has_room_for(&self, counter: &Counter) -> bool {
        self.counts.contains_key(counter) || self.counts.len() + self.pending_counts.len() < MOST_COUNTS
    }

    /// Others that contend about the same subject until the same instant.
    pub(super) fn contenders(
        &self,
        counter: &Counter,
        until: Instant,
    ) -> impl Iterator<Item = (ActionId, Position, Contender)> {
        let listed = self.contenders.get(counter).into_iter().flatten();
        listed.filter(move |(of, _)| *of == until).filter_map(|(_, id)| {
            let record = self.record(*id)?;
            match &record.judgement.verdict {
                Verdict::Held { contender: Some(contender), .. } => {
                    Some((*id, record.judgement.at, *contender))
                }
                _ => None,
            }
        })
    }

    /// Until when a contest about a subject goes on, if there is one.
    pub(super) fn contest(&self, counter: &Counter, now: Instant) -> Option<Instant> {
        self.contenders.get(counter)?.iter().map(|(until, _)| *until).find(|until| *until > now)
    }

    // ---- what was judged ----

    /// What was judged counts from here on; it is being journaled.
    pub(super) fn judged(&mut self, rule: &str, judgement: Judgement) {
        let id = judgement.id;
        self.leave(id);
        let approval = self.records.get(&id).and_then(|record| record.approval.clone());
        for counted in counted(&judgement) {
            let sum = self.pending_counts.entry(counter_of(counted)).or_default();
            *sum = sum.saturating_add(counted.amount);
        }
        self.pending.insert(id, Record { rule: rule.to_owned(), judgement, approval });
        self.join(id);
    }

    /// It could not be journaled: it was never judged.
    pub(super) fn not_judged(&mut self, id: ActionId) {
        self.leave(id);
        self.take_pending(id);
        self.join(id);
    }

    /// An action is held a while longer by the guardrail that holds it: nothing to be journaled, since it is found out
    /// again.
    pub(super) fn held_longer(&mut self, id: ActionId, longer: Instant) {
        if let Some(record) = self.records.get_mut(&id)
            && let Verdict::Held { until, .. } = &mut record.judgement.verdict
        {
            *until = longer;
        }
    }

    fn take_pending(&mut self, id: ActionId) {
        let Some(record) = self.pending.remove(&id) else { return };
        for counted in counted(&record.judgement) {
            let counter = counter_of(counted);
            if let Some(sum) = self.pending_counts.get_mut(&counter) {
                *sum = sum.saturating_sub(counted.amount);
                if *sum == 0 {
                    self.pending_counts.remove(&counter);
                }
            }
        }
    }

    /// Takes an action out of what is held.
    fn leave(&mut self, id: ActionId) {
        let Some(record) = self.record(id) else { return };
        let Verdict::Held { guardrail, until, contender, .. } = &record.judgement.verdict else { return };
        let contends = contender.is_some();
        let (until, counter) =
            (*until, Counter { guardrail: guardrail.clone(), subject: record.judgement.subject });
        self.held -= 1;
        if contends && let Some(listed) = self.contenders.get_mut(&counter) {
            listed.retain(|listed| *listed != (until, id));
            if listed.is_empty() {
                self.contenders.remove(&counter);
            }
        }
    }

    /// Puts it among what is held, if it is.
    fn join(&mut self, id: ActionId) {
        let Some(record) = self.record(id) else { return };
        let Verdict::Held { guardrail, until, contender, .. } = &record.judgement.verdict else { return };
        let contends = contender.is_some();
        let (until, counter) =
            (*until, Counter { guardrail: guardrail.clone(), subject: record.judgement.subject });
        self.held += 1;
        if contends {
            self.contenders.entry(counter).or_default().push((until, id));
        }
    }
}

// ---- the fold ----

impl State {
    /// Takes in an entry of the journal.
    pub(super) fn fold(&mut self, entry: &Entry) {
        if entry.position < self.position {
            return;
        }
        self.position = entry.position + 1;
        match &entry.body {
            Body::Decision { rule, decision } => {
                if let Decision::Judged(judgement) = &**decision {
                    self.fold_judged(rule, judgement);
                }
            }
            Body::Outcome(outcome) => self.forget_action(outcome.id),
            Body::Guard(change) => self.fold_change(change),
            Body::ErasureAsked(erasure) => self.fold_erasure(entry.position, erasure),
            Body::ErasureDone { asked } => self.erasures.retain(|(position, _)| position != asked),
            _ => {}
        }
    }

    fn fold_judged(&mut self, rule: &str, judgement: &Judgement) {
        let id = judgement.id;
        self.leave(id);
        self.take_pending(id);
        let erased = |(asked, erasure): &(Position, Erasure)| {
            judgement.at < *asked && is_about(erasure, rule, judgement)
        };
        if self.erasures.iter().any(erased) {
            self.records.remove(&id);
        } else {
            for counted in counted(judgement) {
                let counter = counter_of(counted);
                let count = self.counts.entry(counter.clone()).or_default();
                count.period_ms = counted.period_ms;
                count.window.count(judgement.now, counted.amount, counted.period_ms);
                self.changed.insert(Row::Count(counter));
            }
            let approval = self.records.remove(&id).and_then(|record| record.approval);
            let record = Record { rule: rule.to_owned(), judgement: judgement.clone(), approval };
            self.records.insert(id, record);
        }
        self.changed.insert(Row::Record(id));
        self.join(id);
    }

    fn fold_change(&mut self, change: &GuardChange) {
        match change {
            GuardChange::Consent { subject, purpose, given, said } => {
                let name = (purpose.clone(), *subject);
                if self.consents.get(&name).is_none_or(|known| known.said <= *said) {
                    self.consents.insert(name, Consent { given: *given, said: *said });
                    self.changed.insert(Row::Consent(purpose.clone(), *subject));
                }
            }
            GuardChange::Approval { id, approved, why } => {
                for record in [self.records.get_mut(id), self.pending.get_mut(id)].into_iter().flatten() {
                    record.approval = Some((*approved, why.clone()));
                }
                self.changed.insert(Row::Record(*id));
            }
            GuardChange::Mute { what, until, why } => {
                self.mutes.insert(what.clone(), Mute { until: *until, why: why.clone() });
                self.changed.insert(Row::Mute(what.clone()));
            }
            GuardChange::Unmute { what } => {
                self.mutes.remove(what);
                self.changed.insert(Row::Mute(what.clone()));
            }
        }
    }

    fn fold_erasure(&mut self, asked: Position, erasure: &Erasure) {
        let gone = |record: &Record| is_about(erasure, &record.rule, &record.judgement);
        let ids: Vec<ActionId> =
            self.records.values().filter(|record| gone(record)).map(|record| record.judgement.id).collect();
        ids.into_iter().for_each(|id| self.forget_action(id));
        self.erasures.push((asked, erasure.clone()));
        if erasure.rule.is_some() {
            return;
        }
        let hash = erasure.name_hash;
        let changed = &mut self.changed;
        self.counts.retain(|counter, _| {
            let kept = counter.subject != hash;
            if !kept {
                changed.insert(Row::Count(counter.clone()));
            }
            kept
        });
        self.consents.retain(|(purpose, subject), _| {
            let kept = *subject != hash;
            if !kept {
                changed.insert(Row::Consent(purpose.clone(), *subject));
            }
            kept
        });
        if self.mutes.remove(&Muted::Subject(hash)).is_some() {
            changed.insert(Row::Mute(Muted::Subject(hash)));
        }
    }

    fn forget_action(&mut self, id: ActionId) {
        self.leave(id);
        self.take_pending(id);
        if self.records.remove(&id).is_some() {
            self.changed.insert(Row::Record(id));
        }
    }

    /// Lets go of counts in which nothing counts any more. Costs little: it looks only when there are twice as many as
    /// last time.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.counts.len() < 2 * self.counts_swept.max(1_000) {
            return;
        }
        let changed = &mut self.changed;
        self.counts.retain(|counter, count| {
            let over = count.window.is_over(now, count.period_ms);
            if over {
                changed.insert(Row::Count(counter.clone()));
            }
            !over
        });
        self.counts_swept = self.counts.len();
    }

    /// Takes in a record of a checkpoint.
    pub(super) fn load_record(&mut self, record: Record) {
        let id = record.judgement.id;
        self.records.insert(id, record);
        self.join(id);
    }
}

fn is_about(erasure: &Erasure, rule: &str, judgement: &Judgement) -> bool {
    erasure.rule.as_ref().is_none_or(|of| of == rule)
        && (erasure.name_hash == judgement.key || erasure.name_hash == judgement.subject)
}

fn counted(judgement: &Judgement) -> &[Counted] {
    match &judgement.verdict {
        Verdict::Allowed { counted } => counted,
        Verdict::Held { .. } | Verdict::Withheld { .. } => &[],
    }
}

pub(super) fn counter_of(counted: &Counted) -> Counter {
    Counter { guardrail: counted.guardrail.clone(), subject: counted.subject.unwrap_or_default() }
}
