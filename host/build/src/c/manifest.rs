//! `rule.toml`: what a rule in C says of itself.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::BuildError;

/// What a rule says of itself, and what it is built from.
pub(super) struct Manifest {
    path: PathBuf,
    name: String,
    version: String,
    summary: String,
    /// From the rule's folder.
    pub(super) sources: Vec<PathBuf>,
    /// Folders of headers, from the rule's folder.
    pub(super) include: Vec<PathBuf>,
    /// Whether it has a `migrate`.
    pub(super) migrates: bool,
    sdk: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleToml {
    name: String,
    version: String,
    #[serde(default)]
    summary: String,
    sources: Vec<PathBuf>,
    #[serde(default)]
    include: Vec<PathBuf>,
    #[serde(default)]
    migrates: bool,
    sdk: PathBuf,
}

impl Manifest {
    pub(super) fn read(folder: &Path) -> Result<Self, BuildError> {
        let path = folder.join("rule.toml");
        let text = fs::read_to_string(&path).map_err(|source| BuildError::Io {
            doing: "read",
            path: path.clone(),
            source,
        })?;
        let error = |message: String| BuildError::Manifest { path: path.clone(), message };
        let RuleToml { name, version, summary, sources, include, migrates, sdk } =
            toml::from_str(&text).map_err(|problem| error(problem.to_string().trim_end().to_owned()))?;
        if sources.is_empty() {
            return Err(error("`sources` is empty: name the files that the rule is written in".to_owned()));
        }
        for source in &sources {
            if !folder.join(source).is_file() {
                return Err(error(format!(
                    "`sources` names {}, but there is no such file in its folder",
                    source.display()
                )));
            }
        }
        let sdk = folder.join(sdk);
        Ok(Manifest { path, name, version, summary, sources, include, migrates, sdk })
    }

    /// The folder of the SDK.
    pub(super) fn sdk(&self) -> Result<PathBuf, BuildError> {
        if self.sdk.join("include/carpe.h").is_file()
            && let Ok(sdk) = fs::canonicalize(&self.sdk)
        {
            return Ok(sdk);
        }
        Err(BuildError::Manifest {
            path: self.path.clone(),
            message: format!(
                "`sdk` should be the folder `sdk/c` of Carpe's repository: there is no include/carpe.h in {}",
                self.sdk.display()
            ),
        })
    }

    /// What the SDK tells the host of the rule, as C.
    pub(super) fn about(&self) -> String {
        let texts = [("name", &self.name), ("version", &self.version), ("summary", &self.summary)];
        texts.map(|(what, text)| format!("const char carpe_rule_{what}[] = {};\n", literal(text))).concat()
    }
}

/// Whether a source is in C++.
pub(super) fn is_cpp(source: &Path) -> bool {
    source.extension().is_some_and(|extension| ["cc", "cpp", "cxx"].iter().any(|known| extension == *known))
}

/// A string of C. Three octal digits end an escape, whatever follows.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b" -_.,".contains(&byte) {
            literal.push(byte.into());
        } else {
            // Writing into a string does not fail.
            let _ = write!(literal, "\\{byte:03o}");
        }
    }
    literal.push('"');
    literal
}
