//! Sends the city's events over HTTP, and keeps the books.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant as Monotonic};

use anyhow::{Context, anyhow};
use carpe::{Event, Instant};
use reqwest::{StatusCode, header};
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior};

use super::city::{City, TICK_MS, Tick};
use super::receiver::now;
use crate::client::HostClient;
use crate::failure::Failure;

const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// What was sent, and what is to be expected of it.
#[derive(Default)]
pub(super) struct Books {
    pub(super) sent: Cell<u64>,
    pub(super) accepted: Cell<u64>,
    pub(super) repeated: Cell<u64>,
    doses: RefCell<Doses>,
}

#[derive(Default)]
struct Doses {
    /// Announced and not taken so far.
    open: BTreeMap<String, Instant>,
    /// Taken when the time was certainly up.
    late: BTreeSet<String>,
    /// Taken so close to the end of its time that either is right.
    unsure: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Accepted {
    accepted: u64,
    repeated: u64,
}

impl Books {
    /// Lets the city live for so long.
    pub(super) async fn feed_day(
        &self,
        city: &mut City,
        host: &HostClient,
        length: Duration,
    ) -> Result<(), Failure> {
        let begun = Monotonic::now();
        let mut clock = clock();
        while begun.elapsed() < length {
            clock.tick().await;
            self.feed(city, host, false).await?;
        }
        Ok(())
    }

    /// Until the last dose is taken that will be.
    pub(super) async fn feed_evening(&self, city: &mut City, host: &HostClient) -> Result<(), Failure> {
        let mut clock = clock();
        while !city.is_done() {
            clock.tick().await;
            self.feed(city, host, true).await?;
        }
        Ok(())
    }

    async fn feed(&self, city: &mut City, host: &HostClient, day_is_over: bool) -> Result<(), Failure> {
        let sent_at = now();
        let tick = city.next(sent_at, day_is_over);
        if !tick.events.is_empty() {
            self.sent.set(self.sent.get() + tick.events.len() as u64);
            let Accepted { accepted, repeated } = send(host, &tick.events).await?;
            self.accepted.set(self.accepted.get() + accepted);
            self.repeated.set(self.repeated.get() + repeated);
            self.note(tick, sent_at, now());
        }
        Ok(())
    }

    fn note(&self, tick: Tick, sent_at: Instant, accepted_at: Instant) {
        let mut doses = self.doses.borrow_mut();
        for dose in tick.scheduled {
            doses.open.insert(dose.id, dose.deadline);
        }
        for dose in tick.taken {
            if accepted_at < dose.deadline {
                doses.open.remove(&dose.id);
            } else if sent_at > dose.deadline {
                doses.late.insert(dose.id);
            } else {
                doses.unsure.insert(dose.id);
            }
        }
    }

    /// Doses that somebody must have been reminded of.
    pub(super) fn missed(&self) -> BTreeSet<String> {
        let doses = self.doses.borrow();
        doses.open.keys().filter(|dose| !doses.unsure.contains(*dose)).cloned().collect()
    }

    /// Doses of which either is right.
    pub(super) fn unsure(&self) -> BTreeSet<String> {
        self.doses.borrow().unsure.clone()
    }

    /// When the last reminder can be due.
    pub(super) fn last_deadline(&self) -> Instant {
        self.doses.borrow().open.values().copied().max().unwrap_or_default()
    }
}

fn clock() -> Interval {
    let mut clock = tokio::time::interval(Duration::from_millis(TICK_MS));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

/// Sends a batch, again if the host is busy. Returns when it is durable.
async fn send(host: &HostClient, events: &[Event]) -> Result<Accepted, Failure> {
    let events: Vec<String> = events.iter().map(Event::to_json).collect();
    let body = format!("[{}]", events.join(","));
    loop {
        let request = host.post("/events")?;
        let request =
            request.header(header::CONTENT_TYPE, "application/cloudevents-batch+json").body(body.clone());
        let answer = host.ask(request).await?;
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
