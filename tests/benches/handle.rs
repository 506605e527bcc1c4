//! The handle path: a batch into a sandboxed instance and its effects out, beside the same rule without a sandbox.
//!
//! `cargo bench -p carpe-tests`; `items` are events.
#![expect(clippy::expect_used, reason = "a bench may panic as tests do")]

use std::collections::HashMap;
use std::sync::Arc;

use carpe::rule::{Batch, Effects, EmittedAction, EmittedMoment, Input, Keyed, Payload, StateChange};
use carpe::sandbox::{GuestLog, Instance, LogLevel, Sandbox};
use carpe::{Data, Limits};
use carpe_tests::guests::{guest, sandbox};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use serde::{Deserialize, Serialize};

fn main() {
    divan::main();
}

/// Inputs of a batch.
const BATCHES: [usize; 3] = [1, 64, 256];

struct Silent;

impl GuestLog for Silent {
    fn line(&self, _: LogLevel, _: &str) {}
}

fn start(name: &str, configuration: &str) -> (Instance, usize) {
    let sandbox = Sandbox::new(sandbox()).expect("a sandbox");
    let component = sandbox.load(&guest(name)).expect("loads");
    let (instance, description) =
        component.instantiate(configuration, &Limits::default(), Arc::new(Silent)).expect("starts");
    (instance, description.subscriptions[0].attributes.len())
}

/// What the inputs of a batch borrow from.
struct Inputs {
    keys: Vec<(String, Vec<u8>)>,
    data: Vec<Data>,
}

/// Four inputs for each key, each some 200 bytes of JSON.
fn inputs(count: usize, state: &str) -> Inputs {
    let keys =
        (0..count.div_ceil(4)).map(|key| (format!("machine-{key}"), state.as_bytes().to_vec())).collect();
    let data = |n: usize| {
        let celsius = 60 + n * 7 % 50;
        Data::Json(format!(
            r#"{{"celsius": {celsius}.5, "n": {n}, "machine": "press {n} in hall 4", "line": "assembly", "sensor": "PT100-{n}", "firmware": "2.4.{n}", "shift": "late", "operator": "7461", "unit": "C", "quality": "good"}}"#
        ))
    };
    Inputs { keys, data: (0..count).map(data).collect() }
}

impl Inputs {
    fn batch(&self, attributes: usize) -> Batch<'_> {
        let input = |(place, data)| Input {
            key: u32::try_from(place / 4).expect("few"),
            time: 1_700_000_000_000,
            now: 1_700_000_000_000,
            payload: Payload::Event { subscription: 0, attributes: vec![None; attributes], data },
        };
        Batch {
            keys: self.keys.iter().map(|(name, state)| Keyed { name, state: Some(state) }).collect(),
            inputs: self.data.iter().enumerate().map(input).collect(),
        }
    }
}

const COUNT: &str =
    r#"{"events":3,"last_n":3,"out_of_order":0,"repeated":0,"timers":0,"delivered":0,"undelivered":0}"#;

#[divan::bench(args = BATCHES)]
fn counter(bencher: Bencher<'_, '_>, count: usize) {
    let (mut instance, attributes) = start("counter", r#"{"every":10}"#);
    let inputs = inputs(count, COUNT);
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| instance.handle(black_box(&inputs.batch(attributes))).expect("handles"));
}

#[divan::bench(args = BATCHES)]
fn overheat(bencher: Bencher<'_, '_>, count: usize) {
    let (mut instance, attributes) = start("overheat", r#"{"max_celsius":95.0}"#);
    let inputs = inputs(count, "1");
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| instance.handle(black_box(&inputs.batch(attributes))).expect("handles"));
}

#[divan::bench(args = BATCHES)]
fn overheat_native(bencher: Bencher<'_, '_>, count: usize) {
    let inputs = inputs(count, "1");
    bencher.counter(ItemsCount::new(count)).bench_local(|| natively(black_box(&inputs.batch(0)), 95.0));
}

#[divan::bench]
fn fresh_instance(bencher: Bencher<'_, '_>) {
    let sandbox = Sandbox::new(sandbox()).expect("a sandbox");
    let component = sandbox.load(&guest("overheat")).expect("loads");
    let start = || component.instantiate(r#"{"max_celsius":95.0}"#, &Limits::default(), Arc::new(Silent));
    bencher.bench_local(|| start().expect("starts"));
}

/// The rule `overheat` as a function, with the same inputs and effects.
fn natively(batch: &Batch<'_>, max_celsius: f64) -> Effects {
    #[derive(Deserialize, Serialize, Default, Clone, Copy)]
    struct Streak(u64);
    #[derive(Deserialize)]
    struct Measured {
        celsius: f64,
    }
    let mut streaks: HashMap<u32, Streak> = HashMap::new();
    let mut effects = Effects::default();
    for (cause, input) in (0..).zip(&batch.inputs) {
        let Payload::Event { data: Data::Json(text), .. } = &input.payload else { continue };
        let streak = streaks.entry(input.key).or_insert_with(|| {
            let state = batch.keys[input.key as usize].state;
            state.and_then(|state| serde_json::from_slice(state).ok()).unwrap_or_default()
        });
        let measured: Measured = serde_json::from_str(text).expect("a measurement");
        streak.0 = if measured.celsius > max_celsius { streak.0 + 1 } else { 0 };
        if streak.0 == 3 {
            effects.moments.push(EmittedMoment {
                cause,
                kind: "machine.overheating".to_owned(),
                why: "too hot three times in a row".to_owned(),
                subject: None,
                data: None,
                expires: None,
                actions: vec![EmittedAction {
                    name: "notify.service".to_owned(),
                    reference: None,
                    data: "{}".to_owned(),
                }],
            });
        }
    }
    for (key, streak) in streaks {
        let state = serde_json::to_vec(&streak).expect("a state");
        effects.states.push(StateChange { key, state: Some(state) });
    }
    effects
}
