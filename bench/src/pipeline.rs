//! The whole way: a file of events in, alerts out, with journal and sandbox, beside programs that have neither, and beside
//! stream processors. All must give the same alerts.

mod contender;

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::readings;
use crate::report::{Better, Report, Row};
use crate::times::median;
use crate::{Setup, peers, process};

use self::contender::{Contender, carpe, plain};

/// A peer that takes long runs no more often than this.
const SLOW_RUNS: usize = 3;

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let events = if setup.short { 200_000 } else { 1_000_000 };
    let file = readings::file(&setup.folder, events)?;
    let mut contenders = vec![
        Contender::new("durable", setup.runs, carpe(setup, "durable")?),
        Contender::new("relaxed", setup.runs, carpe(setup, "relaxed")?),
        Contender::new("plain Rust", setup.runs, plain),
    ];
    for peer in peers::pipelines(setup, report)? {
        let runs = if matches!(peer.name, "Bytewax" | "Flink SQL") { SLOW_RUNS } else { setup.runs };
        contenders.push(Contender::new(peer.name, runs.min(setup.runs), move |file| {
            let mut command = peer.command();
            command.arg(file);
            Ok(command)
        }));
    }
    start_up(setup, report, &mut contenders)?;
    let count = measure(setup, &mut contenders, &file)?;
    report.note(format!("pipeline: {events} events, {count} alerts, the same from all"));
    let (ours, others) = contenders.split_at(2);
    let (durable, relaxed) = (&ours[0], &ours[1]);
    for other in others {
        compare(report, events, durable, other);
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

/// How long each takes for a single event. A peer that cannot do that is left out.
fn start_up(setup: &Setup, report: &mut Report, contenders: &mut Vec<Contender>) -> Result<()> {
    let file = readings::file(&setup.folder, 1)?;
    let output = setup.folder.join("alerts");
    let mut times = Vec::new();
    for (place, contender) in std::mem::take(contenders).into_iter().enumerate() {
        let runs = (0..=contender.runs).map(|_| process::run(&contender.command(&file)?, &output));
        match runs.collect::<Result<Vec<_>>>() {
            Ok(usages) => {
                let warm = usages.iter().skip(1).map(|usage| usage.wall.as_secs_f64() * 1e3).collect();
                times.push((contender.name, median(warm)));
                contenders.push(contender);
            }
            Err(error) if place > 2 => report.note(format!("{} is left out: {error:#}", contender.name)),
            Err(error) => return Err(error),
        }
    }
    let durable = times.first().map_or(0.0, |(_, time)| *time);
    for (name, time) in times.into_iter().skip(2) {
        let row = format!("pipeline/startup/{}", name.to_lowercase().replace(' ', "-"));
        report.row(Row::new(row, "ms", Better::Lower, durable, name, time).told());
    }
    Ok(())
}

/// Runs all in turn. Returns how many alerts there are.
fn measure(setup: &Setup, contenders: &mut [Contender], file: &Path) -> Result<usize> {
    let mut alerts = None;
    for run in 0..=setup.runs {
        for contender in contenders.iter_mut().filter(|contender| run <= contender.runs) {
            let output = setup.folder.join("alerts");
            let usage = process::run(&contender.command(file)?, &output)?;
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
    alerts.map(|(count, _)| count).context("no run")
}

fn compare(report: &mut Report, events: u64, durable: &Contender, other: &Contender) {
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
    let wall = wall.told();
    report.row(match other.name {
        "Node" => wall.target(2.0),
        "Bytewax" => wall.target(12.0),
        "Flink SQL" => wall.target(30.0),
        _ => wall,
    });
    report.row(memory.told());
}

/// How many alerts a program printed, and a hash of them in order. An alert is a JSON object at the end of a line.
fn alerts_of(output: &str) -> (usize, blake3::Hash) {
    let mut alerts: Vec<&str> =
        output.lines().filter_map(|line| Some(&line[line.find("{\"gauge\":")?..])).collect();
    alerts.sort_unstable();
    (alerts.len(), blake3::hash(alerts.join("\n").as_bytes()))
}
