//! A host that remembers what it took, and refuses when it is told to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use carpe::journal::SourceRead;
use carpe::{Accepted, AdmitError, Event, EventBatch, Host, SubmitError};
use carpe_connect::{Bounds, Intake};
use tokio::sync::watch;

#[derive(Clone)]
pub(crate) struct Recorder(Arc<Inner>);

struct Inner {
    host: Host,
    state: Mutex<State>,
    count: watch::Sender<usize>,
    open: watch::Sender<bool>,
    bounds: Bounds,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    known: HashSet<(String, String)>,
    cursors: HashMap<String, String>,
    refusals: VecDeque<SubmitError>,
    failures: VecDeque<SubmitError>,
    bad_ids: HashSet<String>,
    groups: Vec<usize>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Recorder::with(Bounds { event_bytes: 4096, batch_events: 100 })
    }

    pub(crate) fn with(bounds: Bounds) -> Self {
        let host = Host::builder().threads(1).max_event_bytes(bounds.event_bytes).start().unwrap();
        let (count, open) = (watch::Sender::new(0), watch::Sender::new(true));
        Recorder(Arc::new(Inner { host, state: Mutex::default(), count, open, bounds }))
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.state().events.iter().map(|event| event.id.to_string()).collect()
    }

    pub(crate) fn groups(&self) -> Vec<usize> {
        self.state().groups.clone()
    }

    /// Refuses the next submission so.
    pub(crate) fn refuse(&self, error: SubmitError) {
        self.state().refusals.push_back(error);
    }

    /// How many refusals nobody has met yet.
    pub(crate) fn refusals_left(&self) -> usize {
        self.state().refusals.len()
    }

    /// Takes the next submission, but its receipt fails so: nothing of it is kept.
    pub(crate) fn fail(&self, error: SubmitError) {
        self.state().failures.push_back(error);
    }

    /// Events with this id are refused as invalid.
    pub(crate) fn refuse_id(&self, id: &str) {
        self.state().bad_ids.insert(id.to_owned());
    }

    /// While closed, nothing becomes durable.
    pub(crate) fn open(&self, open: bool) {
        self.0.open.send_replace(open);
    }

    /// Waits until so many events were taken, repeats not counted.
    pub(crate) async fn taken(&self, count: usize) {
        let mut counted = self.0.count.subscribe();
        counted.wait_for(|&taken| taken >= count).await.unwrap();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

impl Intake for Recorder {
    type Receipt = Pin<Box<dyn Future<Output = Result<Accepted, SubmitError>> + Send>>;

    fn submit(&self, batch: &EventBatch, read: Option<SourceRead>) -> Result<Self::Receipt, SubmitError> {
        let mut state = self.state();
        if let Some(refusal) = state.refusals.pop_front() {
            return Err(refusal);
        }
        if let Some(index) = batch.iter().position(|event| state.bad_ids.contains(event.id)) {
            let error = AdmitError::Data { reason: "is not wanted".to_owned() };
            return Err(SubmitError::Invalid { index, error });
        }
        let mut open = self.0.open.subscribe();
        if let Some(failure) = state.failures.pop_front() {
            return Ok(Box::pin(async move {
                open.wait_for(|&open| open).await.unwrap();
                Err(failure)
            }));
        }
        let receipt = self.0.host.submit_batch(batch, None)?;
        state.groups.push(batch.len());
        for event in batch.iter() {
            if state.known.insert((event.source.to_string(), event.id.to_string())) {
                state.events.push(Event::from(&event));
            }
        }
        if let Some(SourceRead { source, cursor }) = read {
            state.cursors.insert(source, cursor);
        }
        self.0.count.send_replace(state.events.len());
        Ok(Box::pin(async move {
            let taken = receipt.await;
            open.wait_for(|&open| open).await.unwrap();
            taken
        }))
    }

    fn cursor(&self, source: &str) -> Option<String> {
        self.state().cursors.get(source).cloned()
    }

    fn bounds(&self) -> Bounds {
        self.0.bounds
    }
}
