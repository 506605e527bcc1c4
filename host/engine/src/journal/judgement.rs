//! What the guardrails decide, and what they are told.

use serde::{Deserialize, Serialize};

use super::entry::Position;
use super::id::{ActionId, MomentId};
use crate::event::Instant;

/// What the guardrails said of an action. Names of people stand in it as hashes: see [`Erasure::hash`](super::Erasure::hash).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The action.
    pub id: ActionId,
    /// Where it came from.
    pub at: Position,
    /// Where the timeline stood.
    pub now: Instant,
    /// The hash of the moment's subject.
    pub subject: [u8; 32],
    /// The hash of its key.
    pub key: [u8; 32],
    /// What they said.
    pub verdict: Verdict,
}

/// What the guardrails say of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It may go.
    Allowed {
        /// What counts from now on.
        counted: Vec<Counted>,
    },
    /// It waits, and is judged again then.
    Held {
        /// The guardrail that holds it.
        guardrail: String,
        /// Why, for people.
        reason: String,
        /// Until when, at most.
        until: Instant,
        /// Guardrails that have held it before, and will not again.
        passed: Vec<String>,
        /// What it competes with, if it is held so that only the most important moment acts.
        contender: Option<Contender>,
    },
    /// It ends here.
    Withheld {
        /// The guardrail that withheld it.
        guardrail: String,
        /// Why, for people.
        reason: String,
    },
}

/// What an action that was allowed adds to a guardrail's count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The guardrail.
    pub guardrail: String,
    /// The hash of whom it counts for; none: of all together.
    pub subject: Option<[u8; 32]>,
    /// How much: 1, or an amount in millionths.
    pub amount: u64,
    /// How long it counts, in milliseconds.
    pub period_ms: u64,
}

/// How an action stands against others that are about the same subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contender {
    /// The lower, the more important.
    pub rank: u32,
    /// Actions of one moment act together.
    pub moment: MomentId,
}

/// What a person or an operator told the guardrails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuardChange {
    /// A person's yes or no for a purpose. Of two, the one that was said later counts.
    Consent {
        /// The hash of whom it is about: see [`Erasure::hash`](super::Erasure::hash).
        subject: [u8; 32],
        /// What for.
        purpose: String,
        /// Yes, or no.
        given: bool,
        /// When it was said.
        said: Instant,
    },
    /// What a person decided about an action that is held for that.
    Approval {
        /// The action.
        id: ActionId,
        /// Yes, or no.
        approved: bool,
        /// Why, or by whom, for people.
        why: String,
    },
    /// Nothing of this goes out for a while.
    Mute {
        /// What.
        what: Muted,
        /// Until when; none: until it is unmuted.
        until: Option<Instant>,
        /// Why, for people.
        why: String,
    },
    /// It goes out again.
    Unmute {
        /// What.
        what: Muted,
    },
}

/// What is muted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Muted {
    /// A rule, by its name.
    Rule(String),
    /// A kind of moment, or, with a trailing `*`, kinds of one beginning.
    Moment(String),
    /// Whom moments are about: a hash, see [`Erasure::hash`](super::Erasure::hash).
    Subject([u8; 32]),
}
