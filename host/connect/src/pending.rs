//! Stands in for what the engine is about to have. Removed when it has it.

use std::time::Duration;

use carpe::AdmitError;

/// What became of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Events that were taken.
    pub accepted: usize,
    /// Events that the host had already.
    pub repeated: usize,
}

/// Why a submission was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The intake is full.
    #[error("the host is busy")]
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// An event is not valid.
    #[error("event {index} is not valid")]
    Invalid {
        /// Which, from 0.
        index: usize,
        /// Why.
        #[source]
        error: AdmitError,
    },
    /// Too many at once.
    #[error("{count} events, but {limit} is the most")]
    TooMany {
        /// How many.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// The host is stopping.
    #[error("the host is stopping")]
    Stopped,
    /// The journal failed.
    #[error("the journal failed: {0}")]
    Journal(String),
}
