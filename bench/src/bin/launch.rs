//! Runs a command to its end, and writes what it took into a file: `launch FILE COMMAND ARGUMENT...`.
//!
//! The most memory that a process had counts from its parent's at the time it was started. So whoever measures others
//! has to be small, and stay small: this is all that this program does.
#![forbid(unsafe_code)]

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};
use wait4::Wait4 as _;

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let file = arguments.next().context("no file for what it took")?;
    let program = arguments.next().context("no command")?;
    let begun = Instant::now();
    let mut child = Command::new(&program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let ended = child.wait4()?;
    let wall = begun.elapsed();
    let cpu = ended.rusage.utime + ended.rusage.stime;
    let took = serde_json::json!({
        "wall_ns": u64::try_from(wall.as_nanos())?,
        "cpu_ns": u64::try_from(cpu.as_nanos())?,
        "peak_bytes": ended.rusage.maxrss,
        "success": ended.status.success(),
        "status": ended.status.to_string(),
    });
    std::fs::write(&file, took.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}
