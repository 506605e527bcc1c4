//! The host: what services embed.

mod builder;
mod guard;
mod operate;
mod start;

pub(crate) use builder::Recovery;
pub use builder::{HostBuilder, StartError};
pub use guard::{CONSENTS_AT_ONCE, ConsentGiven, HeldInfo};
pub use operate::{DeadLetterInfo, KEYS_AT_ONCE, KeyInfo, OperateError};

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Monotonic};

use tokio::sync::{broadcast, oneshot};

use crate::data_folder::DataFolder;
use crate::event::{Event, EventBatch, Instant};
use crate::journal::SourceRead;
use crate::moment::Moment;
use crate::pipeline::Shared;
use crate::pipeline::intake::{Accepted, SubmitError};
use crate::pipeline::router::{Report, Request};
use crate::plugin::registry::{Candidate, Registry};
use crate::plugin::{FolderWatcher, Manifest};
use crate::retention::Signal;
use crate::status::{
    IntakeStatus, JournalStatus, KeptStatus, PluginState, RecoveryStatus, Status, TimelineStatus,
};

/// A running host. Clones are the same host; when the last one goes it stops, without draining.
///
/// All calls may be made from any thread, sync or async; those that may wait say so.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    /// Dropped first: it calls the registry.
    watcher: Mutex<Option<FolderWatcher>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    checkpointer: Mutex<Option<JoinHandle<()>>>,
    keeping: Arc<Signal>,
    notes: Vec<String>,
    stopping: AtomicBool,
    /// Nobody else uses it until all else is gone.
    _folder: Option<DataFolder>,
}

/// An event's way into the journal. It resolves when the events are durable; [`Receipt::wait`] does so
/// without an async runtime.
#[derive(Debug)]
#[must_use = "events count as accepted only when the receipt says so"]
pub struct Receipt(oneshot::Receiver<Result<Accepted, SubmitError>>);

impl Receipt {
    /// Blocks until the events are durable.
    ///
    /// # Errors
    /// If they were not accepted.
    pub fn wait(self) -> Result<Accepted, SubmitError> {
        block_on(self)
    }
}

impl Future for Receipt {
    type Output = Result<Accepted, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|result| result.unwrap_or(Err(SubmitError::Stopped)))
    }
}

/// An instant that far ahead; at most a year, so that any `Duration` will do.
fn after(within: Duration) -> Monotonic {
    Monotonic::now() + within.min(Duration::from_secs(365 * 24 * 3600))
}

/// Waits for a future on this thread. Unlike a runtime's own ways it never panics, wherever it is called.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Moments as they occur, from the subscription on. Bounded: who reads too slowly misses the oldest, and
/// is told how many. After a crash, moments that were not in a checkpoint yet occur again, under the same
/// idempotency keys.
#[derive(Debug)]
pub struct Moments(broadcast::Receiver<Arc<Moment>>);

/// Why there is no next moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MomentsError {
    /// The reader was too slow.
    #[error("{0} moments were missed: read faster")]
    Lagged(u64),
    /// The host has stopped.
    #[error("the host has stopped")]
    Closed,
}

impl Moments {
    /// The next moment.
    ///
    /// # Errors
    /// [`MomentsError`].
    pub async fn recv(&mut self) -> Result<Arc<Moment>, MomentsError> {
        self.0.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(missed) => MomentsError::Lagged(missed),
            broadcast::error::RecvError::Closed => MomentsError::Closed,
        })
    }

    /// The next moment; blocks until there is one.
    ///
    /// # Errors
    /// [`MomentsError`].
    pub fn recv_blocking(&mut self) -> Result<Arc<Moment>, MomentsError> {
        block_on(self.recv())
    }

    /// The next moment, if there is one already.
    ///
    /// # Errors
    /// [`MomentsError`].
    pub fn try_recv(&mut self) -> Result<Option<Arc<Moment>>, MomentsError> {
        match self.0.try_recv() {
            Ok(moment) => Ok(Some(moment)),
            Err(broadcast::error::TryRecvError::Empty) => Ok(None),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Err(MomentsError::Lagged(missed)),
            Err(broadcast::error::TryRecvError::Closed) => Err(MomentsError::Closed),
        }
    }
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// All that was accepted had been handled, and all actions had an outcome or were held by a guardrail.
    pub drained: bool,
    /// Actions that still wait; they go out after the next start, if the host keeps its data.
    pub open_actions: usize,
}

impl Host {
    /// A host yet to be started.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Validates an event and hands it to the journal. Does not block.
    ///
    /// # Errors
    /// If it is not valid, or there is no room. Whether it was accepted, the receipt says.
    pub fn submit(&self, event: Event) -> Result<Receipt, SubmitError> {
        self.submit_all(vec![event])
    }

    /// The same for many: all are accepted or none, except that repeats of known events have no effect.
    ///
    /// # Errors
    /// As [`Host::submit`]; it names the first event that is not valid.
    pub fn submit_all(&self, events: Vec<Event>) -> Result<Receipt, SubmitError> {
        // Before work is done for them.
        self.0.shared.intake.check_count(events.len())?;
        let mut batch = EventBatch::new(self.max_event_bytes());
        for (index, event) in events.iter().enumerate() {
            if let Err(error) = batch.push(event) {
                self.0.shared.intake.refused.fetch_add(events.len() as u64, Ordering::Relaxed);
                return Err(SubmitError::Invalid { index, error });
            }
        }
        self.submit_batch(&batch, None)
    }

    /// The same for a batch that was put together before: cheapest where its events were just read, and without a copy if they
    /// have to be offered again. `read`: how far their source has now been read, if it can be read again from there; both
    /// are durable together.
    ///
    /// # Errors
    /// As [`Host::submit_all`].
    pub fn submit_batch(&self, batch: &EventBatch, read: Option<SourceRead>) -> Result<Receipt, SubmitError> {
        self.0.shared.intake.submit(batch, read).map(Receipt)
    }

    /// How far a source has been read: the cursor that was last made durable for it.
    pub fn cursor(&self, source: &str) -> Option<String> {
        self.0.shared.intake.cursor(source)
    }

    /// Moments that occur from now on.
    pub fn moments(&self) -> Moments {
        Moments(self.0.shared.moments.subscribe())
    }

    /// Bytes that one event may have.
    pub fn max_event_bytes(&self) -> usize {
        self.0.shared.intake.limits.event_bytes
    }

    /// Events that one batch may have.
    pub fn max_batch_events(&self) -> usize {
        self.0.shared.intake.limits.batch_events
    }

    /// Moves the timeline to an instant, by a tick, if it is not there yet: timers that are due by then
    /// come due. For tests and recorded streams; a host on received time does so by itself.
    pub fn advance(&self, to: Instant) {
        self.0.shared.intake.advance(to);
    }

    /// What the host is doing. May wait some milliseconds.
    pub fn status(&self) -> Status {
        let Inner { shared, registry, .. } = &*self.0;
        let report = self.report(Duration::from_millis(500)).unwrap_or_default();
        let plugins = registry.status(&report.rules);
        let mut not_ready = Vec::new();
        if !registry.is_settled() {
            not_ready.push("plugins are being loaded".to_owned());
        }
        let failed = shared.intake.failed();
        if let Some(reason) = &failed {
            not_ready.push(format!("the journal takes nothing more: {reason}"));
        }
        if self.0.stopping.load(Ordering::Acquire) {
            not_ready.push("the host is stopping".to_owned());
        }
        let dead_letters = registry.rules().iter().map(|rule| rule.care().letters.len() as u64).sum();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            ready: not_ready.is_empty(),
            not_ready_because: not_ready,
            timeline: TimelineStatus {
                mode: shared.intake.mode().as_str(),
                now: shared.intake.last_instant(),
            },
            journal: JournalStatus {
                start: shared.journal.start(),
                end: shared.journal.end(),
                bytes: shared.journal.size_bytes(),
                failed,
                notes: self.0.notes.clone(),
            },
            intake: shared.intake.status(),
            moments: shared.moment_count.load(Ordering::Relaxed),
            actions: shared.outbox.by_status().collect(),
            open_actions: shared.outbox.open_actions(),
            plugins,
            sinks: shared.outbox.sink_status(),
            dead_letters,
            guardrails: shared.guard.status(shared.intake.last_instant()),
            recovery: self.recovery(report.next_start),
            kept: self.kept(),
            reloads_ok: registry.reloads_ok.load(Ordering::Relaxed),
            reloads_refused: registry.reloads_refused.load(Ordering::Relaxed),
            threads: shared.run.threads(),
        }
    }

    fn recovery(&self, next_start: Duration) -> RecoveryStatus {
        let shared = &self.0.shared;
        // One lock at a time.
        let recovery = shared.recovery().clone();
        let checkpoints_failed = shared.written().failed.clone();
        let next_ms = recovery.load_ms + u64::try_from(next_start.as_millis()).unwrap_or(u64::MAX);
        RecoveryStatus { next_ms, checkpoints_failed, ..recovery }
    }

    fn kept(&self) -> KeptStatus {
        let Inner { shared, keeping, .. } = &*self.0;
        let erasures = shared.erasures.read().unwrap_or_else(PoisonError::into_inner);
        KeptStatus {
            bases: keeping.bases.load(Ordering::Relaxed),
            base_position: keeping.base_position.load(Ordering::Relaxed),
            lagging: keeping.lagging(),
            erasures: erasures.iter().map(|(asked, ..)| *asked).collect(),
            failed: keeping.failed(),
        }
    }

    /// Only the counts of the intake, which cost nothing.
    pub fn intake(&self) -> IntakeStatus {
        self.0.shared.intake.status()
    }

    /// Blocks until all that was accepted is handled, what waits for rules in quarantine aside, and every
    /// action has an outcome or is held by a guardrail. `false`: not within the time given.
    pub fn settle(&self, within: Duration) -> bool {
        self.settle_until(after(within), true)
    }

    fn settle_until(&self, deadline: Monotonic, outbox_too: bool) -> bool {
        let Inner { shared, registry, .. } = &*self.0;
        let mut pause = Duration::from_micros(200);
        loop {
            let end = shared.journal.end();
            let idle = shared.intake.is_idle()
                && registry.is_settled()
                && self.report(Duration::from_secs(1)).is_some_and(|report| report.idle)
                && (!outbox_too || shared.outbox.is_quiet());
            // What was going on may have ended in a new entry.
            if idle && shared.journal.end() == end && shared.intake.is_idle() {
                return true;
            }
            if Monotonic::now() >= deadline {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    fn report(&self, within: Duration) -> Option<Report> {
        let (reply, report) = std::sync::mpsc::sync_channel(1);
        let reply = Box::new(move |report| drop(reply.send(report)));
        self.0.shared.mailbox.ask(Request::Report { reply });
        report.recv_timeout(within).ok()
    }

    /// Takes no more events, drains for at most `within`, writes checkpoints and stops. Blocks.
    pub fn shutdown(self, within: Duration) -> ShutdownReport {
        let deadline = after(within);
        self.0.stopping.store(true, Ordering::Release);
        self.0.shared.intake.drain();
        let drained = self.settle_until(deadline, true);
        let open_actions = self.0.shared.outbox.open_actions();
        self.checkpoint(Duration::from_secs(10));
        self.0.stop();
        ShutdownReport { drained, open_actions }
    }

    /// Writes checkpoints of all rules that changed. `false`: not within the time given.
    pub fn checkpoint(&self, within: Duration) -> bool {
        let deadline = after(within);
        let (reply, sent) = std::sync::mpsc::sync_channel(1);
        let reply = Box::new(move || reply.send(()).unwrap_or_default());
        self.0.shared.mailbox.ask(Request::Checkpoint { all: false, reply });
        sent.recv_timeout(within).is_ok() && self.settle_until(deadline, false)
    }

    /// Runs a plugin given by its bytes, as [`HostBuilder::plugin`] does at the start: in place of the one of that name,
    /// as when its file is replaced, or as a new one. Blocks until it runs; compiling it may take seconds.
    ///
    /// # Errors
    /// [`OperateError::Refused`]: what ran before goes on.
    pub fn load_plugin(
        &self,
        name: &str,
        component: impl Into<Arc<[u8]>>,
        manifest: Manifest,
    ) -> Result<(), OperateError> {
        let candidate = Candidate { component: component.into(), manifest };
        self.0.registry.replace(name, candidate).map_err(|reason| OperateError::Refused { reason })
    }

    /// Whether a plugin is in a state; for tests and scripts that wait for one.
    pub fn plugin_state(&self, file: &str) -> Option<PluginState> {
        self.status().plugins.into_iter().find(|plugin| plugin.file == file).map(|plugin| plugin.state)
    }
}

#[cfg(test)]
impl Host {
    /// What keeps it from being settled.
    pub(crate) fn stuck(&self) -> String {
        let shared = &self.0.shared;
        let report = self.report(Duration::from_secs(1));
        let pending: Vec<_> =
            self.0.registry.rules().iter().map(|rule| rule.pending.load(Ordering::Acquire)).collect();
        format!(
            "intake idle {}, registry settled {}, quiet {}, open {}, pending {pending:?}, {report:?}",
            shared.intake.is_idle(),
            self.0.registry.is_settled(),
            shared.run.is_quiet(),
            shared.outbox.open_actions()
        )
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(crate) fn run_native(&self, rule: &str, version: crate::pipeline::program::Version) {
        self.0.registry.run_native(rule, version);
    }
}

impl Inner {
    fn stop(&self) {
        drop(self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.registry.stop();
        self.shared.outbox.stop();
        self.shared.run.stop();
        self.shared.intake.stop();
        self.keeping.stop();
        self.shared.written().stopped = true;
        self.shared.written_changed.notify_all();
        self.shared.mailbox.ask(Request::Stop);
        self.join(&self.threads);
        // Only now nobody can complete another marker.
        drop(self.shared.to_checkpoint.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            join(thread);
        }
    }

    fn join(&self, threads: &Mutex<Vec<JoinHandle<()>>>) {
        let threads = std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner));
        threads.into_iter().for_each(join);
    }
}

fn join(thread: JoinHandle<()>) {
    // A thread of the host's may hold the last clone: it does not wait for itself.
    if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
        tracing::error!("a thread of the host ended by a panic");
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
