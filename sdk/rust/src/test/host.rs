//! A small host: one thread, batches of one.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::{Happened, Moment, TestEvent};
use crate::about::{Described, KeyedBy, Subscription};
use crate::contract::{Batch, Data, Effects, INSTANT_LIMIT, Input, Instant, Keyed, Payload, TimerChange};
use crate::pointer;
use crate::rule::Rule;
use crate::runner::Runner;
use crate::text::Text;

/// As many timers a key may have come due before one entry: as in the host, by default.
const MAX_TIMERS_AT_ONCE: usize = 1_000;

pub(super) struct Host<R> {
    runner: Runner<R>,
    pub(super) now: Instant,
    pub(super) states: BTreeMap<Rc<str>, Vec<u8>>,
    pub(super) timers: BTreeMap<(Rc<str>, String), Instant>,
}

impl<R: Rule + Described> Host<R> {
    pub(super) fn new(runner: Runner<R>, now: Instant) -> Self {
        Host { runner, now, states: BTreeMap::new(), timers: BTreeMap::new() }
    }

    #[track_caller]
    pub(super) fn send(&mut self, event: TestEvent) -> Happened {
        let time = event.time.unwrap_or(self.now);
        if time >= INSTANT_LIMIT {
            panic!("the host refuses an event of time {time}: it is not below 2^53");
        }
        self.now = self.now.max(time);
        let mut happened = self.fire_due(self.now);
        let kind = event.attribute_value("type").unwrap_or_default();
        let matching: Vec<(usize, Subscription)> =
            self.runner.about().subscriptions.iter().cloned().enumerate().collect();
        let mut given = false;
        for (position, subscription) in matching {
            if !subscription.takes(kind) {
                continue;
            }
            let Some(key) = subscription.key_of(&event) else { continue };
            given = true;
            let attributes = subscription
                .attributes
                .iter()
                .map(|name| event.attribute_value(name).map(|value| Text::Own(value.to_owned())));
            let payload = Payload::Event {
                subscription: position as u32,
                attributes: attributes.collect(),
                data: event.data.clone(),
            };
            happened.add(self.handle(key.into(), time, payload));
        }
        assert!(
            given,
            "no subscription takes this event, or it has not the key that the subscription names: {event:?}"
        );
        happened.add(self.fire_due(self.now));
        happened
    }

    #[track_caller]
    pub(super) fn give(&mut self, key: Rc<str>, payload: Payload) -> Happened {
        let mut happened = self.fire_due(self.now);
        happened.add(self.handle(key, self.now, payload));
        happened.add(self.fire_due(self.now));
        happened
    }

    #[track_caller]
    pub(super) fn advance_to(&mut self, instant: Instant) -> Happened {
        let instant = instant.min(INSTANT_LIMIT - 1);
        let mut happened = Happened::default();
        // The idle host appends a tick at each of these instants.
        while let Some(due) = self.timers.values().copied().min().filter(|due| *due <= instant) {
            self.now = self.now.max(due);
            happened.add(self.fire_due(self.now));
        }
        self.now = self.now.max(instant);
        happened
    }

    /// Gives the rule all timers due by an instant.
    #[track_caller]
    fn fire_due(&mut self, until: Instant) -> Happened {
        let mut happened = Happened::default();
        let mut fired = BTreeMap::new();
        loop {
            let next = self.timers.iter().map(|((key, name), due)| (*due, name, key)).min();
            let Some((due, name, key)) = next.filter(|(due, ..)| *due <= until) else { return happened };
            let (name, key) = (name.clone(), Rc::clone(key));
            self.timers.remove(&(Rc::clone(&key), name.clone()));
            let count = fired.entry(Rc::clone(&key)).or_insert(0);
            *count += 1;
            assert!(
                *count <= MAX_TIMERS_AT_ONCE,
                "more than {MAX_TIMERS_AT_ONCE} timers of key `{key}` came due at once, at last `{name}`: to repeat, \
                 count from `now`, not from the timer's time"
            );
            happened.add(self.handle(key, due, Payload::Timer { name }));
        }
    }

    #[track_caller]
    fn handle(&mut self, key: Rc<str>, time: Instant, payload: Payload) -> Happened {
        let is_timer = matches!(payload, Payload::Timer { .. });
        let batch = Batch {
            keys: vec![Keyed { name: Rc::clone(&key).into(), state: self.states.get(&key).cloned() }],
            inputs: vec![Input { key: 0, time, now: self.now, payload }],
        };
        match self.runner.handle(batch) {
            Ok(effects) => self.apply(&key, time, is_timer, effects),
            // Alone in its batch: set aside.
            Err(error) => Happened { moments: Vec::new(), failures: vec![error.to_string()] },
        }
    }

    #[track_caller]
    fn apply(&mut self, key: &Rc<str>, time: Instant, is_timer: bool, effects: Effects) -> Happened {
        for change in effects.states {
            match change.state {
                Some(state) => self.states.insert(Rc::clone(key), state),
                None => self.states.remove(key),
            };
        }
        for TimerChange { name, at, .. } in effects.timers {
            match at {
                // One set by a timer is due at least 1 ms after that one.
                Some(at) => {
                    self.timers.insert((Rc::clone(key), name), if is_timer { at.max(time + 1) } else { at })
                }
                None => self.timers.remove(&(Rc::clone(key), name)),
            };
        }
        let about = self.runner.about();
        for moment in &effects.moments {
            let kind = &moment.kind;
            assert!(
                about.moments.contains(kind),
                "moment `{kind}` is not declared: add `.moment(\"{kind}\")`"
            );
            for action in &moment.actions {
                let name = &action.name;
                assert!(
                    about.actions.contains(name),
                    "action `{name}` is not declared: add `.action(\"{name}\")`"
                );
            }
        }
        Happened {
            moments: effects.moments.into_iter().map(|moment| Moment::new(key, time, moment)).collect(),
            failures: effects.failures.into_iter().map(|failure| failure.message).collect(),
        }
    }
}

impl TestEvent {
    fn attribute_value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Subscription {
    fn takes(&self, kind: &str) -> bool {
        match self.event_type.strip_suffix('*') {
            Some(beginning) => kind.starts_with(beginning),
            None => kind == self.event_type,
        }
    }

    fn key_of(&self, event: &TestEvent) -> Option<String> {
        match &self.keyed_by {
            KeyedBy::Attribute(name) => event.attribute_value(name).map(str::to_owned),
            KeyedBy::Data(path) => {
                let Data::Json(text) = &event.data else { return None };
                key_in(&serde_json::from_str(pointer::find(text, path).ok()??).ok()?)
            }
            KeyedBy::Nothing => Some(String::new()),
        }
    }
}

/// A string, or a whole number's digits.
fn key_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_f64() => number
            .as_f64()
            .filter(|number| number.fract() == 0.0)
            .map(|number| format!("{:.0}", number + 0.0)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
