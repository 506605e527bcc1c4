//! What holds for every rule, whatever it does.

use serde_json::json;

use crate::contract::{Batch, Data, Effects, Input, Keyed, Payload};
use crate::prelude::*;
use crate::runner::Runner;
use crate::test::{RuleTest, event};

/// Does what the event says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Puppet {
    #[serde(default)]
    limit: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    sum: f64,
    names: Vec<String>,
}

impl Rule for Puppet {
    type State = Memory;

    fn check(&self) -> Result<()> {
        if self.limit > 10 { Err(Error::new("`limit` is above 10")) } else { Ok(()) }
    }

    fn on_event(&self, event: &Event, memory: &mut Memory, out: &mut Output) -> Result<()> {
        memory.sum += event.number("/add")?;
        memory.names.extend(event.string("/name").ok());
        out.moment("puppet.moved").why("told to").action_with_outcome(
            "move",
            "first",
            json!({"sum": memory.sum}),
        );
        out.timer("rest").after(Duration::from_secs(1));
        match event.value("/then")?.as_ref().and_then(|then| then.as_str()) {
            Some("error") => Err(Error::new("told to fail")),
            Some("fail") => {
                out.fail("told to fail in part");
                Ok(())
            }
            Some("infinite") => {
                memory.sum = f64::INFINITY;
                Ok(())
            }
            Some("forget") => {
                *memory = Memory::default();
                out.timer("rest").cancel();
                Ok(())
            }
            Some("unwritable") => {
                out.moment("puppet.moved").data(std::collections::BTreeMap::from([((1, 2), 3)]));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_timer(&self, timer: &Timer, memory: &mut Memory, _out: &mut Output) -> Result<()> {
        memory.names.push(format!("{} of {} at {}", timer.name(), timer.key(), timer.time()));
        Ok(())
    }

    fn on_outcome(&self, outcome: &Outcome, memory: &mut Memory, _out: &mut Output) -> Result<()> {
        memory.names.push(format!(
            "{} {:?} {}",
            outcome.reference(),
            outcome.status(),
            outcome.answer::<u32>()?
        ));
        Ok(())
    }
}

export_rule!(Puppet, on("pull").on("pull.*").keyed_by_data("/key").moment("puppet.moved").action("move"));

fn pull(key: &str, data: serde_json::Value) -> crate::test::TestEvent {
    event("pull").subject(key).data(data)
}

fn puppet() -> RuleTest<Puppet> {
    RuleTest::new(json!({}))
}

#[test]
fn an_error_undoes_what_its_input_changed_and_nothing_else() {
    let mut test = puppet();
    assert_eq!(test.send(pull("a", json!({"add": 1}))).kinds(), ["puppet.moved"]);
    test.advance(Duration::from_millis(999));
    let rest = test.timer("a", "rest");
    for bad in [
        json!({"add": 5, "then": "error"}),
        json!({"add": "x"}),
        json!({}),
        json!({"add": 5, "then": "unwritable"}),
    ] {
        let happened = test.send(pull("a", bad));
        assert_eq!((happened.moments.len(), happened.failures.len()), (0, 1));
    }
    assert_eq!(test.state("a"), Memory { sum: 1.0, names: Vec::new() });
    assert_eq!(test.timer("a", "rest"), rest);
}

#[test]
fn what_fails_in_part_counts_all_the_same() {
    let mut test = puppet();
    let happened = test.send(pull("a", json!({"add": 1, "then": "fail"})));
    assert_eq!(happened.kinds(), ["puppet.moved"]);
    assert_eq!(happened.failures, ["told to fail in part"]);
    assert_eq!(test.state("a").sum, 1.0);
}

#[test]
fn a_state_that_could_not_be_read_again_is_not_kept() {
    let mut test = puppet();
    test.send(pull("a", json!({"add": 1})));
    let happened = test.send(pull("a", json!({"add": 1, "then": "infinite"})));
    assert!(happened.failures[0].contains("is a number not finite?"), "{happened:?}");
    assert_eq!(test.state("a").sum, 1.0);
}

#[test]
fn a_state_equal_to_its_default_is_not_kept() {
    let mut test = puppet();
    test.send(pull("a", json!({"add": 0})));
    assert_eq!(test.keys(), 0);
    test.send(pull("a", json!({"add": 1})));
    assert_eq!(test.keys(), 1);
    test.send(pull("a", json!({"add": 1, "then": "forget"})));
    assert_eq!(test.keys(), 0);
    assert_eq!(test.timer("a", "rest"), None);
}

#[test]
fn timers_and_outcomes_come_back() {
    let mut test = puppet();
    let happened = test.send(pull("a", json!({"add": 1})));
    let due = test.timer("a", "rest").unwrap();
    test.advance(Duration::from_secs(5));
    let action = happened.all_actions().next().unwrap().clone();
    test.answer(&action, Status::Rejected, Some(json!(409)));
    assert_eq!(test.state("a").names, [format!("rest of a at {due}"), "first Rejected 409".to_owned()]);
    assert_eq!(test.timer("a", "rest"), None);
}

#[test]
fn an_event_moves_the_timeline_and_a_late_one_does_not() {
    let mut test = puppet();
    test.send(pull("a", json!({"add": 1})));
    let due = test.timer("a", "rest").unwrap();
    test.send(pull("b", json!({"add": 1})).time(due + 10));
    assert_eq!(test.now(), due + 10);
    assert_eq!(test.state("a").names.len(), 1);
    test.send(pull("b", json!({"add": 1})).time(5));
    assert_eq!(test.now(), due + 10);
}

#[test]
fn a_pattern_gives_the_type_and_a_pointer_the_key() {
    let mut test = puppet();
    test.send(event("pull.gently").data(json!({"key": 7.0, "add": 1})));
    assert_eq!(test.state("7").sum, 1.0);
}

#[test]
fn a_wrong_configuration_is_refused_with_the_fields_name() {
    let refusal = |configuration| RuleTest::<Puppet>::try_new(configuration).err().unwrap().to_string();
    assert!(refusal(json!({"limits": 3})).contains("unknown field `limits`"));
    assert!(refusal(json!({"limit": "x"})).contains("`limit`: invalid type"));
    assert_eq!(refusal(json!({"limit": 11})), "configuration: `limit` is above 10");
}

/// One by one with the state carried over, or all in one batch: the same.
/// Else what a batch comes to would depend on where it is cut.
#[test]
fn a_number_is_read_again_as_it_was_written() {
    for number in [52.504_867_787_384_356_f64, 1.249_999_999_999_999_9e300, 5e-324, 0.1 + 0.2] {
        let mut test = puppet();
        test.send(pull("a", json!({"add": number})));
        assert_eq!(test.state("a").sum.to_bits(), number.to_bits(), "{number}");
    }
}

#[test]
fn how_inputs_are_cut_into_batches_does_not_matter() {
    let runner = Runner::<Puppet>::new("{}").unwrap();
    let data = [
        r#"{"add":1}"#,
        r#"{"add":"x"}"#,
        r#"{"add":2,"then":"error"}"#,
        r#"{"add":3,"name":"n"}"#,
        "",
        r#"{"add":-4}"#,
    ];
    let input = |text: &str| Input {
        key: 0,
        time: 1,
        now: 1,
        payload: Payload::Event {
            subscription: 0,
            attributes: Vec::new(),
            data: Data::Json(text.to_owned().into()),
        },
    };
    let batch = |state: Option<Vec<u8>>, inputs: Vec<Input>| {
        runner.handle(Batch { keys: vec![Keyed { name: "a".to_owned().into(), state }], inputs }).unwrap()
    };
    let whole = batch(None, data.map(input).into());
    let mut pieces = Effects::default();
    let mut state = None;
    for (cause, text) in (0..).zip(data) {
        let mut effects = batch(state.clone(), vec![input(text)]);
        if let Some(change) = effects.states.pop() {
            state = change.state;
        }
        effects.moments.iter_mut().for_each(|moment| moment.cause = cause);
        effects.timers.iter_mut().for_each(|timer| timer.cause = cause);
        effects.failures.iter_mut().for_each(|failure| failure.input = cause);
        pieces.moments.extend(effects.moments);
        pieces.timers.extend(effects.timers);
        pieces.failures.extend(effects.failures);
    }
    assert_eq!(whole.states[0].state, state);
    pieces.states = vec![crate::contract::StateChange { key: 0, state }];
    assert_eq!(whole, pieces);
}

#[test]
fn a_state_that_cannot_be_read_sets_its_keys_inputs_aside_and_stays() {
    let runner = Runner::<Puppet>::new("{}").unwrap();
    let keys = vec![
        Keyed { name: "a".to_owned().into(), state: Some(b"{\"sum\":\"x\"}".to_vec()) },
        Keyed { name: "b".to_owned().into(), state: None },
    ];
    let inputs = [0, 1, 0].map(|key| Input {
        key,
        time: 1,
        now: 1,
        payload: Payload::Event {
            subscription: 0,
            attributes: Vec::new(),
            data: Data::Json(r#"{"add":1}"#.to_owned().into()),
        },
    });
    let effects = runner.handle(Batch { keys, inputs: inputs.into() }).unwrap();
    assert_eq!(effects.failures.iter().map(|failure| failure.input).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(effects.states.iter().map(|change| change.key).collect::<Vec<_>>(), [1]);
    assert!(effects.failures[0].message.contains("state of key `a` cannot be read"));
}
