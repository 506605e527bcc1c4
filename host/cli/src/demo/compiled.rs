//! What the demo's hosts have compiled is kept for the next demo: compiling a component with all of Python in it takes longer
//! than half of the day.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Where it is kept: beside the plugins, if one may write there.
pub(super) struct Compiled {
    parent: PathBuf,
}

const KEPT: &str = ".carpe-demo-compiled";

impl Compiled {
    pub(super) fn beside(plugins: &Path) -> Compiled {
        Compiled { parent: plugins.to_owned() }
    }

    /// A folder for a demo: where what is kept can be moved to and from, else anywhere.
    pub(super) fn folder(&self) -> std::io::Result<TempDir> {
        let builder = || {
            let mut builder = tempfile::Builder::new();
            builder.prefix(".carpe-demo-");
            builder
        };
        builder().tempdir_in(&self.parent).or_else(|_| builder().tempdir())
    }

    /// Gives it to a host that will start in this folder. If it can't be had, since there is none or another demo has it, the
    /// host compiles.
    pub(super) fn lend(&self, folder: &Path) {
        if let Ok(cache) = carpe::cache_dir(&folder.join("data")) {
            // An empty folder may be replaced by another.
            let _ = std::fs::rename(self.parent.join(KEPT), cache);
        }
    }

    /// Takes it back from a host that has ended.
    pub(super) fn take_back(&self, folder: &Path) {
        if let Ok(cache) = carpe::cache_dir(&folder.join("data")) {
            let _ = std::fs::rename(cache, self.parent.join(KEPT));
        }
    }
}
