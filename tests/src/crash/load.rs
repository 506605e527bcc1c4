//! Careful senders: each has keys of its own, and sends what was not acknowledged again, with the same ids, before
//! anything else. Now and then one sends again what was acknowledged, as one does that was itself restarted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::chance::Chance;
use super::model::{Entry, Model};

/// What an acknowledged request says.
const BATCH: &str = "application/cloudevents-batch+json";

/// One connection, and what goes over it.
pub struct Sender {
    chance: Chance,
    client: Client,
    model: Arc<Mutex<Model>>,
    keys: Vec<Plan>,
    /// What was sent last, and whether it is known to be accepted.
    last: Vec<(String, Entry)>,
    accepted: bool,
}

/// What was made up for a key so far.
struct Plan {
    key: String,
    n: u64,
    timers: Vec<u64>,
}

impl Sender {
    /// A sender of these keys.
    pub fn new(keys: Vec<String>, chance: Chance, model: Arc<Mutex<Model>>) -> Sender {
        let keys = keys.into_iter().map(|key| Plan { key, n: 0, timers: Vec::new() }).collect();
        Sender { chance, client: client(), model, keys, last: Vec::new(), accepted: true }
    }

    /// Sends until the host is gone.
    pub async fn run(&mut self, url: &str) {
        loop {
            if !self.finish(url).await {
                return;
            }
            if self.chance.percent(5) {
                self.accepted = false;
            } else {
                self.make_up_a_batch();
            }
            let pause = self.chance.below(12);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Sends what is not known to be accepted until it is. `false`: the host is gone.
    pub async fn finish(&mut self, url: &str) -> bool {
        while !self.accepted {
            let events = self.last.iter().map(|(key, entry)| event(key, entry)).collect();
            match post(&self.client, url, events).await {
                Posted::Accepted => {
                    let mut model = self.model.lock().unwrap();
                    for (key, entry) in &self.last {
                        model.acknowledged(key, entry.n);
                    }
                    self.accepted = true;
                }
                Posted::Busy => tokio::time::sleep(Duration::from_millis(20)).await,
                Posted::Gone => return false,
            }
        }
        true
    }

    fn make_up_a_batch(&mut self) {
        let Sender { chance, keys, last, .. } = self;
        let mut model = self.model.lock().unwrap();
        last.clear();
        let size = 1 + if chance.percent(20) { chance.below(40) } else { chance.below(6) };
        for _ in 0..size {
            let place = chance.below(keys.len() as u64);
            let plan = &mut keys[usize::try_from(place).unwrap()];
            let entry = plan.next(chance);
            model.sent(&plan.key, &entry);
            last.push((plan.key.clone(), entry));
        }
        self.accepted = false;
    }
}

impl Plan {
    fn next(&mut self, chance: &mut Chance) -> Entry {
        self.n += 1;
        let mut entry = Entry { n: self.n, echo: chance.percent(8), ..Entry::default() };
        if chance.below(300) == 0 {
            entry.fail = Some(if chance.percent(50) { "trap" } else { "error" });
            return entry;
        }
        if chance.percent(30) {
            entry.note = true;
            entry.expires_ms = chance.percent(30).then(|| chance.below(400));
        }
        if let Some(&target) = self.timers.last()
            && chance.percent(15)
        {
            match chance.percent(50) {
                true => entry.shift = Some((target, chance.below(700))),
                false => entry.cancel = Some(target),
            }
        }
        if chance.percent(15) {
            entry.set_ms = Some(match chance.below(10) {
                // Due at once: before the next event of the key.
                0 => 0,
                1..=7 => chance.below(500),
                _ => chance.below(3_000),
            });
            self.timers.push(self.n);
            if self.timers.len() > 4 {
                self.timers.remove(0);
            }
        }
        entry
    }
}

/// What came of a request.
pub enum Posted {
    /// All of it is accepted.
    Accepted,
    /// It is to be sent again.
    Busy,
    /// There was no answer, or one that says nothing: the events may have been accepted or not.
    Gone,
}

/// Sends events in one batch.
pub async fn post(client: &Client, url: &str, events: Vec<Value>) -> Posted {
    let count = events.len() as u64;
    let request = client.post(url).header("content-type", BATCH).body(Value::from(events).to_string());
    let Ok(answer) = request.send().await else { return Posted::Gone };
    let status = answer.status();
    let Ok(body) = answer.text().await else { return Posted::Gone };
    match status {
        StatusCode::ACCEPTED => {
            let body: Value = serde_json::from_str(&body).expect("an answer in JSON");
            let number = |name: &str| body[name].as_u64().expect("a number");
            assert_eq!(number("accepted") + number("repeated"), count, "a batch is taken whole: {body}");
            Posted::Accepted
        }
        StatusCode::TOO_MANY_REQUESTS => Posted::Busy,
        // It stops.
        StatusCode::SERVICE_UNAVAILABLE => Posted::Gone,
        other => panic!("the host refuses what is right: {other} {body}"),
    }
}

/// A client with connections of its own.
pub fn client() -> Client {
    Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("a client")
}

/// An event for a key's book.
pub fn event(key: &str, entry: &Entry) -> Value {
    json!({
        "specversion": "1.0", "id": format!("{key}-{}", entry.n), "source": "/crash", "type": "ledger.entry",
        "subject": key, "data": entry,
    })
}

/// An event that asks for a key's book.
pub fn question(key: &str, ask: u64) -> Value {
    json!({
        "specversion": "1.0", "id": format!("ask-{key}-{ask}"), "source": "/crash", "type": "ledger.ask",
        "subject": key, "data": { "ask": ask },
    })
}
