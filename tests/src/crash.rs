//! The crash harness: the real `carpe run` under load, killed at random points again and again, and compared with a
//! model of what must be so.
//!
//! [`model`] judges, and knows nothing of the host; [`load`] sends, [`receiver`] is the flaky other side of a webhook,
//! [`site`] is the host's folder and process, [`versions`] its plugin. Here stands what happens in a round.

pub mod chance;
pub mod load;
pub mod model;
pub mod receiver;
pub mod site;
pub mod versions;
pub mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use carpe::replay::{ReplayOptions, Verified, verify};
use reqwest::Client;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::PATIENCE;
use crate::guests::sandbox;
use crate::receiver::SECRET;
use chance::Chance;
use load::{Posted, Sender, client, post, question};
use model::{Book, Model, Violation, Wrong};
use receiver::Receiver;
use site::{Site, Started, TRY_MS};
use versions::Versions;

const SENDERS: u64 = 4;
const KEYS_OF_A_SENDER: u64 = 4;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often the host is started, and mostly killed.
    pub rounds: u64,
    /// What chance goes by.
    pub seed: u64,
    /// The command `carpe`.
    pub carpe: PathBuf,
    /// A fault to be turned on in it, if it was built with them.
    pub plant: Option<String>,
    /// More of `carpe.toml`: whole tables.
    pub configuration: String,
    /// When events are acknowledged, as in `carpe.toml`.
    pub durability: String,
    /// Where the host's folder is made.
    pub folder: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rounds that were made.
    pub rounds: u64,
    /// Events that the host accepted.
    pub accepted: u64,
    /// See [`Wrong`], as the others.
    pub lost: u64,
    /// Had its effect twice.
    pub doubled: u64,
    /// Came before what should have come first.
    pub reordered: u64,
    /// Tried after it had expired.
    pub late: u64,
    /// What was found, in words.
    pub violations: Vec<Violation>,
    /// Requests of the webhook, and different actions among them.
    pub requests: (u64, usize),
}

/// Folds the journal anew: bases and checkpoints must hold what it comes to. `Err`: they hold something else.
pub(crate) fn compute_again(data: &Path) -> Result<(), String> {
    let options = ReplayOptions { data_dir: data.to_owned(), threads: 2, sandbox: sandbox() };
    let verified = verify(&options).map_err(|error| format!("it cannot be computed again: {error}"))?;
    let Verified { from, until, bases, keys, .. } = verified;
    eprintln!("computed again from {from} to {until}: {keys} keys, in {bases} bases and the checkpoints");
    match verified.differences.as_slice() {
        [] => Ok(()),
        differences => Err(format!("computed again it comes to something else: {differences:?}")),
    }
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.reordered + self.late == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { rounds, accepted, lost, doubled, reordered, late, .. } = self;
        write!(
            f,
            "crash: rounds={rounds} accepted={accepted} lost={lost} doubled={doubled} reordered={reordered} \
             late={late}"
        )
    }
}

/// Makes all rounds, or as many as it takes to find something.
pub fn run(options: &Options) -> Report {
    let mut harness = Harness::new(options);
    let mut made = 0;
    let begun = Instant::now();
    // A rule that is new begins with what comes after it: no event is sent, and no plugin replaced, before it has run.
    let mut outcome = harness.site.start(1).ready().map(drop);
    while made < options.rounds && outcome.is_ok() && harness.is_clean() {
        outcome = harness.round();
        harness.receiver.check();
        made += 1;
        if made % 50 == 0 {
            eprintln!("{made} rounds, {} events, {:.0?}", harness.accepted(), begun.elapsed());
        }
    }
    if outcome.is_ok() && harness.is_clean() {
        outcome = harness.finish();
    }
    if let Err(why) = outcome {
        harness.model.lock().unwrap().never_came_back(&why);
    }
    harness.report(made)
}

struct Harness {
    site: Arc<Site>,
    versions: Versions,
    runtime: Runtime,
    model: Arc<Mutex<Model>>,
    receiver: Receiver,
    senders: Vec<Sender>,
    client: Client,
    chance: Chance,
    questions: u64,
}

impl Harness {
    fn new(options: &Options) -> Harness {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let model = Arc::<Mutex<Model>>::default();
        let receiver = Receiver::start(&runtime, options.seed, Arc::clone(&model));
        let senders = (0..SENDERS).map(|sender| {
            let keys = (0..KEYS_OF_A_SENDER).map(|key| format!("{sender}-{key}")).collect();
            Sender::new(keys, Chance::new(options.seed, 100 + sender), Arc::clone(&model))
        });
        let senders = senders.collect();
        let Options { folder, carpe, plant, configuration, durability, .. } = options;
        // Little of everything, so that whatever happens now and then happens often.
        let configuration = format!(
            "[checkpoints]\nevery_ms = 100\n\
             [retry]\nfirst_ms = 20\n\
             [limits]\ntimers_per_key = 1000\n\
             [shutdown]\ndrain_ms = 2000\n\
             [moments]\nprint = 'none'\n\
             [sink.hook]\nkind = 'webhook'\nurl = '{}'\nsecret = '{SECRET}'\ntimeout_ms = {TRY_MS}\n\
             [[route]]\naction = 'ledger.echo'\nhost = true\n\
             [[route]]\naction = 'ledger.note'\nsink = 'hook'\n\
             [[route]]\naction = 'ledger.answer'\nsink = 'hook'\n\
             [[route]]\naction = 'ledger.ring'\nsink = 'hook'\n\
             [journal]\ndurability = '{durability}'\nsegment_bytes = 65_536\nkeep_bytes = 1_048_576\n\
             [intake]\nknown_events = 20_000\n{configuration}\n",
            receiver.url
        );
        let site = Site::new(folder, carpe, plant.clone(), &configuration);
        let versions = Versions::first(&site);
        let chance = Chance::new(options.seed, 1);
        let site = Arc::new(site);
        Harness { site, versions, runtime, model, receiver, senders, client: client(), chance, questions: 0 }
    }

    fn is_clean(&self) -> bool {
        self.model.lock().unwrap().violations().is_empty()
    }

    fn accepted(&self) -> u64 {
        self.model.lock().unwrap().accepted()
    }

    /// `Err`: the host does not come back, and why.
    fn round(&mut self) -> Result<(), String> {
        let site = Arc::clone(&self.site);
        if self.chance.percent(25) {
            self.versions.replace(&site, &mut self.chance);
        }
        match self.chance.below(100) {
            0..10 => self.kill_while_it_starts(&site),
            10..16 => {
                self.kill_while_it_starts(&site);
                self.kill_while_it_starts(&site);
            }
            shape => return self.kill_under_load(&site, shape),
        }
        Ok(())
    }

    fn kill_while_it_starts(&mut self, site: &Site) {
        let started = site.start(1 + self.chance.below(4));
        self.pass(400);
        started.kill();
    }

    fn kill_under_load(&mut self, site: &Site, shape: u64) -> Result<(), String> {
        let mut host = site.start(1 + self.chance.below(4));
        let url = host.ready()?;
        // Of some rounds the books are read while nothing else goes on, of some under load, of some not at all.
        if (40..65).contains(&shape) {
            self.check_books(&mut host, &url)?;
        }
        let load = self.begin_load(&url);
        if (65..90).contains(&shape) {
            self.check_books(&mut host, &url)?;
        }
        if self.chance.percent(25) {
            self.pass(200);
            self.versions.replace(site, &mut self.chance);
        }
        let most = [20, 300, 900][usize::try_from(self.chance.below(3)).unwrap()];
        self.pass(most);
        match self.chance.below(100) {
            0..85 => host.kill(),
            85..93 => {
                host.ask_to_stop();
                self.pass(300);
                host.kill();
            }
            _ => {
                host.ask_to_stop();
                let status = host.ended()?;
                assert!(status.success(), "a stop that was asked for: {status}\n{}", site.last_words());
            }
        }
        self.end_load(load);
        Ok(())
    }

    /// Lets a random time go by.
    fn pass(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.chance.below(most_ms)));
    }

    fn begin_load(&mut self, url: &str) -> Vec<JoinHandle<Sender>> {
        let senders = std::mem::take(&mut self.senders).into_iter();
        let begin = |mut sender: Sender| {
            let url = url.to_owned();
            self.runtime.spawn(async move {
                sender.run(&url).await;
                sender
            })
        };
        senders.map(begin).collect()
    }

    fn end_load(&mut self, load: Vec<JoinHandle<Sender>>) {
        for sender in load {
            self.senders.push(self.runtime.block_on(sender).expect("a sender ends by itself"));
        }
    }

    /// Compares the books of all keys with what the model says they must at least hold.
    fn check_books(&mut self, host: &mut Started<'_>, url: &str) -> Result<(), String> {
        let at_least = self.model.lock().unwrap().all_acknowledged();
        let books = self.books(host, url)?;
        let mut model = self.model.lock().unwrap();
        for (key, book) in books {
            model.book(&key, at_least.get(&key).copied().unwrap_or(0), &book);
        }
        Ok(())
    }

    /// All books, as they stand at some time from now on. They are asked for as anybody could: by events, which come
    /// after all that was accepted before, and whose answer is an action.
    fn books(&mut self, host: &mut Started<'_>, url: &str) -> Result<BTreeMap<String, Book>, String> {
        self.questions += 1;
        let ask = self.questions;
        let keys: Vec<String> = (0..SENDERS)
            .flat_map(|sender| (0..KEYS_OF_A_SENDER).map(move |key| format!("{sender}-{key}")))
            .collect();
        loop {
            let questions = keys.iter().map(|key| question(key, ask)).collect();
            match self.runtime.block_on(post(&self.client, url, questions)) {
                Posted::Accepted => break,
                // If it has ended, the wait below says so.
                Posted::Gone => break,
                Posted::Busy => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        host.wait("the books that were asked for are not there", |_| self.receiver.books(ask, keys.len()))
    }

    /// Lets all that was sent come to its end, and judges.
    fn finish(&mut self) -> Result<(), String> {
        let site = Arc::clone(&self.site);
        self.receiver.calm_down();
        self.versions.put(&site, 0);
        // Anew, so that what has failed often is tried at once.
        let mut host = site.start(2);
        let url = host.ready()?;
        for sender in &mut self.senders {
            if !self.runtime.block_on(sender.finish(&url)) {
                return Err("it is gone while the rest is sent".to_owned());
            }
        }
        let until = Instant::now() + PATIENCE;
        let books = loop {
            let books = self.books(&mut host, &url)?;
            let model = self.model.lock().unwrap();
            if Instant::now() > until || books.iter().all(|(key, book)| model.open_ends(key, book).is_empty())
            {
                break books;
            }
            drop(model);
            std::thread::sleep(Duration::from_millis(50));
        };
        let mut model = self.model.lock().unwrap();
        for (key, book) in &books {
            let sent = model.sent_of(key);
            model.book(key, sent, book);
            model.last_book(key, book);
        }
        drop(model);
        host.ask_to_stop();
        let status = host.ended()?;
        assert!(status.success(), "a stop that was asked for: {status}\n{}", site.last_words());
        compute_again(&site.data())?;
        let mut host = site.start(3);
        let url = host.ready()?;
        let again = self.books(&mut host, &url)?;
        assert_eq!(books, again, "a stop and a start change nothing");
        host.kill();
        Ok(())
    }

    fn report(self, rounds: u64) -> Report {
        let model = self.model.lock().unwrap();
        Report {
            rounds,
            accepted: model.accepted(),
            lost: model.total(Wrong::Lost),
            doubled: model.total(Wrong::Doubled),
            reordered: model.total(Wrong::Reordered),
            late: model.total(Wrong::Late),
            violations: model.violations().to_vec(),
            requests: self.receiver.counts(),
        }
    }
}

/// A folder below `parent`, or below the system's for temporary files. It stays: who made it removes it when nothing is
/// to be looked for in it.
pub fn folder_in(parent: Option<&Path>) -> PathBuf {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
    std::fs::create_dir_all(&parent).expect("a folder");
    tempfile::Builder::new().prefix("carpe-").tempdir_in(parent).expect("a folder").keep()
}
