//! What became of moments, computed again from a data folder.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{ReplayError, ReplayOptions, Source};
use crate::event::Instant;
use crate::guardrail::{approval, refusal};
use crate::journal::{ActionId, Body, Decision, Erasure, GuardChange, Journal, MomentId, Position, Verdict};
use crate::life::{Lives, MomentFilter, MomentLife, is_past_bound, moment_bytes};
use crate::moment::Moment;

/// The last moments of a data folder and what became of them, the last first: of a host that does not run, and of moments that
/// a running one keeps no more. Looks at the last 10,000 (16 MiB) that match all of the filter but its stage.
///
/// That a first try was begun stands in no journal: an action is `acting` only where guardrails let it go.
///
/// # Errors
/// [`ReplayError`].
pub fn lives(options: &ReplayOptions, filter: &MomentFilter) -> Result<Vec<MomentLife>, ReplayError> {
    let mut source = Source::open(options)?;
    let (until, from, erasures) = (source.journal.end(), source.from, source.erasures.clone());
    let mut last = Last::default();
    for rule in source.rules() {
        if filter.rule.as_ref().is_some_and(|asked| *asked != rule) {
            continue;
        }
        source.fold(&rule)?.run_to(until, &mut |moment| {
            if filter.takes(moment) && !is_erased(moment, &erasures) {
                last.add(moment);
            }
        })?;
    }
    let lives = Lives::default();
    let mut actions = HashMap::new();
    for moment in last.moments.into_values() {
        actions.extend(
            (0..).zip(&moment.actions).map(|(index, action)| (action.id, (Arc::clone(&moment), index))),
        );
        lives.detected(&moment);
    }
    follow(&*source.journal, from, &actions, &lives)?;
    Ok(lives.list(filter))
}

/// Goes on with each action as the journal says.
fn follow(
    journal: &dyn Journal,
    from: Position,
    actions: &HashMap<ActionId, (Arc<Moment>, usize)>,
    lives: &Lives,
) -> Result<(), ReplayError> {
    let known = |id: &ActionId| actions.get(id).map(|(moment, index)| (moment.id, &moment.actions[*index]));
    let mut approvals = HashMap::new();
    journal.visit_decisions(from, &mut |entry| {
        match &entry.body {
            Body::Outcome(outcome) => {
                if let Some((moment, action)) = known(&outcome.id) {
                    lives.ended(moment, action, outcome.status, entry.instant, &outcome.detail);
                }
            }
            Body::Decision { decision, .. } => {
                let Decision::Judged(judgement) = &**decision else { return Ok(()) };
                let Some((moment, action)) = known(&judgement.id) else { return Ok(()) };
                match &judgement.verdict {
                    Verdict::Held { guardrail, reason, until, .. } => {
                        let why = refusal(guardrail, reason);
                        lives.held(moment, action, entry.instant, *until, why);
                    }
                    Verdict::Allowed { .. } => {
                        let why = approvals.remove(&judgement.id).unwrap_or_default();
                        lives.acting(moment, action, entry.instant, why);
                    }
                    // Its outcome follows.
                    Verdict::Withheld { .. } => {}
                }
            }
            Body::Guard(change) => {
                if let GuardChange::Approval { id, approved: true, why } = &**change {
                    approvals.insert(*id, approval(why));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(())
}

/// Whether somebody asked later that it be forgotten, whether that is done or not.
fn is_erased(moment: &Moment, erasures: &[(Position, Erasure)]) -> bool {
    erasures.iter().any(|(asked, erasure)| moment.position < *asked && moment.is_meant_by(erasure))
}

/// The last moments, over all rules.
#[derive(Default)]
struct Last {
    moments: BTreeMap<(Instant, Position, MomentId), Arc<Moment>>,
    bytes: usize,
}

impl Last {
    fn add(&mut self, moment: &Moment) {
        self.bytes += moment_bytes(moment);
        self.moments.insert((moment.now, moment.position, moment.id), Arc::new(moment.clone()));
        while is_past_bound(self.moments.len(), self.bytes) {
            let Some((_, first)) = self.moments.pop_first() else { return };
            self.bytes = self.bytes.saturating_sub(moment_bytes(&first));
        }
    }
}
