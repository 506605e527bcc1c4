//! The thread that watches the folder: it looks, lets [`Settling`] decide, reads, and tells.

mod events;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::events::Events;
use super::folder_error::FolderError;
use super::manifest::{Manifest, ManifestError};
use super::scan::{self, Bounds, Snapshot};
use super::settling::{Settling, Step};
use super::signal::Signal;

/// How a plugin folder is watched.
#[derive(Clone, Debug)]
pub struct FolderOptions {
    /// How long a file must stay the same before it is read. A copy that stalls for longer is read
    /// half-way, refused for what it then is, and read again when it has grown.
    pub settle: Duration,
    /// How often the folder is looked at when no event asks for it: some file systems tell of no changes,
    /// and none tells of changes behind a link.
    pub poll: Duration,
    /// The biggest component that is read, in bytes.
    pub max_component_bytes: u64,
    /// How many plugins there may be. More are left out, and that is said.
    pub max_plugins: usize,
}

impl Default for FolderOptions {
    fn default() -> Self {
        FolderOptions {
            settle: Duration::from_millis(200),
            poll: Duration::from_secs(2),
            max_component_bytes: 64 << 20,
            max_plugins: 10_000,
        }
    }
}

/// What happened in a plugin folder.
#[derive(Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there are few, and none is kept")]
pub enum FolderChange {
    /// A plugin is new or has changed, and is at rest. Told once per content: a file that is touched, or
    /// written again as it was, is no change.
    Settled {
        /// The file's name without its ending.
        file_stem: String,
        /// The component's file.
        path: PathBuf,
        /// What it holds.
        component: Arc<[u8]>,
        /// blake3 of that.
        hash: [u8; 32],
        /// What stands beside it; the default if nothing does.
        manifest: Result<Manifest, ManifestError>,
    },
    /// A plugin's component is gone.
    Removed {
        /// The file's name without its ending.
        file_stem: String,
    },
    /// There is a plugin, but it cannot be read. When it can be, it is told as settled, changed or not.
    Unreadable {
        /// The file's name without its ending, which may not be a valid one.
        file_stem: String,
        /// Why, and what to do.
        error: FolderError,
    },
    /// The folder cannot be looked at. Its plugins do not count as removed: they were not taken out one
    /// by one, and a disk that is unmounted should not stop every rule.
    FolderMissing {
        /// Where it should be.
        path: PathBuf,
        /// Why, and what to do.
        error: FolderError,
    },
    /// The folder is there again. What is no longer in it is then told as removed.
    FolderBack {
        /// Where it is.
        path: PathBuf,
    },
    /// Something that an operator may want to know, and that changes nothing.
    Note {
        /// What it is about.
        path: PathBuf,
        /// The words.
        words: String,
    },
    /// Told once: all that was there at the start has been told, save files that were still being
    /// written after five seconds.
    ScanDone,
}

impl fmt::Debug for FolderChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FolderChange::Settled { file_stem, component, manifest, .. } => f
                .debug_struct("Settled")
                .field("file_stem", file_stem)
                .field("bytes", &component.len())
                .field("manifest", manifest)
                .finish_non_exhaustive(),
            FolderChange::Removed { file_stem } => f.debug_tuple("Removed").field(file_stem).finish(),
            FolderChange::Unreadable { error, .. } => f.debug_tuple("Unreadable").field(error).finish(),
            FolderChange::FolderMissing { error, .. } => f.debug_tuple("FolderMissing").field(error).finish(),
            FolderChange::FolderBack { path } => f.debug_tuple("FolderBack").field(path).finish(),
            FolderChange::Note { path, words } => f.debug_tuple("Note").field(path).field(words).finish(),
            FolderChange::ScanDone => f.write_str("ScanDone"),
        }
    }
}

/// A folder of plugins.
#[derive(Debug)]
pub enum PluginFolder {}

impl PluginFolder {
    /// Begins to watch a folder, on a thread of its own, until the watcher is dropped.
    ///
    /// `on_change` is called from that thread, for one change after the other, within one look in the
    /// order of the plugins' names. While it runs nothing is read, so it may wait; but not for whoever
    /// drops the watcher, since dropping waits for it.
    ///
    /// # Errors
    /// If the thread cannot be started. A folder that is not there is no error, but a change to be told.
    pub fn watch(
        path: impl Into<PathBuf>,
        options: FolderOptions,
        on_change: impl Fn(FolderChange) + Send + 'static,
    ) -> io::Result<FolderWatcher> {
        let path = path.into();
        let signal = Arc::new(Signal::default());
        let mut watch = Watch {
            settling: Settling::new(path.clone(), options.settle, options.poll),
            events: Events::new(Arc::clone(&signal)),
            signal: Arc::clone(&signal),
            path,
            options,
        };
        let thread = std::thread::Builder::new()
            .name("carpe-folder".to_owned())
            .spawn(move || watch.run(on_change))?;
        Ok(FolderWatcher { signal, thread: Some(thread) })
    }
}

/// Watches a folder for as long as it lives; dropping it waits until no more changes are told.
pub struct FolderWatcher {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl FolderWatcher {
    /// Asks for a look at the folder now. Returns at once.
    pub fn rescan(&self) {
        self.signal.wake();
    }
}

impl Drop for FolderWatcher {
    fn drop(&mut self) {
        self.signal.stop();
        if let Some(thread) = self.thread.take()
            // Dropped by `on_change` itself, it cannot wait for itself.
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic there has been reported by the thread.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for FolderWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FolderWatcher")
    }
}

struct Watch {
    path: PathBuf,
    options: FolderOptions,
    settling: Settling,
    events: Events,
    signal: Arc<Signal>,
}

impl Watch {
    fn run(&mut self, on_change: impl Fn(FolderChange)) {
        while !self.signal.is_stopped() {
            let began = Instant::now();
            let look = self.look(&on_change);
            let looked = Instant::now();
            for step in self.settling.observe(looked, look) {
                if self.signal.is_stopped() {
                    return;
                }
                match step {
                    Step::Tell(change) => on_change(change),
                    Step::Read { stem, seen } => {
                        let taken = scan::take(&self.path, &stem, &seen);
                        if let Some(change) = self.settling.took(Instant::now(), &stem, taken) {
                            on_change(change);
                        }
                    }
                }
            }
            if self.settling.first_scan_done(looked) {
                on_change(FolderChange::ScanDone);
            }
            self.wait(looked - began);
        }
    }

    /// Looks at the folder. Events are asked for first, so that none is lost in between.
    fn look(&mut self, on_change: &impl Fn(FolderChange)) -> Result<Snapshot, FolderError> {
        let identity = scan::identify(&self.path).inspect_err(|_| self.events.disarm())?;
        if let Some(words) = self.events.arm(&self.path, identity, self.options.poll) {
            on_change(FolderChange::Note { path: self.path.clone(), words });
        }
        let bounds =
            Bounds { component_bytes: self.options.max_component_bytes, plugins: self.options.max_plugins };
        scan::scan(&self.path, identity.device, bounds, |stem| self.settling.knows(stem))
    }

    /// A burst of events, as of a long copy, is one reason to look; and a look that takes long, in a big
    /// or slow folder, is not followed by the next at once.
    fn wait(&self, took: Duration) {
        let now = Instant::now();
        let pause = (self.options.settle / 4).max(took * 4);
        let poll = now + self.options.poll.max(took * 20);
        let at_latest = self.settling.next_due().map_or(poll, |due| due.min(poll));
        self.signal.wait(now + pause, at_latest);
    }
}
