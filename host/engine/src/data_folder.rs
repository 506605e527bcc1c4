//! The data folder: what lies where, who may use it, and which format it has.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::checkpoint::base::sync_folder;

/// The format of the folder as a whole. An older one is brought up to date when it is opened, a newer one refused.
///
/// - 1: journal, checkpoints, components, compile cache; no file says so.
/// - 2: the file `FORMAT`; bases; checkpoints hold what dead letters need to be given again. Checkpoints of format 1
///   are made again from the journal, which then has all of its segments.
pub(crate) const FORMAT: u32 = 2;

/// A data folder, for one process at a time.
#[derive(Debug)]
pub(crate) struct DataFolder {
    pub(crate) journal: PathBuf,
    pub(crate) checkpoints: PathBuf,
    pub(crate) bases: PathBuf,
    pub(crate) components: PathBuf,
    pub(crate) cache: PathBuf,
    /// What was done to bring it up to date.
    pub(crate) upgraded: Option<String>,
    /// Held for as long as the folder is used.
    _lock: Option<File>,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataFolderError {
    /// The file system failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another process uses it.
    #[error("{path} is in use by another process: stop that one, or use another data folder")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "{path} was written by a newer version of carpe (format {format}, this one knows {FORMAT}): run that version, or a later one, or use another data folder"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The file `FORMAT` says nothing that can be understood.
    #[error(
        "{path} does not say which format the folder has: if the rest is whole, write `{FORMAT}` into it; else restore a backup"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// There is no journal in it.
    #[error("{path} is no data folder: it holds no journal")]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DataFolderError {
    let path = path.to_owned();
    move |source| DataFolderError::Io { action, path, source }
}

impl DataFolder {
    /// Opens a folder, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, DataFolderError> {
        create_private(path).map_err(io("create", path))?;
        let lock = lock(path)?;
        let mut folder = DataFolder::of(path);
        for part in [&folder.journal, &folder.bases, &folder.components, &folder.cache] {
            create_private(part).map_err(io("create", part))?;
        }
        let format = path.join("FORMAT");
        match read_format(path)? {
            Some(FORMAT) => {}
            None if !has_entries(&folder.journal)? => write_format(&format)?,
            _ => {
                match fs::remove_dir_all(&folder.checkpoints) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(io("remove", &folder.checkpoints)(error));
                    }
                    _ => {}
                }
                write_format(&format)?;
                folder.upgraded = Some(format!(
                    "brought the data folder from format 1 to {FORMAT}: checkpoints are made again from the journal"
                ));
            }
        }
        folder._lock = Some(lock);
        Ok(folder)
    }

    /// Looks at a folder without changing it: also at one that a host uses.
    pub(crate) fn look(path: &Path) -> Result<Self, DataFolderError> {
        let folder = DataFolder::of(path);
        read_format(path)?;
        if !has_entries(&folder.journal)? {
            return Err(DataFolderError::Empty { path: path.to_owned() });
        }
        Ok(folder)
    }

    fn of(path: &Path) -> Self {
        DataFolder {
            journal: path.join("journal"),
            checkpoints: path.join("checkpoints"),
            bases: path.join("bases"),
            components: path.join("components"),
            cache: path.join("cache"),
            upgraded: None,
            _lock: None,
        }
    }
}

/// Says what format a folder has. `None`: nothing does.
fn read_format(folder: &Path) -> Result<Option<u32>, DataFolderError> {
    let path = folder.join("FORMAT");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(DataFolderError::Damaged { path });
        }
        Err(error) => return Err(io("read", &path)(error)),
    };
    match text.trim().parse::<u32>() {
        Ok(format) if format > FORMAT => Err(DataFolderError::Newer { path: folder.to_owned(), format }),
        Ok(format) if format > 0 => Ok(Some(format)),
        _ => Err(DataFolderError::Damaged { path }),
    }
}

/// In one step, so that a crash leaves the old one or the new one.
pub(crate) fn write_format(path: &Path) -> Result<(), DataFolderError> {
    let temporary = path.with_extension("part");
    fs::write(&temporary, format!("{FORMAT}\n")).map_err(io("write", &temporary))?;
    File::open(&temporary).and_then(|file| file.sync_all()).map_err(io("sync", &temporary))?;
    fs::rename(&temporary, path).map_err(io("rename", &temporary))?;
    sync_folder(path.parent())
        .map_err(|error| io("sync", path.parent().unwrap_or(path))(std::io::Error::other(error)))
}

fn has_entries(folder: &Path) -> Result<bool, DataFolderError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io("list", folder)(error)),
    };
    for entry in entries {
        if entry.map_err(io("list", folder))?.file_name().to_string_lossy().ends_with(".journal") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn lock(folder: &Path) -> Result<File, DataFolderError> {
    let path = folder.join("LOCK");
    let file =
        File::options().write(true).create(true).truncate(false).open(&path).map_err(io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataFolderError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io("lock", &path)(error)),
    }
}

/// Where a host keeps compiled components, in its data folder: made, if it is not there, for its owner alone.
///
/// # Errors
/// It cannot be made.
pub fn cache_dir(data: &Path) -> std::io::Result<PathBuf> {
    create_private(data)?;
    let cache = DataFolder::of(data).cache;
    create_private(&cache)?;
    Ok(cache)
}

/// Whoever can write to the compile cache can run code in the host, and events may be private: the data
/// folder belongs to its owner alone.
pub(crate) fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut options = fs::DirBuilder::new();
    options.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
    options.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let open = DataFolder::open(&path).unwrap();
        assert!(matches!(DataFolder::open(&path), Err(DataFolderError::InUse { .. })));
        drop(open);
        assert_eq!(DataFolder::open(&path).unwrap().upgraded, None);
        assert!(matches!(DataFolder::look(&path), Err(DataFolderError::Empty { .. })));
    }

    #[test]
    fn an_older_one_is_brought_up_to_date_and_a_newer_one_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let open = DataFolder::open(&path).unwrap();
        fs::write(open.journal.join("00000000000000000000.journal"), "").unwrap();
        fs::create_dir_all(open.checkpoints.join("old")).unwrap();
        fs::remove_file(path.join("FORMAT")).unwrap();
        drop(open);
        let open = DataFolder::open(&path).unwrap();
        assert!(open.upgraded.is_some() && !open.checkpoints.exists());
        drop(open);
        fs::write(path.join("FORMAT"), "3\n").unwrap();
        let error = DataFolder::open(&path).unwrap_err();
        assert!(error.to_string().contains("format 3, this one knows 2"), "{error}");
        fs::write(path.join("FORMAT"), "three").unwrap();
        assert!(matches!(DataFolder::open(&path), Err(DataFolderError::Damaged { .. })));
    }
}
