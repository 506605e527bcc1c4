//! The soak: the real `carpe run` under a steady load for a long time, while its plugin is replaced again and again.
//! What it uses must stay flat: memory, descriptors, threads, disk.
//!
//! [`mod@judge`] judges, and knows numbers only; [`load`] sends, [`receiver`] is the other side of a webhook. The host's
//! folder and process, and the rule, are those of the crash harness.

pub mod judge;
pub mod load;
pub mod receiver;

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::PATIENCE;
use crate::crash::load::{Posted, client, post, question};
use crate::crash::model::Book;
use crate::crash::site::{Site, Started};
use crate::crash::versions::Versions;
use crate::receiver::SECRET;
use judge::{Bounds, Sample, Trend, judge};
use load::{BATCH, Load, Sender};
use receiver::Receiver;

const SENDERS: u64 = 4;
const KEYS_OF_A_SENDER: u64 = 250;

/// For how long as much is sent as the host takes, to see how much that is.
const FLOOD: Duration = Duration::from_secs(10);

/// How much of that is sent from then on, in percent.
const SHARE: u64 = 70;

const REPLACE_EVERY: Duration = Duration::from_secs(10);
const SEGMENT_BYTES: u64 = 2 << 20;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// For how many minutes, after the capacity was measured.
    pub minutes: f64,
    /// The command `carpe`.
    pub carpe: PathBuf,
    /// Where the samples go, as comma-separated values.
    pub out: PathBuf,
    /// Where the host's folder is made.
    pub folder: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    minutes: f64,
    capacity: u64,
    rate: u64,
    samples: Vec<Sample>,
    events: u64,
    busy: u64,
    actions: u64,
    /// What is not as it should be, in words.
    pub wrong: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trend = |number| Trend::of(&self.samples, number);
        let (memory, disk) = (trend(|s| s.memory_bytes), trend(|s| s.disk_bytes));
        let Report { minutes, capacity, rate, events, busy, actions, .. } = self;
        write!(
            f,
            "soak: minutes={minutes} events={events} actions={actions} capacity={capacity}/s rate={rate}/s busy={busy} \
             memory={}MiB({:+.1}%) files={} threads={} disk={}MiB({:+.1}%) behind={} reloads={} flat={}",
            memory.late >> 20,
            memory.percent(),
            trend(|s| s.files).late,
            trend(|s| s.threads).late,
            disk.late >> 20,
            disk.percent(),
            trend(|s| s.behind).late,
            self.samples.last().map_or(0, |last| last.reloads),
            if self.wrong.is_empty() { "yes" } else { "no" }
        )
    }
}

/// Measures how much the host can do, has it do less for a long time, and judges. `Err`: the host does not do what it
/// is there for, and why.
pub fn run(options: &Options) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let receiver = Receiver::start(&runtime);
    let site = Site::new(&options.folder, &options.carpe, None, &configuration(&receiver.url));
    let versions = Versions::first(&site);
    let mut host = site.start(2);
    let addresses = host.addresses()?;
    let data = site.data();
    let load = Arc::<Load>::default();
    let mut soak = Soak {
        site: &site,
        versions,
        runtime,
        receiver,
        client: client(),
        events: addresses.events,
        operators: addresses.operators,
        load: Arc::clone(&load),
        watched: Watched { process: format!("/proc/{}", host.id()).into(), data },
        senders: (0..SENDERS).map(|sender| Sender::new(keys(sender), Arc::clone(&load))).collect(),
    };
    soak.wait_until_ready(&mut host)?;
    let capacity = soak.measure_capacity(&mut host)?;
    let share = capacity * SHARE / 100;
    eprintln!("capacity {capacity}/s: {share}/s from here on");
    let before = load.accepted.load(Ordering::Relaxed);
    let begun = Instant::now();
    let samples = soak.keep_on(options, share)?;
    let rate = (load.accepted.load(Ordering::Relaxed) - before) / begun.elapsed().as_secs().max(1);
    let bounds = Bounds { segment_bytes: SEGMENT_BYTES, behind: share * 10 };
    let mut wrong = judge(&samples, &bounds);
    // Not judged: how much else the machine has to do is not the host's fault.
    if rate * 10 < share * 9 {
        eprintln!("only {rate} events a second could be sent of {share}");
    }
    wrong.extend(soak.check_books(&mut host)?);
    let (actions, strange) = soak.receiver.counts();
    if strange > 0 {
        wrong.push(format!("{strange} requests of the webhook were not as they should be"));
    }
    host.ask_to_stop();
    let status = host.ended()?;
    if !status.success() {
        wrong.push(format!("a stop that was asked for: {status}"));
    }
    let (events, busy) = (load.accepted.load(Ordering::Relaxed), load.busy.load(Ordering::Relaxed));
    Ok(Report { minutes: options.minutes, capacity, rate, samples, events, busy, actions, wrong })
}

/// Little is kept, so that what is removed is removed often.
fn configuration(hook: &str) -> String {
    format!(
        "[intake]\nknown_events = 50_000\nknown_seconds = 20\n\
         [journal]\nsegment_bytes = {SEGMENT_BYTES}\nkeep_bytes = {}\nwait_bytes = {}\n\
         [checkpoints]\nevery_ms = 5_000\n\
         [moments]\nprint = 'none'\n\
         [log]\nfilter = 'warn'\n\
         [sink.hook]\nkind = 'webhook'\nurl = '{hook}'\nsecret = '{SECRET}'\n\
         [[route]]\naction = 'ledger.*'\nsink = 'hook'\n",
        SEGMENT_BYTES * 8,
        1_u64 << 30,
    )
}

fn keys(sender: u64) -> Vec<String> {
    (0..KEYS_OF_A_SENDER).map(|key| format!("{sender}-{key}")).collect()
}

struct Soak<'s> {
    site: &'s Site,
    versions: Versions,
    runtime: Runtime,
    receiver: Receiver,
    client: Client,
    events: String,
    operators: String,
    load: Arc<Load>,
    watched: Watched,
    senders: Vec<Sender>,
}

impl Soak<'_> {
    fn wait_until_ready(&self, host: &mut Started<'_>) -> Result<(), String> {
        host.wait("it does not run the plugin", |_| {
            let status = self.status()?;
            (status["ready"] == true && status["plugins"][0]["state"] == "active").then_some(())
        })
    }

    /// Events a second that the host accepts, handles with all that comes of them, and delivers.
    fn measure_capacity(&mut self, host: &mut Started<'_>) -> Result<u64, String> {
        let begun = Instant::now();
        let senders = self.begin(Duration::ZERO);
        std::thread::sleep(FLOOD);
        self.end(senders)?;
        self.settle(host)?;
        let events = u128::from(self.load.accepted.load(Ordering::Relaxed));
        Ok(u64::try_from(events * 1_000 / begun.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Sends steadily, replaces the plugin, and looks every second.
    fn keep_on(&mut self, options: &Options, rate: u64) -> Result<Vec<Sample>, String> {
        let mut out = samples_file(&options.out);
        let senders = self.begin(Duration::from_secs(SENDERS * BATCH).div_f64(rate.max(1) as f64));
        let begun = Instant::now();
        let time = Duration::from_secs_f64(options.minutes * 60.0);
        let (mut samples, mut replaced) = (Vec::new(), Instant::now());
        let mut version = 0;
        while begun.elapsed() < time && senders.iter().all(|sender| !sender.is_finished()) {
            let next = Instant::now() + Duration::from_secs(1);
            if replaced.elapsed() >= REPLACE_EVERY {
                version += 1;
                self.versions.put(self.site, version % 12);
                replaced = Instant::now();
            }
            if let Some(sample) = self.sample(begun.elapsed().as_secs_f64()) {
                writeln!(out, "{}", sample.line()).expect("written");
                samples.push(sample);
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        self.end(senders)?;
        Ok(samples)
    }

    /// Lets all that was sent come to its end. Returns what is wrong about what the rule knows of it.
    fn check_books(&mut self, host: &mut Started<'_>) -> Result<Vec<String>, String> {
        let keys: Vec<String> = (0..SENDERS).flat_map(keys).collect();
        let until = Instant::now() + PATIENCE;
        let mut ask = 0;
        loop {
            self.settle(host)?;
            ask += 1;
            let questions: Vec<Value> = keys.iter().map(|key| question(key, ask)).collect();
            while !matches!(
                self.runtime.block_on(post(&self.client, &self.events, questions.clone())),
                Posted::Accepted
            ) {
                if Instant::now() > until {
                    return Err("it does not take the questions for its books".to_owned());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let books = host.wait("the books are not there", |_| self.receiver.books(ask, keys.len()))?;
            let open = books.iter().any(|book| !book.open.is_empty() || !book.waiting.is_empty());
            if !open || Instant::now() > until {
                return Ok(wrong_in(&books, self.load.accepted.load(Ordering::Relaxed)));
            }
        }
    }

    /// Waits until all that was accepted is handled, and all actions are delivered.
    fn settle(&self, host: &mut Started<'_>) -> Result<(), String> {
        host.wait("it is not done", |_| {
            let status = self.status()?;
            let idle = status["intake"]["waiting_events"] == 0
                && status["plugins"][0]["work"]["behind"] == 0
                && status["plugins"][0]["work"]["waiting"] == 0
                && status["sinks"][0]["waiting"] == 0;
            idle.then_some(())
        })
    }

    fn begin(&mut self, every: Duration) -> Vec<JoinHandle<(Sender, bool)>> {
        self.load.stop.store(false, Ordering::Relaxed);
        let senders = std::mem::take(&mut self.senders).into_iter();
        let begin = |mut sender: Sender| {
            let url = self.events.clone();
            self.runtime.spawn(async move {
                let sent = sender.run(&url, every).await;
                (sender, sent)
            })
        };
        senders.map(begin).collect()
    }

    fn end(&mut self, senders: Vec<JoinHandle<(Sender, bool)>>) -> Result<(), String> {
        self.load.stop.store(true, Ordering::Relaxed);
        let mut gone = false;
        for sender in senders {
            let (sender, sent) = self.runtime.block_on(sender).expect("a sender ends by itself");
            gone |= !sent;
            self.senders.push(sender);
        }
        if gone { Err(format!("the host is gone:\n{}", self.site.last_words())) } else { Ok(()) }
    }

    fn status(&self) -> Option<Value> {
        self.runtime.block_on(async {
            let answer = self.client.get(format!("{}/status", self.operators)).send().await.ok()?;
            serde_json::from_str(&answer.text().await.ok()?).ok()
        })
    }

    fn sample(&self, seconds: f64) -> Option<Sample> {
        let status = self.status()?;
        let number = |path: &str| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        Some(Sample {
            seconds,
            accepted: number("/intake/accepted"),
            inputs: number("/plugins/0/work/inputs"),
            behind: number("/plugins/0/work/behind"),
            journal_start: number("/journal/start"),
            journal_end: number("/journal/end"),
            journal_bytes: number("/journal/bytes"),
            bases: number("/kept/bases"),
            open: number("/sinks/0/waiting"),
            dead_letters: number("/dead_letters"),
            reloads: number("/reloads_ok"),
            ..self.watched.sample()
        })
    }
}

/// What the operating system says of the host.
struct Watched {
    process: PathBuf,
    data: PathBuf,
}

impl Watched {
    fn sample(&self) -> Sample {
        let status = fs::read_to_string(self.process.join("status")).unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        let (disk_bytes, allocated_bytes) = bytes_in(&self.data);
        let checkpoints = ["checkpoints", "bases"].map(|folder| bytes_in(&self.data.join(folder)).1);
        Sample {
            memory_bytes: number("VmRSS:") * 1024,
            threads: number("Threads:"),
            files: fs::read_dir(self.process.join("fd")).map_or(0, |files| files.count() as u64),
            disk_bytes,
            allocated_bytes,
            checkpoint_bytes: checkpoints.iter().sum(),
            ..Sample::default()
        }
    }
}

/// Bytes of a folder's files, and those that are allocated. What is removed while it looks is not counted.
fn bytes_in(folder: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(folder) else { return (0, 0) };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_in(&entry.path()),
        Ok(about) => (about.len(), about.blocks() * 512),
        Err(_) => (0, 0),
    });
    bytes.fold((0, 0), |sum, bytes| (sum.0 + bytes.0, sum.1 + bytes.1))
}

fn samples_file(path: &Path) -> File {
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
    let mut out = File::create(path).expect("a file");
    writeln!(out, "{}", Sample::HEADER).expect("written");
    out
}

/// Every accepted event is counted once and in order; every timer fired, every outcome came.
fn wrong_in(books: &[Book], accepted: u64) -> Vec<String> {
    let sum = |number: fn(&Book) -> u64| books.iter().map(number).sum::<u64>();
    let events = sum(|book| book.events);
    let mut wrong = Vec::new();
    if events != accepted {
        wrong.push(format!("{events} events were counted of {accepted} that were accepted"));
    }
    let mut none = |what: &str, number: fn(&Book) -> u64| match sum(number) {
        0 => {}
        number => wrong.push(format!("{what}: {number}")),
    };
    none("events missing", |book| book.holes.len() as u64);
    none("events out of order", |book| book.disordered);
    none("events counted twice", |book| book.repeated);
    none("timers that did not fire", |book| book.waiting.len() as u64);
    none("timers that fired unasked", |book| book.strays);
    none("timers that fired early", |book| book.early);
    none("timers that were overtaken", |book| book.overtaken);
    none("outcomes that did not come", |book| book.open.len() as u64);
    none("outcomes that came unasked", |book| book.unasked);
    none("actions that were not delivered", |book| book.rejected + book.expired + book.failed);
    wrong
}
