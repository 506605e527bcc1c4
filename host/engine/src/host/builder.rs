//! How a host is set up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::checkpoint::CheckpointError;
use crate::host::Host;
use crate::journal::JournalError;
use crate::limits::Limits;
use crate::outbox::{NamedSink, Retry};
use crate::pipeline::intake::IntakeLimits;
use crate::pipeline::known::KnownLimits;
use crate::pipeline::timeline::Timeline;
use crate::plugin::Manifest;
use crate::route::Route;
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
    pub(super) intake: IntakeLimits,
    pub(super) known: KnownLimits,
    pub(super) retry: Retry,
    pub(super) sandbox: SandboxOptions,
    pub(super) checkpoint_every: Duration,
    pub(super) memory_journal_bytes: u64,
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
            intake: IntakeLimits::default(),
            known: KnownLimits::default(),
            retry: Retry::default(),
            sandbox: SandboxOptions::default(),
            checkpoint_every: Duration::from_secs(5),
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

    /// Which action goes where: the first route that matches counts; a plugin's own come before these.
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
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

    /// How often checkpoints are written. Default 5 s.
    pub fn checkpoint_every(mut self, every: Duration) -> Self {
        self.checkpoint_every = every.clamp(Duration::from_millis(10), Duration::from_secs(3600));
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
    #[error("the data folder {path} cannot be used")]
    DataFolder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    /// The checkpoints cannot be read.
    #[error(
        "the checkpoints cannot be read; without the folder `checkpoints` the host computes them again from the journal"
    )]
    Checkpoints(#[from] CheckpointError),
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
