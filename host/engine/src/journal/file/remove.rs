//! What makes a journal forget: segments that go, and entries that are erased.

use std::io;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use super::FileJournal;
use super::disk::failed;
use super::format::Encoder;
use super::read::read_group;
use super::segment::{Loaded, Sealed, create, index_path, segment_path};
use crate::journal::{Body, Entry, Journal, JournalError, Position};

/// Held while segments are removed or rewritten.
#[derive(Default)]
pub(crate) struct Maintenance {
    /// A file may have been removed or renamed, and that may not be durable.
    names_unsynced: bool,
}

impl FileJournal {
    pub(crate) fn remove_segments(&self, before: Position) -> Result<Position, JournalError> {
        self.writable()?;
        let mut maintenance = self.maintenance()?;
        loop {
            let oldest = self.state().removable(before);
            let Some(oldest) = oldest else { return Ok(self.start()) };
            maintenance.names_unsynced = true;
            self.remove_file(&segment_path(&self.folder, oldest.first))?;
            self.state_mut().sealed.retain(|sealed| sealed.first > oldest.first);
            self.forget(&oldest);
            // Best effort: without its segment it is removed when the journal is opened.
            let _ = self.remove_file(&index_path(&self.folder, oldest.first));
            // One by one: a segment that is gone must not come back while a later one does not.
            self.sync_names(&mut maintenance)?;
        }
    }

    pub(crate) fn erase_entries(
        &self,
        before: Position,
        wanted: &dyn Fn(&Entry) -> bool,
    ) -> Result<u64, JournalError> {
        self.writable()?;
        let mut maintenance = self.maintenance()?;
        let wanted = |entry: &Entry| entry.position < before && entry.body != Body::Erased && wanted(entry);
        self.finish_if_wanted(before, &wanted)?;
        let mut encoder = Encoder::new(self.options.compress);
        let mut erased = 0;
        let sealed = self.state().sealed.clone();
        for sealed in sealed.into_iter().filter(|sealed| sealed.first < before) {
            maintenance.names_unsynced = true;
            erased += self.erase_in(sealed, &wanted, &mut encoder)?;
            maintenance.names_unsynced = false;
        }
        Ok(erased)
    }

    /// Finishes the segment that is written to, if it holds an entry that is wanted.
    fn finish_if_wanted(
        &self,
        before: Position,
        wanted: &dyn Fn(&Entry) -> bool,
    ) -> Result<(), JournalError> {
        let Loaded { segment, index } = self.state().active.clone();
        for place in index.groups.iter().take_while(|place| place.first < before) {
            if self.group(place.first)?.entries.iter().any(|(entry, _)| wanted(entry)) {
                return self.finish_segment(segment.header.first);
            }
        }
        Ok(())
    }

    fn erase_in(
        &self,
        sealed: Sealed,
        wanted: &dyn Fn(&Entry) -> bool,
        encoder: &mut Encoder,
    ) -> Result<u64, JournalError> {
        let loaded = self.load(sealed)?;
        let Loaded { segment, index } = &*loaded;
        let length = segment.file.length().map_err(failed("read", &segment.path))?;
        // What a failed write has left behind the segment's end may name what is erased elsewhere.
        let mut change = length > index.length;
        for place in &index.groups {
            change = change || read_group(segment, *place)?.entries.iter().any(|(entry, _)| wanted(entry));
        }
        if !change {
            return Ok(0);
        }
        let mut erased = 0;
        let written = create(&*self.disk, &self.folder, sealed.first, |new| {
            for place in &index.groups {
                let mut entries = read_group(segment, *place)?.entries();
                for entry in entries.iter_mut().filter(|entry| wanted(entry)) {
                    *entry = crate::journal::erased(entry);
                    erased += 1;
                }
                new.push(&entries, encoder)?;
            }
            Ok(())
        });
        // Also if it failed: the new file may be there all the same.
        self.forget(&sealed);
        let new = written?;
        let mut state = self.state_mut();
        if let Some(place) = state.sealed.iter_mut().find(|known| known.first == sealed.first) {
            place.bytes = new.index.length;
        }
        drop(state);
        // Best effort: it can be made again at any time.
        let _ = new.index.save(&*self.disk, &self.folder, &index_path(&self.folder, sealed.first));
        Ok(erased)
    }

    /// Removes a file that may be gone already.
    fn remove_file(&self, path: &Path) -> Result<(), JournalError> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// One at a time, and only when what a failed call has done to names is durable.
    fn maintenance(&self) -> Result<MutexGuard<'_, Maintenance>, JournalError> {
        let mut maintenance = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        if maintenance.names_unsynced {
            self.sync_names(&mut maintenance)?;
        }
        Ok(maintenance)
    }

    fn sync_names(&self, maintenance: &mut Maintenance) -> Result<(), JournalError> {
        self.disk.sync_folder(&self.folder).map_err(failed("sync", &self.folder))?;
        maintenance.names_unsynced = false;
        Ok(())
    }
}
