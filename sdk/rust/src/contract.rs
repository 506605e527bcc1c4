//! What passes between the host and a rule, in the SDK's own types.
//!
//! They mirror `carpe:rule/types` (`wit/types.wit`), so that a rule runs the same way under the host and in
//! a native test; only [`crate::guest`] knows the generated ones.

use crate::text::Text;

/// Milliseconds since the Unix epoch, below [`INSTANT_LIMIT`].
pub type Instant = u64;

/// Instants stay below 2^53.
pub const INSTANT_LIMIT: Instant = 1 << 53;

pub(crate) struct Batch {
    pub(crate) keys: Vec<Keyed>,
    pub(crate) inputs: Vec<Input>,
}

pub(crate) struct Keyed {
    pub(crate) name: Text,
    pub(crate) state: Option<Vec<u8>>,
}

pub(crate) struct Input {
    pub(crate) key: u32,
    pub(crate) time: Instant,
    pub(crate) now: Instant,
    pub(crate) payload: Payload,
}

pub(crate) enum Payload {
    Event { subscription: u32, attributes: Vec<Option<Text>>, data: Data },
    Timer { name: String },
    Outcome { action: String, reference: String, status: Status, answer: Data, detail: String },
}

/// The data of an event, or the answer to an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Data {
    #[default]
    Absent,
    Json(Text),
    Binary(Vec<u8>),
}

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The other side took it.
    Delivered,
    /// The other side refused it for good.
    Rejected,
    /// It never went out: a guardrail of the operator's stopped it, or no route takes it.
    Withheld,
    /// The host gave up, or the moment expired after a try whose result is not known: it may or may
    /// not have been taken.
    Failed,
    /// The moment expired before the first try: it was not taken.
    Expired,
}

impl std::fmt::Display for Status {
    /// As the contract writes it, e.g. `delivered`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Status::Delivered => "delivered",
            Status::Rejected => "rejected",
            Status::Withheld => "withheld",
            Status::Failed => "failed",
            Status::Expired => "expired",
        })
    }
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Effects {
    pub(crate) states: Vec<StateChange>,
    pub(crate) timers: Vec<TimerChange>,
    pub(crate) moments: Vec<MomentEffect>,
    pub(crate) failures: Vec<Failure>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct StateChange {
    pub(crate) key: u32,
    pub(crate) state: Option<Vec<u8>>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct TimerChange {
    pub(crate) cause: u32,
    pub(crate) name: String,
    pub(crate) at: Option<Instant>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct MomentEffect {
    pub(crate) cause: u32,
    pub(crate) kind: String,
    pub(crate) why: String,
    pub(crate) subject: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) expires: Option<Instant>,
    pub(crate) actions: Vec<ActionEffect>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct ActionEffect {
    pub(crate) name: String,
    pub(crate) reference: Option<String>,
    pub(crate) data: String,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) input: u32,
    pub(crate) message: String,
}
