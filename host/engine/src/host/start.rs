//! How a host starts: recover, then run.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Monotonic};

use tokio::sync::broadcast;

use super::builder::{HostBuilder, StartError};
use super::{Host, Inner};
use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointStore, RuleRecord, base};
use crate::data_folder::DataFolder;
use crate::guardrail::Guard;
use crate::journal::{
    Body, Durability, FileJournal, FileJournalOptions, Journal, MemoryJournal, Position, VersionRecord,
};
use crate::life::Lives;
use crate::outbox::Outbox;
use crate::pipeline::appender::Appender;
use crate::pipeline::checkpointer;
use crate::pipeline::intake::{Cursors, Intake};
use crate::pipeline::lane::Lane;
use crate::pipeline::program::{InstanceBudget, Version};
use crate::pipeline::router::{Request, Router};
use crate::pipeline::runtime::{Alarms, Horizon, Rule, RunQueue};
use crate::pipeline::timeline::Stamp;
use crate::pipeline::{Shared, mailbox::Mailbox, turn::turn};
use crate::plugin::registry::{Candidate, Registry};
use crate::plugin::{FolderOptions, PluginFolder};
use crate::recovery::{RuleDecisions, Turn, known_ids, recover};
use crate::retention::{self, Keeper};
use crate::sandbox::Sandbox;
use crate::status::{PluginState, RecoveryStatus};
use crate::words::words;

/// How many more workers there may be for a while when all are held up.
const EXTRA_WORKERS: usize = 16;
/// How long work waits before another worker is started.
const PATIENCE: Duration = Duration::from_millis(20);
/// Stack of a worker: a guest's stack lies on it.
const WORKER_STACK: usize = 4 << 20;
/// How many moments wait for a slow listener.
const MOMENTS: usize = 4_096;

pub(super) fn start(builder: HostBuilder) -> Result<Host, StartError> {
    let begun = Monotonic::now();
    let mut notes = Vec::new();
    let folder = builder.data_dir.as_deref().map(DataFolder::open).transpose()?;
    let (journal, checkpoints, recovery) = match &folder {
        Some(folder) => {
            notes.extend(folder.upgraded.clone());
            let Opened { journal, store, origin } = open(folder, &builder, &mut notes)?;
            let target_ms = u64::try_from(builder.recovery.within.as_millis()).unwrap_or(u64::MAX);
            (journal, Some(store), RecoveryStatus { target_ms, ..RecoveryStatus::of(origin) })
        }
        None => {
            let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new(builder.memory_journal_bytes));
            (journal, None, RecoveryStatus::of("nothing is kept over a restart".to_owned()))
        }
    };
    let mut sandbox = builder.sandbox.clone();
    sandbox.cache_dir = sandbox.cache_dir.or(folder.as_ref().map(|folder| folder.cache.clone()));
    let budget = InstanceBudget::new(sandbox.idle_instances, sandbox.idle_bytes);
    let max_component_bytes = sandbox.max_component_bytes as u64;
    let sandbox = Sandbox::new(sandbox)?;

    let standing = checkpoints.as_ref().map(CheckpointStore::standing).transpose()?.unwrap_or_default();
    let rows = checkpoints.as_ref().map(CheckpointStore::guard).transpose()?.unwrap_or_default();
    let guard = Arc::new(Guard::new(builder.guardrails, rows, standing.guard_position()));
    let recovered = recover(&*journal, &standing, &mut |entry| guard.fold([entry]))?;
    let lives = Arc::new(Lives::default());
    let known = known_ids(&*journal, builder.known)?;
    notes.extend(journal.recovery_notes());
    for note in &notes {
        tracing::warn!("{note}");
    }
    let last = journal.last().map_or(0, |(instant, _)| instant);
    let head = journal.end();
    let stamp = Stamp { mode: builder.timeline, last };
    let cursors = Cursors { by_source: recovered.cursors, position: head };
    let intake = Arc::new(Intake::new(builder.intake, builder.timeline, last, cursors));
    let outbox = Outbox::new(
        builder.sinks,
        (builder.routes, builder.default_route),
        (Arc::clone(&guard), Arc::clone(&lives)),
        Arc::clone(&intake),
        builder.retry,
        recovered.settled,
        checkpoints.is_some(),
    );
    let (to_checkpoint, completed) = std::sync::mpsc::channel();
    let shared = Arc::new(Shared {
        journal,
        intake,
        outbox,
        guard,
        lives,
        run: RunQueue::default(),
        alarms: Alarms::default(),
        mailbox: Mailbox::default(),
        checkpoints,
        to_checkpoint: Mutex::new(Some(to_checkpoint)),
        written: Mutex::default(),
        written_changed: Condvar::new(),
        moments: broadcast::channel(MOMENTS).0,
        moment_count: AtomicU64::new(0),
        head: Horizon::at(last),
        resting: std::sync::atomic::AtomicBool::new(false),
        much_emitted: std::sync::atomic::AtomicBool::new(false),
        recovered_to: head,
        erasures: RwLock::new(recovered.erasures),
        recovery: Mutex::new(recovery),
        begun,
    });
    let components = folder.as_ref().map(|folder| folder.components.clone());
    let registry =
        Registry::new(Arc::clone(&shared), sandbox, budget, builder.limits, builder.threads, components);
    let keeping = Arc::new(retention::Signal::default());
    let keeper = folder.as_ref().map(|folder| Keeper {
        shared: Arc::clone(&shared),
        registry: Arc::clone(&registry),
        bases: folder.bases.clone(),
        components: folder.components.clone(),
        limits: builder.retention,
        known: builder.known,
        signal: Arc::clone(&keeping),
        warned: BTreeSet::new(),
    });
    let host = Host(Arc::new(Inner {
        shared: Arc::clone(&shared),
        registry: Arc::clone(&registry),
        watcher: Mutex::default(),
        threads: Mutex::default(),
        checkpointer: Mutex::default(),
        keeping,
        notes,
        stopping: false.into(),
        _folder: folder,
    }));

    // Rules first: what the router is asked before it runs, it does first.
    recover_rules(&shared, &registry, recovered.rules, standing.rules.into_keys(), builder.threads)?;
    let appender = Appender {
        journal: Arc::clone(&shared.journal),
        intake: Arc::clone(&shared.intake),
        epoch: new_epoch(),
        new_epoch,
        stamp,
        known,
        sync_within: (builder.durability == Durability::Relaxed).then_some(builder.relaxed_within),
        sync_at: None,
        next_alarm: boxed_alarm(&shared),
        publish: boxed_publish(&shared),
    };
    let router = Router::new(Arc::clone(&shared), head, last, builder.recovery);
    let writer = Arc::clone(&shared);
    let checkpointer = spawn("carpe-checkpoint", move || checkpointer::run(&writer, &completed))?;
    *host.0.checkpointer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(checkpointer);
    let mut threads = vec![
        spawn("carpe-journal", move || appender.run())?,
        spawn("carpe-router", move || router.run())?,
        {
            let outbox = Arc::clone(&shared.outbox);
            spawn("carpe-outbox", move || outbox.run())?
        },
    ];
    if let Some(keeper) = keeper {
        threads.push(spawn("carpe-keeper", move || keeper.run())?);
    }
    for number in 0..builder.threads {
        shared.run.add_thread();
        threads.push(worker(&shared, number, false)?);
    }
    threads.push(supervisor(&shared, builder.threads)?);
    threads.extend(registry.start().map_err(StartError::Thread)?);
    host.0.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(threads);

    let begun =
        Body::Started { host: env!("CARGO_PKG_VERSION").into(), timeline: builder.timeline.as_str().into() };
    shared.intake.append_wait(vec![begun]).map_err(|error| StartError::Write(error.to_string()))?;
    let loaded = shared.recovery().clone();
    if loaded.rules > 0 {
        tracing::info!(
            rules = loaded.rules,
            keys = loaded.keys,
            entries_to_read = loaded.entries,
            milliseconds = loaded.load_ms,
            from = loaded.from,
            "recovered"
        );
    }
    load_plugins(&host, &registry, builder.plugins_dir, builder.plugins, max_component_bytes)?;
    Ok(host)
}

/// The journal and the checkpoints of a data folder, and where the latter came from.
struct Opened {
    journal: Arc<dyn Journal>,
    store: CheckpointStore,
    origin: String,
}

/// Opens both. Checkpoints that are missing or damaged are made again from a base, by itself.
fn open(folder: &DataFolder, builder: &HostBuilder, notes: &mut Vec<String>) -> Result<Opened, StartError> {
    let bases = base::list(&folder.bases, true)?;
    let opened = CheckpointStore::open(&folder.checkpoints).and_then(|store| {
        let standing = store.standing()?;
        Ok((store, standing))
    });
    let at_least = match &opened {
        Ok((_, standing)) => standing.refers_to(),
        Err(_) => bases.last().map_or(0, |base| base.position),
    };
    let options = FileJournalOptions {
        segment_bytes: builder.segment_bytes,
        at_least,
        compress: builder.compress,
        durability: builder.durability,
        ..FileJournalOptions::default()
    };
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::open(&folder.journal, options)?);
    let reason = match opened {
        Ok((store, standing)) if standing.position() >= journal.start() => {
            return Ok(Opened { journal, store, origin: "checkpoints".to_owned() });
        }
        Ok((_, standing)) => {
            format!("they end at position {}, before the journal begins", standing.position())
        }
        Err(_) if journal.end() == 0 => {
            let store = CheckpointStore::make(&folder.checkpoints, None, &mut |_| {})?;
            return Ok(Opened { journal, store, origin: "an empty data folder".to_owned() });
        }
        Err(error) => words(&error),
    };
    let mut unreadable = Vec::new();
    let usable = bases.iter().rev().filter(|base| base.position >= journal.start());
    for base in usable.map(Some).chain((journal.start() == 0).then_some(None)) {
        let from = base
            .map_or("the journal's beginning".to_owned(), |base| format!("the base at {}", base.position));
        tracing::info!(from, "checkpoints are made again");
        let mut progress = |rows| tracing::info!(rows, "checkpoints are made again");
        match CheckpointStore::make(&folder.checkpoints, base.map(|base| &*base.path), &mut progress) {
            Ok(store) => {
                notes.push(format!(
                    "made the checkpoints again from {from}, since they could not be used: {reason}"
                ));
                notes.append(&mut unreadable);
                return Ok(Opened { journal, store, origin: from });
            }
            Err(error @ CheckpointError::Damaged { .. }) => {
                unreadable.push(format!("{from} cannot be used: {}", words(&error)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    unreadable.insert(0, format!("the checkpoints cannot be used: {reason}"));
    Err(StartError::NoBase { start: journal.start(), reason: unreadable.join("; ") })
}

/// Brings back each rule from its checkpoint, with what was decided since.
fn recover_rules(
    shared: &Arc<Shared>,
    registry: &Registry,
    mut decisions: std::collections::BTreeMap<String, RuleDecisions>,
    checkpointed: impl Iterator<Item = String>,
    lanes: usize,
) -> Result<(), StartError> {
    let mut names: BTreeSet<String> = decisions.keys().cloned().collect();
    names.extend(checkpointed);
    for name in names {
        let decided = decisions.remove(&name).unwrap_or_default();
        recover_rule(shared, registry, &name, decided, lanes)?;
    }
    let mut recovery = shared.recovery();
    recovery.load_ms = shared.begun_ms();
    Ok(())
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
    let Checkpoint { record, keys, open, mut letters } = checkpoint.unwrap_or_default();
    let new = record.is_none();
    let first = decided.turns.first().map_or(shared.journal.end(), |(at, _)| *at);
    let RuleRecord { position, version, .. } =
        record.unwrap_or(RuleRecord { position: first, version: None, letters_from: first });
    // Written with a checkpoint, but of inputs after it: they are found again.
    letters.retain(|letter| letter.input.position < position && !decided.closed.contains(&letter.input.id));
    letters.retain(|letter| !shared.is_erased(name, letter));
    let mut versions: HashMap<VersionRecord, Arc<Version>> = HashMap::new();
    let mut version_of = |record: VersionRecord| -> Result<Arc<Version>, StartError> {
        if let Some(known) = versions.get(&record) {
            return Ok(Arc::clone(known));
        }
        let version = registry.recover(name, &record).map_err(StartError::Component)?;
        versions.insert(record, Arc::clone(&version));
        Ok(version)
    };
    let version = version.map(&mut version_of).transpose()?;
    let mut plan: VecDeque<(Position, Turn<Arc<Version>>)> = VecDeque::new();
    let mut last = version.clone();
    for (at, turn) in decided.turns.into_iter().filter(|(at, _)| *at >= position) {
        let turn = match turn {
            Turn::Version(switch) => {
                last = switch.map(&mut version_of).transpose()?;
                Turn::Version(last.clone())
            }
            Turn::Skip(to) => Turn::Skip(to),
        };
        plan.push_back((at, turn));
    }
    let mut spread: Vec<Lane> =
        (0..lanes).map(|_| Lane::new(version.clone(), position, shared.checkpoints.is_some())).collect();
    {
        let mut recovery = shared.recovery();
        recovery.rules += 1;
        recovery.keys += keys.len();
        recovery.entries = recovery.entries.max(shared.journal.end().saturating_sub(position));
    }
    for (key, state) in keys {
        let lane = Rule::lane_of(&key, lanes);
        spread[lane].keys.load(&key, state);
    }
    let set_aside =
        decided.set_aside.into_iter().filter(|(_, letter)| letter.input.position >= position).collect();
    let rule = Rule::new(name.to_owned(), spread, Horizon::at(0), set_aside, decided.closed, letters.into());
    registry.adopt(Arc::clone(&rule), last);
    {
        let mut stored = rule.stored_open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        stored.extend(open.iter().flat_map(|moment| &moment.actions).map(|action| action.id));
    }
    // What has an outcome is to leave the checkpoint.
    rule.dirty.store(!open.is_empty(), Ordering::Release);
    for moment in open {
        shared.take_again(&Arc::new(moment));
    }
    shared.written().rules.insert(name.to_owned(), position);
    shared.mailbox.ask(Request::Add { rule, from: position, plan, new });
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
            // What follows from it comes later.
            shared.guard.fold(group.iter().map(|entry| &**entry));
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
