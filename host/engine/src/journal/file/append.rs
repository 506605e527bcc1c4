//! Appending: groups, segments that are begun, and what is done when a write fails.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::cache::Group;
use super::disk::{failed, write_all_at};
use super::format::Encoder;
use super::segment::{Loaded, Sealed, create, index_path};
use super::{Durability, FileJournal};
use crate::journal::{Entry, Journal, JournalError, Position};

/// In relaxed mode so much may be written and not synced: it is held in memory, and a crash of the system may
/// lose it.
const UNSYNCED_BYTES: u64 = 16 << 20;

pub(crate) struct Appender {
    /// Set while something is being written, so that a panic leaves it set.
    closed: bool,
    /// Begin with a new segment.
    begin_anew: bool,
    encoder: Encoder,
}

impl Appender {
    pub(crate) fn new(begin_anew: bool, compress: bool) -> Self {
        Appender { closed: false, begin_anew, encoder: Encoder::new(compress) }
    }
}

impl FileJournal {
    pub(crate) fn append_group(&self, group: &[Arc<Entry>]) -> Result<(), JournalError> {
        self.while_closed(|appender| {
            crate::journal::check_group(group, self.end(), self.last())?;
            if group.is_empty() {
                return Ok(());
            }
            let full = self.state().active.index.length >= self.options.segment_bytes;
            if full || appender.begin_anew {
                self.roll(appender)?;
            }
            self.write_group(group, appender)
        })
    }

    pub(crate) fn sync_appended(&self) -> Result<(), JournalError> {
        self.while_closed(|_| self.sync_active())
    }

    /// Begins a new segment after a failure; without one, a sync is all that it takes.
    pub(crate) fn begin_after_failure(&self) -> Result<(), JournalError> {
        self.writable()?;
        let mut appender = self.appender();
        let failed = std::mem::replace(&mut appender.closed, true);
        if failed {
            self.begin_segment(&mut appender)?;
        } else {
            self.sync_active()?;
        }
        appender.closed = false;
        Ok(())
    }

    /// Finishes the segment that is written to, if it still is the one that begins with `first`.
    pub(crate) fn finish_segment(&self, first: Position) -> Result<(), JournalError> {
        self.while_closed(|appender| {
            let same = self.state().active.segment.header.first == first;
            if same { self.roll(appender) } else { Ok(()) }
        })
    }

    /// Does something that leaves the journal closed if it fails, since then nobody knows what is on the medium.
    fn while_closed(
        &self,
        change: impl FnOnce(&mut Appender) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        self.writable()?;
        let mut appender = self.appender();
        if appender.closed {
            return Err(JournalError::Closed);
        }
        appender.closed = true;
        let result = change(&mut appender);
        // What was refused was not begun.
        appender.closed = !matches!(result, Ok(()) | Err(JournalError::Refused { .. }));
        result
    }

    fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_group(&self, group: &[Arc<Entry>], appender: &mut Appender) -> Result<(), JournalError> {
        #[cfg(feature = "planted-faults")]
        let group = &*crate::planted::written(group);
        let (segment, offset, unsynced) = {
            let state = self.state();
            (Arc::clone(&state.active.segment), state.active.index.length, state.unsynced_bytes)
        };
        // It fits: past the bound everything is synced.
        let encoded = appender.encoder.encode(group, segment.header.salt, unsynced as u32)?;
        let length = encoded.bytes.len() as u64;
        let sync = self.options.durability == Durability::Durable || unsynced + length > UNSYNCED_BYTES;
        let mut written =
            write_all_at(&*segment.file, encoded.bytes, offset).map_err(failed("write", &segment.path));
        if sync {
            written = written.and_then(|()| segment.file.sync_data().map_err(failed("sync", &segment.path)));
        }
        if let Err(error) = written {
            // Best effort, so that opening again does not find what was never acknowledged. Not synced if there
            // is more that is not: a sync that fails drops it.
            let cut = segment.file.truncate(offset);
            if unsynced == 0 {
                let _ = cut.and_then(|()| segment.file.sync_data());
            }
            return Err(error);
        }

        let decoded = group.iter().map(Arc::clone).zip(encoded.sizes);
        let held = Arc::new(Group::new(encoded.header.first, decoded));
        self.cache.appended(Arc::clone(&held));
        let mut state = self.state_mut();
        state.active.index.push(&encoded.header, !encoded.header.is_plain());
        state.last = state.active.index.last();
        if sync {
            state.synced();
        } else {
            state.unsynced.push_back(held);
            state.unsynced_bytes += length;
        }
        Ok(())
    }

    fn sync_active(&self) -> Result<(), JournalError> {
        let segment = {
            let state = self.state();
            if state.unsynced.is_empty() {
                return Ok(());
            }
            Arc::clone(&state.active.segment)
        };
        segment.file.sync_data().map_err(failed("sync", &segment.path))?;
        self.state_mut().synced();
        Ok(())
    }

    /// Finishes the segment that is written to, and begins another.
    fn roll(&self, appender: &mut Appender) -> Result<(), JournalError> {
        self.sync_active()?;
        self.begin_segment(appender)
    }

    /// Begins a segment with all that is visible but not synced: so nothing of the old one is needed from there
    /// on, whatever a failure has made of its last bytes.
    fn begin_segment(&self, appender: &mut Appender) -> Result<(), JournalError> {
        let (Loaded { segment, mut index }, unsynced) = {
            let state = self.state();
            (state.active.clone(), state.unsynced.clone())
        };
        let first = unsynced.front().map_or(index.end, |group| group.first);
        let next = create(&*self.disk, &self.folder, first, |next| {
            unsynced.iter().try_for_each(|group| next.push(&group.entries(), &mut appender.encoder))
        })?;
        appender.begin_anew = false;
        index.cut(first);
        // Without a group it had the new one's name.
        let finished = !index.groups.is_empty();
        let mut state = self.state_mut();
        state.active = next;
        state.synced();
        if finished {
            let first = segment.header.first;
            state.sealed.push(Sealed::of(first, &index));
            drop(state);
            // Best effort: it can be made again at any time.
            let _ = index.save(&*self.disk, &self.folder, &index_path(&self.folder, first));
            self.keep_loaded(Arc::new(Loaded { segment, index }), self.rewrites());
        }
        Ok(())
    }
}
