//! The journal: the only truth.
//!
//! Whatever could not be computed again is an [`Entry`] in it; states, timers, the outbox and known
//! event ids are folds over it. One appender thread writes it (`pipeline/appender.rs`); everybody else reads.

mod entry;
pub(crate) mod file;
mod id;
mod judgement;
mod memory;
#[cfg(test)]
mod testing;

pub(crate) use entry::AFTER_ITSELF;
pub use entry::{
    Body, Decision, Entry, Epoch, Erasure, Given, InputRef, KeyChange, KeyImage, OutcomeEntry, Position,
    SourceRead, VersionRecord,
};
pub use file::{Durability, FileJournal, FileJournalOptions};
pub use id::{ActionId, InputId, MomentId};
pub use judgement::{Contender, Counted, GuardChange, Judgement, Muted, Verdict};
pub use memory::MemoryJournal;

use std::sync::Arc;

use crate::event::{INSTANT_LIMIT, Instant};

/// An append-only, ordered store of [`Entry`]s.
///
/// Positions are dense: the first entry ever has position 0, each later one the next. A trait, since
/// many machines will one day share one in a broker, and an embedder may want none on disk.
pub trait Journal: Send + Sync + 'static {
    /// Appends a group: on `Ok` all of it can be read, and is durable unless the journal was opened with
    /// [`Durability::Relaxed`]; on `Err` nothing of it may be relied on, and the journal takes no more groups until it
    /// is [resumed](Journal::resume).
    ///
    /// The entries' positions continue those before, their instants never decrease, and they are of one
    /// epoch: the caller has stamped them. They are shared, so that who reads them next need not
    /// decode them. Called by one thread only. An empty group changes nothing.
    ///
    /// # Errors
    /// The medium's error, then [`JournalError::Closed`]; [`JournalError::Refused`], if the entries are not
    /// stamped so: nothing was written, and the journal stays as it was.
    fn append(&self, group: &[Arc<Entry>]) -> Result<(), JournalError>;

    /// Makes all that was appended durable.
    ///
    /// # Errors
    /// As for [`Journal::append`]: then what could be read still can.
    fn sync(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Takes appends again after one, or a sync, has failed: all that can be read is durable then. If
    /// none has, it is the same as a sync.
    ///
    /// # Errors
    /// The medium's error, e.g. since the disk is still full: then it may be called again.
    fn resume(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Where the next entry goes: one past the last that can be read.
    fn end(&self) -> Position;

    /// The first position that is kept.
    fn start(&self) -> Position;

    /// The instant and epoch of the last entry; none if it is empty.
    fn last(&self) -> Option<(Instant, Epoch)>;

    /// Reads entries from `from` on: at least one if there is one, up to about `max_bytes` of them in memory.
    /// Empty at the end.
    ///
    /// # Errors
    /// If `from` is before [`Journal::start`] or past the end, or an entry is damaged, naming the position.
    fn read(&self, from: Position, max_bytes: usize) -> Result<Vec<Arc<Entry>>, JournalError>;

    /// The first kept entry that was stamped at or after `instant`, with its instant.
    ///
    /// # Errors
    /// The medium's error.
    fn at_or_after(&self, instant: Instant) -> Result<Option<(Position, Instant)>, JournalError>;

    /// All kept entries at or after `from` that are not events or ticks, in order, found by the segments' small
    /// indexes: what a start has to know of before it recomputes anything.
    ///
    /// # Errors
    /// The medium's error, an entry that is damaged, and what `visit` returns.
    fn visit_decisions(
        &self,
        from: Position,
        visit: &mut dyn FnMut(Arc<Entry>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError>;

    /// The files that it is kept in, oldest first. Empty if it is not kept in files.
    fn segments(&self) -> Vec<SegmentInfo> {
        Vec::new()
    }

    /// Removes what is kept of the entries before `position`, as far as that can be done without touching others:
    /// finished segments all of which lie before it, oldest first. At least one entry is kept, for its instant and
    /// epoch. Returns the new [`Journal::start`]; entries before it are [`JournalError::OutOfRange`] from then on.
    ///
    /// # Errors
    /// The medium's error: some may be removed then. [`JournalError::Closed`], if it is only read.
    fn remove_before(&self, position: Position) -> Result<Position, JournalError>;

    /// Puts [`Body::Erased`] in the place of each kept entry before `before` that is `wanted`, of the same
    /// position, epoch and instant, and returns how many there were. Readers may be given the old ones
    /// until this returns. Nothing else is kept of them; what a medium does with blocks that were freed is its own.
    ///
    /// # Errors
    /// The medium's error, or an entry that is damaged: some may be erased then, and it can be called again.
    /// [`JournalError::Closed`], if a write failed before, or it is only read.
    fn erase(&self, before: Position, wanted: &dyn Fn(&Entry) -> bool) -> Result<u64, JournalError>;

    /// What opening it had to mend, for people: e.g. a torn tail that was cut off. Empty if nothing.
    fn recovery_notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Bytes on the medium.
    fn size_bytes(&self) -> u64;
}

/// A file of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its first position.
    pub first: Position,
    /// One past its last.
    pub end: Position,
    /// Its length.
    pub bytes: u64,
    /// When its last entry was stamped; none if it has no entry.
    pub last_instant: Option<Instant>,
    /// It is not written to any more.
    pub finished: bool,
}

/// What a decoded entry takes besides what is written of it: its struct, and where it is held.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<Entry>() + 32;

/// What stands in the place of an entry that was erased.
fn erased(entry: &Entry) -> Arc<Entry> {
    let &Entry { position, epoch, instant, .. } = entry;
    Arc::new(Entry { position, epoch, instant, body: Body::Erased })
}

/// That `group` may be appended to a journal that ends at `end` with `last`.
fn check_group(
    group: &[Arc<Entry>],
    end: Position,
    last: Option<(Instant, Epoch)>,
) -> Result<(), JournalError> {
    let mut timeline = last.map_or(0, |(instant, _)| instant);
    let epoch = group.first().map(|entry| entry.epoch);
    for (entry, expected) in group.iter().zip(end..) {
        let refused = |reason: String| Err(JournalError::Refused { position: entry.position, reason });
        if entry.position != expected {
            return refused(format!("position {expected} is the next"));
        }
        if entry.instant < timeline {
            return refused(format!(
                "its instant {} is before {timeline}, where the timeline stands",
                entry.instant
            ));
        }
        if entry.instant >= INSTANT_LIMIT {
            return refused(format!("its instant {} is not below 2^53", entry.instant));
        }
        if Some(entry.epoch) != epoch {
            return refused("its epoch is not the one of its group".to_owned());
        }
        timeline = entry.instant;
    }
    Ok(())
}

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file system failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried: `open`, `write`, `sync` ...
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What was read is not what was written.
    #[error(
        "the journal is damaged from position {position} {} ({path}, byte {offset}): {reason}; \
         restore it from a backup, or run `carpe verify`",
        up_to(.until)
    )]
    Damaged {
        /// The first position that cannot be read.
        position: Position,
        /// Where what can be read goes on, if something is known to follow.
        until: Option<Position>,
        /// The file.
        path: std::path::PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// An entry of a kind, or a file of a format, that this version does not know.
    #[error("{path} was written by a newer version of carpe ({detail}): run that version, or a later one")]
    Newer {
        /// The file.
        path: std::path::PathBuf,
        /// What is not known.
        detail: String,
    },
    /// A position outside of what is kept.
    #[error("position {position} is not kept: the journal holds {start} to {end}")]
    OutOfRange {
        /// What was asked for.
        position: Position,
        /// The first that is kept.
        start: Position,
        /// One past the last.
        end: Position,
    },
    /// Entries that the caller stamped wrongly, or too many at once. A fault in the host.
    #[error("entry {position} cannot be appended: {reason}")]
    Refused {
        /// As the entry says.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
    /// A write failed before: nothing is appended until the journal is [resumed](Journal::resume). Or it was opened
    /// to be read only.
    #[error("the journal takes nothing: a write failed before, or it was opened to be read only")]
    Closed,
    /// Another process has it open.
    #[error("{path} is in use by another process: stop that one, or use another data folder")]
    InUse {
        /// The folder.
        path: std::path::PathBuf,
    },
}

fn up_to(until: &Option<Position>) -> String {
    until.map_or_else(|| "on".to_owned(), |until| format!("up to {until}"))
}
