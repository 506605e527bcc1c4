//! Many plugins: what those cost that an event does not concern, and how many a host can hold.
//!
//! There is a home that grows, so that what was compiled for fewer plugins is there for more.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::daemon::{Daemon, Home};
use crate::readings::Readings;
use crate::report::{Better, Report, Row};
use crate::times::median;
use crate::{Setup, copies, rules};

/// No more components than these differ: each takes a tenth of a second or more to compile.
const DIFFERENT: usize = 1_000;
/// Events of one request.
const BATCH: usize = 1_000;
const BATCH_TYPE: &str = "application/cloudevents-batch+json";
/// With so many plugins all of them are given events.
const SAME: usize = 100;

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let sizes: &[usize] = if setup.short { &[SAME] } else { &[SAME, 1_000, 10_000] };
    let component = std::fs::read(rules::component(setup, "bench/guests/small")?)?;
    // An instance for each, and a few to try new ones.
    let configuration =
        format!("[sandbox]\nmax_instances = {}\n", sizes.last().unwrap_or(&0) * 11 / 10 + 100);
    let home = |name: &str| Home::new(&setup.carpe, &setup.folder.join(name), &configuration);
    let (none, one, many) = (home("breadth-none")?, home("breadth-one")?, home("breadth-many")?);
    copies::fill(&one, &component, 0..1, 1)?;
    let (none_daemon, _) = none.start()?;
    let none_daemon = Posted::new(none_daemon)?;
    let mut filled = 0;
    for &count in sizes {
        copies::fill(&many, &component, filled..count, DIFFERENT)?;
        let compiled = count.min(DIFFERENT).saturating_sub(filled);
        filled = count;
        let daemon = load(report, &many, count, compiled)?;
        other(setup, report, count, &none_daemon, &daemon)?;
        if count == SAME {
            let one_daemon = Posted::new(one.start()?.0)?;
            same(setup, report, &one_daemon, &daemon)?;
        }
        daemon.daemon.stop()?;
    }
    none_daemon.daemon.stop()?;
    if filled > DIFFERENT {
        report.note(format!(
            "breadth: of {filled} plugins {DIFFERENT} components differ; one that is there several times is compiled and held once"
        ));
    }
    [none, one, many].iter().try_for_each(copies::remove)
}

/// Starts it twice: the first time compiles, the second counts.
fn load(report: &mut Report, home: &Home, count: usize, compiled: usize) -> Result<Posted> {
    let (daemon, cold) = home.start()?;
    daemon.stop()?;
    let (daemon, cached) = home.start()?;
    let status = daemon.status()?;
    let active = status["plugins"]
        .as_array()
        .map_or(0, |plugins| plugins.iter().filter(|plugin| plugin["state"] == "active").count());
    ensure!(active == count, "of {count} plugins {active} are active");
    let (cold, cached) = (cold.as_secs_f64(), cached.as_secs_f64());
    let share = count as f64 / 10_000.0;
    let limit = |row: Row| if count == 10_000 { row.target(1.0) } else { row.told() };
    report.row(limit(Row::new(
        format!("breadth/load-cached/{count}"),
        "s",
        Better::Lower,
        cached,
        "30 s for 10,000",
        30.0 * share,
    )));
    if compiled == count.min(DIFFERENT) || compiled > count / 2 {
        let each = |seconds: f64, plugins: usize| seconds * 1e3 / plugins as f64;
        report.row(
            Row::new(
                format!("breadth/load-cold/{count}"),
                "ms/plugin",
                Better::Lower,
                each(cold, compiled),
                "compiled before",
                each(cached, count),
            )
            .told(),
        );
    }
    sleep(Duration::from_secs(2));
    report.row(limit(Row::new(
        format!("breadth/memory/{count}"),
        "GB",
        Better::Lower,
        daemon.memory()? as f64 / 1e9,
        "2 GB for 10,000",
        2.0 * share,
    )));
    Posted::new(daemon)
}

/// CPU per event that concerns no plugin.
fn other(setup: &Setup, report: &mut Report, count: usize, none: &Posted, many: &Posted) -> Result<()> {
    let batches = if setup.short { 50 } else { 300 };
    let mut readings = Events::new(format!("other-{count}"), "gauge.level");
    let mut found = [Vec::new(), Vec::new()];
    for run in 0..=setup.runs {
        let bodies: Vec<String> = (0..batches).map(|_| readings.batch()).collect();
        for (posted, found) in [none, many].into_iter().zip(&mut found) {
            let cpu = posted.post(&bodies, false)?;
            // The first run is cold.
            if run > 0 {
                found.push(cpu);
            }
        }
    }
    let [without, with] = found.map(median);
    let row = Row::new(
        format!("breadth/other/{count}"),
        "CPU ns/event",
        Better::Lower,
        with,
        "no plugins",
        without,
    );
    report.row(if count >= 1_000 { row.target(1.05) } else { row });
    Ok(())
}

/// CPU per event and plugin, if all are given every event.
fn same(setup: &Setup, report: &mut Report, one: &Posted, many: &Posted) -> Result<()> {
    let batches = if setup.short { 5 } else { 30 };
    let mut readings = Events::new("same".into(), "other.event");
    let mut found = [Vec::new(), Vec::new()];
    for run in 0..=setup.runs.min(3) {
        let bodies: Vec<String> = (0..batches).map(|_| readings.batch()).collect();
        for ((posted, plugins), found) in [(one, 1.0), (many, SAME as f64)].into_iter().zip(&mut found) {
            let cpu = posted.post(&bodies, true)? / plugins;
            if run > 0 {
                found.push(cpu);
            }
        }
    }
    let [alone, among] = found.map(median);
    report.row(Row::new(
        format!("breadth/same/{SAME}"),
        "CPU ns/event and plugin",
        Better::Lower,
        among,
        "one plugin",
        alone,
    ));
    Ok(())
}

/// Batches of readings under ids and a type of their own.
struct Events {
    readings: Readings,
    prefix: String,
    kind: String,
}

impl Events {
    fn new(name: String, kind: &str) -> Events {
        Events {
            readings: Readings::new(),
            prefix: format!(r#""id":"{name}-"#),
            kind: format!(r#""type":"{kind}""#),
        }
    }

    fn batch(&mut self) -> String {
        let mut next = || {
            let event = self.readings.next_event();
            event.replace(r#""id":""#, &self.prefix).replace(r#""type":"gauge.level""#, &self.kind)
        };
        let events: Vec<String> = (0..BATCH).map(|_| next()).collect();
        format!("[{}]", events.join(","))
    }
}

/// A daemon that batches are posted to.
struct Posted {
    daemon: Daemon,
    client: reqwest::blocking::Client,
}

impl Posted {
    fn new(daemon: Daemon) -> Result<Posted> {
        Ok(Posted { daemon, client: reqwest::blocking::Client::new() })
    }

    /// Posts all, one after the other. Returns the daemon's nanoseconds of CPU time per event. Whether all is
    /// handled is asked for only if somebody handles it: to tell of 10,000 plugins takes long.
    fn post(&self, bodies: &[String], handled: bool) -> Result<f64> {
        let before = self.daemon.ran()?;
        for body in bodies {
            let request = self.client.post(&self.daemon.events).header("content-type", BATCH_TYPE);
            let answer = request.body(body.clone()).send()?;
            ensure!(answer.status().is_success(), "a batch is answered with {}", answer.status());
        }
        if handled {
            self.daemon.settle()?;
        } else {
            sleep(Duration::from_millis(300));
        }
        let cpu = self.daemon.ran()?.since(&before);
        Ok(cpu.as_secs_f64() * 1e9 / (bodies.len() * BATCH) as f64)
    }
}
