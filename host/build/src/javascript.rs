//! Runs rolldown, which bundles a rule's modules, and componentize-qjs, which puts QuickJS around the bundle.

mod error_text;
mod package;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Serialize;

use crate::{BuildError, Options, checked, wit, write_atomically};
use error_text::readable;
use package::Package;

const BUNDLE_CONFIG: &str = include_str!("javascript/rolldown.config.mjs");

/// No WASI, which a rule may not have; no asynchronous functions, which the contract has not; the smaller engine. Not
/// `-m`: it saves 1 % and takes the lines of an error's stack away.
const FLAGS: [&str; 4] = ["--stub-wasi", "--sync", "--opt-size", "--module-root=."];

/// What the bundle is made from: `javascript/rolldown.config.mjs` reads it.
#[derive(Serialize)]
struct Request<'a> {
    folder: &'a Path,
    entry: PathBuf,
    guest: Option<PathBuf>,
    about: About<'a>,
    migrates: bool,
}

#[derive(Serialize)]
struct About<'a> {
    name: &'a str,
    version: &'a str,
    description: &'a str,
}

/// Bundles the npm package in `folder`, and makes the bundle a component.
///
/// componentize-qjs puts random numbers into what it makes: seeds of its hash tables. So that the same source gives the
/// same component all the same, which a host need not compile again, the last one is kept in `node_modules/.cache`, with a
/// hash of what it was made from at its end.
pub(crate) fn build(folder: &Path, options: &Options) -> Result<Vec<u8>, BuildError> {
    let package = Package::read(folder)?;
    let bundler = package.tool("rolldown")?;
    let componentizer = package.tool("componentize-qjs")?;
    let work = tempfile::tempdir().map_err(|source| BuildError::Io {
        doing: "make a folder to work in",
        path: std::env::temp_dir(),
        source,
    })?;
    let work = work.path();

    let bundle = bundle(&package, &bundler, work, options)?;
    let world = if package.migrates() { "migrating-plugin" } else { "plugin" };
    let seal = seal(&[&bundle, world, &componentizer.version]);
    let kept = componentizer.cache.join(with_extension(folder));
    if let Ok(component) = fs::read(&kept)
        && component.ends_with(&seal)
    {
        return Ok(component);
    }

    let mut component = componentize(&package, &componentizer, world, work)?;
    component.extend(seal);
    // If it cannot be kept, the next build takes its time again.
    let _ = fs::create_dir_all(&componentizer.cache).and_then(|()| write_atomically(&kept, &component));
    Ok(component)
}

/// Writes `rule.js` into the folder `work`, and returns it.
fn bundle(
    package: &Package,
    bundler: &package::Tool,
    work: &Path,
    options: &Options,
) -> Result<String, BuildError> {
    let request = Request {
        folder: &package.folder,
        entry: package.entry()?,
        guest: package.guest()?,
        about: About { name: &package.name, version: &package.version, description: &package.description },
        migrates: package.migrates(),
    };
    // Paths that are not Unicode are the only thing that JSON cannot hold.
    let request = serde_json::to_string(&request)
        .map_err(|error| package.fault(format!("cannot be built from: {error}")))?;
    write(work, "request.json", &request)?;
    let config = write(work, "rolldown.config.mjs", BUNDLE_CONFIG)?;
    let mut command = command(&bundler.program, &package.folder);
    command.args(["--configLoader", "native", "--config"]).arg(config);
    let output = run(&mut command)?;
    if !output.status.success() {
        return Err(BuildError::Compile { folder: package.folder.clone(), output: readable(&output, work) });
    }
    if options.verbose {
        let warnings = readable(&output, work);
        if !warnings.is_empty() {
            eprintln!("{warnings}");
        }
    }
    let path = work.join("rule.js");
    fs::read_to_string(&path).map_err(|source| BuildError::Io {
        doing: "read what rolldown built",
        path,
        source,
    })
}

fn componentize(
    package: &Package,
    componentizer: &package::Tool,
    world: &str,
    work: &Path,
) -> Result<Vec<u8>, BuildError> {
    wit::write_into(work)?;
    let mut command = command(&componentizer.program, work);
    command.args(["--wit", "wit", "--world", world, "--js", "rule.js", "--output", "rule.wasm"]).args(FLAGS);
    let output = run(&mut command)?;
    if !output.status.success() {
        return Err(BuildError::Compile { folder: package.folder.clone(), output: readable(&output, work) });
    }
    let path = work.join("rule.wasm");
    let component = fs::read(&path).map_err(|source| BuildError::Io {
        doing: "read what componentize-qjs built",
        path,
        source,
    })?;
    checked(component)
}

/// A custom section that says what a component was made from.
fn seal(parts: &[&str]) -> Vec<u8> {
    const NAME: &[u8] = b"carpe-source";
    let mut hasher = blake3::Hasher::new();
    let contract = wit::FILES.iter().map(|(_, text)| *text);
    for part in contract.chain(FLAGS).chain(parts.iter().copied()) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    let hash = hasher.finalize();
    // Its kind, 0; the length of the rest; the length of its name. Both lengths are below 128: one byte each.
    let length = 1 + NAME.len() + hash.as_bytes().len();
    let mut section = vec![0, length as u8, NAME.len() as u8];
    section.extend_from_slice(NAME);
    section.extend_from_slice(hash.as_bytes());
    section
}

fn with_extension(folder: &Path) -> PathBuf {
    crate::with_wasm(folder.file_name().unwrap_or("rule".as_ref()).into())
}

fn command(script: &Path, folder: &Path) -> Command {
    let mut command = Command::new("node");
    command
        .arg(script)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env_remove("FORCE_COLOR")
        .stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Result<Output, BuildError> {
    command.output().map_err(BuildError::NoNode)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, BuildError> {
    let path = folder.join(name);
    match fs::write(&path, text) {
        Ok(()) => Ok(path),
        Err(source) => Err(BuildError::Io { doing: "write a file to build from", path, source }),
    }
}
