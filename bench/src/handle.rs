//! The call alone: a batch into a sandboxed rule and its effects out, beside the same rule as a native function.

mod core_wasm;
mod extism;
mod flat;
pub(crate) mod native;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use carpe::rule::{Batch, Input, Keyed, Payload};
use carpe::sandbox::{GuestLog, Instance, LogLevel, Sandbox, SandboxOptions};
use carpe::{Data, Limits};

use crate::Setup;
use crate::readings::{ABOVE_CM, Readings};
use crate::report::{Better, Report, Row};
use crate::rules::{self, component};
use crate::times::in_turn;

use self::core_wasm::CoreRule;

/// Inputs of a batch.
const BATCHES: [usize; 5] = [1, 16, 64, 256, 1_024];
/// Keys that inputs are about.
const KEYS: [usize; 2] = [10, 1_000];
/// How long one thing is measured at a time.
const EACH: Duration = Duration::from_millis(100);

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let mut rule = instance(setup, "bench/guests/rising")?;
    let mut core_rule = CoreRule::new(&rules::module(setup, "rising-core")?)?;
    same_effects(&mut rule, &mut core_rule)?;
    // Of those that peers are compared by: how many, of how many keys, and Carpe's time.
    let mut compared = Vec::new();
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
            let mut core = || {
                let effects = core_rule.handle(&inputs.batch());
                assert!(effects.is_ok_and(|effects| !effects.states.is_empty()), "the module handles");
            };
            let with_peers = keys == 1_000 && matches!(count, 1 | 64 | 256);
            let mut things: Vec<&mut dyn FnMut()> = vec![&mut sandboxed, &mut native];
            if with_peers {
                things.push(&mut core);
            }
            let found = in_turn(setup.runs, EACH, &mut things);
            let row = row_of("", count, keys, found[0], "native", found[1]);
            report.row(match (count, keys) {
                (256, 1_000) => row.target(2.3),
                (1, _) => row.target(5.0),
                _ => row,
            });
            if with_peers {
                report.row(row_of("core-wasm/", count, keys, found[0], "wasmtime, core module", found[2]));
                compared.push((count, keys, found[0]));
            }
        }
    }
    if !setup.short {
        let batches: Vec<_> = compared.iter().map(|&(count, keys, _)| (count, keys)).collect();
        if let Some(found) = extism::measure(setup, report, &batches)? {
            for (&(count, keys, ours), theirs) in compared.iter().zip(found) {
                report.row(row_of("extism/", count, keys, ours, "Extism, from Python", theirs));
            }
        }
    }
    Ok(())
}

/// Nanoseconds of a call as a row of nanoseconds per input.
fn row_of(peer: &str, count: usize, keys: usize, ours: f64, baseline: &str, other: f64) -> Row {
    let per_input = |nanoseconds: f64| nanoseconds / count as f64;
    let name = format!("handle/{peer}batch-{count}/keys-{keys}");
    Row::new(name, "ns/input", Better::Lower, per_input(ours), baseline, per_input(other))
}

/// All that are measured come to the same states and as many moments.
fn same_effects(rule: &mut Instance, core_rule: &mut CoreRule) -> Result<()> {
    // So many that some gauges stand high.
    let inputs = Inputs::new(4_000, 20);
    let (ours, theirs) = (rule.handle(&inputs.batch())?, core_rule.handle(&inputs.batch())?);
    let native = native::handle(&inputs.batch(), ABOVE_CM)?;
    ensure!(!native.moments.is_empty(), "no gauge stands high: nothing is compared");
    ensure!(theirs == native, "the core module and the function come to other effects");
    ensure!(ours.moments.len() == native.moments.len(), "the rule comes to other moments");
    Ok(())
}

pub(crate) struct Silent;

impl GuestLog for Silent {
    fn line(&self, _: LogLevel, _: &str) {}
}

/// An instance of a rule that is configured as `rising` is, by the folder of its source.
pub(crate) fn instance(setup: &Setup, folder: &str) -> Result<Instance> {
    let sandbox = Sandbox::new(SandboxOptions::default())?;
    let rule = sandbox.load(&std::fs::read(component(setup, folder)?)?)?;
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
                    payload: Payload::Event { subscription: 0, attributes: Vec::new(), data: data.into() },
                })
                .collect(),
        }
    }
}
