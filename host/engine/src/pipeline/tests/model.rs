//! The same, one input at a time, key by key, written as the contract says it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Outcome;
use super::chronicle::one;
use crate::journal::{ActionId, Body, Entry, InputId};

struct Timer {
    due: u64,
    name: String,
    id: InputId,
}

#[derive(Default)]
struct Key {
    state: Option<Vec<u8>>,
    timers: Vec<Timer>,
}

pub(super) fn model(entries: &[Arc<Entry>]) -> Outcome {
    let mut result = Outcome::default();
    let mut keys: BTreeMap<String, Key> = BTreeMap::new();
    for entry in entries {
        let Body::Event(event) = &entry.body else { continue };
        let event = event.get();
        // The timeline moved: whatever is due comes first, for every key.
        for (name, key) in &mut keys {
            fire(name, key, entry, &mut result);
        }
        let name = event.subject.unwrap_or_default().to_owned();
        let key = keys.entry(name.clone()).or_default();
        let crate::event::DataRef::Json(text) = event.data else { continue };
        let deeds: Vec<String> = serde_json::from_str(text).unwrap();
        let id = InputId::of_entry(entry.epoch, entry.position, Some(0));
        let time = event.time.unwrap();
        give(&name, key, entry, id, time, None, &format!("event {}", event.id), &deeds, &mut result);
        // One that was set in the past is due at once.
        fire(&name, key, entry, &mut result);
    }
    for (name, key) in keys {
        if key.state.is_some() || !key.timers.is_empty() {
            let mut timers: Vec<(u64, String)> =
                key.timers.into_iter().map(|timer| (timer.due, timer.name)).collect();
            timers.sort();
            result.keys.insert(name, (key.state, timers));
        }
    }
    result
}

fn fire(name: &str, key: &mut Key, entry: &Entry, result: &mut Outcome) {
    loop {
        key.timers.sort_by(|one, other| (one.due, &one.name).cmp(&(other.due, &other.name)));
        if key.timers.first().is_none_or(|timer| timer.due > entry.instant) {
            return;
        }
        let timer = key.timers.remove(0);
        let what = format!("timer {}", timer.name);
        give(name, key, entry, timer.id, timer.due, Some(timer.due), &what, &[], result);
    }
}

#[expect(clippy::too_many_arguments, reason = "a model, spelled out")]
fn give(
    name: &str,
    key: &mut Key,
    entry: &Entry,
    id: InputId,
    time: u64,
    due: Option<u64>,
    what: &str,
    deeds: &[String],
    result: &mut Outcome,
) {
    let now = entry.instant;
    match one(key.state.as_deref(), time, now, what, deeds) {
        Ok(done) => {
            key.state = done.state;
            for (timer, at) in done.timers {
                key.timers.retain(|known| known.name != timer);
                if let Some(at) = at {
                    let due = due.map_or(at, |due| at.max(due + 1));
                    key.timers.push(Timer { due, id: InputId::of_timer(id, &timer), name: timer });
                }
            }
            for (count, why) in (0..).zip(done.moments) {
                let action = ActionId::new("chronicle", name, id, "moment", "act", count);
                result.moments.entry(name.to_owned()).or_default().push((why, time, now, action));
            }
            if done.failed {
                result
                    .letters
                    .entry(name.to_owned())
                    .or_default()
                    .push((entry.position, "failed".to_owned()));
            }
        }
        Err(reason) => result.letters.entry(name.to_owned()).or_default().push((entry.position, reason)),
    }
}
