//! What a start reads from the journal before anything runs: the folds over it that are not in a
//! checkpoint, and what was decided since.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::checkpoint::rows::Standing;
use crate::event::Instant;
use crate::journal::{
    ActionId, Body, Decision, Entry, Erasure, InputId, Journal, JournalError, Position, VersionRecord,
};
use crate::pipeline::known::{KnownIds, KnownLimits};
use crate::pipeline::lane::DeadLetter;
use crate::rule::Status;

/// What the journal says, apart from what rules compute from it.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Actions that have an outcome, of those that may come up again.
    pub(crate) settled: HashMap<ActionId, Status>,
    /// How far each source has been read.
    pub(crate) cursors: BTreeMap<String, String>,
    /// Erasures that were asked for and are not done, where and when.
    pub(crate) erasures: Vec<(Position, Instant, Erasure)>,
    pub(crate) rules: BTreeMap<String, RuleDecisions>,
}

/// What was decided about a rule, in the journal's order.
#[derive(Debug, Default)]
pub(crate) struct RuleDecisions {
    /// What changes on its way, and where.
    pub(crate) turns: Vec<(Position, Turn<VersionRecord>)>,
    pub(crate) set_aside: HashMap<InputId, DeadLetter>,
    /// Inputs whose dead letters were given again or dropped.
    pub(crate) closed: HashSet<InputId>,
}

/// What changes on a rule's way through the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn<V> {
    /// From here on it is given to this version; none: to nobody.
    Version(Option<V>),
    /// It was left behind: it goes on there.
    Skip(Position),
}

/// Reads what was decided since the checkpoints: switches, inputs set aside, and those outcomes whose actions
/// may come up again, since checkpoints hold them open or rules compute them again.
/// Each entry is shown to `also`, for what else is a fold over them.
pub(crate) fn recover(
    journal: &dyn Journal,
    standing: &Standing,
    also: &mut dyn FnMut(&Entry),
) -> Result<Recovered, JournalError> {
    let mut recovered = Recovered {
        cursors: standing.host.cursors.clone(),
        erasures: standing.host.erasures.clone(),
        ..Recovered::default()
    };
    let computed_from = standing.position();
    journal.visit_decisions(standing.reads_from(), &mut |entry| {
        also(&entry);
        match &entry.body {
            Body::Outcome(outcome)
                if entry.position < computed_from && !standing.open.contains(&outcome.id) => {}
            _ => recovered.note(&entry),
        }
        Ok(())
    })?;
    for rule in recovered.rules.values_mut() {
        // A later decision about the same position counts.
        rule.turns.sort_by_key(|(at, _)| *at);
    }
    Ok(recovered)
}

impl Recovered {
    fn note(&mut self, entry: &Entry) {
        match &entry.body {
            Body::Outcome(outcome) => {
                self.settled.insert(outcome.id, outcome.status);
            }
            Body::SourceRead(read) => {
                self.cursors.insert(read.source.clone(), read.cursor.clone());
            }
            // The record may have it already.
            Body::ErasureAsked(erasure)
                if self.erasures.iter().all(|(position, ..)| *position != entry.position) =>
            {
                self.erasures.push((entry.position, entry.instant, Erasure::clone(erasure)));
            }
            Body::ErasureDone { asked } => self.erasures.retain(|(position, ..)| position != asked),
            Body::Decision { rule, decision } => {
                self.rules.entry(rule.clone()).or_default().note(entry.instant, decision);
            }
            _ => {}
        }
    }
}

impl RuleDecisions {
    pub(crate) fn note(&mut self, instant: Instant, decision: &Decision) {
        match decision {
            Decision::Switch { at, to, .. } => self.turns.push((*at, Turn::Version(Some(to.clone())))),
            Decision::Unload { at } => self.turns.push((*at, Turn::Version(None))),
            Decision::LeftBehind { from, to } => self.turns.push((*from, Turn::Skip(*to))),
            Decision::SetAside { input, key, reason, backtrace } => {
                let letter = DeadLetter {
                    input: input.clone(),
                    key: key.clone(),
                    // Both are found again with the input.
                    subject: None,
                    bytes: 0,
                    reason: reason.clone(),
                    backtrace: backtrace.clone(),
                    now: instant,
                };
                self.set_aside.insert(input.id, letter);
            }
            Decision::GivenAgain { input, .. } | Decision::Dropped { input } => {
                self.closed.insert(input.id);
            }
            // Guardrails take it in.
            Decision::Verdict { .. } | Decision::Judged(_) => {}
        }
    }
}

/// Folds the last events into the known ids.
pub(crate) fn known_ids(journal: &dyn Journal, limits: KnownLimits) -> Result<KnownIds, JournalError> {
    let mut known = KnownIds::new(limits);
    let Some(mut position) = known_from(journal, limits)? else { return Ok(known) };
    while position < journal.end() {
        for entry in journal.read(position, 4 << 20)? {
            if let Body::Event(event) = &entry.body {
                known.insert(known.key(&event.fields()), entry.instant);
                known.forget_old();
            }
            position = entry.position + 1;
        }
    }
    Ok(known)
}

/// The first entry whose id may still be known; none: there are no entries.
pub(crate) fn known_from(
    journal: &dyn Journal,
    limits: KnownLimits,
) -> Result<Option<Position>, JournalError> {
    let Some((last, _)) = journal.last() else { return Ok(None) };
    let window = journal.at_or_after(last.saturating_sub(limits.window_ms))?;
    let events = journal.end().saturating_sub(limits.events as u64);
    Ok(window.map(|(window, _)| window.max(events).max(journal.start())))
}
