//! A rule in plain Rust that remembers all that it is given, in order, and does what its events ask for.

use crate::event::DataRef;
use crate::limits::Limits;
use crate::pipeline::program::{CallFailure, Callee, FailureKind, InstanceBudget, Program, Version};
use crate::rule::{
    Batch, Description, Effects, EmittedAction, EmittedMoment, Failure, KeyedBy, Payload, StateChange,
    Subscription, TimerChange,
};

pub(super) const EVENT_TYPE: &str = "test.told";

pub(super) struct Chronicle;

/// What one input does to a key's chronicle. Also what the model goes by.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) state: Option<Vec<u8>>,
    /// Name and instant; none cancels.
    pub(super) timers: Vec<(String, Option<u64>)>,
    pub(super) moments: Vec<String>,
    pub(super) failed: bool,
}

/// What the rule does with one input; `Err`: the whole batch fails.
pub(super) fn one(
    state: Option<&[u8]>,
    time: u64,
    now: u64,
    what: &str,
    deeds: &[String],
) -> Result<Done, String> {
    let mut chronicle = state.unwrap_or_default().to_vec();
    chronicle.extend_from_slice(format!("{what}@{time}/{now};").as_bytes());
    let mut done = Done::default();
    // A timer called r3 sets r2, r2 sets r1; each is a moment.
    if let Some(name) = what.strip_prefix("timer ") {
        done.moments.push(format!("{name} after {}", chronicle.len()));
        if let Some(left) =
            name.strip_prefix('r').and_then(|left| left.parse::<u64>().ok()).filter(|left| *left > 1)
        {
            done.timers.push((format!("r{}", left - 1), Some(time + 3)));
        }
    }
    for deed in deeds {
        let words: Vec<&str> = deed.split(' ').collect();
        match words[..] {
            ["set", name, after] => {
                done.timers.push((name.to_owned(), Some(now + after.parse::<u64>().unwrap_or(0))))
            }
            ["past", name, before] => {
                done.timers.push((name.to_owned(), Some(now - before.parse::<u64>().unwrap_or(0))));
            }
            ["cancel", name] => done.timers.push((name.to_owned(), None)),
            ["moment"] => done.moments.push(format!("asked for after {}", chronicle.len())),
            ["forget"] => chronicle.clear(),
            ["fail"] => done.failed = true,
            _ => return Err("boom".to_owned()),
        }
    }
    done.state = (!chronicle.is_empty()).then_some(chronicle);
    Ok(done)
}

impl Chronicle {
    pub(super) fn handle(&self, batch: &Batch<'_>) -> Result<Effects, String> {
        let mut effects = Effects::default();
        let mut states: Vec<Option<Vec<u8>>> =
            batch.keys.iter().map(|key| key.state.map(<[u8]>::to_vec)).collect();
        for (cause, input) in (0u32..).zip(&batch.inputs) {
            let (what, deeds) = match &input.payload {
                Payload::Timer { name } => (format!("timer {name}"), Vec::new()),
                Payload::Event { data: DataRef::Json(text), attributes, .. } => {
                    let id = attributes[0].as_deref().unwrap_or("");
                    (format!("event {id}"), serde_json::from_str(text).map_err(|error| error.to_string())?)
                }
                _ => return Err("not what was asked for".to_owned()),
            };
            let state = &mut states[input.key as usize];
            let done = one(state.as_deref(), input.time, input.now, &what, &deeds)?;
            *state = done.state;
            effects.states.push(StateChange { key: input.key, state: state.clone() });
            effects.timers.extend(done.timers.into_iter().map(|(name, at)| TimerChange { cause, name, at }));
            effects.moments.extend(done.moments.into_iter().map(|why| EmittedMoment {
                cause,
                kind: "moment".to_owned(),
                why,
                subject: None,
                data: None,
                expires: None,
                actions: vec![EmittedAction {
                    name: "act".to_owned(),
                    reference: None,
                    data: "{}".to_owned(),
                }],
            }));
            if done.failed {
                effects.failures.push(Failure { input: cause, message: "failed".to_owned() });
            }
        }
        Ok(effects)
    }
}

impl Program for Chronicle {
    fn start(&self) -> Result<Box<dyn Callee>, CallFailure> {
        Ok(Box::new(Chronicle))
    }
}

impl Callee for Chronicle {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<Effects, CallFailure> {
        Chronicle::handle(self, batch).map_err(|reason| CallFailure {
            kind: FailureKind::Refused,
            reason,
            backtrace: Vec::new(),
        })
    }

    fn migrate(&mut self, _: u32, _: &str, state: &[u8]) -> Result<Option<Vec<u8>>, CallFailure> {
        Ok(Some(state.to_vec()))
    }
}

pub(super) fn version() -> Version {
    let description = Description {
        name: "chronicle".to_owned(),
        version: "1.0.0".to_owned(),
        summary: String::new(),
        settings: None,
        subscriptions: vec![Subscription {
            event_type: EVENT_TYPE.to_owned(),
            filter: None,
            keyed_by: KeyedBy::Attribute("subject".to_owned()),
            attributes: vec!["id".to_owned()],
        }],
        moments: vec!["moment".to_owned()],
        actions: vec!["act".to_owned()],
        state_version: 1,
    };
    let budget = InstanceBudget::new(16, usize::MAX);
    Version::new([0; 32], "{}".to_owned(), description, Limits::default(), false, Box::new(Chronicle), budget)
        .unwrap()
}
