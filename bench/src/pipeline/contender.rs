//! Programs that do the job, and what they took.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::Setup;
use crate::process::Usage;
use crate::readings::ABOVE_CM;
use crate::rules::component;
use crate::times::median;

/// What makes the command that does the job for a file.
type Program = dyn Fn(&Path) -> Result<Command>;

/// A program that does the job.
pub(super) struct Contender {
    pub(super) name: &'static str,
    command: Box<Program>,
    /// How often it runs, beside the first time, which is cold.
    pub(super) runs: usize,
    pub(super) usages: Vec<Usage>,
}

impl Contender {
    pub(super) fn new(
        name: &'static str,
        runs: usize,
        command: impl Fn(&Path) -> Result<Command> + 'static,
    ) -> Contender {
        Contender { name, command: Box::new(command), runs, usages: Vec::new() }
    }

    /// What does the job for a file.
    pub(super) fn command(&self, file: &Path) -> Result<Command> {
        (self.command)(file)
    }

    pub(super) fn per_second(&self, events: u64) -> f64 {
        events as f64 / median(self.usages.iter().map(|usage| usage.wall.as_secs_f64()).collect())
    }

    pub(super) fn per_cpu_second(&self, events: u64) -> f64 {
        events as f64 / median(self.usages.iter().map(|usage| usage.cpu.as_secs_f64()).collect())
    }

    pub(super) fn peak_mib(&self) -> f64 {
        median(self.usages.iter().map(|usage| usage.peak_bytes as f64 / f64::from(1 << 20)).collect())
    }
}

/// `carpe run` to the file's end, on embedded defaults.
pub(super) fn carpe(
    setup: &Setup,
    durability: &'static str,
) -> Result<impl Fn(&Path) -> Result<Command> + 'static> {
    let folder = setup.folder.join(format!("pipeline-{durability}"));
    let plugins = folder.join("plugins");
    std::fs::create_dir_all(&plugins)?;
    std::fs::copy(component(setup, "bench/guests/rising")?, plugins.join("rising.wasm"))?;
    std::fs::write(plugins.join("rising.toml"), format!("[configuration]\nabove_cm = {ABOVE_CM}\n"))?;
    std::fs::write(folder.join("carpe.toml"), format!("[journal]\ndurability = '{durability}'\n"))?;
    let carpe = setup.carpe.clone();
    Ok(move |file: &Path| {
        let data = folder.join("data");
        if data.exists() {
            // All but what is compiled: every start but the first has that.
            for entry in std::fs::read_dir(&data)? {
                let path = entry?.path();
                match path.file_name().is_some_and(|name| name == "cache") {
                    true => {}
                    false if path.is_dir() => std::fs::remove_dir_all(&path)?,
                    false => std::fs::remove_file(&path)?,
                }
            }
        }
        let mut command = Command::new(&carpe);
        command.current_dir(&folder).arg("run").arg("--once").arg(file).args(["--data", "data"]);
        Ok(command)
    })
}

/// The limit: the same as a plain program.
pub(super) fn plain(file: &Path) -> Result<Command> {
    let program: PathBuf = std::env::current_exe()?.with_file_name("plain");
    let mut command = Command::new(program);
    command.arg(file);
    Ok(command)
}
