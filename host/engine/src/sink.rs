//! The seam to the world: where actions go out.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Data, Event, Instant};
use crate::journal::ActionId;

/// Takes actions out of the host: a webhook, a file, a queue.
///
/// The outbox calls it, retries as it answers, and journals what became of each action. One sink
/// serves many rules; a slow one holds up only its own actions.
pub trait Sink: Send + Sync + 'static {
    /// Begins one try and returns at once; `reply` is called, from any thread, when its result is known.
    /// A reply that is dropped without a call counts as a try whose result is not known.
    fn deliver(&self, delivery: Delivery, reply: Reply);

    /// How many deliveries may be under way at once. More wait in the outbox.
    fn concurrency(&self) -> usize {
        16
    }
}

/// How the host treats a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkOptions {
    /// How many actions may wait for it, those under way included; at least 1. Rules are told between batches:
    /// with [`WhenFull::Pause`] each lane of a rule that feeds the sink may overshoot it by one batch.
    pub max_waiting: usize,
    /// What is done when as many wait.
    pub when_full: WhenFull,
    /// Whether of one rule's actions about one key the next is begun only when the one before has an outcome, in
    /// the journal's order, over restarts too. Other keys go on.
    pub ordered: bool,
    /// After so many failed tries in a row only one at a time is begun, ever more seldom, until one is
    /// answered. 0: never.
    pub breaker_failures: u32,
}

impl Default for SinkOptions {
    fn default() -> Self {
        SinkOptions { max_waiting: 10_000, when_full: WhenFull::Pause, ordered: false, breaker_failures: 5 }
    }
}

/// What is done when as many actions wait for a sink as may. Intake and other rules go on either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WhenFull {
    /// The rules that feed it rest until fewer than half as many wait: their inputs wait in the journal.
    #[default]
    Pause,
    /// An action that finds no room ends at once, as `failed`.
    SetAside,
}

/// One try to deliver an action.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// The idempotency key: the same at every try, over restarts too.
    pub id: ActionId,
    /// 1 for the first try since the host started.
    pub attempt: u32,
    /// Until when it may be taken.
    pub expires: Option<Instant>,
    /// How much longer this try may take; the sink must have given up by then.
    pub timeout: Duration,
    /// The action as a CloudEvent: `id` is the idempotency key, `type` the action's name, `subject` the
    /// moment's, `time` the moment's, `data` the action's; the extensions `carperule`, `carpekey`,
    /// `carpemoment`, `carpewhy` say where it comes from, `expirytime` until when it may be taken.
    pub event: Arc<Event>,
}

impl Delivery {
    /// A first try, which may take `timeout`. Deliveries are the outbox's to make: this is for a sink's tests.
    pub fn new(id: ActionId, event: Arc<Event>, timeout: Duration) -> Self {
        Delivery { id, attempt: 1, expires: None, timeout, event }
    }
}

/// What a try came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The other side took it. With what it answered.
    Delivered(Data),
    /// The other side refused it for good: no further try. The words are for people.
    Rejected(String, Data),
    /// It was not taken, or nobody knows; try again, not before the time given.
    Again {
        /// Why, for people.
        reason: String,
        /// As the other side asked, e.g. by `Retry-After`.
        after: Option<Duration>,
    },
}

/// Where a sink says what a try came to.
pub struct Reply(Option<Box<dyn FnOnce(Answer) + Send>>);

impl Reply {
    /// A reply that calls `call` once, also if it is dropped.
    pub fn new(call: impl FnOnce(Answer) + Send + 'static) -> Self {
        Reply(Some(Box::new(call)))
    }

    /// Says what the try came to.
    pub fn send(mut self, answer: Answer) {
        if let Some(call) = self.0.take() {
            call(answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call(Answer::Again { reason: "the sink gave no answer".to_owned(), after: None });
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}
