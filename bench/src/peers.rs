//! The peers: the same rule in other languages, in stream processors and in other hosts of WebAssembly; their programs
//! are in `bench/peers`, and what they need is installed there where it can be had.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::Setup;
use crate::machine::said;
use crate::report::Report;

/// Where the peers' programs are.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// A peer that is a script, and what runs it.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    interpreter: PathBuf,
    script: PathBuf,
}

impl Peer {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(&self.script);
        command
    }
}

/// The stream processors and languages that can be had here. In short only what needs no installation.
pub(crate) fn pipelines(setup: &Setup, report: &mut Report) -> Result<Vec<Peer>> {
    let mut found = vec![peer(report, "Node", Path::new("node"), "rising.mjs")];
    if !setup.short {
        let folder = install(setup)?;
        let python = folder.join("python/bin/python");
        let plain = if python.exists() { python.clone() } else { PathBuf::from("python3") };
        found.push(peer(report, "Python", &plain, "rising.py"));
        found.push(peer(report, "Bytewax", &python, "rising_bytewax.py"));
        found.push(peer(report, "Flink SQL", &folder.join("flink/bin/python"), "rising_flink.py"));
    }
    Ok(found.into_iter().flatten().collect())
}

/// The script that calls a plug-in of Extism, if it can be had.
pub(crate) fn extism(setup: &Setup, report: &mut Report) -> Result<Option<Peer>> {
    let python = install(setup)?.join("python/bin/python");
    Ok(peer(report, "Extism", &python, "handle_extism.py"))
}

/// A peer, if its interpreter runs; a remark either way.
fn peer(report: &mut Report, name: &'static str, interpreter: &Path, script: &str) -> Option<Peer> {
    let version = said(Command::new(interpreter).arg("--version"));
    if version.is_empty() {
        let why = why_missing(interpreter);
        report.note(format!("{name} is left out: what runs {script} is not there{why}"));
        return None;
    }
    let packages = match name {
        "Bytewax" | "Extism" => requirement("requirements.txt", name),
        "Flink SQL" => requirement("requirements-flink.txt", "apache-flink"),
        _ => String::new(),
    };
    report.note(format!("{name}: {version}{packages}"));
    Some(Peer { name, interpreter: interpreter.to_owned(), script: Path::new(PROGRAMS).join(script) })
}

/// What the installation said last about the environment of an interpreter.
fn why_missing(interpreter: &Path) -> String {
    let Some(environment) = interpreter.ancestors().nth(2) else { return String::new() };
    let logs = [environment.with_extension("log"), environment.with_file_name("java.log")];
    let last = |path| Some(std::fs::read_to_string(path).ok()?.lines().last()?.to_owned());
    logs.into_iter()
        .filter_map(last)
        .map(|line| format!("; {}", line.chars().take(200).collect::<String>()))
        .collect()
}

/// `, PACKAGE==VERSION` as a file of requirements has it.
fn requirement(file: &str, package: &str) -> String {
    let text = std::fs::read_to_string(Path::new(PROGRAMS).join(file)).unwrap_or_default();
    let package = format!("{}==", package.to_lowercase());
    text.lines().find(|line| line.starts_with(&package)).map_or(String::new(), |line| format!(", {line}"))
}

/// Installs what is not there yet, and returns the folder. What cannot be installed is missing in it.
fn install(setup: &Setup) -> Result<PathBuf> {
    let folder = setup.folder.join("peers");
    Command::new("sh")
        .arg(Path::new(PROGRAMS).join("install.sh"))
        .arg(&folder)
        .stdin(Stdio::null())
        .status()
        .context("cannot run `sh`")?;
    Ok(folder)
}
