//! Where the sources hand their events to: the host, or what stands in for it in a test.

use std::future::Future;

use carpe::journal::SourceRead;
use carpe::{Accepted, EventBatch, Host, Receipt, SubmitError};

/// Takes events. A [`Host`] is one; a service that embeds Carpe can put its own checks before it.
pub trait Intake: Clone + Send + Sync + 'static {
    /// Resolves when the events are durable.
    type Receipt: Future<Output = Result<Accepted, SubmitError>> + Send + 'static;

    /// Takes all of a batch, or none. `read` says how far its source has then been read; with it, there may be no events.
    /// Never blocks: a full intake is [`SubmitError::Busy`].
    fn submit(&self, batch: &EventBatch, read: Option<SourceRead>) -> Result<Self::Receipt, SubmitError>;

    /// How far `source` has been read.
    fn cursor(&self, source: &str) -> Option<String>;

    /// How much it takes at once.
    fn bounds(&self) -> Bounds;
}

/// How much an [`Intake`] takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of one event, as [`Event::size`](carpe::Event::size) counts them.
    pub event_bytes: usize,
    /// Events of one submission.
    pub batch_events: usize,
}

impl Intake for Host {
    type Receipt = Receipt;

    fn submit(&self, batch: &EventBatch, read: Option<SourceRead>) -> Result<Receipt, SubmitError> {
        Host::submit_batch(self, batch, read)
    }

    fn cursor(&self, source: &str) -> Option<String> {
        Host::cursor(self, source)
    }

    fn bounds(&self) -> Bounds {
        Bounds { event_bytes: self.max_event_bytes(), batch_events: self.max_batch_events() }
    }
}
