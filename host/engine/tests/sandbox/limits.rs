//! Each limit has a guest just under it and one just over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carpe::rule::{Batch, Effects};
use carpe::sandbox::{CallError, Sandbox, SandboxOptions};

use super::guest::Guest;
use super::{Log, limits, start};

const LOOP: &str = "(loop $again (br $again))";

fn handle(guest: &Guest) -> Result<Effects, CallError> {
    start(guest).expect("starts").handle(&Batch::default())
}

#[test]
fn an_endless_loop_ends_wherever_it_is() {
    let limit = Duration::from_millis(60);
    let began = Instant::now();
    assert_eq!(handle(&Guest::handle(LOOP)), Err(CallError::CpuTime { limit }));
    assert_eq!(start(&Guest::init(LOOP)).map(drop), Err(CallError::CpuTime { limit }));
    let start_function = Guest::default().with(&format!("(func $start {LOOP}) (start $start)"));
    assert_eq!(start(&start_function).map(drop), Err(CallError::CpuTime { limit }));
    let in_realloc = Guest::handle("")
        .with(&format!(r#"(func (export "cabi_post_carpe:rule/rule@0.1.0#handle") (param i32) {LOOP})"#));
    assert_eq!(handle(&in_realloc), Err(CallError::CpuTime { limit }));
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_endless_loop_ends_too_where_no_guest_has_run_for_long() {
    // A sandbox of its own: others would keep its clock going, which rests after a second or two.
    let sandbox = Sandbox::new(SandboxOptions::default()).expect("sandbox");
    let component = sandbox.load(&Guest::handle(LOOP).build()).expect("loads");
    let (mut instance, _) = component.instantiate("{}", &limits(), Arc::<Log>::default()).expect("starts");
    std::thread::sleep(Duration::from_millis(2_500));
    let limit = Duration::from_millis(60);
    assert_eq!(instance.handle(&Batch::default()), Err(CallError::CpuTime { limit }));
}

#[test]
fn the_wall_clock_is_the_last_stop() {
    let mut limits = limits();
    limits.handle_cpu_ms = 60_000;
    limits.handle_wall_ms = 50;
    let (mut instance, _) =
        super::start_with(&Guest::handle(LOOP), &limits, Default::default()).expect("starts");
    let limit = Duration::from_millis(50);
    assert_eq!(instance.handle(&Batch::default()), Err(CallError::WallTime { limit }));
}

#[test]
fn work_under_the_cpu_limit_is_not_disturbed_by_many_ticks() {
    // Some 100 ms of work under a limit of 30 s: several ticks pass.
    let guest = Guest::handle(
        "(local $n i32) (loop $again
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (i32.const 100000000))))",
    );
    let mut limits = limits();
    limits.handle_cpu_ms = 30_000;
    limits.handle_wall_ms = 120_000;
    let (mut instance, _) = super::start_with(&guest, &limits, Default::default()).expect("starts");
    assert_eq!(instance.handle(&Batch::default()), Ok(Effects::default()));
}

#[test]
fn memory_up_to_the_limit_and_no_further() {
    // 16 pages are the limit of 1 MiB.
    let fits = Guest {
        pages: 1,
        ..Guest::handle("(if (i32.ne (memory.grow (i32.const 15)) (i32.const 1)) (then unreachable))")
    };
    let mut instance = start(&fits).expect("starts");
    assert_eq!(instance.handle(&Batch::default()), Ok(Effects::default()));
    assert_eq!(instance.memory_bytes(), 1 << 20);

    // A refusal that is survived is no error.
    let survives = "(if (i32.ne (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))";
    assert_eq!(handle(&Guest::handle(survives)), Ok(Effects::default()));

    let bomb = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    let error = handle(&Guest::handle(bomb)).expect_err("traps");
    assert!(matches!(&error, CallError::Memory { limit: 1_048_576, .. }), "{error:?}");
    assert!(error.to_string().contains("more memory than its limit of 1048576 bytes"), "{error}");
}

#[test]
fn memory_from_the_start_counts_too() {
    assert!(start(&Guest { pages: 16, ..Guest::default() }).is_ok());
    let refused = start(&Guest { pages: 17, ..Guest::default() }).map(drop);
    assert!(matches!(&refused, Err(CallError::Memory { .. })), "{refused:?}");
}

#[test]
fn a_refused_growth_is_not_blamed_for_a_later_trap() {
    let guest = Guest::handle(
        "(if (i32.eqz (global.get $called))
            (then (global.set $called (i32.const 1)) (drop (memory.grow (i32.const 1000))))
            (else unreachable))",
    )
    .with("(global $called (mut i32) (i32.const 0))");
    let mut instance = start(&guest).expect("starts");
    assert_eq!(instance.handle(&Batch::default()), Ok(Effects::default()));
    assert!(matches!(instance.handle(&Batch::default()), Err(CallError::Trap(_))));
}

#[test]
fn tables_up_to_the_limit_and_no_further() {
    let table =
        |body: &str, elements: u32| Guest::handle(body).with(&format!("(table $t {elements} funcref)"));
    let grow = |by: u32, gives: i32| {
        format!(
            "(if (i32.ne (table.grow $t (ref.null func) (i32.const {by})) (i32.const {gives})) (then unreachable))"
        )
    };
    assert_eq!(handle(&table(&grow(99, 1), 1)), Ok(Effects::default()));
    assert_eq!(handle(&table(&grow(100, -1), 1)), Ok(Effects::default()));
    let error = handle(&table(&grow(100, 1), 1)).expect_err("traps");
    assert!(matches!(error, CallError::Table { limit: 100, .. }), "{error:?}");
    assert!(start(&table("", 100)).is_ok());
    let refused = start(&table("", 101)).map(drop);
    assert!(matches!(&refused, Err(CallError::Table { .. })), "{refused:?}");
}

#[test]
fn endless_recursion_is_a_stack_overflow() {
    let guest = Guest::handle("(call $deeper)").with("(func $deeper (call $deeper) (drop (i32.const 0)))");
    let error = handle(&guest).expect_err("traps");
    let CallError::StackOverflow(trap) = &error else { panic!("{error:?}") };
    assert_eq!(trap.backtrace.len(), 32);
    assert!(handle(&Guest::default()).is_ok(), "the host goes on");
}

#[test]
fn what_is_returned_is_bounded() {
    // A state of so many bytes; the list of states itself counts as well.
    let returning = |bytes: u32| {
        Guest::handle(&format!(
            "(i32.store (i32.const 1028) (i32.const 2000)) (i32.store (i32.const 1032) (i32.const 1))
             (i32.store8 (i32.const 2004) (i32.const 1))
             (i32.store (i32.const 2008) (i32.const 4096)) (i32.store (i32.const 2012) (i32.const {bytes}))"
        ))
    };
    let effects = handle(&Guest { pages: 4, ..returning(65_000) }).expect("fits");
    assert_eq!(effects.states[0].state.as_ref().map(Vec::len), Some(65_000));
    let refused = handle(&Guest { pages: 4, ..returning(65_600) });
    assert_eq!(refused, Err(CallError::TooMuchReturned { limit: 65_536 }));
    let logged = Guest::handle("(call $log (i32.const 0) (i32.const 0) (i32.const 65537))");
    let refused = handle(&Guest { pages: 4, ..logged });
    assert_eq!(refused, Err(CallError::TooMuchReturned { limit: 65_536 }));
}

#[test]
fn instances_are_bounded_and_their_room_comes_back() {
    let sandbox =
        Sandbox::new(SandboxOptions { max_instances: 2, ..SandboxOptions::default() }).expect("sandbox");
    let component = sandbox.load(&Guest::default().build()).expect("loads");
    let start = || component.instantiate("{}", &limits(), std::sync::Arc::new(Log::default()));
    let kept = (start().expect("first"), start().expect("second"));
    let refused = start().map(drop).expect_err("no third");
    assert!(matches!(refused, CallError::NoRoom(_)), "{refused:?}");
    drop(kept);
    start().expect("room again");
}
