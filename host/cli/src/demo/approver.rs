//! A person in the operators' office: every now and then they look at what waits for an approval, and say yes or no.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carpe_connect::operators::HeldJson;
use serde::Deserialize;
use serde_json::{Value, json};

use super::screen::Screen;
use crate::client::HostClient;
use crate::failure::{Failure, Kind};

const LOOKS_EVERY: Duration = Duration::from_millis(700);
/// Of so many they refuse one, the second: they are no machine, but the demo shows both.
const REFUSES_ONE_OF: usize = 3;

pub(super) struct Approver {
    operators: HostClient,
    screen: Screen,
    said: Mutex<BTreeMap<String, bool>>,
}

#[derive(Deserialize)]
struct Held {
    held: Vec<HeldJson>,
}

impl Approver {
    pub(super) fn new(operators: HostClient, screen: &Screen) -> Approver {
        Approver { operators, screen: screen.clone(), said: Mutex::default() }
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

    /// What they said, by idempotency key: yes or no.
    pub(super) fn said(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
