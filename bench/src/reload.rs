//! A plugin is replaced while events flow: how soon the new version runs, and what an event sees of it.
//!
//! An event's latency is the time from when it was due to be sent until the line of its action is in a file: the sender
//! does not wait for answers that are late. What looks on is to take next to no time itself, since it runs on the same
//! cores: requests are written to sockets, and when a version is active stands in the daemon's log.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use serde_json::Value;

use crate::daemon::Home;
use crate::report::{Better, Report, Row};
use crate::times::median;
use crate::{Setup, copies, rules};

/// Between two events.
const EVERY: Duration = Duration::from_millis(2);
/// Senders, in turn, each with a gauge of its own.
const SENDERS: usize = 16;
/// Each gauge rises from its first reading on; an alert is due from the fourth.
const SILENT: usize = 3 * SENDERS;
/// What is looked at before a reload, without one.
const QUIET: Duration = Duration::from_secs(1);
/// What is looked at of a reload: from when the file is there until so long after the version is active.
const AFTER: Duration = Duration::from_millis(500);
/// For how long a file has to rest before the host looks at it.
const SETTLING: Duration = Duration::from_millis(200);

const CONFIGURATION: &str = "\
[moments]\nprint = 'none'\n[sink.out]\nkind = 'file'\npath = 'actions.jsonl'\n[[route]]\naction = 'alert'\nsink = 'out'\n";
const MANIFEST: &str = "[configuration]\nabove_cm = 0\n";

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let component = std::fs::read(rules::component(setup, "bench/guests/rising")?)?;
    let home = Home::new(&setup.carpe, &setup.folder.join("reload"), CONFIGURATION)?;
    home.plugin("rising", &copies::numbered(&component, 0), MANIFEST)?;
    let (daemon, _) = home.start()?;
    let reloads = if setup.short { 5 } else { 40 };
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
        let swaps = swap(&home, &component, reloads);
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
    tell(report, &swaps, &latencies);
    Ok(())
}

/// One reload, and the time before it.
struct Swap {
    quiet: Instant,
    put: Instant,
    active: Instant,
}

/// Replaces the plugin again and again while events flow, each time with another component.
fn swap(home: &Home, component: &[u8], reloads: usize) -> Result<Vec<Swap>> {
    let log = home.file("log");
    let active = || -> Result<usize> {
        sleep(Duration::from_millis(2));
        Ok(std::fs::read_to_string(&log)?.matches("a plugin is active").count())
    };
    // The first second, in which connections are made, is not looked at.
    sleep(Duration::from_secs(1));
    let mut swaps = Vec::new();
    for number in 1..=reloads {
        let quiet = Instant::now();
        sleep(QUIET);
        let before = active()?;
        let put = Instant::now();
        home.plugin("rising", &copies::numbered(component, number), MANIFEST)?;
        while active()? == before {
            ensure!(put.elapsed() < Duration::from_secs(60), "version {number} does not become active");
        }
        swaps.push(Swap { quiet, put, active: Instant::now() });
        sleep(AFTER);
    }
    Ok(swaps)
}

/// Sends the readings of one gauge, each when it is due. Returns how many.
fn send(url: &str, sender: usize, begun: Instant, stop: &AtomicBool) -> Result<usize> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let n = count * SENDERS + sender;
        let due = begun + EVERY * u32::try_from(n)?;
        sleep(due.saturating_duration_since(Instant::now()));
        let level = count + 1;
        let event = format!(
            r#"{{"specversion":"1.0","id":"{n}","source":"/gauges","type":"gauge.level","subject":"gauge-{sender}","data":{{"level":{level},"n":{n}}}}}"#
        );
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/cloudevents+json\r\ncontent-length: {}\r\n\r\n{event}",
            event.len()
        );
        stream.write_all(request.as_bytes())?;
        let status = answer(&mut answers)?;
        ensure!(status.starts_with("HTTP/1.1 202"), "an event is answered with {status}");
        count += 1;
    }
    Ok(count)
}

/// Reads an answer to its end. Returns its first line.
fn answer(answers: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = || -> Result<String> {
        let mut line = String::new();
        answers.read_line(&mut line)?;
        Ok(line.trim_end().to_ascii_lowercase())
    };
    let (status, mut length) = (line()?.to_uppercase(), 0);
    loop {
        let header = line()?;
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        } else if header.is_empty() {
            break;
        }
    }
    answers.read_exact(&mut vec![0; length])?;
    Ok(status)
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

fn tell(report: &mut Report, swaps: &[Swap], latencies: &[(Instant, f64)]) {
    let worst = |from: Instant, until: Instant| {
        let within = latencies.iter().filter(|(due, _)| (from..until).contains(due));
        within.map(|(_, ms)| *ms).fold(0.0, f64::max)
    };
    let without: Vec<f64> = swaps.iter().map(|swap| worst(swap.quiet, swap.quiet + QUIET)).collect();
    let around: Vec<f64> = swaps.iter().map(|swap| worst(swap.put, swap.active + AFTER)).collect();
    let active = swaps.iter().map(|swap| (swap.active - swap.put).as_secs_f64() * 1e3).collect();
    let usual = median(latencies.iter().map(|(_, ms)| *ms).collect());
    report.row(
        Row::new(
            "reload/active",
            "ms",
            Better::Lower,
            median(active),
            "the settling time",
            SETTLING.as_secs_f64() * 1e3,
        )
        .told(),
    );
    // The same quantile of both: what the machine does to an event now and then is no reload's.
    for (name, of_hundred) in [("p50", 50), ("p90", 90), ("p99", 99)] {
        let (calm, ours) = (quantile(&without, of_hundred), quantile(&around, of_hundred));
        let pause = (ours - calm).max(0.0);
        let row = Row::new(format!("reload/pause/{name}"), "ms", Better::Lower, pause, "1 ms", 1.0).told();
        report.row(if name == "p99" { row.target(1.0) } else { row });
        let base = "a second without a reload";
        report.row(Row::new(format!("reload/worst/{name}"), "ms", Better::Lower, ours, base, calm).told());
    }
    // Of all events, while the host reads, compiles and tries the version, and switches to it.
    let of_all = |within: &dyn Fn(&Swap, Instant) -> bool| {
        let of_one = |due: &Instant| swaps.iter().any(|swap| within(swap, *due));
        let found: Vec<f64> = latencies.iter().filter(|(due, _)| of_one(due)).map(|(_, ms)| *ms).collect();
        quantile(&found, 99)
    };
    let ours = of_all(&|swap, due| (swap.put + SETTLING..swap.active).contains(&due));
    let calm = of_all(&|swap, due| (swap.quiet..swap.quiet + QUIET).contains(&due));
    let base = "without a reload";
    report.row(Row::new("reload/event/p99", "ms", Better::Lower, ours, base, calm).told());
    report.note(format!(
        "reload: {} reloads at {:.0} events/s, each with a component that was not compiled before, and as many seconds without; from an event to the line of its action {usual:.1} ms; pause and worst are of the worst of each second or reload, event/p99 of all events while a version is compiled, tried and switched to",
        swaps.len(),
        1.0 / EVERY.as_secs_f64(),
    ));
}

fn quantile(values: &[f64], of_hundred: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = (values.len() * of_hundred).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or(0.0)
}
