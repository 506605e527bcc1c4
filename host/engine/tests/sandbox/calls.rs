//! What goes in, what comes out, and what is said when it does not.

use std::borrow::Cow;
use std::sync::Arc;

use carpe::DataRef;
use carpe::rule::{Batch, EmittedMoment, Input, Keyed, Payload, StateChange, TimerChange};
use carpe::sandbox::CallError;

use super::guest::Guest;
use super::{Log, limits, start, start_with};

/// Gives back what it got of the first key and the first input: the event's attribute as a state,
/// the key as a timer's name, the data as a moment's reason.
const ECHO: &str = r#"
    (i32.store (i32.const 1028) (i32.const 2000)) (i32.store (i32.const 1032) (i32.const 1))
    (i32.store (i32.const 1036) (i32.const 2100)) (i32.store (i32.const 1040) (i32.const 1))
    (i32.store (i32.const 1044) (i32.const 2200)) (i32.store (i32.const 1048) (i32.const 1))

    (i32.store (i32.const 2000) (i32.load (local.get 2)))
    (i32.store (i32.const 2004) (i32.load (i32.load offset=32 (local.get 2))))
    (i64.store (i32.const 2008) (i64.load offset=4 (i32.load offset=32 (local.get 2))))

    (i32.store (i32.const 2100) (i32.const 0))
    (i64.store (i32.const 2104) (i64.load (local.get 0)))
    (i32.store (i32.const 2116) (i32.const 1))
    (i64.store (i32.const 2124) (i64.load offset=8 (local.get 2)))

    (i32.store (i32.const 2204) (i32.const 3000)) (i32.store (i32.const 2208) (i32.const 4))
    (i64.store (i32.const 2212) (i64.load offset=44 (local.get 2)))
    (i32.store (i32.const 2248) (i32.const 1))
    (i64.store (i32.const 2256) (i64.load offset=16 (local.get 2)))
"#;

#[test]
fn a_batch_goes_in_and_effects_come_out() {
    // The records with 64-bit members are aligned to eight bytes, so they start at 2104 and 2200.
    let echo = ECHO
        .replace("(i32.const 2100))", "(i32.const 2104))")
        .replace("(i32.store (i32.const 2100) ", "(i32.store (i32.const 2104) ")
        .replace("(i64.store (i32.const 2104) ", "(i64.store (i32.const 2108) ")
        .replace("(i32.store (i32.const 2116) ", "(i32.store (i32.const 2120) ")
        .replace("(i64.store (i32.const 2124) ", "(i64.store (i32.const 2128) ");
    let mut instance =
        start(&Guest::handle(&echo).with(r#"(data (i32.const 3000) "echo")"#)).expect("starts");
    let data = DataRef::Json(r#"{"level":3}"#);
    let batch = Batch {
        keys: vec![Keyed { name: "gauge-7", state: Some(b"old") }],
        inputs: vec![Input {
            key: 0,
            time: 1_000,
            now: 2_000,
            payload: Payload::Event {
                subscription: 0,
                attributes: vec![Some(Cow::Borrowed("attribute")), None],
                data,
            },
        }],
    };
    for _ in 0..3 {
        let effects = instance.handle(&batch).expect("handles");
        assert_eq!(effects.states, [StateChange { key: 0, state: Some(b"attribute".to_vec()) }]);
        assert_eq!(effects.timers, [TimerChange { cause: 0, name: "gauge-7".to_owned(), at: Some(1_000) }]);
        assert_eq!(
            effects.moments,
            [EmittedMoment {
                cause: 0,
                kind: "echo".to_owned(),
                why: r#"{"level":3}"#.to_owned(),
                subject: None,
                data: None,
                expires: Some(2_000),
                actions: Vec::new(),
            }]
        );
        assert!(effects.failures.is_empty());
    }
    assert_eq!(instance.memory_bytes(), 1 << 16);
}

/// Has the function fail with the words `no\nway`.
const FAIL: &str = r#"(i32.store8 (i32.const 1024) (i32.const 1))
    (i32.store (i32.const 1028) (i32.const 3000)) (i32.store (i32.const 1032) (i32.const 6))"#;
const WORDS: &str = r#"(data (i32.const 3000) "no\nway")"#;

#[test]
fn a_rules_own_error_leaves_the_instance_alive() {
    let mut instance = start(&Guest::handle(FAIL).with(WORDS)).expect("starts");
    for _ in 0..2 {
        assert_eq!(instance.handle(&Batch::default()), Err(CallError::Rule("no\\nway".to_owned())));
        assert!(!instance.is_dead());
    }
    let refused = start(&Guest::init(FAIL).with(WORDS)).map(drop);
    assert_eq!(refused, Err(CallError::Rule("no\\nway".to_owned())));
}

#[test]
fn a_trap_names_the_functions_and_kills_the_instance() {
    let guest = Guest::handle("(call $outer)")
        .with("(func $outer (call $_ZN5flood5gauge4rise17h0123456789abcdefE))")
        .with("(func $_ZN5flood5gauge4rise17h0123456789abcdefE unreachable)");
    let mut instance = start(&guest).expect("starts");
    let error = instance.handle(&Batch::default()).expect_err("traps");
    let CallError::Trap(trap) = &error else { panic!("{error:?}") };
    assert!(trap.reason.contains("unreachable"), "{error}");
    assert_eq!(trap.backtrace[..3], ["flood::gauge::rise", "outer", "handle"]);
    assert!(error.to_string().contains(", in flood::gauge::rise < outer < handle"), "{error}");
    assert!(instance.is_dead());
    assert_eq!(instance.handle(&Batch::default()), Err(CallError::Dead));
}

#[test]
fn a_result_that_points_outside_of_memory_is_a_trap() {
    let mut instance = start(&Guest::handle("(return (i32.const -4))")).expect("starts");
    assert!(matches!(instance.handle(&Batch::default()), Err(CallError::Trap(_))));
    let lies =
        "(i32.store (i32.const 1028) (i32.const 0)) (i32.store (i32.const 1032) (i32.const 0x7fffffff))";
    let mut instance = start(&Guest::handle(lies)).expect("starts");
    assert!(matches!(instance.handle(&Batch::default()), Err(CallError::Trap(_))));
}

#[test]
fn migration_is_asked_only_where_it_is_exported() {
    let mut instance = start(&Guest::default()).expect("starts");
    assert!(matches!(instance.migrate(1, "key", b"old"), Err(CallError::Rule(_))));
    // Gives back the state that it got.
    let guest = Guest { world: "export carpe:rule/migration@0.1.0;", ..Guest::default() }.with(
        r#"(func (export "carpe:rule/migration@0.1.0#migrate") (param i32 i32 i32 i32 i32) (result i32)
            (i32.store8 (i32.const 1028) (i32.const 1))
            (i32.store (i32.const 1032) (local.get 3)) (i32.store (i32.const 1036) (local.get 4))
            (i32.const 1024))"#,
    );
    let mut instance = start(&guest).expect("starts");
    assert_eq!(instance.migrate(1, "key", b"old"), Ok(Some(b"old".to_vec())));
}

#[test]
fn functions_of_another_type_do_not_start() {
    let text = r#"(component
        (core module $m (func (export "f")))
        (core instance $m (instantiate $m))
        (func $f (canon lift (core func $m "f")))
        (instance $rule (export "init" (func $f)) (export "handle" (func $f)))
        (export "carpe:rule/rule@0.1.0" (instance $rule)))"#;
    let component = super::SANDBOX.load(&wat::parse_str(text).expect("text")).expect("loads");
    let refused = component.instantiate("{}", &limits(), Arc::new(Log::default())).map(drop);
    assert!(matches!(&refused, Err(CallError::Misfit(_))), "{refused:?}");
}

#[test]
fn lines_for_the_log_are_escaped_and_counted() {
    let guest = Guest::handle("(call $log (i32.const 2) (i32.const 3000) (i32.const 6))").with(WORDS);
    let log = Arc::new(Log::default());
    let mut limits = limits();
    limits.log_lines_per_second = 2;
    let (mut instance, _) = start_with(&guest, &limits, log.clone()).expect("starts");
    for _ in 0..4 {
        instance.handle(&Batch::default()).expect("handles");
    }
    drop(instance);
    let lines = log.lines();
    assert_eq!(lines[..2], ["Warn: no\\nway", "Warn: no\\nway"]);
    assert!(lines[2].contains("2 more lines were dropped: at most 2 a second"), "{lines:?}");
}

#[test]
fn instances_work_on_any_thread_side_by_side() {
    let component = super::SANDBOX.load(&Guest::handle(FAIL).with(WORDS).build()).expect("loads");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (mut instance, _) =
                    component.instantiate("{}", &limits(), Arc::new(Log::default())).expect("starts");
                for _ in 0..100 {
                    let answer = std::thread::scope(|other| {
                        other.spawn(|| instance.handle(&Batch::default())).join().expect("no panic")
                    });
                    assert_eq!(answer, Err(CallError::Rule("no\\nway".to_owned())));
                }
            });
        }
    });
}
