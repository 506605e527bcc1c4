//! What may be wrong with the folder and the files in it.

use std::io;
use std::path::{Path, PathBuf};

use super::name::NameError;

/// Why something in the folder, or the folder, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A plugin's file has a name that no rule may have.
    #[error("{} cannot be a plugin: {reason}; rename the file", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: NameError,
    },
    /// It is a folder, a pipe, a socket or a device.
    #[error("{} is {what}, not a file: remove it, or rename it", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is a link to nothing.
    #[error("{} is a link to {}, which is not there: restore that file, or remove the link", path.display(), target.display())]
    Dangling {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// It is too big; it was not read.
    #[error("{} has {bytes} bytes, and at most {limit} are read: make it smaller (strip debug information), or raise the limit", path.display())]
    TooBig {
        /// Which.
        path: PathBuf,
        /// How big it is.
        bytes: u64,
        /// How big it may be.
        limit: u64,
    },
    /// The host's user may not read it.
    #[error("{} may not be read by the user that the host runs as: give it the right to (`chmod a+r`, and `a+x` on the folders above)", path.display())]
    Denied {
        /// Which.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The file system's words.
        reason: String,
    },
    /// There is no plugin folder.
    #[error("there is no folder {}: create it; plugins that run go on", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is something else in the plugin folder's place.
    #[error("{} is not a folder: put one in its place; plugins that run go on", path.display())]
    NotAFolder {
        /// Where it should be.
        path: PathBuf,
    },
    /// An empty folder of another file system stands where the plugins were.
    #[error("{} is empty, and on another file system than before: mount the former again, or put plugins here; those that run go on", path.display())]
    Unmounted {
        /// Where it is.
        path: PathBuf,
    },
}

impl FolderError {
    pub(super) fn io(action: &'static str, path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => FolderError::Denied { path: path.to_owned() },
            _ => FolderError::Io { action, path: path.to_owned(), reason: error.to_string() },
        }
    }
}
