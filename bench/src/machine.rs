//! What the figures are of: the machine, and the versions.

use std::process::Command;

use crate::Setup;

/// As `name: value` lines.
pub(crate) fn describe(setup: &Setup) -> Vec<(String, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let first = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let memory: u64 =
        first("/proc/meminfo", "MemTotal").split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let mut lines = vec![
        (
            "machine".to_owned(),
            format!("{cores} cores, {} GiB; {}", memory >> 20, first("/proc/cpuinfo", "model name")),
        ),
        ("system".to_owned(), said(Command::new("uname").arg("-sr"))),
        ("Carpe".to_owned(), said(Command::new(&setup.carpe).arg("--version"))),
        ("Rust".to_owned(), said(Command::new("rustc").arg("--version"))),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

/// The first line that a command prints; empty if it fails.
pub(crate) fn said(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
