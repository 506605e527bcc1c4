//! The call alone: a batch into a sandboxed rule and its effects out, beside the same rule as a native function.

mod native;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use carpe::rule::{Batch, Input, Keyed, Payload};
use carpe::sandbox::{GuestLog, Instance, LogLevel, Sandbox, SandboxOptions};
use carpe::{Data, Limits};

use crate::Setup;
use crate::readings::{ABOVE_CM, Readings};
use crate::report::{Better, Report, Row};
use crate::rules::component;
use crate::times::in_turn;

/// Inputs of a batch.
const BATCHES: [usize; 5] = [1, 16, 64, 256, 1_024];
/// Keys that inputs are about.
const KEYS: [usize; 2] = [10, 1_000];
/// How long one thing is measured at a time.
const EACH: Duration = Duration::from_millis(100);

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let mut rule = instance(setup)?;
    for keys in KEYS {
        for count in BATCHES {
            let inputs = Inputs::new(count, keys);
            let mut sandboxed = || {
                let effects = rule.handle(&inputs.batch());
                assert!(effects.is_ok_and(|effects| !effects.states.is_empty()), "the rule handles");
            };
            let mut native = || {
                let effects = native::handle(&inputs.batch(), ABOVE_CM);
                assert!(effects.is_ok_and(|effects| !effects.states.is_empty()), "the function handles");
            };
            let found = in_turn(setup.runs, EACH, &mut [&mut sandboxed, &mut native]);
            let per_input = |nanoseconds: f64| nanoseconds / count as f64;
            let name = format!("handle/batch-{count}/keys-{keys}");
            let row =
                Row::new(name, "ns/input", Better::Lower, per_input(found[0]), "native", per_input(found[1]));
            report.row(match (count, keys) {
                (256, 1_000) => row.target(2.3),
                (1, _) => row.target(5.0),
                _ => row,
            });
        }
    }
    Ok(())
}

struct Silent;

impl GuestLog for Silent {
    fn line(&self, _: LogLevel, _: &str) {}
}

fn instance(setup: &Setup) -> Result<Instance> {
    let sandbox = Sandbox::new(SandboxOptions::default())?;
    let rule = sandbox.load(&std::fs::read(component(setup, "bench/guests/rising")?)?)?;
    let configuration = format!(r#"{{"above_cm":{ABOVE_CM}}}"#);
    Ok(rule.instantiate(&configuration, &Limits::default(), Arc::new(Silent))?.0)
}

/// What the inputs of a batch borrow from. Each key has a state.
pub(crate) struct Inputs {
    keys: Vec<(String, Vec<u8>)>,
    inputs: Vec<(u32, u64, Data)>,
}

impl Inputs {
    /// So many inputs about as many of so many keys as they are about, each with some 200 bytes of JSON.
    pub(crate) fn new(count: usize, keys: usize) -> Inputs {
        let mut readings = Readings::new();
        let mut places: Vec<Option<u32>> = vec![None; keys];
        let mut found = Inputs { keys: Vec::new(), inputs: Vec::new() };
        for _ in 0..count {
            let (gauge, time, data) = readings.next_reading();
            let key = gauge % keys;
            let known = &mut found.keys;
            let place = *places[key].get_or_insert_with(|| {
                known.push((format!("gauge-{key:04}"), br#"{"cm":250,"rises":1}"#.to_vec()));
                known.len() as u32 - 1
            });
            let more = r#","river":"Elbe","operator":"waterways","quality":"good","firmware":"2.4.17","sensor":"radar","shift":"late"}"#;
            let data = format!("{}{more}", data.trim_end_matches('}'));
            found.inputs.push((place, time.unsigned_abs(), Data::Json(data)));
        }
        found
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            keys: self.keys.iter().map(|(name, state)| Keyed { name, state: Some(state) }).collect(),
            inputs: self
                .inputs
                .iter()
                .map(|(key, time, data)| Input {
                    key: *key,
                    time: *time,
                    now: *time,
                    payload: Payload::Event { subscription: 0, attributes: Vec::new(), data },
                })
                .collect(),
        }
    }
}
