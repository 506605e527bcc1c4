//! A copy of a data folder, also of one that a host uses.
//!
//! It asks nothing of the host: bases and finished segments do not change, and of the segment that is written to, a copy
//! holds whole groups and perhaps a torn one, as after a crash. What is copied is enough to compute all states again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::checkpoint::{CheckpointError, base};
use crate::data_folder::{DataFolder, DataFolderError, create_private, write_format};
use crate::journal::{FileJournal, FileJournalOptions, Journal, JournalError, Position};

/// How often a copy is begun again, since the host had removed what was to be copied.
const TRIES: usize = 5;

/// What was copied.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BackedUp {
    /// The first position of its journal.
    pub start: Position,
    /// One past its last.
    pub end: Position,
    /// The base from which states are computed again; none: from the journal's beginning.
    pub base: Option<Position>,
    /// Files that were copied.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The data folder cannot be used.
    #[error("the data folder cannot be used")]
    DataFolder(#[from] DataFolderError),
    /// The target is there already.
    #[error(
        "{path} is there already: name a folder that is not, so that no older backup is mixed with this one"
    )]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// A file cannot be copied.
    #[error("cannot copy {path}")]
    Copy {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A base cannot be read.
    #[error("a base cannot be read")]
    Base(#[from] CheckpointError),
    /// The copy of the journal is not whole.
    #[error("the copy of the journal cannot be read")]
    Journal(#[from] JournalError),
    /// There is no base where the journal begins.
    #[error(
        "the journal begins at position {start}, and no base from there on can be read: what is there cannot be restored from"
    )]
    NoBase {
        /// Where it begins.
        start: Position,
    },
}

/// Copies what is needed to go on from `data` to `target`, which must not be there yet, and reads all of the copy. A
/// host that is started on it makes its checkpoints again, and goes on where the copy ends, in a new epoch.
///
/// # Errors
/// [`BackupError`]; what was copied so far is then left under the name `TARGET.part`.
pub fn backup(data: &Path, target: &Path) -> Result<BackedUp, BackupError> {
    let folder = DataFolder::look(data)?;
    if target.exists() {
        return Err(BackupError::Exists { path: target.to_owned() });
    }
    let part = PathBuf::from(format!("{}.part", target.display()));
    let mut tries = 0;
    let done = loop {
        tries += 1;
        match copy_and_read(&folder, &part) {
            // The host has removed what was to be copied: there is a later base now.
            Err(BackupError::Copy { source, .. })
                if source.kind() == ErrorKind::NotFound && tries < TRIES => {}
            Err(BackupError::NoBase { .. }) if tries < TRIES => {}
            copied => break copied?,
        }
    };
    fs::rename(&part, target).map_err(failed(&part))?;
    base::sync_folder(target.parent().filter(|parent| !parent.as_os_str().is_empty()))?;
    Ok(done)
}

fn copy_and_read(folder: &DataFolder, part: &Path) -> Result<BackedUp, BackupError> {
    let (files, bytes) = copy_all(folder, part)?;
    let checked = FileJournalOptions { verify: true, ..FileJournalOptions::default() };
    let journal = FileJournal::open_read_only(part.join("journal"), checked)?;
    let (start, end) = (journal.start(), journal.end());
    let bases = base::list(&part.join("bases"), false)?;
    let mut readable = bases.iter().rev().filter(|base| base.position >= start && base.position <= end);
    let base =
        readable.find(|base| base::read(&base.path, &mut |_, _| Ok(())).is_ok()).map(|base| base.position);
    if base.is_none() && start > 0 {
        return Err(BackupError::NoBase { start });
    }
    Ok(BackedUp { start, end, base, files, bytes })
}

fn copy_all(folder: &DataFolder, part: &Path) -> Result<(usize, u64), BackupError> {
    match fs::remove_dir_all(part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(part)(error)),
        _ => {}
    }
    let (mut files, mut bytes) = (0, 0);
    // Bases first: the journal that follows them is copied later, so none refers past its end. The segment that is
    // written to comes last, by its name.
    let parts = [(&folder.bases, ".base"), (&folder.components, ".wasm"), (&folder.journal, ".journal")];
    for (from, ending) in parts {
        let to = part.join(from.file_name().unwrap_or_default());
        create_private(&to).map_err(failed(&to))?;
        for name in names(from, ending)? {
            bytes += copy(&from.join(&name), &to.join(&name))?;
            files += 1;
        }
        base::sync_folder(Some(&to))?;
    }
    write_format(&part.join("FORMAT"))?;
    Ok((files, bytes))
}

fn names(folder: &Path, ending: &str) -> Result<Vec<String>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed(folder))?.file_name();
        names.extend(name.to_str().filter(|name| name.ends_with(ending)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn copy(from: &Path, to: &Path) -> Result<u64, BackupError> {
    let mut source = File::open(from).map_err(failed(from))?;
    let mut target = File::create(to).map_err(failed(to))?;
    let bytes = std::io::copy(&mut source, &mut target).map_err(failed(from))?;
    target.flush().and_then(|()| target.sync_all()).map_err(failed(to))?;
    Ok(bytes)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Copy { path, source }
}
