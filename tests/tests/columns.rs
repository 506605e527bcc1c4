//! Events in columns mean what they mean in records: the same guests decide the same of the same batches.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use carpe::rule::{Batch, Effects, Input, Keyed, Payload, Status};
use carpe::sandbox::{GuestLog, Instance, LogLevel, Sandbox};
use carpe::{Data, DataRef, Limits};
use carpe_tests::crash::chance::Chance;
use carpe_tests::guests::{component, guest, sandbox};

const BATCHES: usize = 150;
const BEGINNING: u64 = 1_772_323_200_000;
/// Some are hard to cut out of a text.
const NAMES: [&str; 7] =
    ["", "a", "pump-7", "ä", "日本", "\u{0}", "a longer name, as of a machine in a hall"];

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::new(sandbox()).expect("a sandbox"));

struct Silent;

impl GuestLog for Silent {
    fn line(&self, _: LogLevel, _: &str) {}
}

/// An event before it is about a key: its subscription, attributes and data.
type Said = (u32, Vec<Option<String>>, Data);

/// Gives both instances of a guest the same batches, with the states that came of the ones before.
#[track_caller]
fn check(bytes: &[u8], configuration: &str, seed: u64, say: impl Fn(&mut Chance) -> Said) {
    let component = SANDBOX.load(bytes).expect("loads");
    assert!(component.exports().iter().any(|name| name == "carpe:rule/columns@0.1.0"));
    let start =
        || component.instantiate(configuration, &Limits::default(), Arc::new(Silent)).expect("starts").0;
    let (mut columns, mut records) = (start(), start());
    records.forget_columns();
    let mut chance = Chance::new(seed, 1);
    let mut states = BTreeMap::new();
    let mut now = BEGINNING;
    let mut effects = (0, 0, 0, 0);
    for number in 0..BATCHES {
        let said: Vec<(usize, u64, u64, Said)> = (0..chance.below(40))
            .map(|_| {
                now += chance.below(2_000);
                let time = (now + chance.below(1_000)).saturating_sub(chance.below(5_000));
                let key = usize::try_from(chance.below(NAMES.len() as u64)).expect("small");
                (key, time, now, say(&mut chance))
            })
            .collect();
        let found = same(&mut columns, &mut records, &states, &said, &mut chance, number);
        for change in &found.states {
            states.insert(change.key as usize, change.state.clone());
        }
        // Not what the rule wrote.
        if chance.percent(10) {
            states.insert(1, Some(b"\xff not a state".to_vec()));
        } else if chance.percent(30) {
            states.remove(&1);
        }
        effects.0 += found.states.len();
        effects.1 += found.timers.len();
        effects.2 += found.moments.len();
        effects.3 += found.failures.len();
    }
    println!("{effects:?} states, timers, moments and failures");
    assert!(effects.0 > 0 && effects.1 + effects.2 > 0 && effects.3 > 0, "{effects:?}");
}

#[track_caller]
fn same(
    columns: &mut Instance,
    records: &mut Instance,
    states: &BTreeMap<usize, Option<Vec<u8>>>,
    said: &[(usize, u64, u64, Said)],
    chance: &mut Chance,
    number: usize,
) -> Effects {
    let keys = NAMES
        .iter()
        .enumerate()
        .map(|(key, &name)| Keyed { name, state: states.get(&key).and_then(|state| state.as_deref()) });
    let inputs = said.iter().map(|(key, time, now, (subscription, attributes, data))| Input {
        key: u32::try_from(*key).expect("small"),
        time: *time,
        now: *now,
        payload: Payload::Event {
            subscription: *subscription,
            attributes: attributes.iter().map(|value| value.as_deref().map(Into::into)).collect(),
            data: data.into(),
        },
    });
    let mut batch = Batch { keys: keys.collect(), inputs: inputs.collect() };
    if let (Some(input), true) = (batch.inputs.first_mut(), chance.percent(10)) {
        // Columns have no place for it: the whole batch goes in records.
        input.payload = if chance.percent(50) {
            Payload::Timer { name: "later" }
        } else {
            let (action, reference, detail) = ("count.report", "1", "");
            Payload::Outcome { action, reference, status: Status::Delivered, answer: DataRef::Absent, detail }
        };
    }
    let found = columns.handle(&batch);
    assert_eq!(found, records.handle(&batch), "batch {number}: {batch:?}");
    found.expect("no batch fails as a whole")
}

fn json(text: String) -> Data {
    Data::Json(text)
}

/// Sometimes none, or nothing that can be read.
fn spoilt(chance: &mut Chance, data: String) -> Data {
    match chance.below(20) {
        0 => Data::Absent,
        1 => json(String::new()),
        2 => json(data.chars().skip(1).collect()),
        3 => Data::Binary(data.into_bytes().into()),
        _ => json(data),
    }
}

fn one_of<'a>(chance: &mut Chance, of: &[&'a str]) -> &'a str {
    of[usize::try_from(chance.below(of.len() as u64)).expect("small")]
}

#[test]
fn counter() {
    check(&guest("counter"), r#"{"version":3,"outcomes":true}"#, 1, |chance| {
        let deed = one_of(chance, &["error", "fail", "timer", "cancel", "forget"]);
        let data = match chance.below(3) {
            0 => format!(r#"{{"n":{},"do":"{deed}","after_ms":{}}}"#, chance.below(20), chance.below(1_000)),
            1 => format!(r#"{{"n":{}}}"#, chance.below(20)),
            _ => "{}".to_owned(),
        };
        (0, Vec::new(), spoilt(chance, data))
    });
}

#[test]
fn overheat() {
    check(&guest("overheat"), r#"{"max_celsius":50}"#, 2, |chance| {
        let data = format!(r#"{{"engine":[1],"celsius":{}.5,"unit":"°C"}}"#, chance.below(100));
        (0, Vec::new(), spoilt(chance, data))
    });
}

#[test]
fn ledger() {
    check(&guest("ledger"), "{}", 3, |chance| {
        let (n, other, ms) = (chance.below(200), chance.below(200), chance.below(100_000));
        let more = match chance.below(7) {
            0 => r#","note":true"#.to_owned(),
            1 => format!(r#","note":true,"expires_ms":{ms}"#),
            2 => format!(r#","set_ms":{ms}"#),
            3 => format!(r#","shift":[{other},{ms}]"#),
            4 => format!(r#","cancel":{other}"#),
            5 => r#","fail":"error""#.to_owned(),
            _ => String::new(),
        };
        match chance.below(10) {
            0 => (1, Vec::new(), json(format!(r#"{{"ask":{n}}}"#))),
            1 => (2, Vec::new(), json(format!(r#"{{"n":{n}}}"#))),
            _ => (0, Vec::new(), spoilt(chance, format!(r#"{{"n":{n}{more}}}"#))),
        }
    });
}

#[test]
fn echo_with_attributes() {
    // As deep as serde_json goes: the stack must do.
    let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
    check(&guest("echo"), "{}", 4, |chance| {
        let data = one_of(
            chance,
            &[
                r#"{"a":["ä","日本",{}],"forget":true}"#,
                r#"{"a":[1,2.5e3],"fail":true}"#,
                r#""text""#,
                "null",
                r#"{"a":[0,null]}"#,
                &deep,
            ],
        );
        let note = one_of(chance, &["", "n", "ä\n", "a longer note of what is said"]).to_owned();
        let note = chance.percent(70).then_some(note);
        let data = spoilt(chance, data.to_owned());
        if chance.percent(30) {
            return (1, vec![note], data);
        }
        (0, vec![chance.percent(80).then(|| format!("id-{}", chance.below(9))), note], data)
    });
}

#[test]
fn flood_alert() {
    check(&component("plugins/flood-alert"), "{}", 5, |chance| {
        let data = format!(r#"{{"station":"km 7","cm":{}}}"#, 430 + chance.below(90));
        (0, Vec::new(), spoilt(chance, data))
    });
}

#[test]
fn medication() {
    check(&component("plugins/medication"), "{}", 6, |chance| {
        let dose = chance.below(30);
        let due = BEGINNING + chance.below(10_000_000);
        match chance.below(3) {
            0 => (1, Vec::new(), spoilt(chance, format!(r#"{{"dose":"{dose}"}}"#))),
            _ => (0, Vec::new(), spoilt(chance, format!(r#"{{"dose":"{dose}","due":{due}}}"#))),
        }
    });
}

#[test]
fn conform_in_go() {
    check(&guest("conform-go"), r#"{"greeting":"Hello"}"#, 7, |chance| {
        let (n, ms) = (chance.below(20), chance.below(100_000));
        let deed = match chance.below(7) {
            0 => format!(r#"{{"set":{{"n":{n},"text":"日本"}}}}"#),
            1 => format!(r#"{{"timer":"t{n}","in":{ms}}}"#),
            2 => r#"{"cancel":"t1"},{"forget":true}"#.to_owned(),
            3 => format!(r#"{{"act":"r{n}","data":[{ms}],"about":"somebody","expires":{BEGINNING}}}"#),
            4 => r#"{"fail":"told: é"}"#.to_owned(),
            5 => r#"{"show":"event"}"#.to_owned(),
            _ => r#"{"show":true},{"say":"ä","data":null}"#.to_owned(),
        };
        let data = spoilt(chance, format!(r#"{{"do":[{deed}]}}"#));
        if chance.percent(20) {
            return (1, Vec::new(), data);
        }
        let id = chance.percent(80).then(|| format!("id-{}", chance.below(9)));
        (0, vec![Some("conform.x".to_owned()), id, None], data)
    });
}

/// Written in C: there the SDK lowers the contract itself.
#[test]
fn traffic_lights() {
    check(&component("plugins/traffic-lights"), "{}", 7, |chance| {
        let vehicle = chance.below(4);
        let approach = if chance.percent(50) { "north" } else { "\u{e9}\\u0000" };
        let (distance, speed) = (chance.below(5_500), chance.below(100));
        let data = format!(
            r#"{{"vehicle":"v{vehicle}","approach":"{approach}","distance_m":{distance},"speed_kmh":{speed}}}"#
        );
        (u32::from(chance.percent(20)), Vec::new(), spoilt(chance, data))
    });
}
