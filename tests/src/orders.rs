//! Orders under `kill -9`: the rule `recipe-order` in the real `carpe run`, among enterprises that fail in all the ways
//! that enterprises fail in, while the host is killed at random points and started again on the same data.
//!
//! [`books`] is what the enterprises write down, [`enterprises`] how they treat requests, [`viewers`] who taps;
//! [`model`] judges each order when all has come to an end. The host's folder and process, the listening side of a
//! webhook, and chance are those of the crash harness.

pub mod books;
pub mod enterprises;
pub mod model;
pub mod viewers;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::crash::chance::Chance;
use crate::crash::compute_again;
use crate::crash::load::client;
use crate::crash::site::{Site, Started};
use crate::crash::webhook::now;
use crate::daemon::Addresses;
use crate::guests::component;
use books::{Books, Fault};
use enterprises::{Counts, Enterprises};
use model::{Remembered, Violation, judge};
use viewers::Viewers;

const GROUPS: u64 = 4;

/// How long an enterprise has to take its step, as the rule is configured.
pub const ANSWER_MS: u64 = 2_000;

/// How long the host waits for one answer: shorter, so that a step is tried more than once.
pub const TRY_MS: u64 = 700;

/// One kill in so many is followed by so long a silence that each step has its time-out before the host is back: the
/// time of the answer, and the 5 s that the rule waits for an outcome.
const AWAY_EVERY: u64 = 10;
const AWAY: Duration = Duration::from_millis(ANSWER_MS + 5_500);

/// Longer than anything takes that an order waits for: if for so long nothing new happens, nothing will.
const STILL: Duration = Duration::from_secs(20);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many different orders are tapped.
    pub orders: u64,
    /// How often the host is killed meanwhile.
    pub kills: u64,
    /// What chance goes by.
    pub seed: u64,
    /// The command `carpe`.
    pub carpe: PathBuf,
    /// A fault to be turned on in it, if it was built with them.
    pub plant: Option<String>,
    /// A fault of the enterprises, or of the operator.
    pub fault: Option<Fault>,
    /// Where the host's folder is made.
    pub folder: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// As it was asked for.
    pub seed: u64,
    /// Orders that were tapped.
    pub orders: usize,
    /// Taps that the host accepted, repeated ones among them.
    pub taps: u64,
    /// How often the host was killed, and how often so that it stayed away for long.
    pub kills: (u64, u64),
    /// Orders under way when it was killed, summed over all kills, by the action that was asked for last.
    pub under_way: BTreeMap<String, u64>,
    /// Orders that ended so: ordered, undone, stuck.
    pub ends: [usize; 3],
    /// Requests that the enterprises got, and how many of them under a key that they knew.
    pub requests: (u64, u64),
    /// How requests were treated, by action.
    pub counts: Counts,
    /// What viewers were told, and how many of them.
    pub whys: BTreeMap<String, u64>,
    /// What was found: the order, what is wrong with it, and its story.
    pub found: Vec<(String, Vec<Violation>, String)>,
    /// What is wrong with the host itself.
    pub failures: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty() && self.failures.is_empty()
    }

    /// What was found, with the stories of so many orders at most.
    pub fn told(&self, stories: usize) -> String {
        let seed = self.seed;
        let mut told: String =
            self.failures.iter().map(|failure| format!("seed {seed}: {failure}\n")).collect();
        for (place, (order, violations, story)) in self.found.iter().enumerate() {
            for violation in violations {
                told += &format!("order {order} of seed {seed}: {violation}\n");
            }
            if place < stories {
                told += &format!("{story}\n");
            }
        }
        told
    }

    /// What happened how often: when it was killed, to requests, and what viewers were told.
    pub fn table(&self) -> String {
        let row = |(action, counts): (&String, &BTreeMap<&str, u64>)| {
            let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            format!("{action:16} {}\n", counts.join(", "))
        };
        let mut table: String = self.counts.iter().map(row).collect();
        for (action, orders) in &self.under_way {
            table += &format!("{orders:6} under way at a kill, {action} asked for last\n");
        }
        for (why, viewers) in &self.whys {
            table += &format!("{viewers:6} heard: {why}\n");
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { seed, orders, taps, kills, under_way, ends, requests, found, failures, .. } = self;
        let [ordered, undone, stuck] = ends;
        write!(
            f,
            "orders: seed={seed} orders={orders} taps={taps} kills={} away={} under_way={} ordered={ordered} \
             undone={undone} stuck={stuck} requests={} repeated={} violations={}",
            kills.0,
            kills.1,
            under_way.values().sum::<u64>(),
            requests.0,
            requests.1,
            found.iter().map(|(_, violations, _)| violations.len()).sum::<usize>() + failures.len(),
        )
    }
}

/// Has all orders tapped, kills the host meanwhile, lets all that is under way come to its end, and judges.
pub fn run(options: &Options) -> Report {
    let mut harness = Harness::new(options);
    let site = Arc::clone(&harness.site);
    // A rule that is new begins with what comes after it: nothing is tapped before it has run.
    let mut outcome = harness.start(&site, 1).map(|(host, _)| host.kill());
    for kill in 0..options.kills {
        if outcome.is_err() {
            break;
        }
        let orders = options.orders / options.kills;
        harness.add(if kill == 0 { orders + options.orders % options.kills } else { orders });
        outcome = harness.round(kill);
    }
    if options.kills == 0 {
        harness.add(options.orders);
    }
    let outcome = outcome.and_then(|()| harness.finish());
    harness.report(options, outcome)
}

struct Harness {
    site: Arc<Site>,
    runtime: Runtime,
    books: Arc<Mutex<Books>>,
    enterprises: Enterprises,
    viewers: Vec<Viewers>,
    client: Client,
    chance: Chance,
    begun: u64,
    /// Starts and kills, with instants.
    story: Vec<(u64, String)>,
    kills: (u64, u64),
    under_way: BTreeMap<String, u64>,
    /// What the rule remembered when somebody last looked.
    remembered: Vec<Remembered>,
}

impl Harness {
    fn new(options: &Options) -> Harness {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let books = Arc::new(Mutex::new(Books::new(options.fault)));
        let enterprises = Enterprises::open(&runtime, options.seed, Arc::clone(&books));
        let viewers = (0..GROUPS)
            .map(|name| Viewers::new(name, Chance::new(options.seed, 100 + name), Arc::clone(&books)));
        let site = Site::new(
            &options.folder,
            &options.carpe,
            options.plant.clone(),
            &configuration(&enterprises, options.fault),
        );
        let manifest = format!(
            "[configuration]\nanswer_seconds = {}\nundo_seconds = 1\nundo_tries = 2\nundo_pause_seconds = 1\n",
            ANSWER_MS / 1_000
        );
        site.put("recipe-order.toml", manifest.as_bytes());
        site.put("recipe-order.wasm", &component("plugins/recipe-order"));
        Harness {
            site: Arc::new(site),
            viewers: viewers.collect(),
            runtime,
            books,
            enterprises,
            client: client(),
            chance: Chance::new(options.seed, 1),
            begun: now(),
            story: Vec::new(),
            kills: (0, 0),
            under_way: BTreeMap::new(),
            remembered: Vec::new(),
        }
    }

    /// So many orders more are to be tapped.
    fn add(&mut self, orders: u64) {
        let place = self.chance.below(GROUPS);
        for group in 0..GROUPS {
            // What does not go evenly goes to the first ones, from a random place on.
            let more = u64::from((group + place) % GROUPS < orders % GROUPS);
            self.viewers[usize::try_from(group).unwrap()].add(orders / GROUPS + more);
        }
    }

    /// Starts the host, has recipes tapped, and kills it.
    fn round(&mut self, kill: u64) -> Result<(), String> {
        let site = Arc::clone(&self.site);
        let threads = 1 + self.chance.below(4);
        if self.chance.percent(15) {
            self.note("the host begins to start");
            let host = site.start(threads);
            self.pass(400);
            self.kill(host);
        } else {
            let (host, addresses) = self.start(&site, threads)?;
            let stop = Arc::<AtomicBool>::default();
            let tapping = self.begin_to_tap(&addresses.events, &stop);
            let most = [100, 800, 2_500][usize::try_from(self.chance.below(3)).unwrap()];
            self.pass(most);
            self.kill(host);
            stop.store(true, Ordering::Relaxed);
            for viewers in tapping {
                self.viewers.push(self.runtime.block_on(viewers).expect("viewers end by themselves"));
            }
        }
        if kill % AWAY_EVERY == AWAY_EVERY / 2 {
            self.kills.1 += 1;
            std::thread::sleep(AWAY);
        }
        Ok(())
    }

    fn start<'s>(&mut self, site: &'s Site, threads: u64) -> Result<(Started<'s>, Addresses), String> {
        let mut host = site.start(threads);
        let addresses = host.addresses()?;
        self.note("the host is ready");
        Ok((host, addresses))
    }

    fn kill(&mut self, host: Started<'_>) {
        self.note("kill -9");
        for (action, orders) in self.books.lock().unwrap().under_way() {
            *self.under_way.entry(action).or_default() += orders;
        }
        host.kill();
        self.kills.0 += 1;
    }

    fn begin_to_tap(&mut self, url: &str, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<Viewers>> {
        let begin = |mut viewers: Viewers| {
            let (url, stop) = (url.to_owned(), Arc::clone(stop));
            self.runtime.spawn(async move {
                viewers.run(&url, &stop).await;
                viewers
            })
        };
        std::mem::take(&mut self.viewers).into_iter().map(begin).collect()
    }

    /// Lets a random time go by.
    fn pass(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.chance.below(most_ms)));
    }

    /// Lets all that was tapped come to its end, taps some of it once more, and has it computed again.
    fn finish(&mut self) -> Result<(), String> {
        let site = Arc::clone(&self.site);
        let (mut host, addresses) = self.start(&site, 2)?;
        self.tap_the_rest(&addresses)?;
        self.wait_until_over(&mut host, &addresses)?;
        self.viewers.iter_mut().for_each(Viewers::tap_some_again);
        self.tap_the_rest(&addresses)?;
        self.wait_until_over(&mut host, &addresses)?;
        host.ask_to_stop();
        let status = host.ended()?;
        if !status.success() {
            return Err(format!("a stop that was asked for: {status}\n{}", site.last_words()));
        }
        compute_again(&site.data())?;
        let (host, addresses) = self.start(&site, 3)?;
        let again = self.look(&addresses);
        host.kill();
        match again {
            Some(again) if again == self.remembered => Ok(()),
            _ => Err("after a stop and a start the rule remembers something else".to_owned()),
        }
    }

    fn tap_the_rest(&mut self, addresses: &Addresses) -> Result<(), String> {
        for viewers in &mut self.viewers {
            if !self.runtime.block_on(viewers.finish(&addresses.events)) {
                return Err(format!("it is gone while the rest is tapped:\n{}", self.site.last_words()));
            }
        }
        Ok(())
    }

    /// Waits until no order is under way any more. `Err`: nothing new happens.
    fn wait_until_over(&mut self, host: &mut Started<'_>, addresses: &Addresses) -> Result<(), String> {
        let (mut last, mut since) = (None, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let looked = host.wait("it does not say what it remembers", |_| {
                Some((self.is_idle(addresses)?, self.look(addresses)?))
            });
            let (is_idle, remembered) = looked?;
            self.remembered = remembered;
            let over = self.remembered.iter().filter(|order| order.is_over()).count();
            // Asked last: what has come out of the host by then is in the books, or makes them busy.
            if is_idle && over == self.remembered.len() && self.enterprises.are_idle() {
                return Ok(());
            }
            let progress = Some((over, self.books.lock().unwrap().progress()));
            if progress != last {
                (last, since) = (progress, Instant::now());
            } else if since.elapsed() > STILL {
                let open = self.remembered.len() - over;
                return Err(format!("{open} orders are under way, and nothing new happens for {STILL:?}"));
            }
        }
    }

    /// Whether all that was accepted is handled, and no action is open. None: it does not answer.
    fn is_idle(&self, addresses: &Addresses) -> Option<bool> {
        let status = self.get(&format!("{}/status", addresses.operators))?;
        let is_none = |value: &Value| *value == 0;
        let sinks = status["sinks"].as_array()?;
        let work = &status["plugins"][0]["work"];
        Some(
            is_none(&status["intake"]["waiting_events"])
                && is_none(&work["behind"])
                && is_none(&work["waiting"])
                && sinks.iter().all(|sink| is_none(&sink["waiting"])),
        )
    }

    /// What the rule remembers of all orders. None: the host does not answer.
    fn look(&self, addresses: &Addresses) -> Option<Vec<Remembered>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let url = format!("{}/state/recipe-order?limit=10000{after}", addresses.operators);
            let mut page = self.get(&url)?;
            let keys: Vec<Remembered> = serde_json::from_value(page["keys"].take()).expect("orders");
            all.extend(keys);
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return Some(all),
            }
        }
    }

    fn get(&self, url: &str) -> Option<Value> {
        self.runtime.block_on(async {
            let answer = self.client.get(url).send().await.ok()?;
            serde_json::from_str(&answer.text().await.ok()?).ok()
        })
    }

    fn note(&mut self, what: &str) {
        self.story.push((now(), what.to_owned()));
    }

    fn report(self, options: &Options, outcome: Result<(), String>) -> Report {
        let books = self.books.lock().unwrap();
        let mut report = Report {
            seed: options.seed,
            orders: books.accounts().len(),
            taps: self.viewers.iter().map(|viewers| viewers.taps).sum(),
            kills: self.kills,
            under_way: self.under_way.clone(),
            requests: books.requests(),
            counts: self.enterprises.counts(),
            whys: books.whys(),
            failures: self.enterprises.strange(),
            ..Report::default()
        };
        report.failures.extend(outcome.err());
        let remembered = self.remembered.iter().map(|order| (&order.key[..], order));
        let remembered: BTreeMap<&str, &Remembered> = remembered.collect();
        for (name, account) in books.accounts() {
            let remembered = remembered.get(&name[..]).copied();
            let violations = judge(account, remembered);
            if !violations.is_empty() {
                let mut story: Vec<&(u64, String)> = account.story.iter().chain(&self.story).collect();
                story.sort_by_key(|(at, _)| *at);
                let line = |(at, what): &&(u64, String)| {
                    format!("{:10.3} s  {what}\n", at.saturating_sub(self.begun) as f64 / 1_000.0)
                };
                let story: String = story.iter().map(line).collect();
                report.found.push((name.clone(), violations, format!("{story}at the end: {remembered:?}")));
            }
            let end = remembered.map(|order| match order.state.saga.phase == "completed" {
                true => 0,
                false => 1 + usize::from(order.state.stuck),
            });
            if let Some(end) = end {
                report.ends[end] += 1;
            }
        }
        report
    }
}

/// Little of everything, so that whatever happens now and then happens often.
fn configuration(enterprises: &Enterprises, fault: Option<Fault>) -> String {
    let nowhere = "[sink.nowhere]\nkind = 'file'\npath = 'nowhere'\n\
                   [[route]]\naction = 'payment.refund'\nsink = 'nowhere'\n";
    format!(
        "[checkpoints]\nevery_ms = 200\n\
         [retry]\nfirst_ms = 50\n\
         [moments]\nprint = 'none'\n\
         [journal]\nsegment_bytes = 65_536\nkeep_bytes = 1_048_576\n\
         {}{}",
        if fault == Some(Fault::RefundsLeadNowhere) { nowhere } else { "" },
        enterprises.configuration()
    )
}
