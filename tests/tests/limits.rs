//! Each limit has a guest just under it, which is none the worse, and one just over, which is stopped in words that
//! name the limit.

use std::collections::BTreeSet;
use std::time::Duration;

use carpe::status::PluginState;
use carpe::{Event, Host, HostBuilder, Limits, SubmitError};
use carpe_tests::events::{Count, count, count_of, counts, deed};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::wat::Guest;
use carpe_tests::{PATIENCE, log, plugin, settle, wait_for, wait_for_state};
use serde_json::{Value, json};

fn builder() -> HostBuilder {
    Host::builder().sandbox(sandbox()).threads(1)
}

/// A host with one plugin, `it`.
fn host_with(component: &[u8], manifest: &str) -> (Host, Folder) {
    let folder = Folder::new();
    folder.plugin("it", component, manifest);
    (builder().plugins_dir(folder.path()).start().expect("starts"), folder)
}

/// A limit that a deed on an event keeps to, or breaks.
struct OfCall {
    limit: &'static str,
    set_to: Value,
    under: Value,
    over: Value,
    /// What the reason says.
    reason: &'static str,
}

/// Some hundred milliseconds of work.
const ROUNDS: u64 = 100_000_000;

fn of_calls() -> Vec<OfCall> {
    let case = |limit, set_to, deed: &str, under: u64, over: u64, reason| OfCall {
        limit,
        set_to,
        under: json!({ deed: under }),
        over: json!({ deed: over }),
        reason,
    };
    vec![
        case("memory_bytes", json!(4 << 20), "pages", 64, 65, "its limit of 4194304 bytes"),
        case("handle_cpu_ms", json!(50), "work", 1_000, ROUNDS, "it took more than 50ms of CPU time"),
        case("state_bytes", json!(100), "state", 100, 101, "more than the limit `state_bytes` of 100"),
        case("moments_per_input", json!(3), "moments", 3, 4, "(limit `moments_per_input`)"),
        case("actions_per_moment", json!(3), "actions", 3, 4, "the limit `actions_per_moment` of 3"),
        case("timers_per_input", json!(3), "timers", 3, 4, "(limit `timers_per_input`)"),
        case("timers_per_key", json!(5), "timers", 5, 6, "the limit `timers_per_key` of 5"),
        case("timer_inputs_per_entry", json!(10), "timers_due", 10, 11, "`timer_inputs_per_entry`"),
        // The list with the one moment counts too.
        case(
            "effects_bytes",
            json!(1 << 20),
            "why",
            (1 << 20) - 512,
            1 << 20,
            "it returned more than 1048576 bytes",
        ),
    ]
}

/// Limits whose tests have a form of their own: below, and of what a rule may remember in all, in `operators.rs`.
const OTHERS: [&str; 6] =
    ["table_elements", "init_cpu_ms", "handle_wall_ms", "log_lines_per_second", "keys", "total_state_bytes"];

#[test]
fn every_limit_has_a_test() {
    let limits = serde_json::to_value(Limits::default()).expect("limits");
    let fields: BTreeSet<String> = limits.as_object().expect("fields").keys().cloned().collect();
    let tested = of_calls().into_iter().map(|case| case.limit).chain(OTHERS);
    assert_eq!(fields, tested.map(str::to_owned).collect::<BTreeSet<_>>());
}

#[test]
fn a_call_just_under_a_limit_counts_and_one_just_over_is_set_aside() {
    for OfCall { limit, set_to, under, over, reason } in of_calls() {
        let (host, _folder) = host_with(&guest("hostile"), &format!("[limits]\n{limit} = {set_to}\n"));
        // One after the other: some limits are of a whole batch.
        let give = |id, asked| {
            host.submit(deed(id, id, asked)).expect("room").wait().expect("accepted");
            settle(&host);
        };
        give("under", &under);
        assert!(host.dead_letters(10).is_empty(), "{limit}, {under}: {:?}", host.dead_letters(10));
        give("over", &over);
        let letters = host.dead_letters(10);
        let [letter] = &letters[..] else { panic!("{limit}: not one letter: {letters:?}") };
        assert_eq!(letter.key, "over", "{limit}");
        assert!(letter.reason.contains(reason), "{limit}: {}", letter.reason);
        give("under-again", &under);
        assert_eq!(host.dead_letters(10).len(), 1, "{limit}: {:?}", host.dead_letters(10));
    }
}

#[test]
fn the_same_work_is_too_much_for_one_cpu_limit_and_not_for_another() {
    let work = json!({ "work": ROUNDS });
    for (limit, set_aside) in [(60_000, 0), (50, 1)] {
        let (host, _folder) = host_with(
            &guest("hostile"),
            &format!("[limits]\nhandle_cpu_ms = {limit}\nhandle_wall_ms = 120000"),
        );
        host.submit(deed("work", "key", &work)).expect("room").wait().expect("accepted");
        settle(&host);
        assert_eq!(host.dead_letters(10).len(), set_aside, "{limit} ms: {:?}", host.dead_letters(10));
    }
}

#[test]
fn a_start_has_its_own_cpu_limit() {
    let manifest =
        |limit| format!("[limits]\ninit_cpu_ms = {limit}\n[configuration.on_load]\nwork = {ROUNDS}\n");
    let (host, _folder) = host_with(&guest("hostile"), &manifest(60_000));
    wait_for_state(&host, "it", PluginState::Active);
    let (host, _folder) = host_with(&guest("hostile"), &manifest(50));
    let refused = wait_for_state(&host, "it", PluginState::Refused);
    let reason = refused.reason.expect("a reason");
    assert!(reason.contains("its `init` takes too long: "), "{reason}");
    assert!(reason.ends_with("it took more than 50ms of CPU time"), "{reason}");
}

#[test]
fn a_table_has_a_limit() {
    let table =
        |elements: u32| Guest { more: format!("(table {elements} funcref)"), ..Guest::default() }.build();
    let (host, _folder) = host_with(&table(100), "[limits]\ntable_elements = 100");
    wait_for_state(&host, "it", PluginState::Active);
    let (host, _folder) = host_with(&table(101), "[limits]\ntable_elements = 100");
    let reason = wait_for_state(&host, "it", PluginState::Refused).reason.expect("a reason");
    assert!(reason.contains("it wanted a larger table than its limit of 100 elements"), "{reason}");
}

/// The machine may be at fault: nothing is set aside, the rule waits and tries again.
#[test]
fn the_clock_stops_a_call_but_sets_nothing_aside() {
    let manifest = "[limits]\nhandle_cpu_ms = 600000\nhandle_wall_ms = 50";
    let (host, folder) = host_with(&guest("hostile"), manifest);
    host.submit(deed("under", "key", &json!({ "work": 1_000 }))).expect("room").wait().expect("accepted");
    settle(&host);
    host.submit(deed("over", "key", &json!("loop"))).expect("room").wait().expect("accepted");
    let status = wait_for("the rule rests", || plugin(&host, "it").filter(|status| status.reason.is_some()));
    let reason = status.reason.expect("a reason");
    assert!(reason.contains("it took more than 50ms by the clock"), "{reason}");
    assert_eq!(status.state, PluginState::Active);
    assert!(host.dead_letters(10).is_empty());
    // With the limits the right way round it is the input that is at fault.
    folder.put("it.toml", "[limits]\nhandle_cpu_ms = 50");
    wait_for("the input is set aside", || (host.dead_letters(10).len() == 1).then_some(()));
    settle(&host);
}

#[test]
fn lines_of_the_log_have_a_limit() {
    log::keep();
    for (lines, name, dropped) in [(5, "logs-5", 0), (6, "logs-6", 1)] {
        let manifest = format!("name = '{name}'\n[limits]\nlog_lines_per_second = 5");
        let (host, _folder) = host_with(&guest("hostile"), &manifest);
        host.submit(deed("log", "key", &json!({ "log": lines }))).expect("room").wait().expect("accepted");
        settle(&host);
        assert_eq!(log::lines_of(name), ["line 0", "line 1", "line 2", "line 3", "line 4"]);
        let work = plugin(&host, "it").and_then(|status| status.work).expect("it runs");
        assert_eq!(work.log_dropped, dropped);
    }
}

#[test]
fn an_event_has_a_limit() {
    let of_size = |bytes: usize| {
        // What an event takes in memory besides its text is not counted.
        let empty = Event::new("", "", "").size();
        let bare = Event::new("0", "/tests", "any").with_json("");
        let data = format!("\"{}\"", "x".repeat(bytes - (bare.size() - empty) - 2));
        Event::new("0", "/tests", "any").with_json(data)
    };
    let host = builder().max_event_bytes(1_000).start().expect("starts");
    assert_eq!(host.max_event_bytes(), 1_000);
    let accepted = host.submit(of_size(1_000)).expect("room").wait().expect("accepted");
    assert_eq!(accepted.accepted, 1);
    let error = host.submit_all(vec![of_size(1_000), of_size(1_001)]).expect_err("too large");
    let SubmitError::Invalid { index: 1, error } = error else { panic!("{error:?}") };
    let words = error.to_string();
    assert!(words.contains("1001 bytes, but 1000 is the most"), "{words}");
    assert_eq!(host.intake().accepted, 1, "a batch is taken whole or not at all");
}

#[test]
fn a_batch_has_a_limit() {
    let host = builder().start().expect("starts");
    let most = host.max_batch_events();
    let all =
        |count: usize| (0..count).map(|n| Event::new(n.to_string(), "/tests", "any")).collect::<Vec<_>>();
    let accepted = host.submit_all(all(most)).expect("room").wait().expect("accepted");
    assert_eq!((accepted.accepted, accepted.repeated), (most, 0));
    let error = host.submit_all(all(most + 1)).expect_err("too many");
    assert!(
        matches!(error, SubmitError::TooMany { count, limit } if count == most + 1 && limit == most),
        "{error:?}"
    );
}

#[test]
fn what_waits_to_be_journaled_has_a_limit_and_nothing_of_it_is_lost() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = Folder::new();
    folder.plugin("counter", guest("counter"), "[configuration]\nevery = 0");
    let host = builder()
        .data_dir(data.path())
        .plugins_dir(folder.path())
        .intake_bounds(4, 1 << 20)
        .start()
        .expect("starts");
    assert_eq!(host.intake().limit_events, 4);
    // More than the bound at once, when nothing waits, goes through: else it never could.
    host.submit_all(counts("first", 5)).expect("room").wait().expect("accepted");

    let deadline = std::time::Instant::now() + PATIENCE;
    let (mut refused, mut receipts, mut sent) = (0, Vec::new(), 0);
    while refused < 3 {
        assert!(std::time::Instant::now() < deadline, "never busy, with {sent} sent");
        match host.submit(count("second", sent + 1)) {
            Ok(receipt) => {
                receipts.push(receipt);
                sent += 1;
            }
            Err(SubmitError::Busy { retry_after }) => {
                assert!(retry_after > Duration::ZERO);
                refused += 1;
                // Room comes when what waits is durable.
                receipts
                    .drain(..)
                    .for_each(|receipt| assert_eq!(receipt.wait().expect("accepted").accepted, 1));
            }
            Err(error) => panic!("{error}"),
        }
    }
    settle(&host);
    assert_eq!(count_of(&host, "counter", "second"), Count::exact(sent));
    assert_eq!(host.intake().refused, 3);
}
