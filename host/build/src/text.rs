//! WebAssembly text: a core module that has the contract's functions by hand, or a whole component.

use std::fs;
use std::path::Path;

use wasmparser::Parser;

use crate::{BuildError, checked, wit};

/// The file that a folder has.
pub(crate) const FILE: &str = "rule.wat";

/// What a module exports that can bring earlier states along.
const MIGRATION: &str = "\"carpe:rule/migration@0.1.0#migrate\"";

/// Whether it is a file of text, which needs no folder of its own.
pub(crate) fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wat") && path.is_file()
}

/// Translates a file, or the one in a folder. A core module is told what its functions are in the contract.
pub(crate) fn build(from: &Path) -> Result<Vec<u8>, BuildError> {
    let path = if is_file(from) { from.to_owned() } else { from.join(FILE) };
    let text = fs::read_to_string(&path).map_err(|source| BuildError::Io {
        doing: "read the text",
        path: path.clone(),
        source,
    })?;
    let binary = wat::parse_str(&text).map_err(|mut error| {
        error.set_path(&path);
        BuildError::Compile { folder: from.to_owned(), output: error.to_string() }
    })?;
    if Parser::is_component(&binary) {
        return checked(binary);
    }
    let world = if text.contains(MIGRATION) { "migrating-plugin" } else { "plugin" };
    wit::component_of(binary, None, world)
}
