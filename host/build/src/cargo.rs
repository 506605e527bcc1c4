//! Rust: runs Cargo.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::{BuildError, Options, TARGET, componentize};

/// How much more the compiler is to inline than it does by itself (225): each function and each turn of a loop that is
/// left costs a look at the deadline when it runs. More makes rules little faster, but up to five times as large.
const INLINE_THRESHOLD: u32 = 1_000;

/// Compiles the package in `folder`, and makes what comes of it a component.
pub(crate) fn build(folder: &Path, options: &Options) -> Result<Vec<u8>, BuildError> {
    let path = compile(folder, options)?;
    let core =
        fs::read(&path).map_err(|source| BuildError::Io { doing: "read what Cargo built", path, source })?;
    componentize(&core)
}

/// Returns the core module's path.
fn compile(folder: &Path, options: &Options) -> Result<PathBuf, BuildError> {
    require_target(folder)?;
    let mut command = command("CARGO", "cargo", folder);
    command.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    // Besides what the package's own configuration says.
    let flag = format!("-Cllvm-args=-inline-threshold={INLINE_THRESHOLD}");
    command.arg("--config").arg(format!("target.{TARGET}.rustflags=['{flag}']"));
    if let Some(target_dir) = &options.target_dir {
        command.arg("--target-dir").arg(target_dir);
    }
    if options.verbose {
        command.stderr(Stdio::inherit());
    }
    let output = run(&mut command)?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BuildError::Compile { folder: folder.to_owned(), output });
    }
    module_of(&output.stdout, &folder.join("Cargo.toml"))
        .ok_or_else(|| BuildError::NoLibrary { folder: folder.to_owned() })
}

/// Without this check, the error would be the compiler's: it finds no crate `core`.
fn require_target(folder: &Path) -> Result<(), BuildError> {
    let mut command = command("RUSTC", "rustc", folder);
    command.args(["--print", "target-libdir", "--target", TARGET]);
    let output = run(&mut command)?;
    let folder = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(folder.trim()).is_dir() {
        Ok(())
    } else {
        Err(BuildError::NoTarget { target: TARGET })
    }
}

fn command(variable: &str, default: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::var_os(variable).unwrap_or_else(|| OsString::from(default)));
    // Flags that a surrounding build was given are for that build's target.
    command
        .current_dir(folder)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Result<std::process::Output, BuildError> {
    // `output` would capture what `stderr` was not told otherwise.
    command.output().map_err(|source| BuildError::NoToolchain {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })
}

/// Cargo's messages, of which those about what was built matter here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

fn module_of(messages: &[u8], manifest: &Path) -> Option<PathBuf> {
    messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| {
            message.reason == "compiler-artifact" && message.manifest_path.as_deref() == Some(manifest)
        })
        .flat_map(|message| message.filenames)
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}
