//! Events, and what comes of them.

use carpe::{Event, Host};
use serde::Deserialize;
use serde_json::{Value, json};

/// The `n`-th event of a key, from 1, for the guest `counter`.
pub fn count(key: &str, n: u64) -> Event {
    Event::new(format!("{key}-{n}"), "/tests/count", "count.event")
        .with_subject(key)
        .with_json(json!({ "n": n }).to_string())
}

/// Events 1 to `last` of a key, for the guest `counter`.
pub fn counts(key: &str, last: u64) -> Vec<Event> {
    (1..=last).map(|n| count(key, n)).collect()
}

/// An event that the guest `hostile` counts.
pub fn harmless(id: &str, key: &str) -> Event {
    Event::new(id, "/tests/hostile", "hostile.event").with_subject(key).with_json("{}")
}

/// An event that asks the guest `hostile` for a deed: a name, or an object with one entry.
pub fn deed(id: &str, key: &str, deed: &Value) -> Event {
    Event::new(id, "/tests/hostile", "hostile.event")
        .with_subject(key)
        .with_json(json!({ "do": deed }).to_string())
}

/// What the guest `counter` keeps for a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Count {
    /// Events handled.
    pub events: u64,
    /// The number of the last.
    pub last_n: u64,
    /// How many were not one more than the one before.
    pub out_of_order: u64,
    /// How many were the same as the one before.
    pub repeated: u64,
    /// Timers that fired.
    pub timers: u64,
    /// Actions that were delivered.
    pub delivered: u64,
    /// Actions that came to anything else.
    pub undelivered: u64,
}

impl Count {
    /// What is kept after events 1 to `last`, each handled once and in order.
    pub fn exact(last: u64) -> Count {
        Count { events: last, last_n: last, ..Count::default() }
    }
}

/// What the rule `rule`, a `counter`, keeps for a key.
pub fn count_of(host: &Host, rule: &str, key: &str) -> Count {
    match host.state(rule, key) {
        Some(state) => serde_json::from_slice(&state).expect("a counter's state"),
        None => Count::default(),
    }
}

/// All keys of a rule with what it keeps for them, as text.
pub fn states(host: &Host, rule: &str) -> Vec<(String, String)> {
    let text = |state: Option<Vec<u8>>| String::from_utf8(state.unwrap_or_default()).expect("text");
    host.states(rule).into_iter().map(|key| (key.key, text(key.state))).collect()
}
