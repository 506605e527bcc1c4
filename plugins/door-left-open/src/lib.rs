//! Tells a household that a door was left open. See the README. Written against the contract alone: what an SDK would do stands here.

#[cfg(test)]
mod tests;

// Elsewhere than here: a copy of the folder `wit` beside `src`, and `path: "wit"`.
wit_bindgen::generate!({ path: "../../wit", world: "plugin" });

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::carpe::rule::types::{
    Action, Batch, Description, Effects, Failure, Input, KeyedBy, Moment, Payload, StateChange, Subscription,
    TimerChange,
};

const OPENED: u32 = 0;
const TIMER: &str = "left-open";

/// The operator's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Configuration {
    /// For how long a door may stand open.
    after_seconds: u32,
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration { after_seconds: 300 }
    }
}

/// What is kept of a door that stands open; of one that is closed, nothing is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    since: u64,
    told: bool,
}

/// What a door's state becomes, and what follows.
#[derive(Default)]
struct Step {
    timer: Option<Option<u64>>,
    moment: Option<(&'static str, String, &'static str)>,
}

struct DoorLeftOpen;

// `init` has nowhere else to put what `handle` needs. All else that a call leaves behind would break the rule's promise.
static CONFIGURATION: OnceLock<Configuration> = OnceLock::new();

// Natively, for tests, there is nobody to export it to.
#[cfg(target_arch = "wasm32")]
export!(DoorLeftOpen);

impl exports::carpe::rule::rule::Guest for DoorLeftOpen {
    fn init(configuration: String) -> Result<Description, String> {
        let configuration = configured(&configuration)?;
        // An instance is started once.
        let _ = CONFIGURATION.set(configuration);
        Ok(description())
    }

    fn handle(batch: Batch) -> Result<Effects, String> {
        handle(CONFIGURATION.get().ok_or("`init` was not called, or it failed")?, batch)
    }
}

/// The operator reads what is wrong.
fn configured(text: &str) -> Result<Configuration, String> {
    serde_json::from_str(text).map_err(|error| format!("the configuration is wrong: {error}"))
}

fn description() -> Description {
    let subscription = |event_type: &str| Subscription {
        event_type: event_type.to_owned(),
        filter: None,
        keyed_by: KeyedBy::Attribute("subject".to_owned()),
        attributes: Vec::new(),
    };
    Description {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
        settings: None,
        // In the order of `OPENED`.
        subscriptions: vec![subscription("door.opened"), subscription("door.closed")],
        moments: vec!["door.left-open".to_owned(), "door.closed-again".to_owned()],
        actions: vec!["notify.household".to_owned(), "stand-down.household".to_owned()],
        state_version: 1,
    }
}

/// The inputs of a key come in order, and each goes by the state that the one before left.
fn handle(configuration: &Configuration, batch: Batch) -> Result<Effects, String> {
    let mut effects =
        Effects { states: Vec::new(), timers: Vec::new(), moments: Vec::new(), failures: Vec::new() };
    let mut doors: Vec<Option<Open>> = Vec::new();
    for key in &batch.keys {
        let state = key.state.as_deref().map(serde_json::from_slice).transpose();
        doors.push(state.map_err(|error| format!("the state of door {}: {error}", key.name))?);
    }
    let before = doors.clone();
    for (cause, input) in (0..).zip(&batch.inputs) {
        let key = &batch.keys[input.key as usize];
        let door = &mut doors[input.key as usize];
        match step(configuration, input, door) {
            Ok(Step { timer, moment }) => {
                effects.timers.extend(timer.map(|at| TimerChange { cause, name: TIMER.to_owned(), at }));
                effects.moments.extend(moment.map(|(kind, why, action)| Moment {
                    cause,
                    kind: kind.to_owned(),
                    why,
                    subject: None,
                    data: None,
                    expires: None,
                    actions: vec![Action {
                        name: action.to_owned(),
                        reference: None,
                        data: json!({"door": key.name}).to_string(),
                    }],
                }));
            }
            Err(message) => effects.failures.push(Failure { input: cause, message }),
        }
    }
    for (key, (door, before)) in (0..).zip(doors.iter().zip(&before)) {
        if door != before {
            let state =
                door.as_ref().map(serde_json::to_vec).transpose().map_err(|error| error.to_string())?;
            effects.states.push(StateChange { key, state });
        }
    }
    Ok(effects)
}

/// Decides about one input. Nothing may have changed where it fails.
fn step(configuration: &Configuration, input: &Input, door: &mut Option<Open>) -> Result<Step, String> {
    match (&input.payload, door.as_mut()) {
        (Payload::Event(event), None) if event.subscription == OPENED => {
            if input.time > input.now + 60_000 {
                return Err("the door was opened more than a minute ahead of now".to_owned());
            }
            *door = Some(Open { since: input.time, told: false });
            let at = input.time + 1_000 * u64::from(configuration.after_seconds);
            Ok(Step { timer: Some(Some(at)), moment: None })
        }
        // Of an earlier time: it tells how the door was before.
        (Payload::Event(event), Some(open)) if event.subscription != OPENED && input.time >= open.since => {
            let seconds = (input.time - open.since) / 1_000;
            let moment = open.told.then(|| {
                ("door.closed-again", format!("it stood open for {}", words(seconds)), "stand-down.household")
            });
            *door = None;
            Ok(Step { timer: Some(None), moment })
        }
        (Payload::Timer(_), Some(open)) => {
            open.told = true;
            let seconds = (input.time - open.since) / 1_000;
            let why = format!("it has stood open for {}", words(seconds));
            Ok(Step { timer: None, moment: Some(("door.left-open", why, "notify.household")) })
        }
        // Opened once more, closed when it was closed.
        _ => Ok(Step::default()),
    }
}

fn words(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}
