//! What people and operators tell the guardrails, and what became of moments.

use super::Host;
use super::operate::{OperateError, refused};
use crate::event::Instant;
use crate::journal::{ActionId, Erasure, GuardChange, MomentId, Muted, Position};
use crate::life::{MomentFilter, MomentLife};

/// How many yeses and noes one call of [`Host::consent`] may bring.
pub const CONSENTS_AT_ONCE: usize = 10_000;

/// Bytes of a name that people give.
const NAME_BYTES: usize = 1_024;

/// A person's yes or no for a purpose: see [`Host::consent`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentGiven {
    /// Whose: the subject of moments.
    pub subject: String,
    /// What for.
    pub purpose: String,
    /// Yes, or no.
    pub given: bool,
    /// When it was said, in milliseconds since 1970; none: now.
    pub said: Option<Instant>,
}

/// An action that a guardrail holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct HeldInfo {
    /// Its idempotency key, in hexadecimal.
    pub id: String,
    /// Its moment's id, in hexadecimal.
    pub moment: String,
    /// The rule that it comes from.
    pub rule: String,
    /// Whom or what the moment is about.
    pub subject: String,
    /// The kind of moment.
    pub kind: String,
    /// Why it occurred.
    pub why: String,
    /// The action's name.
    pub action: String,
    /// Its data: JSON.
    pub data: String,
    /// The guardrail that holds it.
    pub guardrail: String,
    /// Why.
    pub reason: String,
    /// Until when, at most.
    pub until: Instant,
    /// Until when it may be taken; none: for ever.
    pub expires: Option<Instant>,
    /// It waits for a person: see [`Host::approve`].
    pub for_approval: bool,
}

impl Host {
    /// Takes in what persons have said yes or no to. Of two for one purpose the one that was said later counts, so a list
    /// can be given again and again. Returns how many said something new. Blocks until they are durable.
    ///
    /// # Errors
    /// [`OperateError`]: more than [`CONSENTS_AT_ONCE`], a name that is empty or over 1,024 bytes, or no room.
    pub fn consent(&self, consents: Vec<ConsentGiven>) -> Result<usize, OperateError> {
        if consents.len() > CONSENTS_AT_ONCE {
            let count = consents.len();
            return Err(refused(format!("{count} are more than {CONSENTS_AT_ONCE} at once: do it in parts")));
        }
        let now = self.0.shared.intake.timeline_now();
        let mut changes = Vec::with_capacity(consents.len());
        for ConsentGiven { subject, purpose, given, said } in consents {
            for (what, name) in [("subject", &subject), ("purpose", &purpose)] {
                if name.is_empty() || name.len() > NAME_BYTES {
                    return Err(refused(format!("a {what} must have 1 to 1,024 bytes, not {}", name.len())));
                }
            }
            let said = said.unwrap_or(now);
            if said > now {
                let said = crate::event::format_instant(said.min(crate::event::INSTANT_LIMIT - 1));
                return Err(refused(format!("what was said at {said} is still to come")));
            }
            changes.push(GuardChange::Consent { subject: Erasure::hash(&subject), purpose, given, said });
        }
        let news = self.0.shared.guard.news(changes);
        let count = news.len();
        self.tell_guard(news)?;
        Ok(count)
    }

    /// Where the timeline stands: what an entry would be stamped with now.
    pub fn timeline_now(&self) -> Instant {
        self.0.shared.intake.timeline_now()
    }

    /// What somebody has said: each purpose, yes or no, and when.
    pub fn consents_of(&self, subject: &str) -> Vec<ConsentGiven> {
        let known = self.0.shared.guard.consents_of(subject);
        let given = known.into_iter().map(|(purpose, (given, said))| ConsentGiven {
            subject: subject.to_owned(),
            purpose,
            given,
            said: Some(said),
        });
        given.collect()
    }

    /// Actions that guardrails hold, in the order in which they are let go, at most `limit`.
    pub fn held(&self, limit: usize) -> Vec<HeldInfo> {
        let shared = &self.0.shared;
        let held = shared.outbox.detained().into_iter().filter_map(|(id, moment, action)| {
            let held = shared.guard.held(id)?;
            let action = &moment.actions[action];
            Some(HeldInfo {
                id: id.to_string(),
                moment: moment.id.to_string(),
                rule: moment.rule.clone(),
                subject: moment.subject().to_owned(),
                kind: moment.kind.clone(),
                why: moment.why.clone(),
                action: action.name.clone(),
                data: action.data.clone(),
                guardrail: held.guardrail,
                reason: held.reason,
                until: held.until,
                expires: moment.expires,
                for_approval: held.for_approval,
            })
        });
        held.take(limit).collect()
    }

    /// Approves or refuses an action that waits for a person. Blocks until that is durable; then it goes on, or is
    /// withheld. `why`, or by whom, is for people.
    ///
    /// # Errors
    /// [`OperateError`]: it waits for nobody.
    pub fn approve(&self, id: &str, approved: bool, why: &str) -> Result<Position, OperateError> {
        let known = ActionId::parse(id);
        let known = known.ok_or_else(|| OperateError::NotFound { what: format!("held action `{id}`") })?;
        let why = crate::pipeline::lane::cut_text(why, 512);
        let position = self.tell_guard(vec![GuardChange::Approval { id: known, approved, why }])?;
        self.0.shared.outbox.judge_again(known);
        Ok(position)
    }

    /// Mutes a rule, a kind of moment or a subject from now on: nothing of it goes out until an instant of the timeline, or
    /// until it is unmuted. Blocks until that is durable.
    ///
    /// # Errors
    /// [`OperateError`]: there are as many mutes as may be, a name over 1,024 bytes, or an end that is past.
    pub fn mute(&self, what: Muted, until: Option<Instant>, why: &str) -> Result<Position, OperateError> {
        if let Muted::Rule(name) | Muted::Moment(name) = &what
            && (name.is_empty() || name.len() > NAME_BYTES)
        {
            return Err(refused(format!("a name must have 1 to 1,024 bytes, not {}", name.len())));
        }
        let now = self.timeline_now();
        if let Some(until) = until.filter(|until| *until <= now) {
            let (until, now) = (crate::event::format_instant(until), crate::event::format_instant(now));
            return Err(refused(format!("{until} is past: the timeline stands at {now}")));
        }
        let why = crate::pipeline::lane::cut_text(why, 512);
        self.tell_guard(vec![GuardChange::Mute { what, until, why }])
    }

    /// Ends a mute.
    ///
    /// # Errors
    /// [`OperateError`]: there is none.
    pub fn unmute(&self, what: Muted) -> Result<Position, OperateError> {
        if !self.0.shared.guard.is_muted(&what) {
            return Err(OperateError::NotFound { what: "such mute".to_owned() });
        }
        self.tell_guard(vec![GuardChange::Unmute { what }])
    }

    fn tell_guard(&self, changes: Vec<GuardChange>) -> Result<Position, OperateError> {
        let shared = &self.0.shared;
        if let Some(reason) = shared.guard.refuses(&changes) {
            return Err(refused(reason));
        }
        if changes.is_empty() {
            return Ok(shared.journal.end());
        }
        let bodies = changes.into_iter().map(|change| crate::journal::Body::Guard(Box::new(change)));
        Ok(shared.intake.append_wait(bodies.collect())?)
    }

    /// What became of moments: of all that are not at an end, and of the last that are; the last first.
    pub fn lives(&self, filter: &MomentFilter) -> Vec<MomentLife> {
        self.0.shared.lives.list(filter)
    }

    /// What became of a moment, by its id in hexadecimal; none: it is not kept (any more).
    pub fn life(&self, id: &str) -> Option<MomentLife> {
        self.0.shared.lives.of(MomentId::parse(id)?)
    }
}
