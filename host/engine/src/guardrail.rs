//! Guardrails: the operator's rules between a moment and the world.
//!
//! An action that a route leads to a sink is judged before it goes there. It is asked of all guardrails that cover it,
//! in one order; the first that withholds it or holds it decides:
//!
//! 1. **mute**: nothing of this goes out for a while. It is withheld.
//! 2. **consent**: without the subject's yes for the purpose it is withheld.
//! 3. **frequency**: more than so many in a period are withheld.
//! 4. **budget**: what would take the sum of a period past its bound is withheld.
//! 5. **exclusive**: it is held until the window's end; then the most important moment about the subject goes on, and
//!    the others are withheld.
//! 6. **approval**: it is held until a person says yes; on a no, or none in time, it is withheld.
//! 7. **quiet-hours**: it is held until they end, or withheld.
//! 8. **rate**: it is held until there is room, or withheld.
//!
//! Of one kind, in the order of their names. What is held is judged again from the start when its hold ends, apart from
//! an exclusive that it has won and an approval that it was given. It counts (frequency, budget, rate) at the one instant
//! at which all let it pass, whatever comes of it afterwards.
//!
//! What was said is journaled before anything follows from it, and not asked again: what guardrails remember is a fold
//! over the journal (`guardrail/state.rs`), kept in checkpoints (`guardrail/rows.rs`). So counts hold over threads, crashes
//! and reloads. Periods go by the timeline. What a route leads back into the host has not left it, and is not judged.
//!
//! **Invariant:** people's names stand in nothing of this, only hashes of them ([`Erasure::hash`]).

mod amount;
mod config;
mod json_pointer;
mod judge;
mod quiet;
pub(crate) mod rows;
mod state;
mod window;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::Instant;
use crate::journal::{ActionId, Entry, Erasure, GuardChange, Judgement, Muted, Position, Verdict};
use crate::moment::Moment;
use crate::status::{GuardrailStatus, GuardrailsStatus, MutedStatus};
use rows::GuardRows;
use state::{MOST_CONSENTS, MOST_COUNTS, MOST_HELD, MOST_MUTES, State};

pub use config::{
    Approval, Budget, Consent, Each, Exclusive, Frequency, Guardrail, Kind, Mute, Pattern, Quiet, Rate,
    Selector, Then, Threshold,
};
pub use json_pointer::JsonPointer;
pub use quiet::{QuietHours, TimeOfDay, TimeZone};

/// An action that asks whether it may go.
pub(crate) struct Question<'a> {
    pub(crate) moment: &'a Moment,
    pub(crate) action: usize,
    /// Where it would go.
    pub(crate) sink: &'a str,
}

/// What it is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It may go: no guardrail covers it, or it was allowed before.
    Go,
    /// It is held, by what was journaled before.
    Held(Instant),
    /// It was withheld before: why.
    Withheld(String),
    /// That is to be journaled first; of others, too, that it has beaten.
    Judged(Vec<Judged>),
}

/// A judgement to be journaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) rule: String,
    pub(crate) judgement: Judgement,
}

/// An action that is held: see [`Host::held`](crate::Host::held).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldAction {
    pub(crate) id: ActionId,
    pub(crate) guardrail: String,
    pub(crate) reason: String,
    pub(crate) until: Instant,
    /// It waits for a person.
    pub(crate) for_approval: bool,
}

pub(crate) struct Guard {
    /// In the order in which they are asked.
    rails: Vec<(String, Guardrail)>,
    state: Mutex<State>,
    /// How many of each guardrail were held and withheld since the start.
    counts: Mutex<HashMap<String, [u64; 2]>>,
}

impl Guard {
    pub(crate) fn new(rails: BTreeMap<String, Guardrail>, rows: GuardRows, position: Position) -> Self {
        let mut rails: Vec<_> = rails.into_iter().collect();
        // Stable: of one kind, in the order of their names.
        rails.sort_by_key(|(_, rail)| judge::order(&rail.kind));
        let mut state = State::default();
        (state.position, state.kept) = (position, position);
        rows.load(&mut state);
        Guard { rails, state: Mutex::new(state), counts: Mutex::default() }
    }

    /// Takes in what the journal holds, in its order.
    pub(crate) fn fold<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) {
        let mut state = self.lock();
        entries.into_iter().for_each(|entry| state.fold(entry));
    }

    /// Whether an action may go to a sink.
    pub(crate) fn ask(&self, question: &Question<'_>, now: Instant) -> Leave {
        let action = &question.moment.actions[question.action];
        let mut state = self.lock();
        if let Some(record) = state.record(action.id) {
            match &record.judgement.verdict {
                Verdict::Allowed { .. } => return Leave::Go,
                Verdict::Withheld { guardrail, reason } => {
                    return Leave::Withheld(refusal(guardrail, reason));
                }
                Verdict::Held { until, .. } if *until > now && record.approval.is_none() => {
                    return Leave::Held(*until);
                }
                Verdict::Held { .. } => {}
            }
        } else if self.rails.is_empty() && state.mutes.is_empty() {
            return Leave::Go;
        }
        let answer = judge::judge(&self.rails, &mut state, question, now);
        if let Leave::Judged(judged) = &answer {
            for Judged { rule, judgement } in judged {
                state.judged(rule, judgement.clone());
                self.count(&judgement.verdict);
            }
        }
        answer
    }

    /// Whether something that was said of an action is not durable yet.
    pub(crate) fn is_being_journaled(&self, id: ActionId) -> bool {
        self.lock().is_pending(id)
    }

    /// What was said of an action.
    pub(crate) fn verdict(&self, id: ActionId) -> Option<Verdict> {
        self.lock().record(id).map(|record| record.judgement.verdict.clone())
    }

    /// What was said could not be journaled.
    pub(crate) fn not_judged(&self, ids: impl Iterator<Item = ActionId>) {
        let mut state = self.lock();
        ids.for_each(|id| state.not_judged(id));
    }

    fn count(&self, verdict: &Verdict) {
        let (guardrail, which) = match verdict {
            Verdict::Allowed { .. } => return,
            Verdict::Held { guardrail, .. } => (guardrail, 0),
            Verdict::Withheld { guardrail, .. } => (guardrail, 1),
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(guardrail.clone()).or_default()[which] += 1;
    }

    /// Why a change would not be taken.
    pub(crate) fn refuses(&self, changes: &[GuardChange]) -> Option<String> {
        let state = self.lock();
        let consents = changes.iter().filter(|change| match change {
            GuardChange::Consent { subject, purpose, .. } => {
                !state.consents.contains_key(&(purpose.clone(), *subject))
            }
            _ => false,
        });
        if state.consents.len() + consents.count() > MOST_CONSENTS {
            return Some(format!("as many yeses and noes are kept as may be, {MOST_CONSENTS}"));
        }
        for change in changes {
            match change {
                GuardChange::Mute { what, .. }
                    if state.mutes.len() >= MOST_MUTES && !state.mutes.contains_key(what) =>
                {
                    return Some(format!("there are {MOST_MUTES} mutes already: unmute something first"));
                }
                GuardChange::Approval { id, .. } if !self.waits_for_a_person(&state, *id) => {
                    return Some(format!("the action {id} waits for nobody's approval (any more)"));
                }
                _ => {}
            }
        }
        None
    }

    fn waits_for_a_person(&self, state: &State, id: ActionId) -> bool {
        state.record(id).is_some_and(|record| match &record.judgement.verdict {
            Verdict::Held { guardrail, .. } => record.approval.is_none() && self.is_approval(guardrail),
            _ => false,
        })
    }

    fn is_approval(&self, guardrail: &str) -> bool {
        let named = self.rails.iter().find(|(name, _)| name == guardrail);
        named.is_some_and(|(_, rail)| matches!(rail.kind, Kind::Approval(_)))
    }

    /// Of consents that somebody brings, those that say something new.
    pub(crate) fn news(&self, changes: Vec<GuardChange>) -> Vec<GuardChange> {
        let state = self.lock();
        let is_news = |change: &GuardChange| match change {
            GuardChange::Consent { subject, purpose, said, .. } => {
                state.consents.get(&(purpose.clone(), *subject)).is_none_or(|known| known.said < *said)
            }
            _ => true,
        };
        changes.into_iter().filter(is_news).collect()
    }

    /// What somebody has said: by purpose, yes or no, and when.
    pub(crate) fn consents_of(&self, subject: &str) -> BTreeMap<String, (bool, Instant)> {
        let hash = Erasure::hash(subject);
        let state = self.lock();
        let known = state.consents.iter().filter(|((_, of), _)| *of == hash);
        known.map(|((purpose, _), consent)| (purpose.clone(), (consent.given, consent.said))).collect()
    }

    /// What a person who approved an action said about it, for people.
    pub(crate) fn approved(&self, id: ActionId) -> Option<String> {
        if self.rails.is_empty() {
            return None;
        }
        let state = self.lock();
        match &state.record(id)?.approval {
            Some((true, why)) => Some(approval(why)),
            _ => None,
        }
    }

    /// What is held, and why.
    pub(crate) fn held(&self, id: ActionId) -> Option<HeldAction> {
        let state = self.lock();
        let record = state.record(id)?;
        match &record.judgement.verdict {
            Verdict::Held { guardrail, reason, until, .. } => Some(HeldAction {
                id,
                guardrail: guardrail.clone(),
                reason: reason.clone(),
                until: *until,
                for_approval: self.waits_for_a_person(&state, id),
            }),
            _ => None,
        }
    }

    pub(crate) fn status(&self, now: Instant) -> GuardrailsStatus {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of = |name: &str| counts.get(name).copied().unwrap_or_default();
        let state = self.lock();
        let mut guardrails: Vec<GuardrailStatus> = Vec::with_capacity(self.rails.len() + 1);
        for (name, rail) in &self.rails {
            let [held, withheld] = of(name);
            guardrails.push(GuardrailStatus { name: name.clone(), kind: rail.kind.name(), held, withheld });
        }
        let [held, withheld] = of(judge::MUTED);
        if withheld > 0 {
            guardrails
                .insert(0, GuardrailStatus { name: judge::MUTED.to_owned(), kind: "mute", held, withheld });
        }
        let mutes = state.mutes.iter().filter(|(_, mute)| mute.until.is_none_or(|until| until > now));
        GuardrailsStatus {
            guardrails,
            held: state.held(),
            max_held: MOST_HELD,
            counts: state.counts.len(),
            max_counts: MOST_COUNTS,
            consents: state.consents.len(),
            max_consents: MOST_CONSENTS,
            mutes: mutes
                .map(|(what, mute)| {
                    let (sort, name) = match what {
                        Muted::Rule(name) => ("rule", name.clone()),
                        Muted::Moment(kind) => ("moment", kind.clone()),
                        Muted::Subject(hash) => ("subject", blake3::Hash::from_bytes(*hash).to_string()),
                    };
                    MutedStatus { sort, name, until: mute.until, why: mute.why.clone() }
                })
                .collect(),
        }
    }

    /// Whether a mute of that is on.
    pub(crate) fn is_muted(&self, what: &Muted) -> bool {
        self.lock().mutes.contains_key(what)
    }

    /// What changed since this was last asked, and up to where. If nothing did, no further than `at_most`: what refers
    /// to an entry wants the journal to have it, and of those in which guardrails found nothing this is not needed.
    pub(crate) fn take_changes(&self, now: Instant, at_most: Position) -> (Position, rows::RowChanges) {
        let mut state = self.lock();
        state.sweep(now);
        let changes = rows::take_changes(&mut state);
        let read = state.position;
        state.kept = state.kept.max(if changes.is_empty() { read.min(at_most) } else { read });
        (state.kept, changes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the life of an action that a person approved says of it.
pub(crate) fn approval(why: &str) -> String {
    if why.is_empty() { "approved".to_owned() } else { format!("approved: {why}") }
}

/// What a rule is told.
pub(crate) fn refusal(guardrail: &str, reason: &str) -> String {
    format!("guardrail `{guardrail}`: {reason}")
}
