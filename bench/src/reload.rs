//! A plugin is replaced while events flow: how soon the new version runs, and what an event sees of it.
//!
//! An event's latency is the time from when it was due to be sent until the line of its action is in a file: the sender
//! does not wait for answers that are late.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use serde_json::Value;

use crate::daemon::{Daemon, Home};
use crate::report::{Better, Report, Row};
use crate::times::median;
use crate::{Setup, copies, rules};

/// Between two events.
const EVERY: Duration = Duration::from_millis(2);
/// Senders, in turn, each with a gauge of its own.
const SENDERS: usize = 16;
/// Each gauge rises from its first reading on; an alert is due from the fourth.
const SILENT: usize = 3 * SENDERS;
/// What is looked at around the moment in which a version becomes active.
const AROUND: Duration = Duration::from_secs(1);
/// For how long a file has to rest before the host looks at it.
const SETTLING_MS: f64 = 200.0;

const CONFIGURATION: &str = "\
[moments]\nprint = 'none'\n[sink.out]\nkind = 'file'\npath = 'actions.jsonl'\n[[route]]\naction = 'alert'\nsink = 'out'\n";
const MANIFEST: &str = "[configuration]\nabove_cm = 0\n";

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let component = std::fs::read(rules::component(setup, "bench/guests/rising")?)?;
    let home = Home::new(&setup.carpe, &setup.folder.join("reload"), CONFIGURATION)?;
    home.plugin("rising", &copies::numbered(&component, 0), MANIFEST)?;
    let (daemon, _) = home.start()?;
    let (quiet, reloads) = if setup.short { (5, 5) } else { (20, 20) };
    let (stop, sent) = (AtomicBool::new(false), AtomicBool::new(false));
    let begun = Instant::now();
    let (swaps, count, seen) = thread::scope(|scope| -> Result<_> {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (url, stop) = (&daemon.events, &stop);
                scope.spawn(move || send(url, sender, begun, stop))
            })
            .collect();
        let actions = home.file("actions.jsonl");
        let until = &sent;
        let watcher = scope.spawn(move || watch(&actions, until));
        let swaps = swap(&daemon, &home, &component, quiet, reloads);
        // Whatever happened: the threads are to end.
        stop.store(true, Ordering::Relaxed);
        let mut count = 0;
        let sending = senders.into_iter().try_for_each(|sender| {
            count += sender.join().map_err(|_| anyhow!("a sender fell over"))??;
            Ok(())
        });
        let settled = daemon.settle();
        sleep(Duration::from_millis(100));
        sent.store(true, Ordering::Relaxed);
        let seen = watcher.join().map_err(|_| anyhow!("the watcher fell over"))??;
        sending.and(settled)?;
        Ok((swaps?, count, seen))
    })?;
    daemon.kill()?;
    copies::remove(&home)?;
    ensure!(
        seen.len() == count - SILENT,
        "of {count} events {} came to an action, and {} should",
        seen.len(),
        count - SILENT
    );
    let latencies: Vec<(Instant, f64)> = seen
        .iter()
        .map(|(&n, &at)| {
            let due = begun + EVERY * n;
            (due, (at - due).as_secs_f64() * 1e3)
        })
        .collect();
    tell(report, begun, quiet, &swaps, &latencies);
    Ok(())
}

/// When a version was put there, and when it was active.
type Swap = (Instant, Instant);

/// Lets events flow for a while, and then replaces the plugin again and again, each time with another component.
fn swap(daemon: &Daemon, home: &Home, component: &[u8], quiet: u64, reloads: usize) -> Result<Vec<Swap>> {
    let reloaded = || -> Result<u64> {
        sleep(Duration::from_millis(2));
        Ok(daemon.status()?["reloads_ok"].as_u64().unwrap_or(0))
    };
    // Somebody asks for the status all the time, with and without reloads.
    let rest = |time: Duration| -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            reloaded()?;
        }
        Ok(())
    };
    // The first second, in which connections are made, is not looked at.
    rest(Duration::from_secs(quiet + 1))?;
    let mut swaps = Vec::new();
    for number in 1..=reloads {
        let before = reloaded()?;
        home.plugin("rising", &copies::numbered(component, number), MANIFEST)?;
        let put = Instant::now();
        while reloaded()? == before {
            ensure!(put.elapsed() < Duration::from_secs(60), "version {number} does not become active");
        }
        swaps.push((put, Instant::now()));
        rest(AROUND)?;
    }
    Ok(swaps)
}

/// Sends the readings of one gauge, each when it is due. Returns how many.
fn send(url: &str, sender: usize, begun: Instant, stop: &AtomicBool) -> Result<usize> {
    let client = reqwest::blocking::Client::new();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let n = count * SENDERS + sender;
        let due = begun + EVERY * u32::try_from(n)?;
        sleep(due.saturating_duration_since(Instant::now()));
        let level = count + 1;
        let event = format!(
            r#"{{"specversion":"1.0","id":"{n}","source":"/gauges","type":"gauge.level","subject":"gauge-{sender}","data":{{"level":{level},"n":{n}}}}}"#
        );
        let request = client.post(url).header("content-type", "application/cloudevents+json").body(event);
        let answer = request.send()?;
        ensure!(answer.status() == 202, "an event is answered with {}", answer.status());
        count += 1;
    }
    Ok(count)
}

/// When the action of each event was there.
fn watch(path: &Path, end: &AtomicBool) -> Result<HashMap<u32, Instant>> {
    let (mut file, mut rest, mut seen) = (None, Vec::new(), HashMap::new());
    loop {
        let last = end.load(Ordering::Relaxed);
        if file.is_none() {
            file = File::open(path).ok();
        }
        if let Some(file) = &mut file {
            file.read_to_end(&mut rest)?;
        }
        let now = Instant::now();
        let whole = rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        for line in rest[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let n = serde_json::from_slice::<Value>(line)?["data"]["n"].as_u64();
            let n = n.ok_or_else(|| anyhow!("an action of no event"))?;
            seen.entry(u32::try_from(n)?).or_insert(now);
        }
        rest.drain(..whole);
        if last {
            return Ok(seen);
        }
        sleep(Duration::from_micros(500));
    }
}

fn tell(report: &mut Report, begun: Instant, quiet: u64, swaps: &[Swap], latencies: &[(Instant, f64)]) {
    let worst = |from: Instant| {
        let within = latencies.iter().filter(|(due, _)| (from..from + AROUND).contains(due));
        within.map(|(_, ms)| *ms).fold(0.0, f64::max)
    };
    let without: Vec<f64> = (1..=quiet).map(|second| worst(begun + Duration::from_secs(second))).collect();
    // Half before a version is active, and half after: the compiling and the trying are in there.
    let around: Vec<f64> = swaps.iter().map(|(_, active)| worst(*active - AROUND / 2)).collect();
    let active = swaps.iter().map(|(put, active)| (*active - *put).as_secs_f64() * 1e3).collect();
    let usual = median(latencies.iter().map(|(_, ms)| *ms).collect());
    let (calm, middle, high) = (median(without), median(around.clone()), p99(around));
    report.row(
        Row::new("reload/active", "ms", Better::Lower, median(active), "the settling time", SETTLING_MS)
            .told(),
    );
    let pause = Row::new("reload/pause/p99", "ms", Better::Lower, (high - calm).max(0.0), "1 ms", 1.0);
    report.row(pause.target(1.0).told());
    report.row(
        Row::new("reload/worst/p50", "ms", Better::Lower, middle, "a second without a reload", calm).told(),
    );
    report.note(format!(
        "reload: {} reloads at {:.0} events/s, each with a component that was not compiled before; from an event to the line of its action {usual:.1} ms, at worst in a second without a reload {calm:.1} ms, around a reload {middle:.1} ms (p99 {high:.1} ms)",
        swaps.len(),
        1.0 / EVERY.as_secs_f64(),
    ));
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() * 99).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or(0.0)
}
