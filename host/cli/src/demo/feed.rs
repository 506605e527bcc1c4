//! Sends events over HTTP, and keeps the books of what was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Monotonic, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use carpe::{Event, Instant};
use reqwest::{Response, StatusCode, header};
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior};

use super::city::rubbish;
use super::city::{City, TICK_MS, Tick};
use crate::client::{HostClient, problem};
use crate::failure::Failure;

const BUSY_PAUSE: Duration = Duration::from_millis(100);
const BATCH: &str = "application/cloudevents-batch+json";
/// In one tick of so many, some events are sent again.
const REPEAT_EVERY_TICKS: u64 = 10;
const REPEATS: usize = 3;

/// What was sent, and what is to be expected of it.
pub(super) struct Feed {
    host: HostClient,
    /// Events, each once.
    pub(super) sent: AtomicU64,
    pub(super) accepted: AtomicU64,
    /// Events that were sent again, and that the host knew.
    pub(super) again: AtomicU64,
    pub(super) repeated: AtomicU64,
    /// Requests that are no events, and those that were refused with a reason.
    pub(super) rubbish: AtomicU64,
    pub(super) refused: AtomicU64,
    /// The last such reason.
    reason: Mutex<String>,
    doses: Mutex<Doses>,
}

#[derive(Default)]
struct Doses {
    /// Announced and not taken so far.
    open: BTreeMap<String, Instant>,
    /// Taken so close to the end of its time that either is right.
    unsure: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Accepted {
    accepted: u64,
    repeated: u64,
}

impl Feed {
    pub(super) fn new(host: HostClient) -> Feed {
        Feed {
            host,
            sent: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            again: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            rubbish: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            reason: Mutex::default(),
            doses: Mutex::default(),
        }
    }

    /// Lets the city live for so long.
    pub(super) async fn day(&self, city: &mut City, length: Duration) -> Result<(), Failure> {
        let begun = Monotonic::now();
        let mut clock = clock();
        for tick in 0_u64.. {
            if begun.elapsed() >= length {
                break;
            }
            clock.tick().await;
            let events = self.tick(city, false).await?;
            if tick % REPEAT_EVERY_TICKS == REPEAT_EVERY_TICKS - 1 {
                self.send_again(&events[..events.len().min(REPEATS)]).await?;
            }
            if let Some((content_type, body)) = rubbish::request(tick) {
                self.send_rubbish(content_type, body).await?;
            }
        }
        Ok(())
    }

    /// Until the last dose is taken that will be.
    pub(super) async fn evening(&self, city: &mut City) -> Result<(), Failure> {
        let mut clock = clock();
        while !city.is_done() {
            clock.tick().await;
            self.tick(city, true).await?;
        }
        Ok(())
    }

    /// Sends events that were not sent before. Returns when they are durable.
    pub(super) async fn send(&self, events: &[Event]) -> Result<(), Failure> {
        self.sent.fetch_add(events.len() as u64, Relaxed);
        let Accepted { accepted, repeated } = self.deliver(events).await?;
        self.accepted.fetch_add(accepted, Relaxed);
        self.repeated.fetch_add(repeated, Relaxed);
        Ok(())
    }

    async fn tick(&self, city: &mut City, day_is_over: bool) -> Result<Vec<Event>, Failure> {
        let sent_at = now();
        let mut tick = city.next(sent_at, day_is_over);
        let events = std::mem::take(&mut tick.events);
        if !events.is_empty() {
            self.send(&events).await?;
            self.note(tick, sent_at, now());
        }
        Ok(events)
    }

    async fn send_again(&self, events: &[Event]) -> Result<(), Failure> {
        self.again.fetch_add(events.len() as u64, Relaxed);
        let Accepted { accepted, repeated } = self.deliver(events).await?;
        self.accepted.fetch_add(accepted, Relaxed);
        self.repeated.fetch_add(repeated, Relaxed);
        Ok(())
    }

    async fn send_rubbish(&self, content_type: &str, body: String) -> Result<(), Failure> {
        self.rubbish.fetch_add(1, Relaxed);
        let answer = self.post(content_type, body).await?;
        if answer.status().is_client_error() {
            let refusal = problem(answer).await;
            if !refusal.detail.is_empty() {
                self.refused.fetch_add(1, Relaxed);
                *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = refusal.detail;
            }
        }
        Ok(())
    }

    /// Sends a batch, again if the host is busy.
    async fn deliver(&self, events: &[Event]) -> Result<Accepted, Failure> {
        let events: Vec<String> = events.iter().map(Event::to_json).collect();
        let body = format!("[{}]", events.join(","));
        loop {
            let answer = self.post(BATCH, body.clone()).await?;
            if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                tokio::time::sleep(BUSY_PAUSE).await;
                continue;
            }
            if !answer.status().is_success() {
                let status = answer.status();
                let text = answer.text().await.unwrap_or_default();
                return Err(anyhow!("the host refused events of the demo: {status}: {text}").into());
            }
            return Ok(answer.json().await.context("the host did not say what it accepted")?);
        }
    }

    async fn post(&self, content_type: &str, body: String) -> Result<Response, Failure> {
        let request = self.host.post("/events")?.header(header::CONTENT_TYPE, content_type).body(body);
        self.host.ask(request).await
    }

    fn note(&self, tick: Tick, sent_at: Instant, accepted_at: Instant) {
        let mut doses = self.doses();
        for dose in tick.scheduled {
            doses.open.insert(dose.id, dose.deadline);
        }
        for dose in tick.taken {
            if accepted_at < dose.deadline {
                doses.open.remove(&dose.id);
            } else if sent_at <= dose.deadline {
                doses.unsure.insert(dose.id);
            }
        }
    }

    /// Doses that somebody must have been reminded of.
    pub(super) fn missed(&self) -> BTreeSet<String> {
        let doses = self.doses();
        doses.open.keys().filter(|dose| !doses.unsure.contains(*dose)).cloned().collect()
    }

    /// Doses of which either is right.
    pub(super) fn unsure(&self) -> BTreeSet<String> {
        self.doses().unsure.clone()
    }

    /// When the last reminder can be due.
    pub(super) fn last_deadline(&self) -> Instant {
        self.doses().open.values().copied().max().unwrap_or_default()
    }

    /// Why the last rubbish was refused.
    pub(super) fn reason(&self) -> String {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn doses(&self) -> MutexGuard<'_, Doses> {
        self.doses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock, in milliseconds with fractions.
pub(super) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// The same, as events have it.
pub(super) fn now() -> Instant {
    now_ms() as Instant
}

fn clock() -> Interval {
    let mut clock = tokio::time::interval(Duration::from_millis(TICK_MS));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}
