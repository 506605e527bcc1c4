//! No plugin can harm the host or another plugin. Each hostile guest is contained and named in the status, and a
//! well-behaved neighbour's results are what they would be without it.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use carpe::sandbox::{Sandbox, SandboxOptions};
use carpe::status::PluginState;
use carpe::{Host, HostBuilder, Timeline};
use carpe_tests::events::{Count, count, count_of, counts, deed, harmless, states};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::wat::{Guest, component};
use carpe_tests::{log, plugin, settle, wait_for, wait_for_state, wait_until_eq};
use serde_json::{Value, json};

const NEIGHBOUR: &str = "name = 'neighbour'\n[configuration]\nevery = 0\n";

/// A folder with the well-behaved neighbour.
fn neighbourhood() -> Folder {
    let folder = Folder::new();
    folder.plugin("neighbour", guest("counter"), NEIGHBOUR);
    folder
}

fn builder(folder: &Folder) -> HostBuilder {
    Host::builder().plugins_dir(folder.path()).sandbox(sandbox()).threads(2)
}

/// Sends the neighbour `last` events for each of a few keys, from `first` on.
fn greet(host: &Host, first: u64, last: u64) {
    for n in first..=last {
        let events = ["a", "b", "c"].map(|key| count(key, n));
        host.submit_all(events.into()).expect("room").wait().expect("accepted");
    }
}

/// That the neighbour handled its events up to `last`, each once and in order, and nothing else.
#[track_caller]
fn assert_unaffected(host: &Host, last: u64) {
    for key in ["a", "b", "c"] {
        let what = format!("the neighbour's count of {key}");
        wait_until_eq(&what, Count::exact(last), || count_of(host, "neighbour", key));
    }
    let neighbour = wait_for_state(host, "neighbour", PluginState::Active);
    assert_eq!(neighbour.reason, None);
    let work = neighbour.work.expect("it runs");
    assert_eq!((work.traps, work.dead_letters), (0, 0), "{work:?}");
}

/// What a rule may not do, and what the reason says then.
fn deeds() -> Vec<(Value, &'static str)> {
    vec![
        (json!("trap"), "it trapped: wasm `unreachable` instruction executed"),
        (json!("loop"), "it took more than 100ms of CPU time"),
        (json!("recurse"), "it overflowed its stack"),
        (json!("memory_bomb"), "it wanted more memory than its limit of 16777216 bytes"),
        (json!("error"), "the rule failed: asked for an error"),
        (json!({ "state": 3 << 20 }), "more than the limit `state_bytes` of 65536"),
        (json!({ "state": 9 << 20 }), "it returned more than 8388608 bytes in one call"),
        (json!({ "why": 9 << 20 }), "it returned more than 8388608 bytes in one call"),
        (json!({ "moments": 10_000 }), "more than 16 for each (limit `moments_per_input`)"),
        (json!({ "actions": 10_000 }), "more than the limit `actions_per_moment` of 16"),
        (json!({ "timers": 10_000 }), "more than 16 for each (limit `timers_per_input`)"),
        (json!({ "failures": 10_000 }), "returned 10000 failures for 1 inputs"),
        (json!({ "state_of_key": 300 }), "a state change names key 300, but the batch has 1"),
        (json!({ "state_of_key": u32::MAX }), "a state change names key 4294967295"),
        (json!({ "moment_cause": 300 }), "a moment names cause 300, but the batch has 1"),
        (json!({ "moment_cause": u32::MAX }), "a moment names cause 4294967295"),
        (json!({ "timer_cause": 300 }), "a timer change names cause 300, but the batch has 1"),
        (json!({ "failure_input": 300 }), "a failure names input 300, but the batch has 1"),
        (
            json!({ "moment_kind": "other" }),
            "a moment of kind `other`, which its description does not declare",
        ),
        (json!({ "action_name": "other" }), "an action `other`, which its description does not declare"),
        (json!({ "moment_data": "{" }), "the data of the moment `hostile.moment` is not JSON"),
        (json!({ "action_data": "" }), "the data of the action `hostile.act` is not JSON"),
        (json!({ "expires": 1_u64 << 53 }), "expires past 2^53 ms"),
        (json!({ "timer_at": 1_u64 << 53 }), "to an instant past 2^53 ms"),
        (json!({ "timer_name": 257 }), "named a timer with more than 256 bytes"),
        (json!("timer_order"), "a timer change names cause 1, but the batch has 1"),
    ]
}

#[test]
fn whatever_a_rule_does_with_an_input_only_that_input_is_set_aside() {
    let folder = neighbourhood();
    folder.plugin("hostile", guest("hostile"), "[limits]\nmemory_bytes = 16777216\nhandle_cpu_ms = 100\n");
    let host = builder(&folder).start().expect("starts");
    let deeds = deeds();
    let mut events = Vec::new();
    for (number, (asked, _)) in deeds.iter().enumerate() {
        // Each key's other inputs come before, in the same batch, and after.
        let key = format!("{number}");
        events.push(harmless(&format!("before-{number}"), &key));
        events.push(deed(&format!("deed-{number}"), &key, asked));
        events.push(harmless(&format!("after-{number}"), &key));
        events.extend(["a", "b", "c"].map(|key| count(key, number as u64 + 1)));
    }
    host.submit_all(events).expect("room").wait().expect("accepted");
    settle(&host);

    let mut letters = host.dead_letters(1_000);
    letters.sort_by_key(|letter| letter.key.parse::<usize>().unwrap_or(usize::MAX));
    for (number, (asked, reason)) in deeds.iter().enumerate() {
        let about: Vec<_> = letters.iter().filter(|letter| letter.key == number.to_string()).collect();
        let [letter] = about[..] else { panic!("{asked}: not one letter: {about:?}") };
        assert_eq!(letter.rule, "hostile");
        assert!(letter.reason.contains(reason), "{asked}: {}", letter.reason);
    }
    assert_eq!(letters.len(), deeds.len());
    let counted = deeds.iter().enumerate().map(|(number, _)| (number.to_string(), "2".to_owned()));
    let mut counted: Vec<_> = counted.collect();
    counted.sort();
    assert_eq!(states(&host, "hostile"), counted, "all others are handled, each once");
    assert_eq!(host.status().dead_letters, deeds.len() as u64);
    let work = plugin(&host, "hostile").and_then(|plugin| plugin.work).expect("it runs");
    assert!(work.traps >= 4 && work.dead_letters == deeds.len() && work.timers == 0, "{work:?}");
    assert_unaffected(&host, deeds.len() as u64);
}

#[test]
fn a_trap_on_one_input_of_many_is_found_and_its_backtrace_can_be_read() {
    let folder = neighbourhood();
    folder.plugin("hostile", guest("hostile"), "");
    let host = builder(&folder).start().expect("starts");
    let mut events: Vec<_> =
        (0..1_000).map(|n| harmless(&n.to_string(), &format!("key-{}", n % 50))).collect();
    events[617] = deed("bad", "key-17", &json!("trap"));
    events.extend(counts("a", 20).into_iter().chain(counts("b", 20)).chain(counts("c", 20)));
    host.submit_all(events).expect("room").wait().expect("accepted");
    settle(&host);

    let letters = host.dead_letters(10);
    let [letter] = &letters[..] else { panic!("not one letter: {letters:?}") };
    assert_eq!((letter.rule.as_str(), letter.key.as_str(), &letter.timer), ("hostile", "key-17", &None));
    assert!(letter.reason.starts_with("it trapped"), "{}", letter.reason);
    let place = letter.backtrace.iter().position(|function| function.contains("hostile::trap_as_asked"));
    assert!(place.is_some(), "{:?}", letter.backtrace);
    for (key, count) in states(&host, "hostile") {
        assert_eq!(count, if key == "key-17" { "19" } else { "20" }, "{key}");
    }
    assert_unaffected(&host, 20);
}

/// A component is refused while it is loaded: file, what it holds, its manifest, and what the reason says.
fn refusals() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let whole = guest("counter").to_vec();
    let module = wat::parse_str("(module)").expect("module text");
    let rule = |text: &str| {
        component(&format!(r#"{text} (instance $none) (export "carpe:rule/rule@0.1.0" (instance $none))"#))
    };
    let start = |body: &str| {
        let more = format!("(func $start {body}) (start $start)");
        Guest { more, ..Guest::default() }.build()
    };
    let table =
        |elements: u32| Guest { more: format!("(table {elements} funcref)"), ..Guest::default() }.build();
    let noise: Vec<u8> = (0..4_096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let loads = |what: &str| {
        let limits = "[limits]\ninit_cpu_ms = 100\nmemory_bytes = 16777216";
        format!("name = 'x'\n{limits}\n[configuration]\non_load = {what}\n").leak() as &str
    };
    let hostile = || guest("hostile").to_vec();
    const QUICK: &str = "[limits]\ninit_cpu_ms = 100";
    vec![
        (
            "loops-in-init",
            hostile(),
            loads("'loop'"),
            "under [limits] in the .toml file beside it: it took more than 100ms of CPU time",
        ),
        ("traps-in-init", hostile(), loads("'trap'"), "its `init` failed: it trapped"),
        ("recurses-in-init", hostile(), loads("'recurse'"), "its `init` failed: it overflowed its stack"),
        (
            "bomb-in-init",
            hostile(),
            loads("'memory_bomb'"),
            "it wanted more memory than its limit of 16777216",
        ),
        ("refuses-in-init", hostile(), loads("'error'"), "the rule failed: asked for an error"),
        ("bad-configuration", hostile(), "[configuration]\nx = 1", "unknown field `x`"),
        (
            "bad-name",
            hostile(),
            "[configuration]\nname = '../x'",
            "its description is not valid: the name `../x`",
        ),
        (
            "bad-filter",
            hostile(),
            "[configuration]\nfilter = \"type = 'x' AND\"",
            "subscription 0 (from 0): its filter is not CloudEvents SQL: at byte 14 there is the end",
        ),
        (
            "endless-filter",
            hostile(),
            format!("[configuration]\nfilter = '{}'", "(".repeat(100_000)).leak(),
            "its filter is not CloudEvents SQL: at byte 4096: an expression has at most 4096 bytes",
        ),
        ("loops-in-start", start("(loop $again (br $again))"), QUICK, "it took more than 100ms of CPU time"),
        ("traps-in-start", start("unreachable"), QUICK, "it trapped"),
        ("big-memory", Guest { pages: 60_000, ..Guest::default() }.build(), "", "it wanted more memory than"),
        ("big-table", table(20_001), "", "it wanted a larger table than its limit of 20000 elements"),
        (
            "huge-table",
            table(u32::MAX),
            "",
            "table index 0 has a minimum element size of 4294967295 which exceeds",
        ),
        (
            "wants-network",
            rule(r#"(import "wasi:sockets/tcp@0.2.3" (instance))"#),
            "",
            "it imports wasi:sockets/tcp@0.2.3, which no rule may have: a rule has no network",
        ),
        (
            "wants-files",
            rule(r#"(import "wasi:filesystem/types@0.3.0" (instance))"#),
            "",
            "it imports wasi:filesystem/types@0.3.0, which no rule may have",
        ),
        (
            "other-world",
            component(r#"(instance $none) (export "wasi:http/incoming-handler@0.2.0" (instance $none))"#),
            "",
            "it does not export carpe:rule/rule@0.1.0, so it is no rule; it exports wasi:http/incoming-handler",
        ),
        (
            "future",
            component(r#"(instance $none) (export "carpe:rule/rule@7.0.0" (instance $none))"#),
            "",
            "it was made for version 7.0.0 of the contract",
        ),
        ("module", module, "", "it is a core WebAssembly module, not a component"),
        ("truncated", whole[..whole.len() / 2].to_vec(), "", "it ends in the middle"),
        ("noise", noise.clone(), "", "it is not WebAssembly"),
        (
            "noise-inside",
            [&whole[..1_000], &noise, &whole[5_096..]].concat(),
            "",
            "it is not a valid component",
        ),
        ("empty", Vec::new(), "", ""),
    ]
}

#[test]
fn what_cannot_be_loaded_is_refused_in_words_and_harms_nobody() {
    let folder = neighbourhood();
    let refusals = refusals();
    let (at_start, later) = refusals.split_at(refusals.len() / 2);
    for (name, bytes, manifest, _) in at_start {
        folder.plugin(name, bytes, manifest);
    }
    let host = builder(&folder).start().expect("starts");
    greet(&host, 1, 50);
    for (name, bytes, manifest, _) in later {
        folder.plugin(name, bytes, manifest);
    }
    greet(&host, 51, 100);
    for (name, _, _, reason) in &refusals {
        let status = wait_for_state(&host, name, PluginState::Refused);
        let said = status.reason.expect("a reason");
        assert!(said.contains(reason) && !said.is_empty(), "{name}: {said}");
        assert!(status.work.is_none() && status.hash.is_none(), "{name}: nothing of it runs");
    }
    assert_eq!(host.status().plugins.len(), refusals.len() + 1);
    assert_unaffected(&host, 100);
}

#[test]
fn a_file_of_100_megabytes_is_refused_unread() {
    let folder = neighbourhood();
    let mut file = File::create(folder.file("huge.wasm")).expect("a file");
    file.write_all(&guest("counter")[..1_000]).expect("written");
    file.set_len(100 << 20).expect("a sparse file");
    let host = builder(&folder).start().expect("starts");
    greet(&host, 1, 20);
    let status = wait_for_state(&host, "huge", PluginState::Refused);
    let reason = status.reason.expect("a reason");
    assert!(reason.contains("104857600") && reason.contains("67108864"), "{reason}");
    assert_unaffected(&host, 20);
}

/// One function of so many branches and live values that the register allocator has its work with it.
fn slow_to_compile(statements: u32) -> Vec<u8> {
    let mut body = String::new();
    for n in 0..statements {
        body.push_str(&format!(
            "(local.set {} (i64.add (i64.rotl (local.get {}) (local.get {})) (i64.load offset={} (local.get $at))))
             (if (i64.eqz (local.get {})) (then (local.set {} (i64.const {n}))))\n",
            n % 200, (n * 7 + 3) % 200, (n * 13 + 5) % 200, n % 60_000, (n * 11) % 200, (n * 17 + 1) % 200,
        ));
    }
    let locals = "(local i64) ".repeat(200);
    let more = format!("(func (export \"slow\") {locals} (local $at i32) {body})");
    Guest { more, ..Guest::default() }.build()
}

#[test]
fn a_component_that_compiles_for_too_long_is_given_up_and_others_go_on() {
    // The neighbour comes from the cache: how fast this machine compiles says nothing about it. A cache of its own,
    // since what was given up may still be compiled, and then kept.
    let cache = tempfile::tempdir().expect("a folder");
    let options = SandboxOptions { cache_dir: Some(cache.path().to_owned()), ..sandbox() };
    Sandbox::new(options.clone()).expect("a sandbox").load(&guest("counter")).expect("loads");
    let folder = neighbourhood();
    let options = SandboxOptions { compile_timeout: Duration::from_millis(500), ..options };
    let host = builder(&folder).sandbox(options).start().expect("starts");
    greet(&host, 1, 10);
    folder.plugin("slow", slow_to_compile(150_000), "");
    let mut sent = 10;
    let status = wait_for("the slow component is looked at", || {
        sent += 1;
        greet(&host, sent, sent);
        plugin(&host, "slow").filter(|status| status.state != PluginState::Loading)
    });
    assert_eq!(status.state, PluginState::Refused, "{status:?}");
    let reason = status.reason.expect("a reason");
    assert!(reason.contains("it was not compiled within 500ms"), "{reason}");
    assert_unaffected(&host, sent);
}

#[test]
fn a_flood_of_log_lines_is_cut_however_many_instances_it_takes() {
    log::keep();
    let folder = neighbourhood();
    folder.plugin("hostile", guest("hostile"), "name = 'flooding'");
    let host = builder(&folder).start().expect("starts");
    let mut events: Vec<_> = (0..20)
        // An input that fails has a fresh instance after it, with no fresh quota.
        .flat_map(|n| {
            [
                deed(&format!("{n}-log"), "key", &json!({ "log": 10_000 })),
                deed(&format!("{n}"), "key", &json!("trap")),
            ]
        })
        .collect();
    events.extend(["a", "b", "c"].map(|key| count(key, 1)));
    let begun = std::time::Instant::now();
    host.submit_all(events).expect("room").wait().expect("accepted");
    settle(&host);
    let seconds = begun.elapsed().as_secs() + 1;

    let lines = log::lines_of("flooding");
    // Each second brings one more line: how many the one before dropped.
    let most = usize::try_from(seconds * 21).expect("few");
    assert!(!lines.is_empty() && lines.len() <= most, "{} lines in {seconds} s", lines.len());
    let set_aside = host.dead_letters(100).into_iter().filter(|letter| letter.rule == "flooding").count();
    assert_eq!(set_aside, 20, "logging is no crime, trapping is");
    let work = plugin(&host, "hostile").and_then(|plugin| plugin.work).expect("it runs");
    assert!(work.log_dropped > 100_000, "dropped lines are counted: {}", work.log_dropped);
    assert_unaffected(&host, 1);
}

#[test]
fn a_log_line_cannot_look_like_the_hosts() {
    log::keep();
    let folder = Folder::new();
    folder.plugin("hostile", guest("hostile"), "name = 'forging'");
    let host = builder(&folder).start().expect("starts");
    host.submit(deed("forged", "key", &json!("log_forged"))).expect("room").wait().expect("accepted");
    settle(&host);
    let wanted = "innocent\\n2026-01-01T00:00:00Z ERROR carpe: the host is on fire\\u{1b}[2J";
    assert_eq!(log::lines_of("forging"), [wanted]);
}

#[test]
fn a_timer_that_sets_itself_again_at_once_ends_at_the_limit() {
    let folder = neighbourhood();
    folder.plugin("hostile", guest("hostile"), "");
    let host = builder(&folder).timeline(Timeline::Event).start().expect("starts");
    let hour = 3_600_000;
    let begin = 1_700_000_000_000;
    let event = deed("again", "key", &json!("again")).with_time(begin);
    host.submit(event).expect("room").wait().expect("accepted");
    greet(&host, 1, 5);
    settle(&host);
    // At 1 ms each there is room for millions of them up to here.
    let late = harmless("late", "key").with_time(begin + hour);
    host.submit(late).expect("room").wait().expect("accepted");
    greet(&host, 6, 10);
    settle(&host);

    let letters = host.dead_letters(10);
    let [letter] = &letters[..] else { panic!("not one letter: {letters:?}") };
    assert_eq!((letter.key.as_str(), letter.timer.as_deref()), ("key", Some("again")));
    assert!(letter.reason.contains("timer_inputs_per_entry"), "{}", letter.reason);
    let work = plugin(&host, "hostile").and_then(|plugin| plugin.work).expect("it runs");
    assert_eq!((work.timers, work.traps), (0, 0));
    assert!((1_000..2_500).contains(&work.inputs), "{} inputs", work.inputs);
    assert_eq!(states(&host, "hostile"), [("key".to_owned(), "1".to_owned())]);
    assert_unaffected(&host, 10);
}

#[test]
fn a_timer_that_never_rests_starves_nobody() {
    let folder = neighbourhood();
    folder.plugin("hostile", guest("hostile"), "");
    let host = builder(&folder).start().expect("starts");
    host.submit(deed("again", "key", &json!("again"))).expect("room").wait().expect("accepted");
    wait_for("it fires and fires", || {
        let work = plugin(&host, "hostile")?.work?;
        (work.inputs >= 100).then_some(())
    });
    greet(&host, 1, 50);
    assert_unaffected(&host, 50);
    // A millisecond each is the least: it cannot fill the journal faster.
    let status = host.status();
    assert!(
        status.journal.end < 200 + 2 * status.timeline.now.saturating_sub(started(&status)),
        "{status:?}"
    );
    folder.remove("hostile.wasm");
    wait_for_state(&host, "hostile", PluginState::Removed);
    settle(&host);
}

fn started(status: &carpe::Status) -> u64 {
    status.plugins.iter().map(|plugin| plugin.since).min().unwrap_or(0).saturating_sub(60_000)
}

#[test]
fn a_rule_that_fails_on_everything_is_quarantined_until_a_better_version_comes() {
    let folder = neighbourhood();
    let release = "[release]\nset_aside = 5\nprobation_seconds = 3600\n";
    folder.plugin("hostile", guest("hostile"), &format!("{release}[configuration]\non_event = 'trap'"));
    let host = builder(&folder).start().expect("starts");
    for n in 0..40 {
        let event = harmless(&n.to_string(), "key");
        host.submit(event).expect("room").wait().expect("accepted");
        greet(&host, n + 1, n + 1);
    }
    let status = wait_for_state(&host, "hostile", PluginState::Quarantined);
    let reason = status.reason.expect("a reason");
    assert!(reason.contains("5 inputs were set aside") && reason.contains("it trapped"), "{reason}");
    assert_unaffected(&host, 40);
    let set_aside = host.dead_letters(100).len();
    assert!((5..10).contains(&set_aside), "{set_aside} letters");

    // The rest of its inputs waits in the journal for a version that can.
    folder.put("hostile.toml", release);
    wait_for_state(&host, "hostile", PluginState::Active);
    settle(&host);
    let handled = (40 - set_aside).to_string();
    assert_eq!(states(&host, "hostile"), [("key".to_owned(), handled)]);
    assert_unaffected(&host, 40);
}
