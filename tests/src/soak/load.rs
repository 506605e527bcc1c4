//! Senders of a steady load: each has keys of its own, and sends what was not accepted again before anything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Client;
use tokio::time::Instant;

use crate::crash::load::{Posted, client, event, post};
use crate::crash::model::Entry;

/// Events of one request.
pub const BATCH: u64 = 50;

/// What all senders go by, and add to.
#[derive(Default)]
pub struct Load {
    /// They end soon after it is set.
    pub stop: AtomicBool,
    /// Events that were accepted.
    pub accepted: AtomicU64,
    /// Requests that were told to come back.
    pub busy: AtomicU64,
}

/// Sends events of its keys in turn.
pub struct Sender {
    keys: Vec<String>,
    client: Client,
    load: Arc<Load>,
    /// Events that it made up so far.
    made: u64,
}

impl Sender {
    /// A sender of these keys.
    pub fn new(keys: Vec<String>, load: Arc<Load>) -> Sender {
        Sender { keys, client: client(), load, made: 0 }
    }

    /// Sends a batch each so often until it is to stop. `false`: the host is gone.
    pub async fn run(&mut self, url: &str, every: Duration) -> bool {
        let mut due = Instant::now();
        while !self.load.stop.load(Ordering::Relaxed) {
            tokio::time::sleep_until(due).await;
            let events: Vec<_> = (0..BATCH).map(|_| self.next()).collect();
            loop {
                match post(&self.client, url, events.clone()).await {
                    Posted::Accepted => break,
                    Posted::Busy => {
                        self.load.busy.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Posted::Gone => return false,
                }
            }
            self.load.accepted.fetch_add(BATCH, Ordering::Relaxed);
            // What could not be sent in time is made up for, but not for ever: that would be a flood.
            due = (due + every).max(Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or(due));
        }
        true
    }

    fn next(&mut self) -> serde_json::Value {
        let keys = self.keys.len() as u64;
        let (key, n) = (self.made % keys, self.made / keys + 1);
        self.made += 1;
        // One in twenty: an action with an outcome, and a timer, whose action has none. Each key has its turn.
        let turn = (key + n) % 20;
        let entry =
            Entry { n, note: turn == 0, set_ms: (turn == 10).then_some(500 + key), ..Entry::default() };
        event(&self.keys[usize::try_from(key).unwrap()], &entry)
    }
}
