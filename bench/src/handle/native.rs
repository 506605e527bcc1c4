//! The rule `rising` as a plain function, with the same inputs and effects.

use anyhow::Result;
use carpe::DataRef;
use carpe::rule::{Batch, Effects, EmittedAction, EmittedMoment, Payload, StateChange};
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Gauge {
    cm: i64,
    rises: u32,
}

#[derive(Deserialize)]
struct Reading {
    level: i64,
    n: u64,
}

pub(crate) fn handle(batch: &Batch<'_>, above_cm: i64) -> Result<Effects> {
    let mut gauges: Vec<Option<Gauge>> = vec![None; batch.keys.len()];
    let mut effects = Effects::default();
    for (cause, input) in (0..).zip(&batch.inputs) {
        let Payload::Event { data: DataRef::Json(text), .. } = &input.payload else { continue };
        let keyed = batch.keys[input.key as usize];
        let gauge = match &mut gauges[input.key as usize] {
            Some(gauge) => gauge,
            unread => unread.insert(keyed.state.map_or(Ok(Gauge::default()), serde_json::from_slice)?),
        };
        let Reading { level, n } = serde_json::from_str(text)?;
        gauge.rises = if gauge.cm > 0 && level > gauge.cm { gauge.rises + 1 } else { 0 };
        gauge.cm = level;
        if gauge.rises >= 3 && level > above_cm {
            let data = serde_json::json!({"gauge": keyed.name, "n": n, "level": level}).to_string();
            effects.moments.push(EmittedMoment {
                cause,
                kind: "flood.rising".to_owned(),
                why: format!("{level} cm, and rising"),
                subject: None,
                data: None,
                expires: None,
                actions: vec![EmittedAction { name: "alert".to_owned(), reference: None, data }],
            });
        }
    }
    for (key, gauge) in (0..).zip(gauges) {
        if let Some(gauge) = gauge {
            effects.states.push(StateChange { key, state: Some(serde_json::to_vec(&gauge)?) });
        }
    }
    Ok(effects)
}
