//! How far a file has been read, and how to know it again.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// As many of a file's first bytes, and of the last that were read, make up its fingerprint.
const PRINT_BYTES: u64 = 1024;

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// In bytes from the start.
    pub(super) offset: u64,
    /// Lines before it.
    pub(super) line: u64,
}

/// A place in a file, and a fingerprint of what is before it. In text it is JSON, so that an operator
/// can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    #[serde(flatten)]
    pub(super) position: Position,
    print: String,
}

impl Cursor {
    /// The cursor of `position` in `file`.
    pub(super) fn at(file: &File, position: Position) -> io::Result<Cursor> {
        Ok(Cursor { position, print: fingerprint(file, position.offset)? })
    }

    pub(super) fn parse(text: &str) -> Option<Cursor> {
        serde_json::from_str(text).ok()
    }

    /// Whether `file` still holds what was before the cursor. A file that was cut doesn't.
    pub(super) fn fits(&self, file: &File) -> io::Result<bool> {
        match fingerprint(file, self.position.offset) {
            Ok(print) => Ok(print == self.print),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { offset, line } = self.position;
        write!(f, r#"{{"offset":{offset},"line":{line},"print":"{}"}}"#, self.print)
    }
}

fn fingerprint(file: &File, offset: u64) -> io::Result<String> {
    let length = offset.min(PRINT_BYTES);
    let mut bytes = [0; PRINT_BYTES as usize];
    let bytes = &mut bytes[..length as usize];
    let mut hasher = blake3::Hasher::new();
    file.read_exact_at(bytes, 0)?;
    hasher.update(bytes);
    file.read_exact_at(bytes, offset - length)?;
    hasher.update(bytes);
    let mut print = hasher.finalize().to_hex().to_string();
    print.truncate(32);
    Ok(print)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_grew_is_known_and_a_changed_one_is_not() {
        let mut file = tempfile::tempfile().unwrap();
        let text: String = (0..1000).map(|line| format!("line {line}\n")).collect();
        file.write_all(text.as_bytes()).unwrap();
        let cursor = Cursor::at(&file, Position { offset: text.len() as u64, line: 1000 }).unwrap();
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor.clone()));
        assert!(cursor.fits(&file).unwrap());

        file.write_all(b"more\n").unwrap();
        assert!(cursor.fits(&file).unwrap());
        // The same start, another end.
        file.write_all_at(b"X", text.len() as u64 - 3).unwrap();
        assert!(!cursor.fits(&file).unwrap());
        file.write_all_at(text.as_bytes(), 0).unwrap();
        assert!(cursor.fits(&file).unwrap());
        // The same end, another start.
        file.write_all_at(b"L", 0).unwrap();
        assert!(!cursor.fits(&file).unwrap());
        file.set_len(100).unwrap();
        assert!(!cursor.fits(&file).unwrap());
        assert_eq!(Cursor::parse("17"), None);
    }
}
