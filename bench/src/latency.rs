//! From an event to the action at its receiver, over HTTP both ways: sent by schedule whatever the answers, so that a host
//! which stands still is charged for all that would have come meanwhile. Beside it, what one write to the disk takes.

mod disk;
mod receiver;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::sync::{Mutex, mpsc};

use crate::Setup;
use crate::daemon::{Daemon, Home};
use crate::posts::{Connection, Post, runtime};
use crate::report::{Better, Report, Row};
use crate::rules::component;

use self::disk::Disk;
use self::receiver::Receiver;

/// Requests that can be under way at once.
const CONNECTIONS: usize = 200;
/// Keys that events are about.
const GAUGES: u64 = 1_000;
/// Parts in which a load is sent, with writes to the disk before each.
const PARTS: usize = 12;
/// Writes to the disk before each part.
const WRITES: usize = 30;
/// The least rate of the least load: below, the samples would take too long.
const LEAST_RATE: f64 = 20.0;

/// Shares of the capacity, in percent.
const LOADS: [u32; 3] = [1, 50, 90];

/// The path that is measured: a daemon with its rule, and where its actions arrive.
struct Way {
    daemon: Daemon,
    receiver: Receiver,
    runtime: tokio::runtime::Runtime,
    connections: Arc<Mutex<mpsc::Receiver<u64>>>,
    schedule: mpsc::Sender<u64>,
    senders: Vec<tokio::task::JoinHandle<Result<()>>>,
    next: u64,
}

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let component = std::fs::read(component(setup, "bench/guests/every")?)?;
    let mut capacities = Vec::new();
    for durability in ["durable", "relaxed"] {
        let folder = setup.folder.join(format!("latency-{durability}"));
        let mut way = Way::open(setup, &folder, durability, &component)?;
        let capacity = way.capacity(Duration::from_secs(if setup.short { 2 } else { 5 }))?;
        capacities.push(capacity);
        for load in LOADS.into_iter().filter(|&load| !setup.short || load == 50) {
            let rate = (capacity * f64::from(load) / 100.0).max(LEAST_RATE);
            // So many samples as a quantile needs, and so long that it is no matter of one moment.
            let samples = if setup.short {
                (rate * 2.0).max(1_000.0)
            } else {
                (rate * 60.0).min(3_000.0).max(rate * 5.0)
            };
            let mut disk = Disk::new(&folder)?;
            let mut latencies = Vec::new();
            for _ in 0..PARTS {
                disk.write(WRITES)?;
                latencies.extend(way.load(rate, (samples / PARTS as f64).ceil() as u64)?);
            }
            tell(report, durability, load, latencies, disk.times());
        }
        way.close()?;
    }
    if let [durable, relaxed] = capacities[..] {
        let row =
            Row::new("latency/capacity", "events/s", Better::Higher, durable, "relaxed", relaxed).told();
        report.row(row);
    }
    Ok(())
}

/// The rows of one load.
fn tell(report: &mut Report, durability: &str, load: u32, mut ours: Vec<f64>, mut disk: Vec<f64>) {
    ours.sort_by(f64::total_cmp);
    disk.sort_by(f64::total_cmp);
    let name = format!("latency/{durability}/load-{load}");
    for (what, share, disk_share) in [("median", 0.5, 0.5), ("p99", 0.99, 0.99), ("p999", 0.999, 0.99)] {
        let (ours, disk) = (quantile(&ours, share), quantile(&disk, disk_share));
        report.row(Row::new(format!("{name}/{what}"), "ms", Better::Lower, ours, "one fsync", disk).told());
    }
    if durability == "durable" && load == 50 {
        let beyond = quantile(&ours, 0.99) - quantile(&disk, 0.99);
        let row = Row::new(format!("{name}/p99-less-fsync"), "ms", Better::Lower, beyond, "1 ms", 1.0);
        report.row(row.target(2.0).told());
        if beyond < 0.0 {
            report.note("latency: the disk was slower alone than under the load; p99-less-fsync says little");
        }
    }
}

/// Of sorted values, the least that is not below so large a share of them.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

impl Way {
    fn open(setup: &Setup, folder: &Path, durability: &str, component: &[u8]) -> Result<Way> {
        let runtime = runtime()?;
        let receiver = runtime.block_on(Receiver::open())?;
        let configuration = format!(
            "[sink.hook]\nkind = 'webhook'\nurl = 'http://{}/'\n[journal]\ndurability = '{durability}'\n\
             [moments]\nprint = 'none'\n",
            receiver.address
        );
        let home = Home::new(&setup.carpe, folder, &configuration)?;
        home.plugin("every", component, "[[route]]\naction = 'alert'\nsink = 'hook'\n")?;
        let (daemon, _) = home.start()?;
        let (schedule, due) = mpsc::channel(1 << 20);
        let connections = Arc::new(Mutex::new(due));
        let mut way = Way { daemon, receiver, runtime, connections, schedule, senders: Vec::new(), next: 0 };
        way.connect()?;
        Ok(way)
    }

    /// Opens connections, each of which takes the next event that is due when it is free.
    fn connect(&mut self) -> Result<()> {
        for _ in 0..CONNECTIONS {
            let mut connection = self.runtime.block_on(Connection::open(&self.daemon.events))?;
            let due = Arc::clone(&self.connections);
            self.senders.push(self.runtime.spawn(async move {
                loop {
                    let Some(n) = due.lock().await.recv().await else { return Ok(()) };
                    connection.send(&event(n)?).await?;
                }
            }));
        }
        Ok(())
    }

    /// How many events come through in a second, when there are always some to be sent.
    fn capacity(&mut self, time: Duration) -> Result<f64> {
        // Both the rule and the connections are cold.
        self.load(1e6, 500)?;
        let (begun, first) = (Instant::now(), self.next);
        while begun.elapsed() < time {
            let free = (2 * CONNECTIONS).saturating_sub((1 << 20) - self.schedule.capacity());
            for _ in 0..free {
                self.schedule.try_send(self.next)?;
                self.next += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let count = self.next - first;
        let last = self.arrivals(first, count)?.into_iter().max().context("nothing arrived")?;
        Ok(count as f64 / (last - begun).as_secs_f64())
    }

    /// Sends so many events at a rate. Returns how long each took, in milliseconds.
    fn load(&mut self, rate: f64, count: u64) -> Result<Vec<f64>> {
        let (begun, first) = (Instant::now() + Duration::from_millis(1), self.next);
        let due = |place: u64| begun + Duration::from_secs_f64(place as f64 / rate);
        for place in 0..count {
            let wait = due(place).saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            self.schedule.try_send(first + place)?;
        }
        self.next += count;
        let arrived = self.arrivals(first, count)?;
        let took = |(place, at): (u64, Instant)| at.saturating_duration_since(due(place)).as_secs_f64() * 1e3;
        Ok((0..count).zip(arrived).map(took).collect())
    }

    /// When each of so many arrived, once all have.
    fn arrivals(&mut self, first: u64, count: u64) -> Result<Vec<Instant>> {
        loop {
            if let Some(found) = self.receiver.all_of(first, count, Duration::from_millis(200))? {
                return Ok(found);
            }
            if let Some(place) = self.senders.iter().position(tokio::task::JoinHandle::is_finished) {
                self.runtime.block_on(self.senders.swap_remove(place))??;
            }
        }
    }

    fn close(self) -> Result<()> {
        self.daemon.settle()?;
        let status = self.daemon.status()?;
        let dead = &status["dead_letters"]["count"];
        ensure!(dead.as_u64().unwrap_or(0) == 0, "inputs were set aside: {dead}");
        self.daemon.stop()
    }
}

/// The event of a number.
fn event(n: u64) -> Result<Post> {
    let gauge = n % GAUGES;
    Post::structured(format!(
        r#"{{"specversion":"1.0","id":"l{n:07}","source":"/gauges","type":"gauge.level","subject":"gauge-{gauge:04}","data":{{"level":250,"n":{n},"unit":"cm"}}}}"#
    ))
}
