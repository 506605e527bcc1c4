//! All plugins of a host: one entry for each file, from the first look to the last version.
//!
//! Components are loaded on a few threads of their own, off the hot path. Whatever goes wrong there, the
//! last good version stays, and the entry says what and why.

mod shown;
mod trial;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Monotonic};

use crate::event::Instant;
use crate::journal::{Position, VersionRecord};
use crate::limits::Limits;
use crate::pipeline::Shared;
use crate::pipeline::lane::Lane;
use crate::pipeline::program::{InstanceBudget, Version};
use crate::pipeline::router::Request;
use crate::pipeline::runtime::{Horizon, Rule};
use crate::pipeline::timeline::wall_clock;
use crate::plugin::load::recover_version;
use crate::plugin::{Begin, FolderChange, Manifest};
use crate::recovery::Turn;
use crate::rule::Subscription;
use crate::sandbox::Sandbox;
use crate::status::PluginState;
use crate::words::words;

/// How long a file's removal waits for the same rule to turn up in another file, so that a move is not an
/// unload.
const MOVE_GRACE: Duration = Duration::from_secs(1);

/// Threads that load plugins: a slow one does not keep the next from loading.
const LOADERS: usize = 2;

pub(crate) struct Registry {
    shared: Arc<Shared>,
    sandbox: Sandbox,
    limits: Limits,
    lanes: usize,
    budget: Arc<InstanceBudget>,
    /// Where the components that decisions name are kept; none: nowhere.
    components: Option<PathBuf>,
    state: Mutex<State>,
    wake: Condvar,
    pub(crate) reloads_ok: AtomicU64,
    pub(crate) reloads_refused: AtomicU64,
    loading: AtomicUsize,
}

#[derive(Default)]
struct State {
    plugins: BTreeMap<String, Plugin>,
    /// Rules that run or ran.
    rules: BTreeMap<String, Known>,
    jobs: VecDeque<String>,
    scanned: bool,
    /// At the start there was no folder to look at.
    folder_missing: bool,
    stopped: bool,
}

/// A rule that runs or ran.
struct Known {
    rule: Arc<Rule>,
    /// What it was last switched to; none: it was unloaded.
    version: Option<Arc<Version>>,
}

/// A file's content, as it settled.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) component: Arc<[u8]>,
    pub(crate) manifest: Manifest,
}

/// What is being done with a content on its way to become a version.
#[derive(Clone, Copy)]
enum Step {
    Compiled,
    Tried,
}

struct Plugin {
    rule: Option<String>,
    state: PluginState,
    reason: Option<String>,
    since: Instant,
    active: Option<Arc<Version>>,
    /// What settled and was not looked at yet.
    next: Option<Candidate>,
    busy: bool,
    /// What is being done with the newest content, and since when.
    step: Option<(Step, Monotonic)>,
    /// The last content that was refused since another file has its rule.
    crowded_out: Option<Candidate>,
    /// Its file is gone since then.
    leaving: Option<Monotonic>,
}

impl Plugin {
    fn new() -> Self {
        Plugin {
            rule: None,
            state: PluginState::Loading,
            reason: None,
            since: wall_clock(),
            active: None,
            next: None,
            busy: false,
            step: None,
            crowded_out: None,
            leaving: None,
        }
    }

    fn enter(&mut self, state: PluginState, reason: Option<String>) {
        if self.state != state || self.reason != reason {
            self.since = wall_clock();
        }
        self.state = state;
        self.reason = reason;
    }

    /// A newer content is refused: the last good version, if there is one, stays.
    fn refuse(&mut self, reason: String) {
        let state = if self.active.is_some() { PluginState::Failing } else { PluginState::Refused };
        self.enter(state, Some(reason));
    }
}

impl Registry {
    pub(crate) fn new(
        shared: Arc<Shared>,
        sandbox: Sandbox,
        budget: Arc<InstanceBudget>,
        limits: Limits,
        lanes: usize,
        components: Option<PathBuf>,
    ) -> Arc<Self> {
        Arc::new(Registry {
            shared,
            sandbox,
            limits,
            lanes,
            budget,
            components,
            state: Mutex::default(),
            wake: Condvar::new(),
            reloads_ok: AtomicU64::new(0),
            reloads_refused: AtomicU64::new(0),
            loading: AtomicUsize::new(0),
        })
    }

    /// The threads that load plugins.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<Vec<std::thread::JoinHandle<()>>> {
        let thread = |number: usize| {
            let registry = Arc::clone(self);
            std::thread::Builder::new().name(format!("carpe-load-{number}")).spawn(move || registry.work())
        };
        (0..LOADERS).map(thread).collect()
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.wake.notify_all();
    }

    /// A rule that comes from a checkpoint or the journal.
    pub(crate) fn adopt(&self, rule: Arc<Rule>, version: Option<Arc<Version>>) {
        self.lock().rules.insert(rule.name.clone(), Known { rule, version });
    }

    /// Loads the version that a decision names, from the components that are kept.
    pub(crate) fn recover(&self, rule: &str, record: &VersionRecord) -> Result<Arc<Version>, String> {
        let folder = self.components.as_deref().unwrap_or(Path::new(""));
        recover_version(&self.sandbox, folder, rule, record, 1, &self.budget)
    }

    /// What the folder's watcher tells.
    pub(crate) fn observe(&self, change: FolderChange) {
        match change {
            FolderChange::Settled { file_stem, path, component, manifest, .. } => match manifest {
                Ok(manifest) => self.offer(&file_stem, Candidate { component, manifest }),
                Err(error) => self.refuse(&file_stem, format!("{}: {}", path.display(), words(&error))),
            },
            FolderChange::Unreadable { file_stem, error } => self.refuse(&file_stem, words(&error)),
            FolderChange::Removed { file_stem } => {
                let mut state = self.lock();
                if let Some(plugin) = state.plugins.get_mut(&file_stem) {
                    plugin.leaving = Some(Monotonic::now());
                    plugin.next = None;
                    plugin.crowded_out = None;
                }
                drop(state);
                self.wake.notify_one();
                // Of a move, the new place may have been looked at first.
                self.offer_crowded_out();
            }
            FolderChange::FolderMissing { path, error } => {
                tracing::warn!(folder = %path.display(), error = words(&error), "the plugin folder cannot be read: its rules go on");
                let mut state = self.lock();
                state.scanned = true;
                state.folder_missing = true;
            }
            FolderChange::FolderBack { path } => {
                tracing::info!(folder = %path.display(), "the plugin folder is back")
            }
            FolderChange::Note { path, words } => tracing::info!(path = %path.display(), "{words}"),
            FolderChange::ScanDone => self.lock().scanned = true,
        }
    }

    /// Nothing more is to be expected of the folder: there is none.
    pub(crate) fn no_folder(&self) {
        self.lock().scanned = true;
    }

    /// A new content for a file.
    pub(crate) fn offer(&self, file: &str, candidate: Candidate) {
        let mut state = self.lock();
        let plugin = state.plugins.entry(file.to_owned()).or_insert_with(Plugin::new);
        plugin.leaving = None;
        plugin.next = Some(candidate);
        if plugin.active.is_none() {
            plugin.enter(PluginState::Loading, None);
        }
        if !plugin.busy {
            plugin.busy = true;
            state.jobs.push_back(file.to_owned());
            self.wake.notify_one();
        }
    }

    /// A new content for what runs under a name, or for a new one. Blocks until it runs or is refused.
    pub(crate) fn replace(&self, file: &str, candidate: Candidate) -> Result<(), String> {
        self.offer(file, candidate);
        loop {
            {
                let state = self.lock();
                if state.stopped {
                    return Err("the host is stopping".to_owned());
                }
                match state.plugins.get(file) {
                    Some(plugin) if plugin.busy => {}
                    Some(plugin) if plugin.state == PluginState::Active => return Ok(()),
                    plugin => {
                        let reason = plugin.and_then(|plugin| plugin.reason.clone());
                        return Err(reason.unwrap_or_else(|| "it was removed meanwhile".to_owned()));
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn refuse(&self, file: &str, reason: String) {
        tracing::warn!(plugin = file, reason, "a plugin is refused");
        self.reloads_refused.fetch_add(1, Ordering::Relaxed);
        self.lock().plugins.entry(file.to_owned()).or_insert_with(Plugin::new).refuse(reason);
    }

    /// Whether all plugins that were there at the start have been looked at.
    pub(crate) fn is_settled(&self) -> bool {
        let state = self.lock();
        state.scanned && state.jobs.is_empty() && self.loading.load(Ordering::Acquire) == 0
    }

    /// Blocks until all plugins that were there at the start have been looked at.
    pub(crate) fn wait_until_settled(&self) {
        while !self.is_settled() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return;
            }
            if let Some((file, rule)) = state.gone_for_good() {
                drop(state);
                self.unload(&file, &rule, "its file was removed; its rule's state stays");
                state = self.lock();
                continue;
            }
            let Some(file) = state.jobs.pop_front() else {
                let wait =
                    if state.plugins.values().any(|plugin| plugin.leaving.is_some()) { 100 } else { 60_000 };
                let wait = Duration::from_millis(wait);
                state = self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            };
            let candidate = state.plugins.get_mut(&file).and_then(|plugin| plugin.next.take());
            self.loading.fetch_add(1, Ordering::AcqRel);
            drop(state);
            if let Some(candidate) = candidate {
                self.try_candidate(&file, candidate);
            }
            state = self.lock();
            self.loading.fetch_sub(1, Ordering::AcqRel);
            let again = state.plugins.get_mut(&file).is_some_and(|plugin| {
                plugin.step = None;
                plugin.busy = plugin.next.is_some();
                plugin.busy
            });
            if again {
                state.jobs.push_back(file);
            }
        }
    }

    /// Has a rule go on with another version, or with none. Returns from which position.
    fn switch(&self, rule: &str, version: Option<Arc<Version>>, start: Begin) -> Result<Position, String> {
        let replaces;
        {
            let mut state = self.lock();
            replaces = state.rules.get(rule).is_some_and(|known| known.version.is_some());
            if !state.rules.contains_key(rule) {
                let lanes = (0..self.lanes).map(|_| Lane::new(None, 0, self.shared.checkpoints.is_some()));
                let new = Rule::new(
                    rule.to_owned(),
                    lanes.collect(),
                    Horizon::at(0),
                    Default::default(),
                    Default::default(),
                    Default::default(),
                );
                let from = self.begin(start)?;
                state.rules.insert(rule.to_owned(), Known { rule: Arc::clone(&new), version: None });
                self.shared.written().rules.insert(rule.to_owned(), from);
                self.shared.mailbox.ask(Request::Add { rule: new, from, plan: VecDeque::new(), new: true });
            }
        }
        // The first event that a version is given in place of another is not to wait for an instance, and none for a slow
        // one. One that cannot be started is tried again, and judged, where it is needed.
        if let Some(version) = version.as_ref().filter(|version| replaces || version.starts_slowly)
            && let Ok(instance) = version.fresh()
        {
            version.give_back(instance);
        }
        let (reply, result) = std::sync::mpsc::sync_channel(1);
        self.shared.mailbox.ask(Request::Switch {
            rule: rule.to_owned(),
            turn: Turn::Version(version.clone()),
            reply: Box::new(move |switched| drop(reply.send(switched))),
        });
        let at = result.recv().unwrap_or_else(|_| Err("the host is stopping".to_owned()))?;
        if let Some(known) = self.lock().rules.get_mut(rule) {
            known.version = version;
        }
        Ok(at)
    }

    /// Where a rule that is new begins.
    fn begin(&self, start: Begin) -> Result<Position, String> {
        let journal = &*self.shared.journal;
        let (first, end) = (journal.start(), journal.end());
        match start {
            Begin::End => Ok(end),
            Begin::Beginning => Ok(first),
            Begin::Position(position) if (first..=end).contains(&position) => Ok(position),
            Begin::Position(position) => Err(format!(
                "it is to start at position {position}, but the journal holds {first} to {end}: change `start` in its .toml file"
            )),
            Begin::Time(instant) => {
                let found = journal.at_or_after(instant).map_err(|error| words(&error))?;
                Ok(found.map_or(end, |(position, _)| position))
            }
        }
    }

    /// Runs a rule that is no component.
    #[cfg(test)]
    pub(crate) fn run_native(&self, rule: &str, version: Version) {
        self.switch(rule, Some(Arc::new(version)), Begin::End).expect("the journal takes the switch");
    }

    fn unload(&self, file: &str, rule: &str, why: &str) {
        match self.switch(rule, None, Begin::End) {
            Ok(at) => tracing::info!(plugin = file, rule, at, "a plugin was removed: its rule's state stays"),
            Err(reason) => {
                tracing::error!(plugin = file, rule, reason, "a plugin was removed, but its rule goes on")
            }
        }
        // Only now: who sees it removed may rely on it.
        if let Some(plugin) = self.lock().plugins.get_mut(file) {
            plugin.enter(PluginState::Removed, Some(why.to_owned()));
        }
        self.offer_crowded_out();
    }

    /// Whoever was refused since another file had the rule may try again.
    fn offer_crowded_out(&self) {
        let crowded_out: Vec<(String, Candidate)> = {
            let mut state = self.lock();
            let waiting = state
                .plugins
                .iter_mut()
                .filter_map(|(other, plugin)| Some((other.clone(), plugin.crowded_out.take()?)));
            waiting.collect()
        };
        for (other, candidate) in crowded_out {
            self.offer(&other, candidate);
        }
    }

    /// Unloads rules that ran before a restart and whose files are gone since. If a file is refused, nobody
    /// knows which rule it was for: then the last good versions go on.
    pub(crate) fn unload_orphans(&self) {
        let orphans: Vec<String> = {
            let state = self.lock();
            if state.folder_missing {
                return;
            }
            let claimed =
                |rule: &str| state.plugins.values().any(|plugin| plugin.rule.as_deref() == Some(rule));
            let running =
                state.rules.iter().filter(|(rule, known)| known.version.is_some() && !claimed(rule));
            let orphans: Vec<String> = running.map(|(rule, _)| rule.clone()).collect();
            if !orphans.is_empty() && state.plugins.values().any(|plugin| plugin.rule.is_none()) {
                tracing::warn!(
                    rules = orphans.join(", "),
                    "these rules have no file, but some plugins are refused: the rules go on with their last good versions"
                );
                return;
            }
            orphans
        };
        for rule in orphans {
            {
                let mut state = self.lock();
                let plugin = state.plugins.entry(rule.clone()).or_insert_with(Plugin::new);
                plugin.rule = Some(rule.clone());
            }
            self.unload(&rule, &rule, "its file is gone; its rule's state stays");
        }
    }

    /// The components of all versions that run or ran.
    pub(crate) fn components(&self) -> impl Iterator<Item = [u8; 32]> + use<> {
        let state = self.lock();
        let versions = state.rules.values().filter_map(|known| known.version.as_ref());
        let active = state.plugins.values().filter_map(|plugin| plugin.active.as_ref());
        let named: Vec<[u8; 32]> = versions.chain(active).map(|version| version.record.component).collect();
        named.into_iter()
    }

    /// What a rule subscribes to; nothing, if it does not run.
    pub(crate) fn subscriptions(&self, rule: &str) -> Vec<Subscription> {
        let version = self.version(rule);
        version.map(|version| version.description.subscriptions.clone()).unwrap_or_default()
    }

    /// What a rule was last switched to; none: it is not known, or unloaded.
    pub(crate) fn version(&self, rule: &str) -> Option<Arc<Version>> {
        self.lock().rules.get(rule).and_then(|known| known.version.clone())
    }

    pub(crate) fn rule(&self, name: &str) -> Option<Arc<Rule>> {
        self.lock().rules.get(name).map(|known| Arc::clone(&known.rule))
    }

    pub(crate) fn rules(&self) -> Vec<Arc<Rule>> {
        self.lock().rules.values().map(|known| Arc::clone(&known.rule)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A file that has been gone for longer than a move takes, with the rule that it ran.
    fn gone_for_good(&mut self) -> Option<(String, String)> {
        let gone = |plugin: &Plugin| {
            plugin.leaving.is_some_and(|since| since.elapsed() >= MOVE_GRACE) && !plugin.busy
        };
        let file = self.plugins.iter().find(|(_, plugin)| gone(plugin)).map(|(file, _)| file.clone())?;
        let plugin = self.plugins.get_mut(&file)?;
        plugin.leaving = None;
        match (plugin.active.take(), plugin.rule.clone()) {
            (Some(_), Some(rule)) => Some((file, rule)),
            _ => {
                // It never ran: nothing of it stays.
                self.plugins.remove(&file);
                None
            }
        }
    }
}
