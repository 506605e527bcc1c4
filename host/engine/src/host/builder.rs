//! How a host is set up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::checkpoint::CheckpointError;
use crate::data_folder::DataFolderError;
use crate::guardrail::Guardrail;
use crate::host::Host;
use crate::journal::{Durability, FileJournalOptions, JournalError};
use crate::limits::Limits;
use crate::outbox::{NamedSink, Retry};
use crate::pipeline::intake::IntakeLimits;
use crate::pipeline::known::KnownLimits;
use crate::pipeline::timeline::Timeline;
use crate::plugin::Manifest;
use crate::retention::Retention;
use crate::route::{Route, Target};
use crate::sandbox::{SandboxError, SandboxOptions};
use crate::sink::{Sink, SinkOptions};

/// What a host is to be. Everything has a default: with none of it set, a host keeps nothing, has no
/// plugins, and withholds every action.
pub struct HostBuilder {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) plugins_dir: Option<PathBuf>,
    pub(super) plugins: Vec<(String, Vec<u8>, Manifest)>,
    pub(super) threads: usize,
    pub(super) limits: Limits,
    pub(super) timeline: Timeline,
    pub(super) sinks: Vec<NamedSink>,
    pub(super) routes: Vec<Route>,
    pub(super) default_route: Option<Target>,
    pub(super) guardrails: BTreeMap<String, Guardrail>,
    pub(super) intake: IntakeLimits,
    pub(super) known: KnownLimits,
    pub(super) retry: Retry,
    pub(super) sandbox: SandboxOptions,
    pub(super) recovery: Recovery,
    pub(super) retention: Retention,
    pub(super) durability: Durability,
    pub(super) relaxed_within: Duration,
    pub(super) segment_bytes: u64,
    pub(super) compress: bool,
    pub(super) memory_journal_bytes: u64,
}

/// How often checkpoints are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    /// At the latest.
    pub(crate) every: Duration,
    /// A start after a crash is to be done within this time.
    pub(crate) within: Duration,
}

impl Default for HostBuilder {
    fn default() -> Self {
        HostBuilder {
            data_dir: None,
            plugins_dir: None,
            plugins: Vec::new(),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            limits: Limits::default(),
            timeline: Timeline::default(),
            sinks: Vec::new(),
            routes: Vec::new(),
            default_route: None,
            guardrails: BTreeMap::new(),
            intake: IntakeLimits::default(),
            known: KnownLimits::default(),
            retry: Retry::default(),
            sandbox: SandboxOptions::default(),
            recovery: Recovery { every: Duration::from_secs(30), within: Duration::from_secs(5) },
            retention: Retention::default(),
            durability: Durability::default(),
            relaxed_within: Duration::from_millis(100),
            segment_bytes: FileJournalOptions::default().segment_bytes,
            compress: true,
            memory_journal_bytes: 256 << 20,
        }
    }
}

impl HostBuilder {
    /// Where journal, checkpoints, components and the compile cache are kept. Without one the host keeps
    /// nothing over a restart.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(folder.into());
        self
    }

    /// A folder of plugins that is watched.
    pub fn plugins_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.plugins_dir = Some(folder.into());
        self
    }

    /// A plugin by its bytes. `name` stands for the file's name in status and errors.
    pub fn plugin(
        mut self,
        name: impl Into<String>,
        component: impl Into<Vec<u8>>,
        manifest: Manifest,
    ) -> Self {
        self.plugins.push((name.into(), component.into(), manifest));
        self
    }

    /// How many worker threads handle inputs; also over how many lanes a rule's keys are spread. At least 1.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, 1_024);
        self
    }

    /// What each plugin may use, where its manifest says nothing else.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Which instants journal entries are stamped with.
    pub fn timeline(mut self, timeline: Timeline) -> Self {
        self.timeline = timeline;
        self
    }

    /// Where actions can go: a sink, by the name that routes give.
    pub fn sink(self, name: impl Into<String>, sink: Arc<dyn Sink>) -> Self {
        self.sink_with(name, sink, SinkOptions::default())
    }

    /// The same, with how the host is to treat it.
    pub fn sink_with(mut self, name: impl Into<String>, sink: Arc<dyn Sink>, options: SinkOptions) -> Self {
        self.sinks.push(NamedSink { name: name.into(), sink, options });
        self
    }

    /// Which action goes where. A plugin's own routes come before these; of those that take an action, the first decides
    /// its outcome. Where others lead, copies go, under the same idempotency key: what becomes of them is counted, and the
    /// rule is not told.
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Where an action goes that no route takes. Without it, it is withheld.
    pub fn default_route(mut self, to: Target) -> Self {
        self.default_route = Some(to);
        self
    }

    /// The operator's rules between moments and the world, by their names: see [`guardrail`](crate::guardrail).
    pub fn guardrails(mut self, guardrails: BTreeMap<String, Guardrail>) -> Self {
        self.guardrails = guardrails;
        self
    }

    /// Bytes that one event may have. Default 1 MiB.
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.intake.event_bytes = bytes;
        self
    }

    /// How many events, and bytes of events, may wait to be journaled. Default 65,536 and 64 MiB.
    pub fn intake_bounds(mut self, events: usize, bytes: usize) -> Self {
        self.intake.events = events.max(1);
        self.intake.bytes = bytes;
        self
    }

    /// How long repeats of an event are recognised: over so many events, or so long by the timeline,
    /// whichever is less. Default one million and 10 minutes.
    pub fn known_ids(mut self, events: usize, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        self.known = KnownLimits { events, window_ms };
        self
    }

    /// The first pause before an action is tried again (it doubles, up to a minute), after how long it is
    /// given up on, and how long one try may take (at most a day). Defaults 500 ms, a day, 30 s.
    pub fn retries(mut self, first: Duration, give_up_after: Duration, timeout: Duration) -> Self {
        let timeout = timeout.min(Duration::from_secs(24 * 3600));
        self.retry = Retry { first, give_up_after, timeout, ..self.retry };
        self
    }

    /// What bounds the sandbox as a whole. Its cache folder is the data folder's, unless it is set.
    pub fn sandbox(mut self, options: SandboxOptions) -> Self {
        self.sandbox = options;
        self
    }

    /// How often checkpoints are written at the latest. Default 30 s.
    pub fn checkpoint_every(mut self, every: Duration) -> Self {
        self.recovery.every = every.clamp(Duration::from_millis(10), Duration::from_secs(3600));
        self
    }

    /// Within what time a start after a crash is to be done: checkpoints are written as often as that needs. Loading
    /// states takes its time all the same. Default 5 s.
    pub fn recover_within(mut self, within: Duration) -> Self {
        self.recovery.within = within.clamp(Duration::from_millis(100), Duration::from_secs(3600));
        self
    }

    /// How much of the journal is kept, and how long it waits for rules that lag.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// When events are acknowledged: when they are durable, which is the default, or earlier, and then made durable
    /// `within` so long (default 100 ms).
    pub fn durability(mut self, durability: Durability, within: Duration) -> Self {
        self.durability = durability;
        self.relaxed_within = within.clamp(Duration::from_millis(1), Duration::from_secs(60));
        self
    }

    /// Bytes of one file of the journal, at least 64 KiB. Default 64 MiB. And whether it is compressed; default yes.
    pub fn segments(mut self, bytes: u64, compress: bool) -> Self {
        (self.segment_bytes, self.compress) = (bytes.max(64 << 10), compress);
        self
    }

    /// How many bytes a host without a data folder keeps of its journal. Default 256 MiB.
    pub fn memory_journal_bytes(mut self, bytes: u64) -> Self {
        self.memory_journal_bytes = bytes;
        self
    }

    /// Starts the host: recovers what the data folder holds, and looks at all plugins that are there.
    /// Blocks until it has; that takes some milliseconds, or as long as components take to compile.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(self) -> Result<Host, StartError> {
        super::start::start(self)
    }
}

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("the data folder cannot be used")]
    DataFolder(#[from] DataFolderError),
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    /// The checkpoints cannot be read.
    #[error("the checkpoints cannot be read or made")]
    Checkpoints(#[from] CheckpointError),
    /// States can be made again from nothing that is there.
    #[error(
        "the journal begins at position {start}, and no base from there on can be read ({reason}): restore a backup"
    )]
    NoBase {
        /// Where the journal begins.
        start: crate::journal::Position,
        /// What is wrong with what is there.
        reason: String,
    },
    /// The sandbox cannot be set up.
    #[error("the sandbox cannot be set up")]
    Sandbox(#[from] SandboxError),
    /// A thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// A version that the journal names is not there.
    #[error("{0}")]
    Component(String),
    /// A plugin that was given by its bytes is refused.
    #[error("the plugin `{name}` is refused: {reason}")]
    Plugin {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The journal could not be written.
    #[error("the journal cannot be written: {0}")]
    Write(String),
}
