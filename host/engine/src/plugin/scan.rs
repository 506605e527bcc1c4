//! Looking at the folder: the only place here that touches the file system.
//!
//! Whatever is no regular file is never opened: a pipe would block, a device may do anything.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::folder_error::FolderError;
use super::name::check_name;

/// The longest manifest that is read.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// What tells a file, as it is, from the file that it was or will be.
///
/// The time of the last change of its metadata is part of it: it cannot be set back, and permissions
/// that were mended count as a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
    identity: (u64, u64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Stamp {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            changed: changed(metadata),
            identity: identity(metadata),
        }
    }

    /// Whether it has been as it is since before `instant`.
    fn rests_since(&self, instant: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let parts = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
        let changed = parts.map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
        changed.is_some_and(|changed| changed > UNIX_EPOCH && changed < instant)
            && self.modified.is_some_and(|modified| modified < instant)
    }

    #[cfg(test)]
    pub(super) fn changed_at(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = (since.as_secs().cast_signed(), i64::from(since.subsec_nanos()));
        Stamp { bytes: 1, modified: Some(at), changed, identity: (0, 0) }
    }

    #[cfg(test)]
    pub(super) fn of_bytes(bytes: u64) -> Self {
        Stamp { bytes, modified: None, changed: (0, 0), identity: (0, 0) }
    }
}

/// What one look at a path shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Absent,
    File(Stamp),
    Fault(FolderError),
}

/// What one look at a plugin's files shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) component: Look,
    pub(super) manifest: Look,
}

impl Sighting {
    pub(super) const NOTHING: Sighting = Sighting { component: Look::Absent, manifest: Look::Absent };

    /// Whether all that there is has been as it is since before `instant`, by the file system's own account.
    pub(super) fn rests_since(&self, instant: SystemTime) -> bool {
        [&self.component, &self.manifest].into_iter().all(|look| match look {
            Look::File(stamp) => stamp.rests_since(instant),
            Look::Absent => true,
            Look::Fault(_) => false,
        })
    }
}

/// What one look at the whole folder shows.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The file system that the folder is on.
    pub(super) device: u64,
    /// By file stem.
    pub(super) plugins: BTreeMap<String, Sighting>,
    /// How many more there are than may be.
    pub(super) left_out: usize,
    /// When it was taken, by the clock that files are stamped with.
    pub(super) at: SystemTime,
}

/// Tells one folder from another that took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FolderIdentity {
    pub(super) device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) component_bytes: u64,
    pub(super) plugins: usize,
}

/// Which folder stands at `path` now.
pub(super) fn identify(path: &Path) -> Result<FolderIdentity, FolderError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let (device, inode) = identity(&metadata);
            Ok(FolderIdentity { device, inode, created: metadata.created().ok() })
        }
        Ok(_) => Err(FolderError::NotAFolder { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(FolderError::Missing { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(FolderError::Missing { path: path.to_owned() })
        }
        Err(error) => Err(FolderError::io("look at", path, &error)),
    }
}

/// Looks at all plugins in the folder. If there are too many, those that are `known` stay and the
/// first of the others by name are taken.
///
/// All or nothing: a listing that breaks off would make the rest look removed.
pub(super) fn scan(
    folder: &Path,
    device: u64,
    bounds: Bounds,
    known: impl Fn(&str) -> bool,
) -> Result<Snapshot, FolderError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => FolderError::Missing { path: folder.to_owned() },
        io::ErrorKind::NotADirectory => FolderError::NotAFolder { path: folder.to_owned() },
        _ => FolderError::io("list", folder, &error),
    };
    let at = SystemTime::now();
    let mut kept = BTreeMap::new();
    let mut new = BTreeMap::new();
    let mut left_out = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let file_name = entry.map_err(failed)?.file_name();
        let Some((stem, is_component)) = plugin_file(&file_name.to_string_lossy()) else {
            continue;
        };
        let looks = if known(&stem) { &mut kept } else { &mut new };
        let look = look(&folder.join(&file_name), &stem, is_component, bounds);
        let sighting = looks.entry(stem).or_insert(Sighting::NOTHING);
        if is_component {
            sighting.component = look;
        } else {
            sighting.manifest = look;
        }
        if new.len() > bounds.plugins {
            new.pop_last();
            left_out += 1;
        }
    }
    while kept.len() + new.len() > bounds.plugins && new.pop_last().is_some() {
        left_out += 1;
    }
    kept.append(&mut new);
    Ok(Snapshot { device, plugins: kept, left_out, at })
}

/// The stem, and whether it is a component; none for any other file. Editors, `cp` and `rsync` put their
/// temporary files beside the real ones: hidden, or with something after the ending.
fn plugin_file(file_name: &str) -> Option<(String, bool)> {
    if file_name.starts_with('.') {
        return None;
    }
    match file_name.rsplit_once('.')? {
        (stem, "wasm") => Some((stem.to_owned(), true)),
        (stem, "toml") => Some((stem.to_owned(), false)),
        _ => None,
    }
}

fn look(path: &Path, stem: &str, is_component: bool, bounds: Bounds) -> Look {
    if is_component && let Err(reason) = check_name(stem) {
        return Look::Fault(FolderError::Name { path: path.to_owned(), reason });
    }
    let limit = if is_component { bounds.component_bytes } else { MAX_MANIFEST_BYTES };
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            Look::Fault(FolderError::NotAFile { path: path.to_owned(), what: what(&metadata) })
        }
        Ok(metadata) if metadata.len() > limit => {
            Look::Fault(FolderError::TooBig { path: path.to_owned(), bytes: metadata.len(), limit })
        }
        Ok(metadata) => Look::File(Stamp::of(&metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(target) => Look::Fault(FolderError::Dangling { path: path.to_owned(), target }),
            // Gone since it was listed.
            Err(_) => Look::Absent,
        },
        Err(error) => Look::Fault(FolderError::io("look at", path, &error)),
    }
}

/// What came of reading a plugin's files.
pub(super) enum Taken {
    /// They are no longer what was seen.
    Changed,
    /// The component cannot be read.
    Failed(FolderError),
    Content {
        component: Arc<[u8]>,
        /// None if there is none.
        manifest: Result<Option<Vec<u8>>, FolderError>,
    },
}

/// Reads what was seen, and makes sure that it is that.
pub(super) fn take(folder: &Path, stem: &str, seen: &Sighting) -> Taken {
    let component = match read(&component_path(folder, stem), &seen.component) {
        Ok(Some(bytes)) => bytes.into(),
        Ok(None) | Err(ReadError::Changed) => return Taken::Changed,
        Err(ReadError::Failed(error)) => return Taken::Failed(error),
    };
    let manifest = match read(&manifest_path(folder, stem), &seen.manifest) {
        Ok(bytes) => Ok(bytes),
        Err(ReadError::Changed) => return Taken::Changed,
        Err(ReadError::Failed(error)) => Err(error),
    };
    Taken::Content { component, manifest }
}

pub(super) fn component_path(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}.wasm"))
}

pub(super) fn manifest_path(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}.toml"))
}

enum ReadError {
    Changed,
    Failed(FolderError),
}

fn read(path: &Path, seen: &Look) -> Result<Option<Vec<u8>>, ReadError> {
    let stamp = match seen {
        Look::Absent => return Ok(None),
        Look::Fault(error) => return Err(ReadError::Failed(error.clone())),
        Look::File(stamp) => stamp,
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ReadError::Changed,
        _ => ReadError::Failed(FolderError::io("read", path, &error)),
    };
    let mut file = open(path).map_err(failed)?;
    let unchanged = |file: &File| file.metadata().map(|now| now.is_file() && Stamp::of(&now) == *stamp);
    if !unchanged(&file).map_err(failed)? {
        return Err(ReadError::Changed);
    }
    // Within the bound: a bigger file was not seen as one to read.
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.bytes).unwrap_or_default());
    // One more than there should be, to notice if it grows.
    let count = (&mut file).take(stamp.bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
    if count as u64 != stamp.bytes || !unchanged(&file).map_err(failed)? {
        return Err(ReadError::Changed);
    }
    Ok(Some(bytes))
}

/// Never waits, should a pipe have taken the file's place since it was looked at.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(unix)]
fn changed(metadata: &Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(unix)]
fn what(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> (i64, i64) {
    (0, 0)
}

#[cfg(not(unix))]
fn what(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "a device" }
}
