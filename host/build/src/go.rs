//! Go: runs its compiler, for WASI 0.1, which is the only kind of WebAssembly that it has.
//!
//! The runtime asks WASI for clocks, chance and a place to print to. An adapter makes WASI 0.2 of these calls, which the
//! host answers from its closed one. The SDK has the contract's functions by hand; what they are is embedded here.

mod tool;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use wasmparser::{Parser, Payload};

use crate::{BuildError, Options, wit};
use tool::Tool;

/// What the SDK exports for a rule that has `import _ "carpe/migration"`.
const MIGRATION: &str = "carpe:rule/migration@0.1.0#migrate";

/// The worlds that a rule in Go is of one of: it always exports `columns`.
const WORLDS: &str = "package carpe:rule@0.1.0;
world go-plugin { include column-plugin; }
world migrating-go-plugin { include column-plugin; export migration; }
";

/// Builds the module in `folder`. The same source gives the same bytes: Go's own cache is all that is kept.
pub(crate) fn build(folder: &Path, options: &Options) -> Result<Vec<u8>, BuildError> {
    let core = compile(folder, options)?;
    let migrates = exports(&core, MIGRATION).map_err(BuildError::NotAPlugin)?;
    let world = if migrates { "migrating-go-plugin" } else { "go-plugin" };
    wit::component_of(core, Some(WORLDS), world)
}

/// Returns the core module.
fn compile(folder: &Path, options: &Options) -> Result<Vec<u8>, BuildError> {
    let io_error = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| BuildError::Io { doing, path, source }
    };
    let tool = Tool::find(folder)?;
    let stage = tempfile::tempdir().map_err(io_error("make a folder in", &std::env::temp_dir()))?;
    let out = stage.path().join("rule.wasm");
    let mut command = tool.command();
    command.current_dir(folder).stdin(Stdio::null());
    if let Some(target_dir) = &options.target_dir {
        let cache = std::path::absolute(target_dir).unwrap_or_else(|_| target_dir.clone()).join("go");
        command.env("GOCACHE", cache);
    }
    // A library, whose functions are called, rather than a program that runs once.
    command.args(["build", "-buildmode=c-shared", "-o"]).arg(&out);
    // Nothing of this machine, and no tables for debuggers: a panic finds its line without them. The names of functions
    // stay (a fiftieth of the size), so that a backtrace can be read.
    command.args(["-trimpath", "-buildvcs=false", "-ldflags=-w -buildid=", "."]);
    if options.verbose {
        command.stderr(Stdio::inherit());
    }
    let output = command.output().map_err(io_error("start", tool.path()))?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BuildError::Compile { folder: folder.to_owned(), output });
    }
    fs::read(&out).map_err(io_error("read what Go built", &out))
}

fn exports(core: &[u8], name: &str) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    for payload in Parser::new(0).parse_all(core) {
        if let Payload::ExportSection(section) = payload? {
            for export in section {
                if export?.name == name {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
