//! What a rule, and so a plugin's file, may be called.

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Checks the name of a rule, or of a plugin's file without its ending.
///
/// 1 to 128 of `A-Z a-z 0-9 . _ -`, not starting with a dot: it stands in file names, metrics and logs.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if name.starts_with('.') {
        return Err(NameError::Dot);
    }
    match name.chars().find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(character) => Err(NameError::Character { name: name.to_owned(), character }),
        None => Ok(()),
    }
}

/// Why something may not be a rule's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty.
    #[error("the name is empty: it needs 1 to {MAX_NAME_BYTES} letters, digits, `.`, `_` or `-`")]
    Empty,
    /// It is too long.
    #[error("the name has {bytes} bytes: at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It starts with a dot.
    #[error("the name starts with a dot: start it with a letter or a digit")]
    Dot,
    /// It holds a character that is not allowed.
    #[error("the name {name:?} holds {character:?}: only A-Z, a-z, 0-9, `.`, `_` and `-` are allowed")]
    Character {
        /// The name.
        name: String,
        /// The first such character.
        character: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "flood-alert", "A.b_c-9", &"x".repeat(128)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".a", "a b", "a/b", "é", "a\n", &"x".repeat(129)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(
            check_name("two words").unwrap_err().to_string(),
            "the name \"two words\" holds ' ': only A-Z, a-z, 0-9, `.`, `_` and `-` are allowed"
        );
    }
}
