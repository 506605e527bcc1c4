//! A journal in the segment files of a folder.

mod append;
mod cache;
mod compress;
mod disk;
#[cfg(test)]
pub(crate) mod faulty;
mod format;
mod index;
mod open;
mod read;
mod remove;
mod scan;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::append::Appender;
use self::cache::{Cache, Group};
use self::disk::{Disk, Lock, RealDisk, failed};
use self::open::{Opened, Opening};
use self::remove::Maintenance;
use self::segment::{Loaded, Sealed, list};
use super::{Entry, Epoch, Journal, JournalError, Position, SegmentInfo};
use crate::event::Instant;

/// How a [`FileJournal`] is kept.
#[derive(Clone, Debug)]
pub struct FileJournalOptions {
    /// A new segment is begun when the current one has at least this many bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Bytes in memory of decoded entries that are held for readers: so many of the last appended, and so many of
    /// the last read. Default 4 MiB.
    pub cache_bytes: usize,
    /// Begin with a new segment when something is appended. Default false.
    pub new_segment: bool,
    /// Check every byte of every segment when opening, rather than of the last one only; damage in
    /// the others is else found when they are read. Default false.
    pub verify: bool,
    /// When what is appended is durable. Default [`Durability::Durable`].
    pub durability: Durability,
    /// Compress groups of 512 bytes or more, where it saves an eighth. What was written otherwise can be read
    /// either way. Default true.
    pub compress: bool,
    /// What was made from the journal, a checkpoint or a base, refers to the entries before this position: if
    /// one of them is missing at its end, it is refused rather than taken for torn. Default 0.
    pub at_least: Position,
}

/// When an entry is durable: what a crash can take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// [`Journal::append`] returns when its group is durable. Nothing that it acknowledged is ever lost.
    #[default]
    Durable,
    /// [`Journal::append`] returns when its group is written, and [`Journal::sync`] makes it durable.
    ///
    /// If the system crashes or its power fails, what was appended since the last sync is lost, from some entry
    /// on: so many seconds as the caller lets pass between two, and never more than 16 MiB. If the process ends, by
    /// whatever signal, nothing is lost: the system has it. If a write or a sync fails, nothing is lost either
    /// while the process lives, since it holds what is not durable in memory, and [`Journal::resume`] writes
    /// it again; only if the process ends before that has worked is it as if the power had failed.
    Relaxed,
}

impl Default for FileJournalOptions {
    fn default() -> Self {
        FileJournalOptions {
            segment_bytes: 64 << 20,
            cache_bytes: 4 << 20,
            new_segment: false,
            verify: false,
            durability: Durability::Durable,
            compress: true,
            at_least: 0,
        }
    }
}

/// A [`Journal`] in a folder of segment files: one process at a time writes it, others may read.
///
/// A group is appended by one write and one `fdatasync`. Reads go past the appender: they use positioned
/// reads, and see a group once it is appended.
pub struct FileJournal {
    folder: PathBuf,
    options: FileJournalOptions,
    disk: Arc<dyn Disk>,
    appender: Mutex<Appender>,
    state: RwLock<State>,
    /// Finished segments that were read lately, the last used at the end.
    loaded: Mutex<VecDeque<Arc<Loaded>>>,
    cache: Cache,
    /// How often a segment was rewritten or removed.
    rewrites: AtomicU64,
    maintenance: Mutex<Maintenance>,
    notes: Vec<String>,
    /// Held for as long as the journal is open. None: it is only read.
    lock: Option<Lock>,
}

/// What can be read.
struct State {
    sealed: Vec<Sealed>,
    /// The segment that is written to.
    active: Loaded,
    last: Option<(Instant, Epoch)>,
    /// The active segment's last groups, if they are not durable.
    unsynced: VecDeque<Arc<Group>>,
    unsynced_bytes: u64,
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

    /// Opens the journal in `folder` as it is now, to read it: also while a host writes it. Nothing in the folder
    /// is changed. What a host is just writing, or a crash has torn, is read as not there.
    ///
    /// What is appended later is not seen. What a host removes later gives [`JournalError::OutOfRange`].
    ///
    /// # Errors
    /// As for [`FileJournal::open`], but for [`JournalError::InUse`]. Whatever would append or change gives
    /// [`JournalError::Closed`].
    pub fn open_read_only(
        folder: impl AsRef<Path>,
        options: FileJournalOptions,
    ) -> Result<Self, JournalError> {
        FileJournal::open_read_only_on(Arc::new(RealDisk), folder.as_ref(), options)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: FileJournalOptions,
    ) -> Result<Self, JournalError> {
        disk.create_folder(folder).map_err(failed("create", folder))?;
        let path = folder.join("LOCK");
        let lock = disk.lock(&path).map_err(failed("lock", &path))?;
        let lock = lock.ok_or_else(|| JournalError::InUse { path: folder.to_owned() })?;
        let opening = Opening { disk: &*disk, folder, options: &options, read_only: false };
        let opened = open::open(&opening)?;
        Ok(FileJournal::new(disk, folder, options, opened, Some(lock)))
    }

    pub(crate) fn open_read_only_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: FileJournalOptions,
    ) -> Result<Self, JournalError> {
        let opening = Opening { disk: &*disk, folder, options: &options, read_only: true };
        let mut listed = list(&*disk, folder)?.0;
        let opened = loop {
            match open::open(&opening) {
                Ok(opened) => break opened,
                Err(error) => {
                    // A host may have removed or begun a segment since they were listed: that is not damage.
                    let now = list(&*disk, folder)?.0;
                    if now == listed {
                        return Err(error);
                    }
                    listed = now;
                }
            }
        };
        Ok(FileJournal::new(disk, folder, options, opened, None))
    }

    fn new(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: FileJournalOptions,
        opened: Opened,
        lock: Option<Lock>,
    ) -> Self {
        let Opened { sealed, active, last, notes } = opened;
        // An older format is read, but not written.
        let begin_anew = options.new_segment || active.segment.header.version < format::FORMAT_VERSION;
        FileJournal {
            folder: folder.to_owned(),
            disk,
            appender: Mutex::new(Appender::new(begin_anew, options.compress)),
            state: RwLock::new(State { sealed, active, last, unsynced: VecDeque::new(), unsynced_bytes: 0 }),
            loaded: Mutex::new(VecDeque::new()),
            cache: Cache::new(options.cache_bytes),
            rewrites: AtomicU64::new(0),
            maintenance: Mutex::default(),
            notes,
            options,
            lock,
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> Result<(), JournalError> {
        self.lock.as_ref().map(|_| ()).ok_or(JournalError::Closed)
    }
}

impl State {
    fn start(&self) -> Position {
        self.sealed.first().map_or(self.active.segment.header.first, |sealed| sealed.first)
    }

    /// The finished segment that holds a position, or begins after it.
    fn sealed_with(&self, position: Position) -> Option<Sealed> {
        let at = self.sealed.partition_point(|sealed| sealed.end <= position);
        self.sealed.get(at).copied()
    }

    fn unsynced_with(&self, position: Position) -> Option<Arc<Group>> {
        let after = self.unsynced.partition_point(|group| group.first <= position);
        let group = self.unsynced.get(after.checked_sub(1)?)?;
        group.holds(position).then(|| Arc::clone(group))
    }

    /// All that was written is durable.
    fn synced(&mut self) {
        self.unsynced.clear();
        self.unsynced_bytes = 0;
    }

    /// The first segment, if all of it lies before `position` and a durable entry is left without it: else nobody
    /// would know after a start where the timeline stood.
    fn removable(&self, position: Position) -> Option<Sealed> {
        let first_unsynced = self.unsynced.front().map_or(self.active.index.end, |group| group.first);
        let left = self.sealed.len() > 1 || first_unsynced > self.active.segment.header.first;
        self.sealed.first().filter(|oldest| left && oldest.end <= position).copied()
    }
}

impl Journal for FileJournal {
    fn append(&self, group: &[Arc<Entry>]) -> Result<(), JournalError> {
        self.append_group(group)
    }

    fn sync(&self) -> Result<(), JournalError> {
        self.sync_appended()
    }

    fn resume(&self) -> Result<(), JournalError> {
        self.begin_after_failure()
    }

    fn end(&self) -> Position {
        self.state().active.index.end
    }

    fn start(&self) -> Position {
        self.state().start()
    }

    fn last(&self) -> Option<(Instant, Epoch)> {
        self.state().last
    }

    fn read(&self, from: Position, max_bytes: usize) -> Result<Vec<Arc<Entry>>, JournalError> {
        self.read_entries(from, max_bytes)
    }

    fn at_or_after(&self, instant: Instant) -> Result<Option<(Position, Instant)>, JournalError> {
        self.first_at_or_after(instant)
    }

    fn visit_decisions(
        &self,
        from: Position,
        visit: &mut dyn FnMut(Arc<Entry>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        self.visit_marked(from, visit)
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        let state = self.state();
        let info = |sealed: &Sealed, finished| SegmentInfo {
            first: sealed.first,
            end: sealed.end,
            bytes: sealed.bytes,
            last_instant: sealed.last.map(|(instant, _)| instant),
            finished,
        };
        let active = Sealed::of(state.active.segment.header.first, &state.active.index);
        let finished = state.sealed.iter().map(|sealed| info(sealed, true));
        finished.chain([info(&active, false)]).collect()
    }

    fn remove_before(&self, position: Position) -> Result<Position, JournalError> {
        self.remove_segments(position)
    }

    fn erase(&self, before: Position, wanted: &dyn Fn(&Entry) -> bool) -> Result<u64, JournalError> {
        self.erase_entries(before, wanted)
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
