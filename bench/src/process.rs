//! Whole processes: what a command took, by the system's own account.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// In what Linux counts the time of a process, on every machine of today.
const TICK: Duration = Duration::from_millis(10);

/// What one run of a command took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory that it had at once.
    pub(crate) peak_bytes: u64,
}

/// What the launcher writes.
#[derive(Deserialize)]
struct Took {
    wall_ns: u64,
    cpu_ns: u64,
    peak_bytes: u64,
    success: bool,
    status: String,
}

/// Runs a command to its end; its output goes to a file. What it is told beside its arguments is its folder and
/// its environment.
///
/// By way of a small launcher: the peak of a child counts from what its parent had, and this process may be large.
pub(crate) fn run(command: &Command, output: &Path) -> Result<Usage> {
    let shown = format!("{command:?}");
    let file = File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
    let (log, took) = (output.with_extension("log"), output.with_extension("took"));
    // Not that of a run before, whatever happens.
    let _ = fs::remove_file(&took);
    let ended = launcher(command, &took)?
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(File::create(&log)?)
        .status()
        .with_context(|| format!("cannot run {shown}"))?;
    let found = fs::read(&took).ok().and_then(|text| serde_json::from_slice::<Took>(&text).ok());
    let status = match found {
        Some(Took { wall_ns, cpu_ns, peak_bytes, success: true, .. }) => {
            let (wall, cpu) = (Duration::from_nanos(wall_ns), Duration::from_nanos(cpu_ns));
            return Ok(Usage { wall, cpu, peak_bytes });
        }
        Some(took) => took.status,
        None => ended.to_string(),
    };
    let log = fs::read_to_string(&log).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(5).collect();
    bail!("{shown}: {status}: {}", last.join(" | "))
}

/// The same command, to be run by the launcher that lies beside this program.
fn launcher(command: &Command, took: &Path) -> Result<Command> {
    let mut launcher = Command::new(std::env::current_exe()?.with_file_name("launch"));
    launcher.arg(std::path::absolute(took)?).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        launcher.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => launcher.env(name, value),
            None => launcher.env_remove(name),
        };
    }
    Ok(launcher)
}

/// What a process that lives has run so far.
pub(crate) struct Ran {
    /// All that it ever ran, in hundredths of a second.
    all: Duration,
    /// Each of its threads that live, to the nanosecond.
    threads: BTreeMap<OsString, Duration>,
}

impl Ran {
    /// User and system time of all its threads from `before` until now: to the nanosecond, unless threads that ran have
    /// ended; then to two hundredths of a second.
    pub(crate) fn since(&self, before: &Ran) -> Duration {
        let of_threads = self
            .threads
            .iter()
            .map(|(thread, ran)| ran.saturating_sub(before.threads.get(thread).copied().unwrap_or_default()));
        // Both ends of that are rounded.
        let at_least = self.all.saturating_sub(before.all).saturating_sub(TICK * 2);
        of_threads.sum::<Duration>().max(at_least)
    }
}

/// What a process that lives has run so far.
pub(crate) fn ran(process: u32) -> Result<Ran> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything: state is field 3, utime and stime 14 and 15.
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks = behind.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok());
    let all = TICK * ticks.sum::<u32>();
    let mut threads = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?;
        // It may have ended since; or the kernel was built without these.
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let nanoseconds = text.split(' ').next().and_then(|ran| ran.parse().ok()).unwrap_or(0);
        threads.insert(thread.file_name(), Duration::from_nanos(nanoseconds));
    }
    Ok(Ran { all, threads })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(all: u32, threads: &[(&str, u64)]) -> Ran {
        let threads = threads.iter().map(|(thread, ns)| (OsString::from(thread), Duration::from_nanos(*ns)));
        Ran { all: TICK * all, threads: threads.collect() }
    }

    #[test]
    fn threads_count_to_the_nanosecond_and_those_that_ended_are_not_lost() {
        let before = ran(100, &[("1", 7), ("2", 1_000_000_000)]);
        let living = ran(101, &[("1", 10), ("2", 1_000_000_005), ("3", 4)]);
        assert_eq!(living.since(&before), Duration::from_nanos(12));
        let ended = ran(150, &[("1", 10)]);
        assert_eq!(ended.since(&before), TICK * 48);
    }
}
