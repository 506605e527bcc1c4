//! How much Carpe remembers, and what that costs: from a thousand keys to ten million, each with a state of 100 bytes.

mod feed;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::Setup;
use crate::daemon::{Daemon, Home};
use crate::report::{Better, Report, Row};
use crate::rules::component;
use crate::times::median;

use self::feed::Feed;

/// What the state of a key is, about.
const STATE_BYTES: f64 = 100.0;
/// Repeats are recognised over so many events: what these need is of no key, and is to be there at every depth.
const KNOWN_EVENTS: u64 = 100_000;
/// How long it may take to catch up, or to come to rest.
const PATIENCE: Duration = Duration::from_secs(300);
/// Entries that are read again at most where a checkpoint was written at the end: of starts and stops.
const CHECKPOINTED: u64 = 1_000;
/// How often it is killed and started.
const STARTS: usize = 3;

/// How many keys, and how a row calls that.
struct Depth {
    keys: u64,
    name: &'static str,
}

/// The first two are what others are compared with.
const DEPTHS: [Depth; 5] = [
    Depth { keys: 1_000, name: "1k" },
    Depth { keys: 10_000, name: "10k" },
    Depth { keys: 100_000, name: "100k" },
    Depth { keys: 1_000_000, name: "1m" },
    Depth { keys: 10_000_000, name: "10m" },
];

/// What was found at a depth.
struct Found {
    cpu_ns: f64,
    memory: u64,
    disk: u64,
    start_ms: f64,
}

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let depths = if setup.short { &DEPTHS[..3] } else { &DEPTHS[..] };
    let events = if setup.short { 100_000 } else { 300_000 };
    let component = std::fs::read(component(setup, "bench/guests/remember")?)?;
    let mut all: Vec<Found> = Vec::new();
    for depth in depths {
        let home = home(setup, depth, &component)?;
        let found = measure(&home, depth, events, report);
        // Gigabytes, of the deepest.
        std::fs::remove_dir_all(home.file(""))?;
        let found = match found {
            Ok(found) => found,
            // A bound of the machine rather than of what is measured at the others: told, and that is all.
            Err(error) if depth.keys >= 10_000_000 => {
                report.note(format!("depth: {} keys cannot be measured: {error:#}", depth.name));
                break;
            }
            Err(error) => return Err(error.context(format!("at {} keys", depth.name))),
        };
        rows(report, depth, &found, &all);
        all.push(found);
    }
    Ok(())
}

/// An empty home with the rule, which may remember so much.
fn home(setup: &Setup, depth: &Depth, component: &[u8]) -> Result<Home> {
    let configuration = format!(
        "[intake]\nknown_events = {KNOWN_EVENTS}\n[moments]\nprint = 'none'\n[log]\nfilter = 'warn'\n"
    );
    let home = Home::new(&setup.carpe, &setup.folder.join(format!("depth-{}", depth.name)), &configuration)?;
    let limits = format!("[limits]\nkeys = {}\ntotal_state_bytes = {}\n", depth.keys * 2, 16_u64 << 30);
    home.plugin("remember", component, &limits)?;
    Ok(home)
}

fn measure(home: &Home, depth: &Depth, events: u64, report: &mut Report) -> Result<Found> {
    let (mut daemon, _) = home.start()?;
    let feed = Feed::new(&daemon.events);
    let begun = Instant::now();
    // At few keys several times, so that as many events are known at every depth.
    let filled = depth.keys.max(KNOWN_EVENTS);
    feed.post(filled, |count, _| count % depth.keys)?;
    daemon.settle()?;
    let filling = begun.elapsed().as_secs_f64();
    remembers(&daemon, depth.keys)?;
    rest(&daemon)?;
    let memory = daemon.memory()?;
    let before = daemon.ran()?;
    feed.post(events, |_, random| random % depth.keys)?;
    daemon.settle()?;
    let cpu = daemon.ran()?.since(&before);
    remembers(&daemon, depth.keys)?;
    rest(&daemon)?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        daemon.kill()?;
        let (started, ready) = home.start()?;
        starts.push((ready + caught_up(&started)?).as_secs_f64() * 1e3);
        started.settle()?;
        remembers(&started, depth.keys).context("after a start")?;
        daemon = started;
    }
    rest(&daemon)?;
    daemon.stop()?;
    let disk = home.disk("") - home.disk("cache");
    report.note(format!(
        "depth: {} keys filled by {} events a second; on the disk {:.0} MiB, of which the journal {:.0} MiB",
        depth.name,
        (filled as f64 / filling).round(),
        mib(disk),
        mib(home.disk("journal")),
    ));
    checkpointed(home)?;
    Ok(Found { cpu_ns: cpu.as_secs_f64() * 1e9 / events as f64, memory, disk, start_ms: median(starts) })
}

/// The rule remembers all keys, and no event was set aside.
fn remembers(daemon: &Daemon, keys: u64) -> Result<()> {
    let status = daemon.status()?;
    let plugin = &status["plugins"][0];
    let work = &plugin["work"];
    ensure!(work["keys"] == keys && work["dead_letters"] == 0, "it does not remember {keys} keys: {plugin}");
    Ok(())
}

/// Waits until its rules have come to where the journal ended when it was killed. Returns how long.
fn caught_up(daemon: &Daemon) -> Result<Duration> {
    let begun = Instant::now();
    while daemon.status()?["recovery"]["caught_up_ms"].is_null() {
        ensure!(begun.elapsed() < PATIENCE, "it does not catch up");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(begun.elapsed())
}

/// What is on the disk after a clean stop is a checkpoint of all: nothing is read again.
fn checkpointed(home: &Home) -> Result<()> {
    let (daemon, _) = home.start()?;
    let again = daemon.status()?["recovery"]["entries"].as_u64().unwrap_or(u64::MAX);
    ensure!(again < CHECKPOINTED, "a start after a clean stop reads {again} entries again");
    daemon.stop()
}

/// Waits until nothing works any more: a checkpoint that is being written is none of the events' that follow.
fn rest(daemon: &Daemon) -> Result<()> {
    let begun = Instant::now();
    let mut before = daemon.ran()?;
    while begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(500));
        let now = daemon.ran()?;
        if now.since(&before) <= Duration::from_millis(20) {
            break;
        }
        before = now;
    }
    Ok(())
}

fn rows(report: &mut Report, depth: &Depth, found: &Found, shallower: &[Found]) {
    let name = depth.name;
    let Some(least) = shallower.first() else { return };
    // What is there with few keys is of no key.
    let per_key = |bytes: u64, without: u64| bytes.saturating_sub(without) as f64 / depth.keys as f64;
    if let Some(few) = shallower.get(1) {
        let (ours, other) = (found.cpu_ns, few.cpu_ns);
        let cpu =
            Row::new(format!("depth/cpu/{name}"), "ns CPU/event", Better::Lower, ours, "10 k keys", other);
        report.row(if name == "10m" { cpu.target(2.0) } else { cpu });
        for (what, bytes) in
            [("memory", per_key(found.memory, least.memory)), ("disk", per_key(found.disk, least.disk))]
        {
            let row = format!("depth/{what}/{name}");
            report.row(Row::new(row, "bytes/key", Better::Lower, bytes, "100 bytes", STATE_BYTES).told());
        }
    }
    let (ours, other) = (found.start_ms, least.start_ms);
    let row = format!("depth/start/{name}");
    report.row(Row::new(row, "ms", Better::Lower, ours, "1 k keys", other).told());
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
