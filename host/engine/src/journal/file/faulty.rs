//! A disk in memory that fails, or loses its power, where a test says. What is not synced then is gone, or is
//! there in part: contents go by their file, names by their folder.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile, Lock};

/// A call that changes something, or makes a change durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Write,
    Truncate,
    Sync,
    Rename,
    Remove,
    SyncFolder,
}

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails. A sync that fails drops what it should have made durable, but it can still be read, as on Linux.
    Fails(io::ErrorKind),
    /// A write does half, and the next call fails. Others fail.
    Short(io::ErrorKind),
    /// It fails as all after it, until [`FaultyDisk::restart`].
    PowerLoss,
}

/// Shared by its clones; see [`FaultyDisk::fork`].
#[derive(Clone, Default)]
pub(crate) struct FaultyDisk {
    medium: Arc<Mutex<Medium>>,
}

#[derive(Clone, Default)]
struct Medium {
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    name_changes: Vec<NameChange>,
    calls: Vec<Call>,
    /// From which call on, what, and whether also at all later calls.
    plan: Option<(usize, Fault, bool)>,
    off: bool,
    /// Handles from before a restart are dead.
    starts: u64,
}

#[derive(Clone, Default)]
struct Contents {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone)]
enum NameChange {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

struct FaultyFile {
    disk: FaultyDisk,
    file: usize,
    start: u64,
    writable: bool,
}

impl FaultyDisk {
    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.medium().calls.clone()
    }

    /// Lets `fault` happen at the call number `at`, and if it is `lasting` at all after it. In place of what was
    /// planned.
    pub(crate) fn fail_at(&self, at: usize, fault: Fault, lasting: bool) {
        self.medium().plan = Some((at, fault, lasting));
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        self.medium().plan = None;
    }

    /// A disk of its own with the same contents and plan.
    pub(crate) fn fork(&self) -> FaultyDisk {
        let medium = self.medium().clone();
        FaultyDisk { medium: Arc::new(Mutex::new(medium)) }
    }

    /// The power is back. Of what was not synced, nothing is left, or (with a seed) any part.
    pub(crate) fn restart(&self, seed: Option<u64>) {
        let mut medium = self.medium();
        let medium = &mut *medium;
        let mut chance = Chance(seed.unwrap_or(0));
        let mut keeps = || seed.is_some() && chance.next().is_multiple_of(2);
        for change in std::mem::take(&mut medium.name_changes) {
            if keeps() {
                change.apply(&mut medium.durable_names);
            }
        }
        medium.names = medium.durable_names.clone();
        for file in &mut medium.files {
            for change in std::mem::take(&mut file.pending) {
                if seed.is_some() {
                    change.apply_in_part(&mut file.durable, &mut chance);
                }
            }
            file.current = file.durable.clone();
        }
        medium.plan = None;
        medium.off = false;
        medium.starts += 1;
    }

    /// All files as they are read now.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let medium = self.medium();
        medium.names.iter().map(|(path, &file)| (path.clone(), medium.files[file].current.clone())).collect()
    }

    /// Those with this ending, in order.
    pub(crate) fn paths(&self, ending: &str) -> Vec<PathBuf> {
        let all = self.files().into_keys();
        all.filter(|path| path.to_str().is_some_and(|path| path.ends_with(ending))).collect()
    }

    pub(crate) fn get(&self, path: &Path) -> Vec<u8> {
        self.files().remove(path).unwrap_or_default()
    }

    /// Puts a file there, durably.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut medium = self.medium();
        let file = medium.files.len();
        medium.files.push(Contents { current: bytes.to_vec(), durable: bytes.to_vec(), pending: Vec::new() });
        medium.names.insert(path.to_owned(), file);
        medium.durable_names.insert(path.to_owned(), file);
    }

    /// Takes a file away, durably.
    pub(crate) fn take(&self, path: &Path) {
        let mut medium = self.medium();
        medium.names.remove(path);
        medium.durable_names.remove(path);
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        self.medium.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, medium: &Medium, file: usize, writable: bool) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { disk: self.clone(), file, start: medium.starts, writable })
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn DiskFile>> {
        let medium = self.medium();
        medium.on()?;
        let &file = medium.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&medium, file, writable))
    }
}

impl Medium {
    fn on(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("there is no power")) } else { Ok(()) }
    }

    /// The fault that is planned for this call.
    fn call(&mut self, call: Call) -> io::Result<Option<Fault>> {
        self.on()?;
        let number = self.calls.len();
        self.calls.push(call);
        let Some((at, fault, lasting)) = self.plan else { return Ok(None) };
        if number < at || (number > at && !lasting) {
            return Ok(None);
        }
        match fault {
            Fault::PowerLoss => self.off = true,
            Fault::Short(error) if call == Call::Write && number == at => {
                self.plan = Some((at + 1, Fault::Fails(error), lasting));
            }
            _ => {}
        }
        Ok(Some(fault))
    }

    /// A change of names: with the power it may be gone or not, with another fault it is not made.
    fn change_names(&mut self, call: Call, change: NameChange) -> io::Result<()> {
        match self.call(call)? {
            Some(Fault::Fails(error) | Fault::Short(error)) => Err(error.into()),
            fault => {
                change.apply(&mut self.names);
                self.name_changes.push(change);
                if fault.is_some() { self.on() } else { Ok(()) }
            }
        }
    }

    fn change(&mut self, file: usize, change: Change) {
        let file = &mut self.files[file];
        change.apply(&mut file.current);
        file.pending.push(change);
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(offset, written) => {
                let end = offset + written.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset..end].copy_from_slice(written);
            }
            Change::Truncate(length) => bytes.resize(*length, 0),
        }
    }

    /// As it was, not at all, up to some byte, or only its length.
    fn apply_in_part(&self, bytes: &mut Vec<u8>, chance: &mut Chance) {
        let part = match (chance.next() % 4, self) {
            (0, _) => return,
            (1, Change::Write(offset, written)) => {
                Change::Write(*offset, written[..(chance.next() as usize) % (written.len() + 1)].to_vec())
            }
            (2, Change::Write(offset, written)) => Change::Write(*offset, vec![0; written.len()]),
            _ => self.clone(),
        };
        part.apply(bytes);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Link(path, file) => drop(names.insert(path.clone(), *file)),
            NameChange::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            NameChange::Remove(path) => drop(names.remove(path)),
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        let (NameChange::Link(path, _) | NameChange::Rename(_, path, _) | NameChange::Remove(path)) = self;
        path.parent() == Some(folder)
    }
}

impl Disk for FaultyDisk {
    fn create_folder(&self, _: &Path) -> io::Result<()> {
        self.medium().on()
    }

    /// As many as ask for it have it.
    fn lock(&self, _: &Path) -> io::Result<Option<Lock>> {
        self.medium().on()?;
        Ok(Some(Box::new(())))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut medium = self.medium();
        let file = match medium.names.get(path).copied() {
            Some(file) => {
                match medium.call(Call::Create)? {
                    Some(Fault::Fails(error) | Fault::Short(error)) => return Err(error.into()),
                    _ => medium.change(file, Change::Truncate(0)),
                }
                file
            }
            None => {
                medium.files.push(Contents::default());
                let file = medium.files.len() - 1;
                medium.change_names(Call::Create, NameChange::Link(path.to_owned(), file))?;
                file
            }
        };
        medium.on()?;
        Ok(self.handle(&medium, file, true))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path, true)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path, false)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let medium = self.medium();
        medium.on()?;
        let inside = medium.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut medium = self.medium();
        let &file = medium.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        medium.change_names(Call::Rename, NameChange::Rename(from.to_owned(), to.to_owned(), file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut medium = self.medium();
        medium.on()?;
        if !medium.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        medium.change_names(Call::Remove, NameChange::Remove(path.to_owned()))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut medium = self.medium();
        let medium = &mut *medium;
        match medium.call(Call::SyncFolder)? {
            Some(Fault::Fails(error) | Fault::Short(error)) => return Err(error.into()),
            Some(Fault::PowerLoss) => return medium.on(),
            None => {}
        }
        let changes = std::mem::take(&mut medium.name_changes);
        let (inside, others) = changes.into_iter().partition(|change| change.is_in(folder));
        medium.name_changes = others;
        let inside: Vec<NameChange> = inside;
        inside.iter().for_each(|change| change.apply(&mut medium.durable_names));
        Ok(())
    }
}

impl FaultyFile {
    fn medium(&self) -> io::Result<MutexGuard<'_, Medium>> {
        let medium = self.disk.medium();
        medium.on()?;
        if medium.starts == self.start { Ok(medium) } else { Err(io::Error::other("a dead handle")) }
    }

    fn to_change(&self, call: Call) -> io::Result<(MutexGuard<'_, Medium>, Option<Fault>)> {
        let mut medium = self.medium()?;
        assert!(self.writable, "it was opened to be read");
        let fault = medium.call(call)?;
        Ok((medium, fault))
    }
}

impl DiskFile for FaultyFile {
    /// In pieces, on purpose.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let medium = self.medium()?;
        let bytes = &medium.files[self.file].current;
        let there = bytes.get(offset as usize..).unwrap_or_default();
        let read = there.len().min(buffer.len()).min(5_000);
        buffer[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (mut medium, fault) = self.to_change(Call::Write)?;
        let length = match fault {
            Some(Fault::Fails(error)) => return Err(error.into()),
            Some(Fault::Short(_)) => bytes.len() / 2,
            _ => bytes.len(),
        };
        medium.change(self.file, Change::Write(offset as usize, bytes[..length].to_vec()));
        medium.on()?;
        Ok(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut medium, fault) = self.to_change(Call::Sync)?;
        if fault == Some(Fault::PowerLoss) {
            return medium.on();
        }
        let file = &mut medium.files[self.file];
        let pending = std::mem::take(&mut file.pending);
        if let Some(Fault::Fails(error) | Fault::Short(error)) = fault {
            return Err(error.into());
        }
        pending.iter().for_each(|change| change.apply(&mut file.durable));
        Ok(())
    }

    fn forget_cached(&self) {
        if let Ok(mut medium) = self.medium() {
            let file = &mut medium.files[self.file];
            file.current = file.durable.clone();
            file.pending.iter().for_each(|change| change.apply(&mut file.current));
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let (mut medium, fault) = self.to_change(Call::Truncate)?;
        if let Some(Fault::Fails(error) | Fault::Short(error)) = fault {
            return Err(error.into());
        }
        medium.change(self.file, Change::Truncate(length as usize));
        medium.on()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.medium()?.files[self.file].current.len() as u64)
    }
}

/// Numbers that look random, the same ones for a seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
