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
    /// Actions that have an outcome, of those that may come up again.
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

/// What checkpoints say of where rules stand.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// The position of each rule's checkpoint; none: it was unloaded, and computes nothing again.
    pub(crate) rules: HashMap<String, Option<Position>>,
    /// Actions that are open in them.
    pub(crate) open: HashSet<ActionId>,
}

/// Reads all decisions up to the journal's end, and those outcomes whose actions may come up again: the
/// ones that checkpoints hold open, and the ones that rules compute again from there.
pub(crate) fn recover(journal: &dyn Journal, standing: &Standing) -> Result<Recovered, JournalError> {
    let floor = standing.rules.values().flatten().copied().min().unwrap_or(journal.end());
    let recovered = recover_from(journal, standing, floor)?;
    // A rule without a checkpoint begins with its first switch.
    let new = recovered.rules.iter().filter(|(rule, _)| !standing.rules.contains_key(*rule));
    match new.filter_map(|(_, rule)| rule.switches.first()).map(|(at, _)| *at).min() {
        Some(first) if first < floor => recover_from(journal, standing, first),
        _ => Ok(recovered),
    }
}

fn recover_from(
    journal: &dyn Journal,
    standing: &Standing,
    floor: Position,
) -> Result<Recovered, JournalError> {
    let mut recovered = Recovered::default();
    journal.visit_decisions(0, &mut |entry| {
        match &entry.body {
            Body::Outcome(outcome) if entry.position < floor && !standing.open.contains(&outcome.id) => {}
            _ => recovered.note(&entry),
        }
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
