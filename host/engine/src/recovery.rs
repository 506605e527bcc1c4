//! What a start reads from the journal before anything runs: the folds over it that are not in a rule's
//! checkpoint, and what was decided since.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::journal::{
    ActionId, Body, Decision, Entry, InputId, Journal, JournalError, Position, VersionRecord,
};
use crate::pipeline::known::{KnownIds, KnownLimits, event_key};
use crate::pipeline::lane::DeadLetter;

/// What the journal says, apart from what rules compute from it.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Actions that have an outcome.
    pub(crate) settled: HashSet<ActionId>,
    /// How far each source has been read.
    pub(crate) cursors: HashMap<String, String>,
    pub(crate) rules: BTreeMap<String, RuleDecisions>,
}

/// What was decided about a rule, in the journal's order.
#[derive(Debug, Default)]
pub(crate) struct RuleDecisions {
    /// From when on which version, if any.
    pub(crate) switches: Vec<(Position, Option<VersionRecord>)>,
    pub(crate) set_aside: HashMap<InputId, DeadLetter>,
}

/// Reads all decisions and outcomes up to the journal's end.
pub(crate) fn recover(journal: &dyn Journal) -> Result<Recovered, JournalError> {
    let mut recovered = Recovered::default();
    journal.visit_decisions(&mut |entry| {
        recovered.note(&entry);
        Ok(())
    })?;
    for rule in recovered.rules.values_mut() {
        // A later decision about the same position counts.
        rule.switches.sort_by_key(|(at, _)| *at);
    }
    Ok(recovered)
}

impl Recovered {
    fn note(&mut self, entry: &Entry) {
        match &entry.body {
            Body::Outcome(outcome) => {
                self.settled.insert(outcome.id);
            }
            Body::SourceRead(read) => {
                self.cursors.insert(read.source.clone(), read.cursor.clone());
            }
            Body::Decision { rule, decision } => {
                let rule = self.rules.entry(rule.clone()).or_default();
                match decision {
                    Decision::Switch { at, to, .. } => rule.switches.push((*at, Some(to.clone()))),
                    Decision::Unload { at } => rule.switches.push((*at, None)),
                    Decision::SetAside { input, key, reason, backtrace } => {
                        let letter = DeadLetter {
                            input: input.clone(),
                            key: key.clone(),
                            reason: reason.clone(),
                            backtrace: backtrace.clone(),
                            now: entry.instant,
                        };
                        rule.set_aside.insert(input.id, letter);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// Folds the last events into the known ids.
pub(crate) fn known_ids(journal: &dyn Journal, limits: KnownLimits) -> Result<KnownIds, JournalError> {
    let mut known = KnownIds::new(limits);
    let Some((last, _)) = journal.last() else { return Ok(known) };
    let Some((window, _)) = journal.at_or_after(last.saturating_sub(limits.window_ms))? else {
        return Ok(known);
    };
    let mut position = window.max(journal.end().saturating_sub(limits.events as u64)).max(journal.start());
    while position < journal.end() {
        for entry in journal.read(position, 4 << 20)? {
            if let Body::Event(event) = &entry.body {
                known.insert(event_key(event), entry.instant);
            }
            position = entry.position + 1;
        }
    }
    Ok(known)
}
