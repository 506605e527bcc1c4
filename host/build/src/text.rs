//! WebAssembly text: a core module that has the contract's functions by hand, or a whole component.

use std::fs;
use std::path::Path;

use wasmparser::Parser;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use crate::{BuildError, componentize, exports_a_rule, wit};

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
    let mut binary = wat::parse_str(&text).map_err(|mut error| {
        error.set_path(&path);
        BuildError::Compile { folder: from.to_owned(), output: error.to_string() }
    })?;
    if Parser::is_component(&binary) {
        return match exports_a_rule(&binary) {
            true => Ok(binary),
            false => Err(BuildError::NotAPlugin("it exports no `carpe:rule/rule`".into())),
        };
    }
    let world = if text.contains(MIGRATION) { "migrating-plugin" } else { "plugin" };
    embed(&mut binary, world).map_err(BuildError::NotAPlugin)?;
    componentize(&binary)
}

fn embed(core: &mut Vec<u8>, world: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut sources = SourceMap::default();
    for (name, text) in wit::FILES {
        sources.push_str(name, text);
    }
    let contract = sources.parse().map_err(|(_, error)| error.to_string())?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(contract)?;
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(core, &resolve, world, StringEncoding::UTF8, false)?;
    Ok(())
}
