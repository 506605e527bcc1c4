//! A journal in the segment files of a folder.

mod cache;
mod disk;
mod format;
mod index;
mod open;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::cache::{Cache, Group};
use self::disk::{Disk, RealDisk, failed, read_full_at, write_all_at};
use self::format::{GROUP_HEADER_BYTES, GroupHeader, decode_entry, decode_group, encode_group};
use self::index::{GroupRef, Mark, SegmentIndex};
use self::open::{Opened, create, damaged, index_path, load_sealed};
use self::scan::SegmentFile;
use super::{Entry, Epoch, Journal, JournalError, Position};
use crate::event::Instant;

/// How a [`FileJournal`] is kept.
#[derive(Clone, Debug)]
pub struct FileJournalOptions {
    /// A new segment is begun when the current one has at least this many bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Bytes in memory of decoded entries that are held for readers: so many of the last appended, and so many of
    /// the last read. Default 16 MiB.
    pub cache_bytes: usize,
    /// Begin with a new segment: for opening again after a write failed, since what became of the
    /// old one's last bytes is not known. Default false.
    pub new_segment: bool,
    /// Check every byte of every segment when opening, rather than of the last one only; damage in
    /// the others is else found when they are read. Default false.
    pub verify: bool,
}

impl Default for FileJournalOptions {
    fn default() -> Self {
        FileJournalOptions {
            segment_bytes: 64 << 20,
            cache_bytes: 16 << 20,
            new_segment: false,
            verify: false,
        }
    }
}

/// A [`Journal`] in a folder of segment files, for one process at a time.
///
/// A group is appended by one write and one `fdatasync`. Reads go past the appender: they use positioned
/// reads, and see a group once it is durable.
pub struct FileJournal {
    folder: PathBuf,
    options: FileJournalOptions,
    disk: Arc<dyn Disk>,
    appender: Mutex<Appender>,
    state: RwLock<State>,
    /// Segments that were read lately, the last used at the end.
    loaded: Mutex<VecDeque<Arc<Loaded>>>,
    cache: Cache,
    notes: Vec<String>,
    /// Held for as long as the journal is open.
    _lock: File,
}

struct Appender {
    /// Set while a group is being written, so that a panic leaves it set.
    closed: bool,
    new_segment: bool,
    buffer: Vec<u8>,
}

/// What is durable.
struct State {
    sealed: Vec<Sealed>,
    active: Active,
    last: Option<(Instant, Epoch)>,
}

/// A segment that is finished.
#[derive(Clone, Copy)]
struct Sealed {
    first: Position,
    end: Position,
    bytes: u64,
    last: Option<(Instant, Epoch)>,
}

/// The segment that is written to.
struct Active {
    segment: Arc<SegmentFile>,
    index: SegmentIndex,
}

struct Loaded {
    segment: Arc<SegmentFile>,
    index: SegmentIndex,
}

/// How many finished segments are kept open, with their indexes.
const LOADED_SEGMENTS: usize = 8;

impl Sealed {
    fn of(first: Position, index: &SegmentIndex) -> Self {
        Sealed { first, end: index.end, bytes: index.length, last: index.last }
    }
}

impl FileJournal {
    /// Opens the journal in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// [`JournalError::InUse`]: another process has it, or this one. [`JournalError::Damaged`], [`JournalError::Newer`]:
    /// it cannot be trusted or understood, and is left as it is. [`JournalError::Io`].
    pub fn open(folder: impl AsRef<Path>, options: FileJournalOptions) -> Result<Self, JournalError> {
        FileJournal::open_on(Arc::new(RealDisk), folder.as_ref(), options)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: FileJournalOptions,
    ) -> Result<Self, JournalError> {
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        if let Some(parent) = folder.canonicalize().ok().as_deref().and_then(Path::parent) {
            // Best effort: the folder's own name is made durable only if its parent may be read.
            let _ = disk.sync_folder(parent);
        }
        let lock = lock(folder)?;
        let Opened { sealed, active, last, notes } = open::open(&*disk, folder, options.verify)?;
        Ok(FileJournal {
            folder: folder.to_owned(),
            disk,
            appender: Mutex::new(Appender {
                closed: false,
                new_segment: options.new_segment,
                buffer: Vec::new(),
            }),
            state: RwLock::new(State { sealed, active, last }),
            loaded: Mutex::new(VecDeque::new()),
            cache: Cache::new(options.cache_bytes),
            notes,
            options,
            _lock: lock,
        })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finishes the segment that is written to, and begins another.
    fn roll(&self) -> Result<(), JournalError> {
        let (segment, index) = {
            let state = self.state();
            (Arc::clone(&state.active.segment), state.active.index.clone())
        };
        let first = segment.header.first;
        if index.groups.is_empty() {
            // It would have the same name. Removed first, so that not one byte of the old file is used again.
            self.disk.remove(&segment.path).map_err(failed("remove", &segment.path))?;
            let next = create(&*self.disk, &self.folder, first)?;
            self.state_mut().active = next;
            return Ok(());
        }
        index.save(&*self.disk, &self.folder, &index_path(&self.folder, first))?;
        let next = create(&*self.disk, &self.folder, index.end)?;
        let sealed = Sealed::of(first, &index);
        let mut state = self.state_mut();
        state.active = next;
        state.sealed.push(sealed);
        drop(state);
        self.keep_loaded(Arc::new(Loaded { segment, index }));
        Ok(())
    }

    fn append_closed(&self, group: &[Arc<Entry>], appender: &mut Appender) -> Result<(), JournalError> {
        #[cfg(feature = "planted-faults")]
        let group = &*crate::planted::written(group);
        let full = self.state().active.index.length >= self.options.segment_bytes;
        if full || appender.new_segment {
            self.roll()?;
            appender.new_segment = false;
        }
        let (segment, offset) = {
            let state = self.state();
            (Arc::clone(&state.active.segment), state.active.index.length)
        };
        let buffer = &mut appender.buffer;
        let (header, spans) = encode_group(group, segment.header.salt, buffer)?;
        let written = write_all_at(&*segment.file, buffer, offset)
            .map_err(failed("write", &segment.path))
            .and_then(|()| segment.file.sync_data().map_err(failed("sync", &segment.path)));
        if let Err(error) = written {
            // Best effort, so that opening again does not find what was never acknowledged.
            let _ = segment.file.truncate(offset).and_then(|()| segment.file.sync_data());
            return Err(error);
        }

        let entries = &buffer[GROUP_HEADER_BYTES..];
        let placed = group.iter().map(|entry| &**entry).zip(spans.iter().copied());
        let marks = SegmentIndex::marks_of(&header, offset, entries, placed);
        let decoded = group.iter().map(Arc::clone).zip(spans.iter().copied());
        self.cache.appended(Arc::new(Group::new(header.first, decoded)));
        let mut state = self.state_mut();
        state.active.index.push(&header, marks);
        state.last = state.active.index.last;
        Ok(())
    }

    /// The segment and the group that hold a position that is kept.
    fn locate(&self, position: Position) -> Result<(Arc<SegmentFile>, GroupRef), JournalError> {
        let first = {
            let state = self.state();
            if let Some(group) = state.active.index.group_of(position) {
                return Ok((Arc::clone(&state.active.segment), group));
            }
            state.first_of_sealed(position)
        };
        let group = match first.map(|first| self.load(first)).transpose()? {
            Some(loaded) => loaded.index.group_of(position).map(|group| (Arc::clone(&loaded.segment), group)),
            None => None,
        };
        group.ok_or_else(|| self.out_of_range(position))
    }

    /// A finished segment, opened if it is not.
    fn load(&self, first: Position) -> Result<Arc<Loaded>, JournalError> {
        {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = loaded.iter().position(|loaded| loaded.segment.header.first == first) {
                let found = loaded.remove(at);
                if let Some(found) = found {
                    loaded.push_back(Arc::clone(&found));
                    return Ok(found);
                }
            }
        }
        let (segment, index, _) = load_sealed(&*self.disk, &self.folder, first, None, false)?;
        let found = Arc::new(Loaded { segment: Arc::new(segment), index });
        self.keep_loaded(Arc::clone(&found));
        Ok(found)
    }

    fn keep_loaded(&self, segment: Arc<Loaded>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.push_back(segment);
        while loaded.len() > LOADED_SEGMENTS {
            loaded.pop_front();
        }
    }

    fn group(&self, position: Position) -> Result<Arc<Group>, JournalError> {
        if let Some(group) = self.cache.find(position) {
            return Ok(group);
        }
        let (segment, place) = self.locate(position)?;
        let group = Arc::new(read_group(&segment, place)?);
        self.cache.read(Arc::clone(&group));
        Ok(group)
    }

    fn out_of_range(&self, position: Position) -> JournalError {
        JournalError::OutOfRange { position, start: self.start(), end: self.end() }
    }
}

impl Journal for FileJournal {
    fn append(&self, group: &[Arc<Entry>]) -> Result<(), JournalError> {
        let mut appender = lock_appender(&self.appender);
        if appender.closed {
            return Err(JournalError::Closed);
        }
        super::check_group(group, self.end(), self.last())?;
        if group.is_empty() {
            return Ok(());
        }
        appender.closed = true;
        let result = self.append_closed(group, &mut appender);
        // What was refused was not begun: only a failed write leaves it closed.
        appender.closed = !matches!(result, Ok(()) | Err(JournalError::Refused { .. }));
        appender.buffer.clear();
        appender.buffer.shrink_to(1 << 20);
        result
    }

    fn end(&self) -> Position {
        self.state().active.index.end
    }

    fn start(&self) -> Position {
        let state = self.state();
        state.sealed.first().map_or(state.active.segment.header.first, |sealed| sealed.first)
    }

    fn last(&self) -> Option<(Instant, Epoch)> {
        self.state().last
    }

    fn read(&self, from: Position, max_bytes: usize) -> Result<Vec<Arc<Entry>>, JournalError> {
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

    fn at_or_after(&self, instant: Instant) -> Result<Option<(Position, Instant)>, JournalError> {
        let (sealed, in_active) = {
            let state = self.state();
            if state.last.is_none_or(|(last, _)| last < instant) {
                return Ok(None);
            }
            let at =
                state.sealed.partition_point(|sealed| sealed.last.is_none_or(|(last, _)| last < instant));
            (state.sealed.get(at).map(|sealed| sealed.first), state.active.index.groups_at(instant))
        };
        let (candidate, after) = match sealed {
            Some(first) => self.load(first)?.index.groups_at(instant),
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

    fn visit_decisions(
        &self,
        visit: &mut dyn FnMut(Arc<Entry>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut next = self.start();
        loop {
            let sealed = self.state().first_of_sealed(next);
            if let Some(first) = sealed {
                let loaded = self.load(first)?;
                visit_marks(&loaded.segment, &loaded.index.marks, visit)?;
                next = loaded.index.end;
                continue;
            }
            let (segment, marks) = {
                let state = self.state();
                (Arc::clone(&state.active.segment), state.active.index.marks.clone())
            };
            // Else it was finished just now: it is the next one to be loaded.
            if segment.header.first == next {
                return visit_marks(&segment, &marks, visit);
            }
        }
    }

    fn recovery_notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn size_bytes(&self) -> u64 {
        let state = self.state();
        state.sealed.iter().map(|sealed| sealed.bytes).sum::<u64>() + state.active.index.length
    }
}

impl std::fmt::Debug for FileJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileJournal")
            .field("folder", &self.folder)
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

impl State {
    fn first_of_sealed(&self, position: Position) -> Option<Position> {
        let at = self.sealed.partition_point(|sealed| sealed.end <= position);
        self.sealed.get(at).map(|sealed| sealed.first)
    }
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join("LOCK");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
    }
}

/// A panic while a group was written has left it closed.
fn lock_appender(appender: &Mutex<Appender>) -> MutexGuard<'_, Appender> {
    appender.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_group(segment: &SegmentFile, place: GroupRef) -> Result<Group, JournalError> {
    let mut bytes = vec![0; place.length as usize];
    let read =
        read_full_at(&*segment.file, &mut bytes, place.offset).map_err(failed("read", &segment.path))?;
    let header = GroupHeader::decode(&bytes[..read], segment.header.salt)
        .filter(|header| header.first == place.first && header.whole_length() == u64::from(place.length));
    let Some((header, entries)) = header.zip(bytes[..read].get(GROUP_HEADER_BYTES..)) else {
        return Err(damaged(&segment.path, place.first, place.offset, "the header of a group has changed"));
    };
    if !header.checks(entries) {
        return Err(damaged(&segment.path, place.first, place.offset, "the checksum of a group is wrong"));
    }
    let decoded = decode_group(&header, entries, &segment.path)?;
    Ok(Group::new(place.first, decoded.into_iter()))
}

/// Reads the marked entries, and nothing else.
fn visit_marks(
    segment: &SegmentFile,
    marks: &[Mark],
    visit: &mut dyn FnMut(Arc<Entry>) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    let mut bytes = Vec::new();
    for mark in marks {
        bytes.resize(mark.length as usize, 0);
        let read =
            read_full_at(&*segment.file, &mut bytes, mark.offset).map_err(failed("read", &segment.path))?;
        if read < bytes.len() || crc32fast::hash(&bytes) != mark.checksum {
            return Err(damaged(
                &segment.path,
                mark.position,
                mark.offset,
                "the checksum of an entry is wrong",
            ));
        }
        visit(decode_entry(mark.epoch, mark.first_instant, mark.position, &bytes, &segment.path)?)?;
    }
    Ok(())
}
