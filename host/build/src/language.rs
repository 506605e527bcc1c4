//! Which language a rule is written in.

use std::path::Path;

use crate::BuildError;

/// A language that rules are built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Language {
    /// A Cargo package.
    Rust,
    /// JavaScript or TypeScript: an npm package.
    JavaScript,
    /// A Python project.
    Python,
    /// A Go module.
    Go,
    /// C or C++: sources that `rule.toml` names.
    C,
    /// WebAssembly text.
    Text,
}

/// Each language by the file that a folder of it has. The first that is there counts: a package of another language may
/// have a package.json for its tools.
const MANIFESTS: [(&str, Language); 6] = [
    ("Cargo.toml", Language::Rust),
    ("pyproject.toml", Language::Python),
    ("go.mod", Language::Go),
    ("package.json", Language::JavaScript),
    ("rule.toml", Language::C),
    (crate::text::FILE, Language::Text),
];

impl Language {
    /// The language of the rule in a folder, or of a file that is a rule by itself.
    ///
    /// # Errors
    /// Nothing in the folder says.
    pub fn of(folder: &Path) -> Result<Self, BuildError> {
        if crate::text::is_file(folder) {
            return Ok(Language::Text);
        }
        MANIFESTS
            .into_iter()
            .find(|(manifest, _)| folder.join(manifest).is_file())
            .map(|(_, language)| language)
            .ok_or_else(|| BuildError::NoLanguage {
                folder: folder.to_owned(),
                manifests: MANIFESTS.map(|(manifest, _)| manifest).join(", "),
            })
    }
}
