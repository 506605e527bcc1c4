//! Events in over HTTP, journaled and acknowledged, beside a handler that parses them and throws them away.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::Setup;
use crate::daemon::{Daemon, Home};
use crate::posts::{Post, runtime, send_all};
use crate::process::{self, Ran};
use crate::readings::Readings;
use crate::report::{Better, Report, Row};
use crate::times::median;

/// Connections, each with one request under way.
const CONNECTIONS: usize = 8;
/// Events of one request in batch mode.
const BATCH: usize = 1_000;

/// How events are put into requests.
#[derive(Clone, Copy)]
enum Mode {
    Batch,
    Structured,
    Binary,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Batch => "batch",
            Mode::Structured => "structured",
            Mode::Binary => "binary",
        }
    }

    /// Events of a run: about a second.
    fn events(self, short: bool) -> usize {
        match (self, short) {
            (Mode::Batch, false) => 600_000,
            (Mode::Batch, true) => 300_000,
            (_, false) => 24_000,
            (_, true) => 12_000,
        }
    }

    /// Requests of a run. No event is ever sent twice: a repeat costs less.
    fn posts(self, short: bool, readings: &mut Readings, next_id: &mut u64) -> Result<Vec<Post>> {
        let count = self.events(short);
        match self {
            Mode::Batch => (0..count / BATCH)
                .map(|_| {
                    let events: Vec<String> = (0..BATCH).map(|_| readings.next_event()).collect();
                    let body = format!("[{}]", events.join(","));
                    Post::new(&[("content-type", "application/cloudevents-batch+json")], body)
                })
                .collect(),
            Mode::Structured => (0..count).map(|_| Post::structured(readings.next_event())).collect(),
            Mode::Binary => (0..count)
                .map(|_| {
                    let (gauge, time, data) = readings.next_reading();
                    let time = jiff::Timestamp::from_millisecond(time).unwrap_or_default();
                    *next_id += 1;
                    let headers = [
                        ("ce-specversion", "1.0"),
                        ("ce-id", &format!("b{next_id:07}")),
                        ("ce-source", "/gauges"),
                        ("ce-type", "gauge.level"),
                        ("ce-subject", &format!("gauge-{gauge:04}")),
                        ("ce-time", &format!("{time:.3}")),
                        ("content-type", "application/json"),
                    ];
                    Post::new(&headers, data)
                })
                .collect(),
        }
    }
}

/// The bare handler. It is killed when dropped.
struct Bare {
    child: Child,
    address: String,
}

impl Bare {
    fn start() -> Result<Bare> {
        let program = std::env::current_exe()?.with_file_name("bare");
        let mut child = Command::new(program)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("`bare` cannot be started")?;
        let out = child.stdout.take();
        let mut bare = Bare { child, address: String::new() };
        BufReader::new(out.context("its output")?).read_line(&mut bare.address)?;
        bare.address.truncate(bare.address.trim_end().len());
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Events per second of CPU time, and of time, of each run.
#[derive(Default)]
struct Rates {
    cpu: Vec<f64>,
    wall: Vec<f64>,
}

impl Rates {
    fn push(&mut self, events: usize, cpu: Duration, wall: Duration) {
        self.cpu.push(events as f64 / cpu.as_secs_f64());
        self.wall.push(events as f64 / wall.as_secs_f64());
    }
}

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let home = Home::new(&setup.carpe, &setup.folder.join("intake"), "")?;
    let runtime = runtime()?;
    let (mut readings, mut next_id) = (Readings::new(), 0);
    for mode in [Mode::Batch, Mode::Structured, Mode::Binary] {
        let (daemon, _) = home.start()?;
        let bare = Bare::start()?;
        let (mut ours, mut other) = (Rates::default(), Rates::default());
        for run in 0..=setup.runs {
            let posts = Arc::new(mode.posts(setup.short, &mut readings, &mut next_id)?);
            let events = mode.events(setup.short);
            let (cpu, wall) = measured(
                || daemon.ran(),
                || {
                    let wall = runtime.block_on(send_all(&daemon.events, CONNECTIONS, &posts));
                    // What is done after the answer belongs to it.
                    daemon.settle()?;
                    wall
                },
            )?;
            let (bare_cpu, bare_wall) = measured(
                || process::ran(bare.child.id()),
                || runtime.block_on(send_all(&bare.address, CONNECTIONS, &posts)),
            )?;
            // The first run is cold.
            if run > 0 {
                ours.push(events, cpu, wall);
                other.push(events, bare_cpu, bare_wall);
            }
        }
        stop(daemon)?;
        let row = |what: &str, unit: &str, ours: Vec<f64>, other: Vec<f64>| {
            let name = format!("intake/{}/{what}", mode.name());
            Row::new(name, unit, Better::Higher, median(ours), "bare axum", median(other))
        };
        let cpu = row("cpu", "events/CPU-s", ours.cpu, other.cpu);
        report.row(if matches!(mode, Mode::Batch) { cpu.target(0.5) } else { cpu });
        report.row(row("wall", "events/s", ours.wall, other.wall));
    }
    Ok(())
}

/// CPU time that something took, beside what it returns.
fn measured(
    ran: impl Fn() -> Result<Ran>,
    work: impl FnOnce() -> Result<Duration>,
) -> Result<(Duration, Duration)> {
    let before = ran()?;
    let wall = work()?;
    Ok((ran()?.since(&before), wall))
}

/// Stops it, after a look at whether all of it arrived.
fn stop(daemon: Daemon) -> Result<()> {
    let status = daemon.status()?;
    anyhow::ensure!(status["journal"]["end"].as_u64().is_some_and(|end| end > 0), "nothing was journaled");
    daemon.stop()
}
