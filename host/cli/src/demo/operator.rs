//! A person in the operators' office: every now and then they look at what waits for an approval, and say yes or no; and
//! once they mute offers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use carpe::{Instant, parse_instant};
use carpe_connect::operators::HeldJson;
use serde::Deserialize;
use serde_json::{Value, json};

use super::feed::now;
use super::screen::Screen;
use crate::client::HostClient;
use crate::failure::{Failure, Kind};

const LOOKS_EVERY: Duration = Duration::from_millis(700);
/// Of so many they refuse one, the second: they are no machine, but the demo shows both.
const REFUSES_ONE_OF: usize = 3;
const MUTED: &str = "shop.nearby";
const MUTED_SECONDS: u64 = 2;

pub(super) struct Operator {
    operators: HostClient,
    screen: Screen,
    said: Mutex<BTreeMap<String, bool>>,
}

#[derive(Deserialize)]
struct Held {
    held: Vec<HeldJson>,
}

impl Operator {
    pub(super) fn new(operators: HostClient, screen: &Screen) -> Operator {
        Operator { operators, screen: screen.clone(), said: Mutex::default() }
    }

    /// Looks at what is held, again and again. Returns why that is no longer possible.
    pub(super) async fn work(&self) -> Failure {
        loop {
            tokio::time::sleep(LOOKS_EVERY).await;
            if let Err(failure) = self.look().await {
                return failure;
            }
        }
    }

    async fn look(&self) -> Result<(), Failure> {
        let Held { held } = self.operators.show(&["held"], &[]).await?;
        for action in held.iter().filter(|action| action.for_approval) {
            self.decide(action).await?;
        }
        Ok(())
    }

    async fn decide(&self, action: &HeldJson) -> Result<(), Failure> {
        let approves = self.said().len() % REFUSES_ONE_OF != 1;
        let (verb, why) = match approves {
            true => ("approve", "the hall is full today"),
            false => ("refuse", "not so much at once"),
        };
        // Before the host knows: once it does, nothing is held any more, and the day may be over.
        self.said().insert(action.id.clone(), approves);
        match self.operators.change::<Value>(&["held", &action.id, verb], &json!({ "why": why })).await {
            Ok(_) => {
                let said = if approves { "approved" } else { "refused" };
                self.screen
                    .say(&format!("-- a person has {said} {} of {}: {why}", action.action, action.subject));
                Ok(())
            }
            // It is too late, or the host is busy: what still waits is seen to next time.
            Err(failure) if failure.kind == Kind::Failed => {
                self.said().remove(&action.id);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Mutes offers for a moment. Returns from when to when they are.
    pub(super) async fn mute_offers(&self) -> Result<Range<Instant>, Failure> {
        let wish = json!({ "moment": MUTED, "for_seconds": MUTED_SECONDS, "why": "a procession goes by" });
        let answer: Value = self.operators.change(&["mutes"], &wish).await?;
        let from = now();
        let until = answer["until"].as_str().and_then(parse_instant);
        let until = until.context("the host does not say until when offers are muted")?;
        self.screen.say(&format!("-- {MUTED} is muted for {MUTED_SECONDS} s: a procession goes by"));
        Ok(from..until)
    }

    /// What they said, by idempotency key: yes or no.
    pub(super) fn said(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
