//! What the rule of `tests/conformance` was before: a state was the count of a key's events, as decimal digits and nothing
//! else. Migrations begin with what this leaves.

wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });

use serde_json::Value;

use self::carpe::rule::types::{
    Batch, Data, Description, Effects, Failure, Input, KeyedBy, Moment, Payload, StateChange, Subscription,
    TimerChange,
};

struct Before;

export!(Before);

impl exports::carpe::rule::rule::Guest for Before {
    fn init(_configuration: String) -> Result<Description, String> {
        Ok(Description {
            name: "conform".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            settings: None,
            subscriptions: vec![Subscription {
                event_type: "conform.*".to_owned(),
                filter: None,
                keyed_by: KeyedBy::Attribute("subject".to_owned()),
                attributes: Vec::new(),
            }],
            moments: vec!["conform.said".to_owned()],
            actions: Vec::new(),
            state_version: 1,
        })
    }

    fn handle(batch: Batch) -> Result<Effects, String> {
        let mut effects =
            Effects { states: Vec::new(), timers: Vec::new(), moments: Vec::new(), failures: Vec::new() };
        let mut states: Vec<Option<Vec<u8>>> = batch.keys.into_iter().map(|key| key.state).collect();
        for (cause, input) in (0..).zip(&batch.inputs) {
            match handle_input(cause, input, &mut states[input.key as usize], &mut effects) {
                Ok(()) => {}
                Err(message) => effects.failures.push(Failure { input: cause, message }),
            }
        }
        effects.states = (0..).zip(states).map(|(key, state)| StateChange { key, state }).collect();
        Ok(effects)
    }
}

/// Says what it is at before anything has an effect: then what fails has none.
fn handle_input(
    cause: u32,
    input: &Input,
    state: &mut Option<Vec<u8>>,
    effects: &mut Effects,
) -> Result<(), String> {
    let mut say = |why: String| {
        effects.moments.push(Moment {
            cause,
            kind: "conform.said".to_owned(),
            why,
            subject: None,
            data: None,
            expires: None,
            actions: Vec::new(),
        });
    };
    match &input.payload {
        Payload::Event(event) => {
            let Data::Json(data) = &event.data else { return Err("the data is no JSON".to_owned()) };
            let data: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
            let count = match state {
                Some(state) => {
                    let count = std::str::from_utf8(state).ok().and_then(|text| text.parse::<u64>().ok());
                    count.ok_or("the state is no count")?
                }
                None => 0,
            };
            say(format!("before: event {}", count + 1));
            let written = data["write"].as_str().map(str::to_owned);
            *state = Some(written.unwrap_or_else(|| (count + 1).to_string()).into_bytes());
            if let Some(milliseconds) = data["in"].as_u64() {
                let name = data["timer"].as_str().unwrap_or("timer").to_owned();
                effects.timers.push(TimerChange { cause, name, at: Some(input.now + milliseconds) });
            }
        }
        Payload::Timer(timer) => say(format!("before: timer {}", timer.name)),
        Payload::Outcome(_) => {}
    }
    Ok(())
}
