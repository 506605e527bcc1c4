//! Tokens and keys that must never be seen.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

/// A secret file holds one secret, not a key store.
const SECRET_FILE_BYTES: u64 = 64 << 10;

/// A token or a key. It has no `Display` and no `Serialize`, and its `Debug` hides it, so that it can't
/// get into a log, a status or an error by accident.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(Arc<str>);

/// Why a secret can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Its file can't be read.
    #[error("cannot read the secret file {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has no characters.
    #[error("the secret in {place} is empty")]
    Empty {
        /// Which file or setting.
        place: String,
    },
    /// It is given in two ways.
    #[error("both `{name}` and `{name}_file` are set: keep one of them")]
    Twice {
        /// The setting.
        name: &'static str,
    },
}

impl Secret {
    /// A secret from its text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Secret(text.into())
    }

    /// A secret from a file, without the blanks around it.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(SECRET_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        Secret::new(text.trim()).non_empty(|| path.display().to_string())
    }

    /// The secret of the settings `name` (the text itself) and `name_file`, of which one may be set.
    pub fn from_either(
        name: &'static str,
        text: Option<&Secret>,
        file: Option<&Path>,
    ) -> Result<Option<Self>, SecretError> {
        match (text, file) {
            (Some(_), Some(_)) => Err(SecretError::Twice { name }),
            (Some(text), None) => text.clone().non_empty(|| format!("`{name}`")).map(Some),
            (None, Some(file)) => Secret::from_file(file).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The text itself. Only for what must have it: never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is the same, in a time that depends on neither.
    pub fn matches(&self, given: &[u8]) -> bool {
        // Comparing two hashes takes constant time (blake3 promises it), whatever their inputs' lengths.
        blake3::hash(self.0.as_bytes()) == blake3::hash(given)
    }

    fn non_empty(self, place: impl FnOnce() -> String) -> Result<Self, SecretError> {
        if self.0.trim().is_empty() { Err(SecretError::Empty { place: place() }) } else { Ok(self) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_hidden_and_compares() {
        let secret = Secret::new("tr0ub4dor");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "Secret(hidden) Some(\n    Secret(hidden),\n)"
        );
        assert!(secret.matches(b"tr0ub4dor"));
        assert!(!secret.matches(b"tr0ub4do") && !secret.matches(b"") && !secret.matches(b"Tr0ub4dor"));
    }

    #[test]
    fn it_comes_from_a_file_or_the_text_but_not_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        let of_file = Secret::from_either("token", None, Some(&path)).unwrap().unwrap();
        assert_eq!(of_file.expose(), "s3cret");

        let twice = Secret::from_either("token", Some(&of_file), Some(&path)).unwrap_err();
        assert_eq!(twice.to_string(), "both `token` and `token_file` are set: keep one of them");

        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(Secret::from_file(&path), Err(SecretError::Empty { .. })));
        assert!(matches!(Secret::from_file(&folder.path().join("no")), Err(SecretError::Unreadable { .. })));
        assert!(matches!(
            Secret::from_either("token", Some(&Secret::new("")), None),
            Err(SecretError::Empty { .. })
        ));
    }
}
