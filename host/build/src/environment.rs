//! Virtual environments of Python: PyPI has the tools of several languages.

use std::env;
use std::path::{Path, PathBuf};

/// Where those are that a folder may use: its own, the one that is active, and those of the folders above.
pub(crate) fn environments(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let own = folder.join(".venv");
    let active = env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let above: Vec<_> = folder.ancestors().skip(1).map(|above| above.join(".venv")).collect();
    [own].into_iter().chain(active).chain(above)
}

/// Folders that programs lie in: of the environments, then of the path.
pub(crate) fn programs(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = env::split_paths(&path).collect();
    environments(folder).map(|environment| environment.join("bin")).chain(path)
}

/// Where that is, in words.
pub(crate) fn looked(folder: &Path) -> String {
    format!(
        "{}, in `.venv` of the folders above, in $VIRTUAL_ENV and in $PATH",
        folder.join(".venv").display()
    )
}
