//! Whole processes: what a command took, by the system's own account.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wait4::Wait4 as _;

/// What one run of a command took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory that it had at once.
    pub(crate) peak_bytes: u64,
}

/// Runs a command to its end; its output goes to a file.
pub(crate) fn run(command: &mut Command, output: &Path) -> Result<Usage> {
    let shown = format!("{command:?}");
    let file = File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
    let log = log_of(output);
    command.stdin(Stdio::null()).stdout(file).stderr(File::create(&log)?);
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot run {shown}"))?;
    let ended = child.wait4()?;
    let wall = begun.elapsed();
    if !ended.status.success() {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        bail!("{shown}: {}: {}", ended.status, last.join(" | "));
    }
    let cpu = ended.rusage.utime + ended.rusage.stime;
    Ok(Usage { wall, cpu, peak_bytes: ended.rusage.maxrss })
}

/// Where a command's errors went.
fn log_of(output: &Path) -> PathBuf {
    output.with_extension("log")
}

/// User and system time of all threads of a process that lives, so far.
pub(crate) fn cpu_of(process: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything: state is field 3, utime and stime 14 and 15, in hundredths.
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks = behind.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
}
