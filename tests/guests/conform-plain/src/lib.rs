//! The rule of `tests/conformance`, with nothing but what `wit-bindgen` makes of `wit/`.

mod deeds;

wit_bindgen::generate!({ path: "../../../wit", world: "migrating-plugin" });

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::carpe::rule::types::{
    Batch, Data, Description, Effects, Failure, Input, KeyedBy, Moment, Outcome, Payload, StateChange,
    Status, Subscription, TimerChange,
};

/// What `init` was given. An instance is called by one thread at a time, and `handle` gets nothing but the batch.
static CONFIGURATION: OnceLock<Configuration> = OnceLock::new();

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    greeting: String,
    #[serde(default = "thousand")]
    limit: u64,
}

fn thousand() -> u64 {
    1_000
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    count: u64,
    value: Value,
}

/// What an input has come to so far: none of it counts if the input fails.
struct Done {
    cause: u32,
    timers: Vec<TimerChange>,
    moments: Vec<Moment>,
}

impl Done {
    fn timer(&mut self, name: &str, at: Option<u64>) {
        self.timers.push(TimerChange { cause: self.cause, name: name.to_owned(), at });
    }

    fn moment(&mut self, kind: &str, why: impl Into<String>) -> &mut Moment {
        self.moments.push(Moment {
            cause: self.cause,
            kind: kind.to_owned(),
            why: why.into(),
            subject: None,
            data: None,
            expires: None,
            actions: Vec::new(),
        });
        let last = self.moments.len() - 1;
        &mut self.moments[last]
    }

    fn said(&mut self, why: impl Into<String>, data: &Value) {
        self.moment("conform.said", why).data = Some(data.to_string());
    }
}

struct Conform;

export!(Conform);

impl exports::carpe::rule::rule::Guest for Conform {
    fn init(configuration: String) -> Result<Description, String> {
        let configuration = configured(&configuration)?;
        CONFIGURATION.set(configuration).map_err(|_| "`init` was called before")?;
        Ok(description())
    }

    fn handle(batch: Batch) -> Result<Effects, String> {
        let configuration = CONFIGURATION.get().ok_or("`init` was not called, or it failed")?;
        let read = |state: Option<Vec<u8>>| match state {
            Some(state) => serde_json::from_slice::<Kept>(&state),
            None => Ok(Kept::default()),
        };
        let keys: Vec<(String, Kept)> = batch
            .keys
            .into_iter()
            .map(|key| match read(key.state) {
                Ok(kept) => Ok((key.name, kept)),
                Err(error) => Err(format!("the state of key `{}`: {error}", key.name)),
            })
            .collect::<Result<_, _>>()?;
        // A key's later inputs go by what its earlier ones left.
        let mut now_kept: Vec<Kept> = keys.iter().map(|(_, kept)| kept.clone()).collect();
        let mut effects =
            Effects { states: Vec::new(), timers: Vec::new(), moments: Vec::new(), failures: Vec::new() };
        for (cause, input) in (0..).zip(&batch.inputs) {
            let key = input.key as usize;
            let mut kept = now_kept[key].clone();
            let mut done = Done { cause, timers: Vec::new(), moments: Vec::new() };
            match handle_input(configuration, &keys[key].0, input, &mut kept, &mut done) {
                Ok(()) => {
                    now_kept[key] = kept;
                    effects.timers.append(&mut done.timers);
                    effects.moments.append(&mut done.moments);
                }
                Err(message) => effects.failures.push(Failure { input: cause, message }),
            }
        }
        for (key, (kept, (_, before))) in (0..).zip(now_kept.iter().zip(&keys)) {
            if kept != before {
                effects.states.push(StateChange { key, state: written(kept) });
            }
        }
        Ok(effects)
    }
}

impl exports::carpe::rule::migration::Guest for Conform {
    /// Version 1 was the count, as decimal digits and nothing else.
    fn migrate(from_version: u32, _key: String, state: Vec<u8>) -> Result<Option<Vec<u8>>, String> {
        let text = std::str::from_utf8(&state).unwrap_or_default();
        if from_version == 1 && text == "forget" {
            return Ok(None);
        }
        let is_count = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let count = text.parse().ok().filter(|_| from_version == 1 && is_count);
        let count = count.ok_or("the state is no count")?;
        Ok(written(&Kept { count, value: Value::Null }))
    }
}

fn configured(text: &str) -> Result<Configuration, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    // What serde says of a wrong type does not name the field.
    if value["greeting"].as_str().is_none_or(str::is_empty) {
        return Err("`greeting` must be a text that is not empty".to_owned());
    }
    if value.get("limit").is_some_and(|limit| limit.as_u64().is_none()) {
        return Err("`limit` must be a whole number from 0 on".to_owned());
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn description() -> Description {
    let subscription = |event_type: &str, keyed_by, attributes: &[&str]| Subscription {
        event_type: event_type.to_owned(),
        filter: None,
        keyed_by,
        attributes: attributes.iter().map(|&name| name.to_owned()).collect(),
    };
    Description {
        name: "conform".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
        settings: None,
        subscriptions: vec![
            subscription("conform.*", KeyedBy::Attribute("subject".to_owned()), &["id", "type", "note"]),
            subscription("other", KeyedBy::Data("/about/id".to_owned()), &[]),
        ],
        moments: vec!["conform.said".to_owned(), "conform.acted".to_owned()],
        actions: vec!["conform.do".to_owned(), "conform.tell".to_owned()],
        state_version: 2,
    }
}

fn handle_input(
    configuration: &Configuration,
    key: &str,
    input: &Input,
    kept: &mut Kept,
    done: &mut Done,
) -> Result<(), String> {
    let Input { time, now, .. } = *input;
    match &input.payload {
        Payload::Event(event) => {
            deeds::perform(&deeds::Told { configuration, key, input, event }, kept, done)?
        }
        Payload::Timer(timer) => {
            let data = json!({"count": kept.count, "value": kept.value, "time": time, "now": now});
            done.said(format!("timer {}", timer.name), &data);
            if timer.name == "again" && kept.count > 0 {
                done.timer("again", Some(time + 1_000));
                kept.count -= 1;
            }
        }
        Payload::Outcome(outcome) => {
            let Outcome { action, reference, status, answer, .. } = outcome;
            let answer = match answer {
                Data::Json(text) => serde_json::from_str(text).unwrap_or_default(),
                Data::Absent | Data::Binary(_) => Value::Null,
            };
            let data = json!({"action": action, "reference": reference, "answer": answer});
            done.said(format!("outcome {}", word(*status)), &data);
        }
    }
    Ok(())
}

/// A state that is as at first need not be kept.
fn written(kept: &Kept) -> Option<Vec<u8>> {
    (*kept != Kept::default())
        .then(|| json!({"count": kept.count, "value": kept.value}).to_string().into_bytes())
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Delivered => "delivered",
        Status::Rejected => "rejected",
        Status::Withheld => "withheld",
        Status::Failed => "failed",
        Status::Expired => "expired",
    }
}
