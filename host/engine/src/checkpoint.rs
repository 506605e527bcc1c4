//! Checkpoints: what the folds over the journal came to, so that a start is quick.
//!
//! A rule's states, timers, open actions, dead letters and position are written in one atomic step. A
//! marker goes through its lanes' queues; each hands over what changed for its keys up to there and goes
//! on; a thread of its own writes when the last one has. So the hot path never waits for a checkpoint.
//!
//! - [`rows`]: what is kept, as keys and values.
//! - [`store`]: the rows in fjall, written to as the host runs. It can always be made again from a base.
//! - [`base`]: the rows in a file that nothing writes to again, from which the kept journal can be computed again.

pub(crate) mod base;
pub(crate) mod rows;
pub(crate) mod store;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::{ActionId, Given, InputRef};
use crate::moment::Moment;
use crate::pipeline::keys::{Key, KeyState};
use crate::pipeline::lane::DeadLetter;

pub(crate) use rows::{Checkpoint, HostRecord, RuleRecord};
pub(crate) use store::CheckpointStore;

/// What changed since the last checkpoint.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) keys: Vec<(Key, Option<KeyState>)>,
    /// Each with one action that is still open.
    pub(crate) opened: Vec<Moment>,
    pub(crate) closed: Vec<ActionId>,
    /// New ones, with what can be given again.
    pub(crate) letters: Vec<(DeadLetter, Option<Given>)>,
    /// Those that were given again or dropped.
    pub(crate) letters_closed: Vec<InputRef>,
}

/// Why checkpoints cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The store failed.
    #[error("the checkpoint store failed: {0}")]
    Store(String),
    /// A file of the data folder cannot be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A record is not what was written.
    #[error("a checkpoint is damaged or from another version of carpe ({place}): {reason}")]
    Damaged {
        /// Which one: a rule, a file.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl From<fjall::Error> for CheckpointError {
    fn from(error: fjall::Error) -> Self {
        CheckpointError::Store(error.to_string())
    }
}

pub(crate) fn damaged(place: &str, reason: impl ToString) -> CheckpointError {
    CheckpointError::Damaged { place: place.to_owned(), reason: reason.to_string() }
}

/// Names the step and the file that an error comes from.
pub(crate) fn io(
    action: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { action, path, source }
}

/// Goes through all lanes of a rule; the last to hand over its changes completes the checkpoint.
pub(crate) struct Marker {
    pub(crate) record: RuleRecord,
    lanes_left: AtomicUsize,
    collected: Mutex<Collected>,
}

/// What lanes handed over.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) keys: Vec<(Key, Option<KeyState>)>,
    pub(crate) moments: Vec<Arc<Moment>>,
}

impl Marker {
    pub(crate) fn new(record: RuleRecord, lanes: usize) -> Self {
        #[cfg(feature = "planted-faults")]
        let record = crate::planted::ahead(record);
        Marker { record, lanes_left: AtomicUsize::new(lanes), collected: Mutex::default() }
    }

    /// One lane's changes. `Some`: it was the last, here are all.
    pub(crate) fn hand_over(
        &self,
        keys: Vec<(Key, Option<KeyState>)>,
        moments: Vec<Arc<Moment>>,
    ) -> Option<Collected> {
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        collected.keys.extend(keys);
        collected.moments.extend(moments);
        (self.lanes_left.fetch_sub(1, Ordering::AcqRel) == 1).then(|| std::mem::take(&mut *collected))
    }
}
