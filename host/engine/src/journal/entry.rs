//! What the journal holds.

use serde::{Deserialize, Serialize};

use super::id::{ActionId, InputId};
use super::judgement::{GuardChange, Judgement};
use crate::event::{Data, Instant, PackedEvent};
use crate::rule::Status;

/// An entry's place in the journal, from 0.
pub type Position = u64;

/// A random number that a start of the host begins, so that a position is never used twice for
/// different things (after a power loss, a restored backup).
pub type Epoch = u64;

/// One thing that could not be computed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// The start of the host that wrote it.
    pub epoch: Epoch,
    /// Where the timeline stood: never before the entry before it.
    pub instant: Instant,
    /// What it is.
    pub body: Body,
}

/// The kinds of entries. The order is the format: new ones go to the end, none is ever removed.
/// A reader refuses a kind that it does not know. What is large and seldom is boxed: most are events, and all take as much
/// memory as the largest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Input: an event was accepted.
    Event(PackedEvent),
    /// Input: what became of an action.
    Outcome(Box<OutcomeEntry>),
    /// Input: the clock moved on, since a timer is due.
    Tick,
    /// Input: the host started.
    Started {
        /// The host's version.
        host: Box<str>,
        /// Which instants are stamped from here on.
        timeline: Box<str>,
    },
    /// Input: how far a source has been read, with the events that came from there in the same group.
    SourceRead(Box<SourceRead>),
    /// Input: an operator changed a key, or the host was told to forget it.
    KeyChange(Box<KeyChange>),
    /// A decision about a rule.
    Decision {
        /// The rule's name.
        rule: String,
        /// What was decided.
        decision: Box<Decision>,
    },
    /// What stood here was erased. Its position and instant stay.
    Erased,
    /// Input: an operator asked for an erasure. From here on the keys of that name are as if they had never
    /// been seen.
    ErasureAsked(Box<Erasure>),
    /// What was asked for at a position before is done: no entry, base or checkpoint of the data folder holds the name.
    ErasureDone {
        /// Where it was asked for.
        asked: Position,
    },
    /// Input: what a person or an operator told the guardrails.
    Guard(Box<GuardChange>),
}

impl Body {
    /// The event that it gives, if it does: a new one, or one that is given again.
    pub fn event(&self) -> Option<&PackedEvent> {
        match self {
            Body::Event(event) => Some(event),
            _ => match self.given_again()? {
                Given::Event(event) => Some(event),
                Given::Outcome(_) | Given::Timer(_) => None,
            },
        }
    }

    /// A dead letter's input that is given again.
    pub(crate) fn given_again(&self) -> Option<&Given> {
        match self {
            Body::Decision { decision, .. } => match &**decision {
                Decision::GivenAgain { given, .. } => Some(given),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Whose traces are to go: a hash of the name, so that the wish to be forgotten does not keep it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Erasure {
    /// See [`Erasure::hash`].
    pub name_hash: [u8; 32],
    /// The rule, for a key of a rule; none: a subject, everywhere.
    pub rule: Option<String>,
}

impl Erasure {
    /// The erasure of a subject, or of the key of one rule.
    pub fn of(name: &str, rule: Option<&str>) -> Self {
        Erasure { name_hash: Erasure::hash(name), rule: rule.map(str::to_owned) }
    }

    /// The hash that stands for a name.
    pub fn hash(name: &str) -> [u8; 32] {
        blake3::derive_key("carpe erasure 1", name.as_bytes())
    }

    /// Whether it asks for this name.
    pub fn names(&self, name: &str) -> bool {
        Erasure::hash(name) == self.name_hash
    }
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeEntry {
    /// The action.
    pub id: ActionId,
    /// The rule that emitted it.
    pub rule: String,
    /// The key of the input that caused it.
    pub key: String,
    /// The action's name.
    pub action: String,
    /// The action's reference; none: the rule does not want to hear of it.
    pub reference: Option<String>,
    /// What became of it.
    pub status: Status,
    /// What the other side answered.
    pub answer: Data,
    /// For people.
    pub detail: String,
}

/// How far a source has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRead {
    /// The source's name, e.g. `file:/var/log/events.jsonl`.
    pub source: String,
    /// What the source needs to go on from there.
    pub cursor: String,
}

/// What an operator did to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// The rule.
    pub rule: String,
    /// The key.
    pub key: String,
    /// What is remembered of it from here on; none: nothing.
    pub to: Option<KeyImage>,
}

/// What is remembered of a key, as operators export and import it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyImage {
    /// What the rule keeps for it.
    pub state: Option<Vec<u8>>,
    /// The `state-version` of the rule that returned the state.
    pub state_version: u32,
    /// Timers that are set: their names, and when they are due.
    pub timers: Vec<(String, Instant)>,
}

/// A dead letter's input, so that it can be given again however old it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Given {
    /// An event; its subscription stands in the [`InputRef`].
    Event(PackedEvent),
    /// What became of an action.
    Outcome(OutcomeEntry),
    /// A timer, by its name.
    Timer(String),
}

/// Of a switch that holds from right behind its own decision, which has no position before it is written.
pub(crate) const AFTER_ITSELF: Position = Position::MAX;

/// What was decided about a rule, at a position before the entry's own or right behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// From `at` on its inputs go to this version.
    Switch {
        /// The first position that the version is given.
        at: Position,
        /// What decides from there on.
        to: VersionRecord,
        /// The rule's own version, for people.
        version: String,
    },
    /// From `at` on it is given nothing.
    Unload {
        /// The first position that it is not given.
        at: Position,
    },
    /// An input has no effect.
    SetAside {
        /// Which input.
        input: InputRef,
        /// Its key.
        key: String,
        /// Why, for people.
        reason: String,
        /// The guest's functions, innermost first, for a trap.
        backtrace: Vec<String>,
    },
    /// An early form of [`Decision::Judged`], which no version wrote.
    Verdict {
        /// The action.
        id: ActionId,
        /// Where it came from.
        at: Position,
        /// None: it may go.
        withheld: Option<String>,
    },
    /// A dead letter is given again: a new input, at this entry's own position.
    GivenAgain {
        /// Which input it was.
        input: InputRef,
        /// Its key.
        key: String,
        /// What is given.
        given: Given,
    },
    /// A dead letter was dropped.
    Dropped {
        /// Which input.
        input: InputRef,
    },
    /// The rule fell so far behind that a range is not given to it: it counts as set aside.
    LeftBehind {
        /// The first position that it was not given.
        from: Position,
        /// One past the last.
        to: Position,
    },
    /// The guardrails judged an action.
    Judged(Judgement),
}

/// All that a rule's decisions depend on, beside its inputs: with it, they can be computed again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VersionRecord {
    /// blake3 of the component.
    pub component: [u8; 32],
    /// The configuration for `init`, a JSON text.
    pub configuration: String,
    /// The limits it runs under, a JSON text: one more or less is a default.
    pub limits: String,
}

/// Names an input in the journal, so that a person can find it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InputRef {
    /// The id that its effects' ids come from.
    pub id: InputId,
    /// The entry; for a timer, the one before which it came.
    pub position: Position,
    /// The subscription, for an event.
    pub subscription: Option<u32>,
    /// The name, for a timer.
    pub timer: Option<String>,
}
