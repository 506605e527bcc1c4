//! How a host starts: recover, then run.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::broadcast;

use super::builder::{HostBuilder, StartError};
use super::{Host, Inner};
use crate::checkpoint::{CheckpointStore, RuleRecord};
use crate::journal::{
    Body, FileJournal, FileJournalOptions, Journal, MemoryJournal, Position, VersionRecord,
};
use crate::outbox::Outbox;
use crate::pipeline::appender::Appender;
use crate::pipeline::intake::Intake;
use crate::pipeline::lane::Lane;
use crate::pipeline::program::Version;
use crate::pipeline::router::{Request, Router};
use crate::pipeline::runtime::{Alarms, Horizon, Rule, RunQueue};
use crate::pipeline::timeline::Stamp;
use crate::pipeline::{Shared, mailbox::Mailbox, turn::turn};
use crate::plugin::registry::{Candidate, Registry};
use crate::plugin::{FolderOptions, PluginFolder};
use crate::recovery::{RuleDecisions, known_ids, recover};
use crate::sandbox::Sandbox;
use crate::status::PluginState;

/// How many more workers there may be for a while when all are held up.
const EXTRA_WORKERS: usize = 16;
/// How long work waits before another worker is started.
const PATIENCE: Duration = Duration::from_millis(20);
/// Stack of a worker: a guest's stack lies on it.
const WORKER_STACK: usize = 4 << 20;
/// How many moments wait for a slow listener.
const MOMENTS: usize = 4_096;

/// The folders of a host's data.
struct Folders {
    journal: PathBuf,
    checkpoints: PathBuf,
    components: PathBuf,
    cache: PathBuf,
}

pub(super) fn start(builder: HostBuilder) -> Result<Host, StartError> {
    let folders = builder.data_dir.as_deref().map(folders).transpose()?;
    let journal: Arc<dyn Journal> = match &folders {
        Some(folders) => Arc::new(FileJournal::open(&folders.journal, FileJournalOptions::default())?),
        None => Arc::new(MemoryJournal::new(builder.memory_journal_bytes)),
    };
    let checkpoints =
        folders.as_ref().map(|folders| CheckpointStore::open(&folders.checkpoints)).transpose()?;
    let mut sandbox = builder.sandbox.clone();
    sandbox.cache_dir = sandbox.cache_dir.or(folders.as_ref().map(|folders| folders.cache.clone()));
    let max_component_bytes = sandbox.max_component_bytes as u64;
    let sandbox = Sandbox::new(sandbox)?;

    let standing = checkpoints.as_ref().map(CheckpointStore::standing).transpose()?.unwrap_or_default();
    let recovered = recover(&*journal, &standing)?;
    let known = known_ids(&*journal, builder.known)?;
    let notes = journal.recovery_notes();
    for note in &notes {
        tracing::warn!("{note}");
    }
    let last = journal.last().map_or(0, |(instant, _)| instant);
    let head = journal.end();
    let stamp = Stamp { mode: builder.timeline, last };
    let intake = Arc::new(Intake::new(builder.intake, builder.timeline, last, recovered.cursors));
    let outbox = Outbox::new(
        builder.sinks,
        builder.routes,
        Arc::clone(&intake),
        builder.retry,
        recovered.settled,
        checkpoints.is_some(),
    );
    let (to_checkpoint, completed) = std::sync::mpsc::sync_channel(256);
    let shared = Arc::new(Shared {
        journal,
        intake,
        outbox,
        run: RunQueue::default(),
        alarms: Alarms::default(),
        mailbox: Mailbox::default(),
        checkpoints,
        to_checkpoint: Mutex::new(Some(to_checkpoint)),
        moments: broadcast::channel(MOMENTS).0,
        moment_count: AtomicU64::new(0),
        head: Horizon::at(last),
        recovered_to: head,
    });
    let components = folders.map(|folders| folders.components);
    let registry = Registry::new(Arc::clone(&shared), sandbox, builder.limits, builder.threads, components);
    let host = Host(Arc::new(Inner {
        shared: Arc::clone(&shared),
        registry: Arc::clone(&registry),
        watcher: Mutex::default(),
        threads: Mutex::default(),
        checkpointer: Mutex::default(),
        notes,
        stopping: false.into(),
    }));

    // Rules first: what the router is asked before it runs, it does first.
    let checkpointed = standing.rules.into_keys();
    let rules = recover_rules(&shared, &registry, recovered.rules, checkpointed, builder.threads)?;
    let appender = Appender {
        journal: Arc::clone(&shared.journal),
        intake: Arc::clone(&shared.intake),
        epoch: new_epoch(),
        stamp,
        known,
        next_alarm: boxed_alarm(&shared),
        publish: boxed_publish(&shared),
    };
    let router = Router::new(Arc::clone(&shared), head, last, builder.checkpoint_every);
    let writer = Arc::clone(&shared);
    let checkpointer = spawn("carpe-checkpoint", move || {
        completed.into_iter().for_each(|done| writer.write_checkpoint(&done));
    })?;
    *host.0.checkpointer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(checkpointer);
    let mut threads = vec![
        spawn("carpe-journal", move || appender.run())?,
        spawn("carpe-router", move || router.run())?,
        {
            let outbox = Arc::clone(&shared.outbox);
            spawn("carpe-outbox", move || outbox.run())?
        },
    ];
    for number in 0..builder.threads {
        shared.run.add_thread();
        threads.push(worker(&shared, number, false)?);
    }
    threads.push(supervisor(&shared, builder.threads)?);
    threads.extend(registry.start().map_err(StartError::Thread)?);
    host.0.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(threads);

    let begun = Body::Started {
        host: env!("CARGO_PKG_VERSION").to_owned(),
        timeline: builder.timeline.as_str().to_owned(),
    };
    shared.intake.append_wait(vec![begun]).map_err(|error| StartError::Write(error.to_string()))?;
    if rules > 0 {
        tracing::info!(rules, position = head, "recovered");
    }
    load_plugins(&host, &registry, builder.plugins_dir, builder.plugins, max_component_bytes)?;
    Ok(host)
}

/// Brings back each rule from its checkpoint, with what was decided since. Returns how many.
fn recover_rules(
    shared: &Arc<Shared>,
    registry: &Registry,
    mut decisions: std::collections::BTreeMap<String, RuleDecisions>,
    checkpointed: impl Iterator<Item = String>,
    lanes: usize,
) -> Result<usize, StartError> {
    let mut names: BTreeSet<String> = decisions.keys().cloned().collect();
    names.extend(checkpointed);
    let count = names.len();
    for name in names {
        let decided = decisions.remove(&name).unwrap_or_default();
        recover_rule(shared, registry, &name, decided, lanes)?;
    }
    Ok(count)
}

fn recover_rule(
    shared: &Arc<Shared>,
    registry: &Registry,
    name: &str,
    decided: RuleDecisions,
    lanes: usize,
) -> Result<(), StartError> {
    let checkpoint = match &shared.checkpoints {
        Some(store) => store.load(name)?,
        None => None,
    };
    let first = decided.switches.first().map_or(shared.journal.end(), |(at, _)| *at);
    let (record, keys, open, mut letters) = match checkpoint {
        Some(checkpoint) => (checkpoint.record, checkpoint.keys, checkpoint.open, checkpoint.letters),
        None => (RuleRecord { position: first, version: None }, Vec::new(), Vec::new(), Vec::new()),
    };
    let position = record.position;
    // Written with a checkpoint, but of inputs after it: they are found again.
    letters.retain(|letter| letter.input.position < position);
    let mut versions: HashMap<VersionRecord, Arc<Version>> = HashMap::new();
    let mut version_of = |record: VersionRecord| -> Result<Arc<Version>, StartError> {
        if let Some(known) = versions.get(&record) {
            return Ok(Arc::clone(known));
        }
        let version = registry.recover(name, &record).map_err(StartError::Component)?;
        versions.insert(record, Arc::clone(&version));
        Ok(version)
    };
    let version = record.version.map(&mut version_of).transpose()?;
    let mut plan: VecDeque<(Position, Option<Arc<Version>>)> = VecDeque::new();
    for (at, switch) in decided.switches.into_iter().filter(|(at, _)| *at >= position) {
        plan.push_back((at, switch.map(&mut version_of).transpose()?));
    }
    let mut spread: Vec<Lane> =
        (0..lanes).map(|_| Lane::new(version.clone(), position, shared.checkpoints.is_some())).collect();
    for (key, state) in keys {
        let lane = Rule::lane_of(&key, lanes);
        spread[lane].keys.load(key, state);
    }
    let set_aside =
        decided.set_aside.into_iter().filter(|(_, letter)| letter.input.position >= position).collect();
    let rule = Rule::new(name.to_owned(), spread, Horizon::at(0), set_aside, letters.into());
    let last = plan.back().map_or(version, |(_, last)| last.clone());
    registry.adopt(Arc::clone(&rule), last);
    for moment in open {
        shared.outbox.take(&Arc::new(moment), true);
    }
    shared.mailbox.ask(Request::Add { rule, from: position, plan });
    Ok(())
}

/// Offers all plugins to the registry, and waits until each has been looked at.
fn load_plugins(
    host: &Host,
    registry: &Arc<Registry>,
    folder: Option<PathBuf>,
    given: Vec<(String, Vec<u8>, crate::plugin::Manifest)>,
    max_component_bytes: u64,
) -> Result<(), StartError> {
    let names: Vec<String> = given.iter().map(|(name, ..)| name.clone()).collect();
    for (name, component, manifest) in given {
        registry.offer(&name, Candidate { component: component.into(), manifest });
    }
    match folder {
        Some(folder) => {
            let observer = Arc::clone(registry);
            let options = FolderOptions { max_component_bytes, ..FolderOptions::default() };
            let watcher = PluginFolder::watch(folder, options, move |change| observer.observe(change))
                .map_err(StartError::Thread)?;
            *host.0.watcher.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(watcher);
        }
        None => registry.no_folder(),
    }
    registry.wait_until_settled();
    registry.unload_orphans();
    // Until here a rule that was recovered had no routes of its own.
    host.0.shared.outbox.open();
    let refused = registry.status(&HashMap::new()).into_iter().find(|plugin| {
        names.contains(&plugin.file) && matches!(plugin.state, PluginState::Refused | PluginState::Failing)
    });
    match refused {
        Some(plugin) => {
            Err(StartError::Plugin { name: plugin.file, reason: plugin.reason.unwrap_or_default() })
        }
        None => Ok(()),
    }
}

fn worker(shared: &Arc<Shared>, number: usize, extra: bool) -> Result<JoinHandle<()>, StartError> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name(format!("carpe-worker-{number}"))
        .stack_size(WORKER_STACK)
        .spawn(move || shared.run.work(extra, &|rule, lane| turn(&shared, rule, lane)))
        .map_err(StartError::Thread)
}

/// Starts another worker for a while when work waits since all are held up, e.g. by rules that use all
/// the time that they may.
fn supervisor(shared: &Arc<Shared>, threads: usize) -> Result<JoinHandle<()>, StartError> {
    let shared = Arc::clone(shared);
    spawn("carpe-supervisor", move || {
        let mut number = threads;
        while shared.run.wait_for_work(PATIENCE) {
            if shared.run.wants_more(PATIENCE, threads + EXTRA_WORKERS) {
                match worker(&shared, number, true) {
                    Ok(thread) => drop(thread),
                    Err(_) => shared.run.thread_failed(),
                }
                number += 1;
            }
        }
    })
}

fn boxed_alarm(shared: &Arc<Shared>) -> Box<dyn Fn() -> Option<u64> + Send> {
    let shared = Arc::downgrade(shared);
    Box::new(move || shared.upgrade()?.alarms.next())
}

fn boxed_publish(shared: &Arc<Shared>) -> Box<dyn Fn(Vec<Arc<crate::journal::Entry>>) + Send> {
    let shared = Arc::downgrade(shared);
    Box::new(move |group| {
        if let Some(shared) = shared.upgrade() {
            shared.outbox.timeline_moved(shared.intake.last_instant());
            shared.mailbox.publish(group);
        }
    })
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(StartError::Thread)
}

/// A random number that no start before had.
fn new_epoch() -> u64 {
    getrandom::u64().unwrap_or_else(|_| crate::pipeline::timeline::wall_clock())
}

fn folders(data: &Path) -> Result<Folders, StartError> {
    let failed = |source| StartError::DataFolder { path: data.to_owned(), source };
    let folders = Folders {
        journal: data.join("journal"),
        checkpoints: data.join("checkpoints"),
        components: data.join("components"),
        cache: data.join("cache"),
    };
    for folder in [&folders.journal, &folders.components, &folders.cache] {
        create_private(folder).map_err(failed)?;
    }
    Ok(folders)
}

/// Whoever can write to the compile cache can run code in the host, and events may be private: the data
/// folder belongs to its owner alone.
fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut options = std::fs::DirBuilder::new();
    options.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
    options.create(folder)
}
