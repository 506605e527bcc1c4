//! Which language a rule is written in.

use std::path::Path;

use crate::{BuildError, Options, cargo, python};

/// A language that `build` can build from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    Python,
}

impl Language {
    /// By the file with which a package of that language begins.
    pub(crate) fn of(folder: &Path) -> Result<Self, BuildError> {
        [("Cargo.toml", Language::Rust), ("pyproject.toml", Language::Python)]
            .into_iter()
            .find(|(manifest, _)| folder.join(manifest).is_file())
            .map(|(_, language)| language)
            .ok_or_else(|| BuildError::NoSource { folder: folder.to_owned() })
    }

    /// Builds the component.
    pub(crate) fn build(self, folder: &Path, options: &Options) -> Result<Vec<u8>, BuildError> {
        match self {
            Language::Rust => cargo::build(folder, options),
            Language::Python => python::build(folder, options),
        }
    }
}
