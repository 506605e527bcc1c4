//! Reading: positions are found by the segments' indexes, and groups are held for the next who asks.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::FileJournal;
use super::cache::Group;
use super::disk::{failed, read_full_at};
use super::format::{GroupHeader, decode_group};
use super::index::{GroupRef, is_marked};
use super::open::{Opening, damaged, load_sealed};
use super::segment::{Loaded, Sealed, SegmentFile, list};
use crate::event::Instant;
use crate::journal::{Entry, Journal, JournalError, Position};

/// How many finished segments are kept open, with their indexes.
const LOADED_SEGMENTS: usize = 8;

impl FileJournal {
    pub(crate) fn read_entries(
        &self,
        from: Position,
        max_bytes: usize,
    ) -> Result<Vec<Arc<Entry>>, JournalError> {
        let end = self.end();
        if from > end || from < self.start() {
            return Err(self.out_of_range(from));
        }
        let (mut entries, mut bytes, mut next) = (Vec::new(), 0, from);
        while next < end && (entries.is_empty() || bytes < max_bytes) {
            let group = self.group(next)?;
            let skipped = usize::try_from(next - group.first).unwrap_or(usize::MAX);
            for (entry, size) in group.entries.iter().skip(skipped) {
                if !entries.is_empty() && bytes >= max_bytes {
                    break;
                }
                entries.push(Arc::clone(entry));
                bytes += size;
                next += 1;
            }
        }
        Ok(entries)
    }

    pub(crate) fn first_at_or_after(
        &self,
        instant: Instant,
    ) -> Result<Option<(Position, Instant)>, JournalError> {
        loop {
            match self.find_instant(instant) {
                // It was removed meanwhile: what is kept begins later now.
                Err(JournalError::OutOfRange { .. }) => {}
                found => return found,
            }
        }
    }

    fn find_instant(&self, instant: Instant) -> Result<Option<(Position, Instant)>, JournalError> {
        let (sealed, in_active) = {
            let state = self.state();
            if state.last.is_none_or(|(last, _)| last < instant) {
                return Ok(None);
            }
            let before = |sealed: &Sealed| sealed.last.is_none_or(|(last, _)| last < instant);
            let at = state.sealed.partition_point(before);
            (state.sealed.get(at).copied(), state.active.index.groups_at(instant))
        };
        let (candidate, after) = match sealed {
            Some(sealed) => self.load(sealed)?.index.groups_at(instant),
            None => in_active,
        };
        if let Some(candidate) = candidate {
            let group = self.group(candidate.first)?;
            let at = group.entries.partition_point(|(entry, _)| entry.instant < instant);
            if let Some((entry, _)) = group.entries.get(at) {
                return Ok(Some((entry.position, entry.instant)));
            }
        }
        Ok(after.map(|group| (group.first, group.first_instant)))
    }

    pub(crate) fn visit_marked(
        &self,
        from: Position,
        visit: &mut dyn FnMut(Arc<Entry>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut next = from.max(self.start());
        loop {
            let sealed = {
                let state = self.state();
                match state.sealed_with(next) {
                    Some(sealed) => sealed,
                    None => {
                        let places: Vec<GroupRef> = state.active.index.marked_from(next).collect();
                        let segment = Arc::clone(&state.active.segment);
                        drop(state);
                        return self.visit_groups(&segment, places.into_iter(), next, visit);
                    }
                }
            };
            match self.load(sealed) {
                Ok(loaded) => {
                    let Loaded { segment, index } = &*loaded;
                    self.visit_groups(segment, index.marked_from(next), next, visit)?;
                    next = index.end;
                }
                // It was removed meanwhile: it begins with the next that is kept.
                Err(JournalError::OutOfRange { .. }) => next = next.max(self.start()),
                Err(error) => return Err(error),
            }
        }
    }

    fn visit_groups(
        &self,
        segment: &SegmentFile,
        mut places: impl Iterator<Item = GroupRef>,
        from: Position,
        visit: &mut dyn FnMut(Arc<Entry>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        places.try_for_each(|place| {
            // Not held for later: a visit goes past everything once.
            let group = match self.held(place.first) {
                Some(group) => group,
                None => Arc::new(read_group(segment, place)?),
            };
            let entries = group.entries.iter().map(|(entry, _)| entry);
            let marked = entries.filter(|entry| entry.position >= from && is_marked(entry));
            marked.map(Arc::clone).try_for_each(&mut *visit)
        })
    }

    /// The group that holds a position that is kept.
    pub(crate) fn group(&self, position: Position) -> Result<Arc<Group>, JournalError> {
        if let Some(group) = self.held(position) {
            return Ok(group);
        }
        let rewrites = self.rewrites();
        let (segment, place) = self.locate(position)?;
        let group = Arc::new(read_group(&segment, place)?);
        self.cache.read(Arc::clone(&group), || self.rewrites() == rewrites);
        Ok(group)
    }

    /// A group that is in memory. What is not synced always is: after a failed sync, nothing else can be
    /// relied on.
    fn held(&self, position: Position) -> Option<Arc<Group>> {
        self.cache.find(position).or_else(|| self.state().unsynced_with(position))
    }

    fn locate(&self, position: Position) -> Result<(Arc<SegmentFile>, GroupRef), JournalError> {
        let sealed = {
            let state = self.state();
            if let Some(group) = state.active.index.group_of(position) {
                return Ok((Arc::clone(&state.active.segment), group));
            }
            state.sealed_with(position)
        };
        let loaded = sealed.map(|sealed| self.load(sealed)).transpose()?;
        let place = loaded.and_then(|loaded| {
            loaded.index.group_of(position).map(|group| (Arc::clone(&loaded.segment), group))
        });
        place.ok_or_else(|| self.out_of_range(position))
    }

    /// A finished segment, opened if it is not.
    pub(crate) fn load(&self, sealed: Sealed) -> Result<Arc<Loaded>, JournalError> {
        if let Some(found) = self.take_loaded(sealed.first) {
            return Ok(found);
        }
        let rewrites = self.rewrites();
        let opening = Opening {
            disk: &*self.disk,
            folder: &self.folder,
            options: &super::FileJournalOptions { verify: false, ..self.options.clone() },
            read_only: self.lock.is_none(),
        };
        match load_sealed(&opening, sealed.first, sealed.end, None) {
            Ok((loaded, _)) => {
                let loaded = Arc::new(loaded);
                self.keep_loaded(Arc::clone(&loaded), rewrites);
                Ok(loaded)
            }
            Err(JournalError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && self.forget_removed(sealed.first)? =>
            {
                Err(self.out_of_range(sealed.first))
            }
            Err(error) => Err(error),
        }
    }

    /// If all segments up to the one that begins with `first` are gone, they were removed, perhaps by another
    /// process: then they are no longer known. One that is missing in between is not removed but lost.
    fn forget_removed(&self, first: Position) -> Result<bool, JournalError> {
        let (firsts, _) = list(&*self.disk, &self.folder)?;
        let removed = firsts.first().is_none_or(|&kept| kept > first);
        if removed {
            self.state_mut().sealed.retain(|sealed| sealed.first > first);
        }
        Ok(removed)
    }

    fn take_loaded(&self, first: Position) -> Option<Arc<Loaded>> {
        let mut loaded = self.loaded();
        let at = loaded.iter().position(|loaded| loaded.segment.header.first == first)?;
        let found = loaded.remove(at)?;
        loaded.push_back(Arc::clone(&found));
        Some(found)
    }

    /// Keeps a segment that was opened when there had been so many `rewrites`: not if it may have been one since.
    pub(crate) fn keep_loaded(&self, segment: Arc<Loaded>, rewrites: u64) {
        let mut loaded = self.loaded();
        if self.rewrites() != rewrites {
            return;
        }
        loaded.push_back(segment);
        while loaded.len() > LOADED_SEGMENTS {
            loaded.pop_front();
        }
    }

    /// Lets go of what is in memory of a segment that has changed, or is gone.
    pub(crate) fn forget(&self, sealed: &Sealed) {
        // First: whoever reads the old file now must not keep it after this.
        self.rewrites.fetch_add(1, Ordering::SeqCst);
        self.loaded().retain(|loaded| loaded.segment.header.first != sealed.first);
        self.cache.forget(&(sealed.first..sealed.end));
    }

    pub(crate) fn rewrites(&self) -> u64 {
        self.rewrites.load(Ordering::SeqCst)
    }

    fn loaded(&self) -> MutexGuard<'_, VecDeque<Arc<Loaded>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn out_of_range(&self, position: Position) -> JournalError {
        let state = self.state();
        JournalError::OutOfRange { position, start: state.start(), end: state.active.index.end }
    }
}

pub(crate) fn read_group(segment: &SegmentFile, place: GroupRef) -> Result<Group, JournalError> {
    let mut bytes = vec![0; place.length as usize];
    let read =
        read_full_at(&*segment.file, &mut bytes, place.offset).map_err(failed("read", &segment.path))?;
    bytes.truncate(read);
    let wrong =
        |reason: &str| damaged(&segment.path, place.first, Some(place.end), place.offset, reason.to_owned());
    let header = GroupHeader::decode(&bytes, &segment.header)
        .filter(|header| header.first == place.first && header.whole_length() == u64::from(place.length))
        .ok_or_else(|| wrong("the header of a group has changed"))?;
    let entries = header.entries_of(&bytes);
    if !header.checks(entries) {
        return Err(wrong("the checksum of a group is wrong"));
    }
    let decoded = decode_group(&header, entries, &segment.path)?;
    Ok(Group::new(place.first, decoded.into_iter()))
}
