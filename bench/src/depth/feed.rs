//! Events over HTTP, in batches, made as they are sent.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};
use reqwest::StatusCode;
use reqwest::blocking::Client;
use reqwest::header::CONTENT_TYPE;

/// Events of a request.
const BATCH: u64 = 1_000;
/// Requests at once.
const SENDERS: u64 = 4;
/// How long it may have no room.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends events to where a daemon takes them.
pub(super) struct Feed {
    url: String,
    /// How many it has made: no two have the same id.
    made: AtomicU64,
}

impl Feed {
    pub(super) fn new(events: &str) -> Feed {
        Feed { url: format!("{events}/events"), made: AtomicU64::new(0) }
    }

    /// Sends so many events. Which key each is about is made of how many went before, and of a random number.
    pub(super) fn post(&self, events: u64, key: impl Fn(u64, u64) -> u64 + Sync) -> Result<()> {
        let (begun, key) = (self.made.load(Ordering::Relaxed), &key);
        self.made.fetch_add(events, Ordering::Relaxed);
        let next = AtomicU64::new(0);
        let send = |next: &AtomicU64| -> Result<()> {
            let client = Client::builder().timeout(PATIENCE).build()?;
            loop {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= events {
                    return Ok(());
                }
                let mut random = SmallRng::seed_from_u64(begun + first);
                let body =
                    batch(first..events.min(first + BATCH), begun, |count| key(count, random.random()));
                self.send(&client, &body)?;
            }
        };
        thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| send(&next))).collect();
            senders.into_iter().try_for_each(|sender| match sender.join() {
                Ok(sent) => sent,
                Err(_) => bail!("a sender has failed"),
            })
        })
    }

    /// Sends a batch until there is room for it.
    fn send(&self, client: &Client, body: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let request = client.post(&self.url).header(CONTENT_TYPE, "application/cloudevents-batch+json");
            let answer = request.body(body.to_owned()).send()?;
            match answer.status() {
                StatusCode::ACCEPTED => return Ok(()),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                    if begun.elapsed() < PATIENCE =>
                {
                    thread::sleep(Duration::from_millis(20));
                }
                status => bail!("events are answered with {status}: {}", answer.text().unwrap_or_default()),
            }
        }
    }
}

/// So many events as a JSON array, each of about 216 bytes.
fn batch(events: std::ops::Range<u64>, begun: u64, mut key: impl FnMut(u64) -> u64) -> String {
    let mut body = String::with_capacity(events.clone().count() * 224);
    for count in events {
        let (key, id) = (key(count), begun + count);
        let (level, battery, seconds) = (150 + id % 250, 20 + id % 80, id / 1_000 % 60);
        body.push(if body.is_empty() { '[' } else { ',' });
        let _ = write!(
            body,
            r#"{{"specversion":"1.0","id":"{id:x}","source":"/gauges","type":"gauge.level","subject":"gauge-{key:08}","time":"2026-03-01T00:00:{seconds:02}Z","data":{{"level":{level},"n":{id},"unit":"cm","battery":{battery},"station":"km 1"}}}}"#
        );
    }
    body.push(']');
    body
}
