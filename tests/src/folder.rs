//! A plugin folder as operators, editors and scripts treat one.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder of plugins that goes when it is dropped.
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Folder::new()
    }
}

impl Folder {
    /// An empty folder.
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file in one step, as careful tools do.
    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let temporary = self.file(&format!(".{name}.part"));
        fs::write(&temporary, bytes).expect("written");
        fs::rename(temporary, self.file(name)).expect("renamed");
    }

    /// Writes over a file in place, as `cp` does.
    pub fn copy(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.file(name), bytes).expect("written");
    }

    /// Adds a plugin: the manifest first, so that no host sees the component without it.
    pub fn plugin(&self, name: &str, component: impl AsRef<[u8]>, manifest: &str) {
        self.put(&format!("{name}.toml"), manifest);
        self.put(&format!("{name}.wasm"), component);
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.file(name)).expect("removed");
    }
}
