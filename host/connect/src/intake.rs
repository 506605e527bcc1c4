//! Where the sources hand their events to: the host, or what stands in for it in a test.

use std::future::Future;

use carpe::{Accepted, Event, Host, Receipt, SubmitError};

/// Takes events. A [`Host`] is one; a service that embeds Carpe can put its own checks before it.
pub trait Intake: Clone + Send + Sync + 'static {
    /// Resolves when the events are durable.
    type Receipt: Future<Output = Result<Accepted, SubmitError>> + Send + 'static;

    /// Takes all of `events`, or none. Never blocks: a full intake is [`SubmitError::Busy`].
    fn submit_all(&self, events: Vec<Event>) -> Result<Self::Receipt, SubmitError>;

    /// The same; what is not taken stays in `events`. `cursor` says how far `source` has then been read. `events` may be
    /// empty.
    fn submit_from(
        &self,
        source: &str,
        cursor: Option<String>,
        events: &mut Vec<Event>,
    ) -> Result<Self::Receipt, SubmitError>;

    /// How far `source` has been read.
    fn cursor(&self, source: &str) -> Option<String>;

    /// How much it takes at once.
    fn bounds(&self) -> Bounds;
}

/// How much an [`Intake`] takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of one event, as [`Event::size`] counts them.
    pub event_bytes: usize,
    /// Events of one submission.
    pub batch_events: usize,
}

impl Intake for Host {
    type Receipt = Receipt;

    fn submit_all(&self, events: Vec<Event>) -> Result<Receipt, SubmitError> {
        Host::submit_all(self, events)
    }

    fn submit_from(
        &self,
        source: &str,
        cursor: Option<String>,
        events: &mut Vec<Event>,
    ) -> Result<Receipt, SubmitError> {
        Host::submit_from(self, source, cursor, events)
    }

    fn cursor(&self, source: &str) -> Option<String> {
        Host::cursor(self, source)
    }

    fn bounds(&self) -> Bounds {
        Bounds { event_bytes: self.max_event_bytes(), batch_events: self.max_batch_events() }
    }
}
