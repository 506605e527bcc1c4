//! The closed WASI: there, and always the same.

use std::sync::Arc;

use carpe::rule::Batch;

use super::guest::Guest;
use super::{Log, limits, start_with};

const CLOCKS: &str = "package wasi:clocks@0.2.6;
    interface monotonic-clock {
        use wasi:io/poll@0.2.0.{pollable};
        now: func() -> u64;
        subscribe-duration: func(when: u64) -> pollable;
    }
    interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }";
const RANDOM: &str = "package wasi:random@0.2.3; interface random { get-random-u64: func() -> u64; }";
const IO: &str = "package wasi:io@0.2.0;
    interface poll { resource pollable { block: func(); } }
    interface error { resource error; }
    interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream {
            blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
        }
    }";
const CLI: &str = "package wasi:cli@0.2.0;
    interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
    interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
    interface exit { exit: func(status: result); }";

/// Returns, as a state, two random numbers, two monotonic instants and the wall clock's.
fn looks_around() -> Guest {
    Guest {
        imports: r#"
            (import "wasi:random/random@0.2.3" "get-random-u64" (func $random (result i64)))
            (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $monotonic (result i64)))
            (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration"
                (func $sleep (param i64) (result i32)))
            (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
            (import "wasi:clocks/wall-clock@0.2.6" "now" (func $wall (param i32)))"#
            .to_owned(),
        packages: vec![IO, CLOCKS, RANDOM],
        world: "import wasi:random/random@0.2.3; import wasi:clocks/monotonic-clock@0.2.6; \
                import wasi:clocks/wall-clock@0.2.6;",
        init: "(drop (call $random)) (drop (call $monotonic))".to_owned(),
        ..Guest::handle(
            "(i64.store (i32.const 3000) (call $random)) (i64.store (i32.const 3008) (call $random))
             (i64.store (i32.const 3016) (call $monotonic))
             (call $block (call $sleep (i64.const 3600000000000)))
             (i64.store (i32.const 3024) (call $monotonic))
             (call $wall (i32.const 3032))
             (i32.store (i32.const 1028) (i32.const 2000)) (i32.store (i32.const 1032) (i32.const 1))
             (i32.store8 (i32.const 2004) (i32.const 1))
             (i32.store (i32.const 2008) (i32.const 3000)) (i32.store (i32.const 2012) (i32.const 48))",
        )
    }
}

#[test]
fn clocks_and_random_bytes_are_the_same_in_every_call_of_every_instance() {
    let guest = looks_around();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (mut instance, _) = start_with(&guest, &limits(), Arc::default()).expect("starts");
        for _ in 0..2 {
            let effects = instance.handle(&Batch::default()).expect("handles");
            seen.push(effects.states[0].state.clone().expect("a state"));
        }
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    let numbers: Vec<u64> =
        seen[0].chunks_exact(8).map(|eight| u64::from_le_bytes(eight.try_into().expect("eight"))).collect();
    assert_ne!(numbers[0], numbers[1]);
    // An hour's sleep takes no time, but the clock says that it did.
    assert_eq!(numbers[2..], [1, 3_600_000_000_002, 0, 0]);
}

fn prints(handle: &str) -> Guest {
    Guest {
        imports: r#"
            (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
            (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
            (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
            (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
                (func $print (param i32 i32 i32 i32)))"#
            .to_owned(),
        packages: vec![IO, CLI],
        world: "import wasi:cli/stderr@0.2.0; import wasi:cli/stdout@0.2.0; import wasi:cli/exit@0.2.0;",
        ..Guest::handle(handle)
    }
    .with(r#"(data (i32.const 3000) "one\ntwo")"#)
}

#[test]
fn what_is_printed_goes_to_the_log_line_by_line() {
    let guest = prints(
        "(call $print (call $stdout) (i32.const 3000) (i32.const 7) (i32.const 4000))
         (call $print (call $stderr) (i32.const 3000) (i32.const 3) (i32.const 4000))",
    );
    let log = Arc::new(Log::default());
    let (mut instance, _) = start_with(&guest, &limits(), log.clone()).expect("starts");
    instance.handle(&Batch::default()).expect("handles");
    assert_eq!(log.lines(), ["Info: one", "Info: two", "Warn: one"]);
}

#[test]
fn leaving_the_program_is_a_trap_with_words() {
    let (mut instance, _) =
        start_with(&prints("(call $exit (i32.const 0))"), &limits(), Arc::default()).expect("starts");
    let error = instance.handle(&Batch::default()).expect_err("traps");
    assert!(error.to_string().contains("it exited as done: a rule must return from `handle`"), "{error}");
}

#[test]
fn handles_are_bounded() {
    let guest = prints("(loop $again (drop (call $stdout)) (br $again))");
    let (mut instance, _) = start_with(&guest, &limits(), Arc::default()).expect("starts");
    assert!(instance.handle(&Batch::default()).is_err());
    assert!(instance.is_dead());
}
