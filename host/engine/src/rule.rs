//! What passes between the host and a rule, in the host's own types.
//!
//! They mirror `carpe:rule/types` (see `wit/types.wit`, where each field is described); only
//! `contract` knows how they map to a released version of it.

use serde::{Deserialize, Serialize};

use crate::event::{DataRef, Instant, PackedEvent};
use crate::pipeline::{filter::Filters, key::key_of, payload::payload};

/// What a rule is, and what it wants to be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Stable name, e.g. `flood-alert`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// JSON Schema of the configuration.
    pub settings: Option<String>,
    /// Which events it is given.
    pub subscriptions: Vec<Subscription>,
    /// Every kind of moment it may return.
    pub moments: Vec<String>,
    /// The name of every action it may return.
    pub actions: Vec<String>,
    /// Version of the format of its state.
    pub state_version: u32,
}

impl Description {
    /// What a host would give the rule of an event: for each subscription that takes it, the key that the event is about,
    /// and what the rule sees of it. Nothing, if no subscription takes it, or it has no key. For tools: a host parses
    /// filters once.
    pub fn given<'a>(&self, event: &'a PackedEvent) -> Vec<(String, Payload<'a>)> {
        let fields = event.fields();
        let filters = Filters::of(&self.subscriptions).unwrap_or_default();
        let takes = |(position, subscription): &(u32, &Subscription)| {
            subscription.takes(fields.kind()) && filters.test(*position, &fields) == Some(true)
        };
        let of = |(position, subscription): (u32, &Subscription)| {
            let key = key_of(&fields, &subscription.keyed_by)?;
            Some((key.to_string(), payload(&fields, position, &subscription.attributes)))
        };
        (0..).zip(&self.subscriptions).filter(takes).filter_map(of).collect()
    }
}

/// One kind of event that a rule is given, and how such events are keyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// CloudEvents `type`; a trailing `*` stands for any rest.
    pub event_type: String,
    /// CloudEvents SQL expression: events for which it is not true, or fails, are not given.
    pub filter: Option<String>,
    /// Where the key is found.
    pub keyed_by: KeyedBy,
    /// The CloudEvents attributes to be given.
    pub attributes: Vec<String>,
}

impl Subscription {
    /// Whether it takes events of this type.
    pub(crate) fn takes(&self, event_type: &str) -> bool {
        match self.event_type.strip_suffix('*') {
            Some(beginning) => event_type.starts_with(beginning),
            None => self.event_type == event_type,
        }
    }
}

/// Where the key of an event is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyedBy {
    /// In a CloudEvents attribute.
    Attribute(String),
    /// At a JSON Pointer in JSON data.
    Data(String),
    /// All events have one key, the empty string.
    Nothing,
}

/// What is to be handled in one call. Borrows from the host: nothing is copied to make one.
#[derive(Clone, Debug, Default)]
pub struct Batch<'a> {
    /// The keys that the inputs are about, each once.
    pub keys: Vec<Keyed<'a>>,
    /// In the order in which they are to be handled.
    pub inputs: Vec<Input<'a>>,
}

/// A key, with its state before the first of the inputs.
#[derive(Clone, Copy, Debug)]
pub struct Keyed<'a> {
    /// The key itself.
    pub name: &'a str,
    /// What the rule last returned for it.
    pub state: Option<&'a [u8]>,
}

/// One thing to decide about.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Position in [`Batch::keys`].
    pub key: u32,
    /// When it happened.
    pub time: Instant,
    /// Where the timeline stands.
    pub now: Instant,
    /// What it is.
    pub payload: Payload<'a>,
}

/// What an input is.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// An event that a subscription matched.
    Event {
        /// Position in [`Description::subscriptions`].
        subscription: u32,
        /// As many as the subscription's `attributes`, in that order.
        attributes: Vec<Option<std::borrow::Cow<'a, str>>>,
        /// The event's data.
        data: DataRef<'a>,
    },
    /// A timer that came due.
    Timer {
        /// As the rule named it.
        name: &'a str,
    },
    /// What became of an action.
    Outcome {
        /// The action's name.
        action: &'a str,
        /// The action's reference.
        reference: &'a str,
        /// What became of it.
        status: Status,
        /// What the other side answered.
        answer: DataRef<'a>,
        /// For people.
        detail: &'a str,
    },
}

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The other side took it.
    Delivered,
    /// The other side refused it for good.
    Rejected,
    /// It never went out: a guardrail stopped it, or no route takes it.
    Withheld,
    /// The host gave up: it may or may not have been taken.
    Failed,
    /// The moment expired before the first try.
    Expired,
}

impl Status {
    /// All of them, in the contract's order.
    pub const ALL: [Status; 5] =
        [Status::Delivered, Status::Rejected, Status::Withheld, Status::Failed, Status::Expired];

    /// The contract's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Delivered => "delivered",
            Status::Rejected => "rejected",
            Status::Withheld => "withheld",
            Status::Failed => "failed",
            Status::Expired => "expired",
        }
    }
}

/// What a rule wants to change. Unchecked: as the guest returned it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Keys whose state changes.
    pub states: Vec<StateChange>,
    /// Every change of a timer, in the order of the causes.
    pub timers: Vec<TimerChange>,
    /// Moments that occurred.
    pub moments: Vec<EmittedMoment>,
    /// Inputs that the rule could not make sense of.
    pub failures: Vec<Failure>,
}

/// A new state for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Position in [`Batch::keys`].
    pub key: u32,
    /// None: the key has none any more.
    pub state: Option<Vec<u8>>,
}

/// A timer set, moved or cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerChange {
    /// Position in [`Batch::inputs`].
    pub cause: u32,
    /// The timer's name.
    pub name: String,
    /// When it is to be due; none cancels.
    pub at: Option<Instant>,
}

/// A moment, as a rule returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmittedMoment {
    /// Position in [`Batch::inputs`].
    pub cause: u32,
    /// One of [`Description::moments`].
    pub kind: String,
    /// One line for people.
    pub why: String,
    /// Whom or what it concerns; none: the key.
    pub subject: Option<String>,
    /// JSON for programs.
    pub data: Option<String>,
    /// Until when its actions may be taken.
    pub expires: Option<Instant>,
    /// What to do about it.
    pub actions: Vec<EmittedAction>,
}

/// An action, as a rule returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmittedAction {
    /// One of [`Description::actions`].
    pub name: String,
    /// Given back in the outcome; none: no outcome is wanted.
    pub reference: Option<String>,
    /// JSON that the other side needs.
    pub data: String,
}

/// An input that the rule could not make sense of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Position in [`Batch::inputs`].
    pub input: u32,
    /// Why.
    pub message: String,
}
