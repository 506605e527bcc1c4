//! The whole way: a file of events in, alerts out, with journal and sandbox, beside programs that have neither, and beside
//! stream processors. All must give the same alerts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::Setup;
use crate::process::{self, Usage};
use crate::readings::{self, ABOVE_CM};
use crate::report::{Better, Report, Row};
use crate::rules::component;
use crate::times::median;

/// A program that does the job.
struct Contender {
    name: &'static str,
    command: Box<dyn Fn(&Path) -> Result<Command>>,
    usages: Vec<Usage>,
}

impl Contender {
    fn new(name: &'static str, command: impl Fn(&Path) -> Result<Command> + 'static) -> Contender {
        Contender { name, command: Box::new(command), usages: Vec::new() }
    }

    fn per_second(&self, events: u64) -> f64 {
        events as f64 / median(self.usages.iter().map(|usage| usage.wall.as_secs_f64()).collect())
    }

    fn per_cpu_second(&self, events: u64) -> f64 {
        events as f64 / median(self.usages.iter().map(|usage| usage.cpu.as_secs_f64()).collect())
    }

    fn peak_mib(&self) -> f64 {
        median(self.usages.iter().map(|usage| usage.peak_bytes as f64 / f64::from(1 << 20)).collect())
    }
}

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let events = if setup.short { 200_000 } else { 1_000_000 };
    let file = readings::file(&setup.folder, events)?;
    let mut contenders = vec![
        Contender::new("durable", carpe(setup, "durable")?),
        Contender::new("relaxed", carpe(setup, "relaxed")?),
        Contender::new("plain Rust", plain),
    ];
    let mut alerts = None;
    for run in 0..=setup.runs {
        for contender in &mut contenders {
            let output = setup.folder.join("alerts");
            let usage = process::run(&mut (contender.command)(&file)?, &output)?;
            let found = alerts_of(&std::fs::read_to_string(&output)?);
            let (count, hash) = alerts.get_or_insert(found);
            if *hash != found.1 {
                bail!(
                    "{} gives {} alerts with another hash than the first, which gave {count}",
                    contender.name,
                    found.0
                );
            }
            // The first run is cold.
            if run > 0 {
                contender.usages.push(usage);
            }
        }
    }
    let (count, _) = alerts.context("no run")?;
    report.note(format!("pipeline: {events} events, {count} alerts, the same from all"));
    let (ours, others) = contenders.split_at(2);
    let (durable, relaxed) = (&ours[0], &ours[1]);
    for other in others {
        let name = other.name.to_lowercase().replace(' ', "-");
        let cpu = Row::new(
            format!("pipeline/durable/cpu/{name}"),
            "events/CPU-s",
            Better::Higher,
            durable.per_cpu_second(events),
            other.name,
            other.per_cpu_second(events),
        );
        let wall = Row::new(
            format!("pipeline/durable/wall/{name}"),
            "events/s",
            Better::Higher,
            durable.per_second(events),
            other.name,
            other.per_second(events),
        );
        let memory = Row::new(
            format!("pipeline/durable/memory/{name}"),
            "MiB",
            Better::Lower,
            durable.peak_mib(),
            other.name,
            other.peak_mib(),
        );
        report.row(if other.name == "plain Rust" { cpu.target(0.4) } else { cpu });
        report.row(match other.name {
            "Node" => wall.target(2.0),
            "Bytewax" => wall.target(12.0),
            "Flink SQL" => wall.target(30.0),
            _ => wall,
        });
        report.row(memory.told());
    }
    report.row(
        Row::new(
            "pipeline/relaxed/wall/durable",
            "events/s",
            Better::Higher,
            relaxed.per_second(events),
            "durable",
            durable.per_second(events),
        )
        .told(),
    );
    Ok(())
}

/// `carpe run` to the file's end, on embedded defaults.
fn carpe(setup: &Setup, durability: &'static str) -> Result<impl Fn(&Path) -> Result<Command> + 'static> {
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

fn plain(file: &Path) -> Result<Command> {
    let program: PathBuf = std::env::current_exe()?.with_file_name("plain");
    let mut command = Command::new(program);
    command.arg(file);
    Ok(command)
}

/// How many alerts a program printed, and a hash of them in order. An alert is a JSON object at the end of a line.
fn alerts_of(output: &str) -> (usize, blake3::Hash) {
    let mut alerts: Vec<&str> =
        output.lines().filter_map(|line| Some(&line[line.find("{\"gauge\":")?..])).collect();
    alerts.sort_unstable();
    (alerts.len(), blake3::hash(alerts.join("\n").as_bytes()))
}
