//! Events in columns: what they are written as, and what is said of a guest that returns columns that do not add up.

use std::borrow::Cow;
use std::sync::Arc;

use carpe::DataRef;
use carpe::rule::{Batch, Effects, Input, Keyed, Payload, StateChange};
use carpe::sandbox::{CallError, Instance, LoadError};

use super::guest::Guest;
use super::{Log, SANDBOX, limits, start};

/// A guest that takes columns: `handle-events` is given `$text`, `$states`, `$keys` and `$numbers`, and returns what
/// lies at 1024, as `handle` does: where nothing is written, no effects.
fn guest(handle_events: &str) -> Guest {
    let function = format!(
        r#"(func (export "carpe:rule/columns@0.1.0#handle-events")
            (param $text i32) (param $text-length i32) (param $states i32) (param $states-length i32)
            (param $keys i32) (param $numbers i32) (param $numbers-length i32) (result i32)
            {handle_events}
            (i32.const 1024))"#
    );
    Guest {
        world: "export carpe:rule/columns@0.1.0;",
        // In records it fails.
        handle: "(i32.store8 (i32.const 1536) (i32.const 1)) (return (i32.const 1536))".to_owned(),
        ..Guest::default()
    }
    .with(&function)
}

/// Returns these changes, and states of so many bytes at this address.
fn returning(changes: &[(u32, i32)], states_at: &str, states_length: &str) -> String {
    let mut text = format!(
        "(i32.store (i32.const 1028) (i32.const 2000)) (i32.store (i32.const 1032) (i32.const {}))
         (i32.store (i32.const 1036) {states_at}) (i32.store (i32.const 1040) {states_length})",
        changes.len()
    );
    for (place, (key, length)) in changes.iter().enumerate() {
        let at = 2000 + 8 * place;
        text += &format!(
            "(i32.store (i32.const {at}) (i32.const {key})) (i32.store (i32.const {}) (i32.const {length}))",
            at + 4
        );
    }
    text
}

const KEYS: [Keyed<'_>; 2] =
    [Keyed { name: "gauge-7", state: Some(b"old") }, Keyed { name: "ä", state: None }];

fn event<'a>(key: u32, attributes: Vec<Option<Cow<'a, str>>>, data: DataRef<'a>) -> Input<'a> {
    let payload = Payload::Event { subscription: 3, attributes, data };
    Input { key, time: 1_000, now: 2_000, payload }
}

fn states(instance: &mut Instance, batch: &Batch<'_>) -> Vec<u8> {
    let effects = instance.handle(batch).expect("handles");
    effects.states[0].state.clone().expect("a state")
}

#[test]
fn columns_are_written_as_the_contract_says() {
    let data = DataRef::Json(r#"{"level":3}"#);
    let batch = Batch {
        keys: KEYS.to_vec(),
        inputs: vec![
            event(1, vec![Some("id".into()), None, Some("".into())], data),
            event(0, Vec::new(), DataRef::Absent),
        ],
    };
    let length = |local: &str| {
        format!("{} (i32.store (i32.const 2004) {local})", returning(&[(0, 0)], "(local.get $text)", local))
    };
    let mut text = start(&guest(&length("(local.get $text-length)"))).expect("starts");
    let numbers = length("(i32.mul (local.get $numbers-length) (i32.const 8))")
        .replace("(local.get $text)", "(local.get $numbers)");
    let mut numbers = start(&guest(&numbers)).expect("starts");
    let old = length("(local.get $states-length)").replace("(local.get $text)", "(local.get $states)");
    let mut old = start(&guest(&old)).expect("starts");
    // From the second call on the buffers are used again.
    for _ in 0..3 {
        assert_eq!(states(&mut text, &batch), r#"gauge-7ä{"level":3}id"#.as_bytes());
        assert_eq!(states(&mut old, &batch), b"old");
        let found: Vec<i64> = states(&mut numbers, &batch)
            .chunks_exact(8)
            .map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight bytes")))
            .collect();
        let key_numbers = [7, 3, 2, -1];
        let first = [1, 1_000, 2_000, 3, 11, 3, 2, -1, 0];
        let second = [0, 1_000, 2_000, 3, -1, 0];
        assert_eq!(found, [&key_numbers[..], &first, &second].concat());
    }
}

#[test]
fn effects_come_out_of_columns() {
    let words = r#"(data (i32.const 3000) "newer")"#;
    let body = returning(&[(1, 3), (0, -1), (5, 0), (0, 2)], "(i32.const 3000)", "(i32.const 5)");
    let mut instance = start(&guest(&body).with(words)).expect("starts");
    let batch = Batch { keys: [KEYS, KEYS].concat(), inputs: vec![event(0, Vec::new(), DataRef::Absent)] };
    let state = |key, state: Option<&[u8]>| StateChange { key, state: state.map(<[u8]>::to_vec) };
    // Positions are as unchecked as they are in records.
    let states = vec![state(1, Some(b"new")), state(0, None), state(5, Some(b"")), state(0, Some(b"er"))];
    assert_eq!(instance.handle(&batch), Ok(Effects { states, ..Effects::default() }));
}

#[test]
fn what_columns_have_no_place_for_goes_in_records() {
    let mut instance = start(&guest("")).expect("starts");
    let json = DataRef::Json("{}");
    let events = Batch { keys: KEYS.to_vec(), inputs: vec![event(0, Vec::new(), json)] };
    let in_columns = Ok(Effects::default());
    let in_records = Err(CallError::Rule(String::new()));
    assert_eq!(instance.handle(&events), in_columns);
    let binary = DataRef::Binary(b"{}");
    let timer = Input { key: 0, time: 0, now: 0, payload: Payload::Timer { name: "late" } };
    for other in [event(0, Vec::new(), binary), timer] {
        let mut batch = events.clone();
        batch.inputs.push(other);
        assert_eq!(instance.handle(&batch), in_records);
        assert_eq!(instance.handle(&events), in_columns);
    }
    instance.forget_columns();
    assert_eq!(instance.handle(&events), in_records);
}

#[test]
fn columns_that_do_not_add_up_are_told_and_harm_nothing() {
    let batch = Batch { keys: KEYS.to_vec(), inputs: vec![event(0, Vec::new(), DataRef::Absent)] };
    let told = |changes: &[(u32, i32)], bytes: u32, expected: &str| {
        let body = returning(changes, "(i32.const 3000)", &format!("(i32.const {bytes})"));
        let mut instance = start(&guest(&body)).expect("starts");
        for _ in 0..2 {
            assert_eq!(instance.handle(&batch), Err(CallError::Rule(expected.to_owned())));
            assert!(!instance.is_dead());
        }
    };
    told(
        &[(0, 3), (1, 3)],
        5,
        "it returned a state of 3 bytes for key 1, and 2 bytes are left of its states",
    );
    told(&[(0, -2)], 5, "it returned a state of -2 bytes for key 0, and 5 bytes are left of its states");
    told(
        &[(0, i32::MIN)],
        0,
        "it returned a state of -2147483648 bytes for key 0, and 0 bytes are left of its states",
    );
    told(
        &[(0, i32::MAX)],
        1,
        "it returned a state of 2147483647 bytes for key 0, and 1 bytes are left of its states",
    );
    told(&[(0, -1)], 1, "it returned 1 bytes of states more than their lengths add up to");
    told(&[], 7, "it returned 7 bytes of states more than their lengths add up to");
    told(&[(0, 0); 3], 0, "it returned states for 3 keys, and the batch has 2");
}

#[test]
fn columns_outside_of_memory_or_over_the_limit_end_the_instance() {
    let batch = Batch { keys: KEYS.to_vec(), inputs: vec![event(0, Vec::new(), DataRef::Absent)] };
    let error = |body: &str, pages| {
        let mut instance = start(&Guest { pages, ..guest(body) }).expect("starts");
        let error = instance.handle(&batch).expect_err("fails");
        assert!(instance.is_dead());
        error
    };
    let outside = returning(&[], "(i32.const 60000)", "(i32.const 0x7fffffff)");
    assert!(matches!(error(&outside, 1), CallError::Trap(_)));
    assert!(matches!(error("(return (i32.const -4))", 1), CallError::Trap(_)));
    let many =
        "(i32.store (i32.const 1028) (i32.const 2000)) (i32.store (i32.const 1032) (i32.const 100000))";
    let limit = limits().effects_bytes;
    assert_eq!(error(many, 14), CallError::TooMuchReturned { limit });
    let long = returning(&[(0, 65_537)], "(i32.const 0)", "(i32.const 65537)");
    assert_eq!(error(&long, 2), CallError::TooMuchReturned { limit });
}

#[test]
fn columns_of_another_shape_are_refused() {
    let component = |columns: &str| {
        let text = format!(
            r#"(component
                (core module $m (func (export "f")))
                (core instance $m (instantiate $m))
                (func $f (canon lift (core func $m "f")))
                (instance $rule (export "init" (func $f)) (export "handle" (func $f)))
                (export "carpe:rule/rule@0.1.0" (instance $rule))
                (instance $columns {columns})
                (export "carpe:rule/columns@0.1.0" (instance $columns)))"#
        );
        SANDBOX.load(&wat::parse_str(text).expect("text"))
    };
    match component("").map(drop) {
        Err(LoadError::Misfit { reason }) => assert!(reason.contains("handle-events"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let loaded = component(r#"(export "handle-events" (func $f))"#).expect("loads");
    let refused = loaded.instantiate("{}", &limits(), Arc::new(Log::default())).map(drop);
    assert!(matches!(&refused, Err(CallError::Misfit(_))), "{refused:?}");
}
