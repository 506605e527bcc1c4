//! An accepted event takes effect exactly once, whatever stops the host when; timers and states go on after a start
//! with another number of threads; an action goes out at least once, always under the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use carpe::{Event, Host, HostBuilder, Route, Sink, Target, Timeline};
use carpe_tests::events::{Count, count, count_of, counts, deed};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::recorder::Recorder;
use carpe_tests::{PATIENCE, settle};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

fn builder(data: &Path, plugins: &Folder) -> HostBuilder {
    Host::builder().data_dir(data).plugins_dir(plugins.path()).sandbox(sandbox())
}

fn to(name: &str, sink: Arc<dyn Sink>, builder: HostBuilder) -> HostBuilder {
    builder.sink(name, sink).route(Route::new("*", Target::Sink(name.to_owned())))
}

fn data() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_host_that_was_stopped_goes_on_where_it_was_on_any_number_of_threads() {
    let (data, folder) = (data(), Folder::new());
    folder.plugin("it", guest("counter"), "");
    let keys: Vec<String> = (0..40).map(|key| format!("key-{key}")).collect();
    let mut ids = BTreeSet::new();
    for (round, threads) in (1..).zip([2, 5, 1, 3]) {
        let recorder = Recorder::new();
        let host = to("recorder", recorder.clone(), builder(data.path(), &folder));
        let host = host.threads(threads).start().expect("starts");
        for key in &keys {
            let done = (round - 1) * 5;
            assert_eq!(
                count_of(&host, "counter", key),
                Count::exact(done),
                "{key} at the start of round {round}"
            );
        }
        // What was sent before is known: a sender may send all of it again.
        let events: Vec<Event> = keys.iter().flat_map(|key| counts(key, round * 5)).collect();
        let accepted = host.submit_all(events).expect("room").wait().expect("accepted");
        assert_eq!(
            (accepted.accepted, accepted.repeated),
            (5 * keys.len(), 5 * keys.len() * (round as usize - 1))
        );
        settle(&host);
        for key in &keys {
            assert_eq!(count_of(&host, "counter", key), Count::exact(round * 5), "{key} in round {round}");
        }
        for delivery in recorder.deliveries() {
            assert!(ids.insert(delivery.id.to_string()), "delivered once, under a key of its own");
        }
        let report = host.shutdown(PATIENCE);
        assert!(report.drained && report.open_actions == 0, "{report:?}");
    }
}

#[test]
fn timers_survive_a_stop() {
    let (data, folder) = (data(), Folder::new());
    folder.plugin("it", guest("counter"), "");
    const BEGIN: u64 = 1_700_000_000_000;
    let start = |threads| {
        builder(data.path(), &folder).timeline(Timeline::Event).threads(threads).start().expect("starts")
    };
    let timer = |key: &str, after_ms: u64| {
        Event::new(format!("timer-{key}"), "/tests/count", "count.event")
            .with_subject(key)
            .with_time(BEGIN)
            .with_json(json!({ "do": "timer", "after_ms": after_ms }).to_string())
    };
    let host = start(3);
    let keys: Vec<String> = (0..20).map(|key| format!("key-{key}")).collect();
    let events = keys.iter().zip(1..).map(|(key, n)| timer(key, n * 1_000)).collect();
    host.submit_all(events).expect("room").wait().expect("accepted");
    settle(&host);
    host.advance(BEGIN + 5_500);
    settle(&host);
    let fired =
        |host: &Host| keys.iter().map(|key| count_of(host, "counter", key).timers).collect::<Vec<_>>();
    let expected = |most: usize| (0..20).map(|key| u64::from(key < most)).collect::<Vec<_>>();
    assert_eq!(fired(&host), expected(5));
    assert!(host.shutdown(PATIENCE).drained);

    let host = start(2);
    assert_eq!(fired(&host), expected(5));
    host.advance(BEGIN + 10_000);
    settle(&host);
    assert_eq!(fired(&host), expected(10));
    // Without a word: no checkpoint is written.
    drop(host);
    let host = start(1);
    settle(&host);
    assert_eq!(fired(&host), expected(10));
    host.advance(BEGIN + 60_000);
    settle(&host);
    assert_eq!(fired(&host), expected(20));
}

/// A line that the child's sink wrote.
#[derive(Deserialize)]
struct Report {
    key: String,
    count: u64,
    out_of_order: u64,
    repeated: u64,
}

#[test]
fn a_host_that_is_killed_again_and_again_loses_no_event_and_counts_none_twice() {
    let (data, folder) = (data(), Folder::new());
    folder.plugin("it", guest("counter"), "[configuration]\noutcomes = true");
    let deliveries = folder.file("deliveries.txt");
    let mut accepted = 0;
    // Killed after so many rounds, and so many microseconds later: before the first checkpoint, between some, soon after
    // a start, and wherever in a round.
    let kills =
        [(1, 2, 0), (200, 1, 300), (5, 4, 1_000), (600, 2, 50), (1, 3, 700), (90, 2, 2_000), (300, 5, 150)];
    for (rounds, threads, later) in kills {
        let mut child = Command::new(env!("CARGO_BIN_EXE_victim"))
            .arg(data.path())
            .arg(folder.path())
            .arg(&deliveries)
            .args([threads.to_string(), (accepted + 1).to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        for _ in 0..rounds {
            let line = lines.next().expect("it runs on").expect("readable");
            accepted = line.parse().expect("a number");
        }
        std::thread::sleep(Duration::from_micros(later));
        child.kill().expect("killed");
        child.wait().expect("it ends");
        // What it said before the kill counts too. What was not acknowledged is sent again.
        for line in lines {
            accepted = line.expect("readable").parse().expect("a number");
        }
    }

    let recorder = Recorder::new();
    let host =
        to("lines", recorder.clone(), builder(data.path(), &folder)).threads(2).start().expect("starts");
    assert_eq!(host.dead_letters(10).len(), 0);
    settle(&host);
    let mut last = BTreeMap::new();
    for key in (0..10).map(|key| format!("key-{key}")) {
        let count = count_of(&host, "counter", &key);
        // The rounds that the last kill interrupted may be in, or not.
        assert!(
            (accepted..=accepted + 4).contains(&count.events),
            "{key}: {count:?}, {accepted} rounds accepted"
        );
        assert_eq!(count, Count { delivered: count.events, ..Count::exact(count.events) }, "{key}");
        last.insert(key, count.events);
    }
    let ends: BTreeSet<u64> = last.values().copied().collect();
    assert_eq!(ends.len(), 1, "a batch is accepted whole or not at all: {last:?}");
    assert!(host.shutdown(PATIENCE).drained);
    let mut text = std::fs::read_to_string(&deliveries).expect("readable");
    for delivery in recorder.deliveries() {
        let carpe::Data::Json(data) = &delivery.event.data else { panic!("no JSON: {delivery:?}") };
        text += &format!("{} {data}\n", delivery.id);
    }
    check_deliveries(&text, accepted);
}

/// That each event's action went out, and always under one key.
fn check_deliveries(text: &str, accepted: u64) {
    let mut ids: BTreeMap<(String, u64), String> = BTreeMap::new();
    for line in text.lines() {
        let (id, data) = line.split_once(' ').expect("a line");
        let report: Report = serde_json::from_str(data).expect("a report");
        assert_eq!((report.out_of_order, report.repeated), (0, 0), "{line}");
        let known = ids.entry((report.key, report.count)).or_insert_with(|| id.to_owned());
        assert_eq!(known, id, "one action, one key");
    }
    let distinct: BTreeSet<&String> = ids.values().collect();
    assert_eq!(distinct.len(), ids.len(), "two actions, two keys");
    assert!(ids.len() as u64 >= 10 * accepted, "{} actions of {accepted} rounds", ids.len());
    println!("{accepted} rounds, {} deliveries of {} actions", text.lines().count(), ids.len());
}

#[test]
fn what_was_set_aside_stays_set_aside_and_is_not_tried_again() {
    let (data, folder) = (data(), Folder::new());
    folder.plugin("it", guest("hostile"), "");
    let host = builder(data.path(), &folder).start().expect("starts");
    host.submit(deed("bad", "key", &json!("trap"))).expect("room").wait().expect("accepted");
    settle(&host);
    let before = host.dead_letters(10);
    assert_eq!(before.len(), 1);
    drop(host);
    let host = builder(data.path(), &folder).start().expect("starts");
    settle(&host);
    let after = host.dead_letters(10);
    assert_eq!(after.len(), 1);
    assert_eq!((&after[0].reason, after[0].position), (&before[0].reason, before[0].position));
    assert!(!after[0].backtrace.is_empty());
    let work = carpe_tests::plugin(&host, "it").and_then(|status| status.work).expect("it runs");
    assert_eq!(work.traps, 0, "what has a verdict is not judged again");
}

#[test]
fn what_is_computed_again_runs_under_the_same_limits() {
    let (data, folder) = (data(), Folder::new());
    folder.plugin("it", guest("hostile"), "[limits]\nstate_bytes = 200000");
    let builder = || builder(data.path(), &folder).checkpoint_every(Duration::from_secs(3_600));
    let host = builder().start().expect("starts");
    host.submit(deed("big", "key", &json!({ "state": 150_000 }))).expect("room").wait().expect("accepted");
    settle(&host);
    assert_eq!(host.state("hostile", "key").map(|state| state.len()), Some(150_000));
    drop(host);
    let host = builder().start().expect("starts");
    settle(&host);
    assert_eq!(host.dead_letters(10).len(), 0);
    assert_eq!(host.state("hostile", "key").map(|state| state.len()), Some(150_000));
    host.submit(deed("big-too", "key", &json!({ "state": 150_001 })))
        .expect("room")
        .wait()
        .expect("accepted");
    settle(&host);
    assert_eq!(host.state("hostile", "key").map(|state| state.len()), Some(150_001));
}

#[test]
fn actions_that_wait_at_a_stop_go_out_after_the_next_start() {
    /// Takes nothing.
    struct Closed;
    impl Sink for Closed {
        fn deliver(&self, _: carpe::Delivery, reply: carpe::Reply) {
            reply.send(carpe::Answer::Again { reason: "closed".to_owned(), after: None });
        }
    }
    let (data, folder) = (data(), Folder::new());
    folder.plugin("it", guest("counter"), "[configuration]\noutcomes = true");
    let host = to("out", Arc::new(Closed), builder(data.path(), &folder)).start().expect("starts");
    host.submit_all(vec![count("a", 1), count("b", 1)]).expect("room").wait().expect("accepted");
    let report = host.shutdown(Duration::from_millis(200));
    assert!(!report.drained && report.open_actions == 2, "{report:?}");

    let recorder = Recorder::new();
    let host = to("out", recorder.clone(), builder(data.path(), &folder)).start().expect("starts");
    settle(&host);
    let mut keys: Vec<String> = recorder
        .deliveries()
        .iter()
        .filter_map(|delivery| Some(delivery.event.subject.as_ref()?.to_string()))
        .collect();
    keys.sort();
    assert_eq!(keys, ["a", "b"]);
    for key in ["a", "b"] {
        assert_eq!(count_of(&host, "counter", key), Count { delivered: 1, ..Count::exact(1) });
    }
}
