//! What is kept, and for how long: segments go once a later base exists, states never do; checkpoints that are lost are
//! made again; a rule that lags too far is left behind, visibly.

use std::path::Path;
use std::time::Duration;

use carpe::status::PluginState;
use carpe::{Event, Host, HostBuilder, Retention};
use carpe_tests::events::{Count, count_of};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::{PATIENCE, plugin, settle, wait_for, wait_for_state, wait_until_eq};
use serde_json::json;
use tempfile::TempDir;

const KEYS: u64 = 10;

/// A host that keeps next to nothing.
fn builder(data: &TempDir, plugins: &Folder) -> HostBuilder {
    let mut retention = Retention::default();
    retention.keep_bytes = 256 << 10;
    retention.wait_bytes = 768 << 10;
    Host::builder()
        .data_dir(data.path())
        .plugins_dir(plugins.path())
        .sandbox(sandbox())
        .threads(2)
        .known_ids(100, Duration::from_secs(600))
        .segments(64 << 10, false)
        .retention(retention)
        .checkpoint_every(Duration::from_millis(100))
}

/// Sends the events `from..=to` of each key, some of them at a time.
fn send(host: &Host, kind: &str, from: u64, to: u64) {
    for n in from..=to {
        let event = |key: u64| {
            Event::new(format!("{kind}-{key}-{n}"), "/tests/kept", kind)
                .with_subject(format!("key-{key}"))
                .with_json(json!({ "n": n, "padding": "x".repeat(400) }).to_string())
        };
        host.submit_all((0..KEYS).map(event).collect()).expect("room").wait().expect("accepted");
    }
}

fn assert_counts(host: &Host, rule: &str, last: u64) {
    for key in 0..KEYS {
        assert_eq!(count_of(host, rule, &format!("key-{key}")), Count::exact(last), "key-{key} of {rule}");
    }
}

fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").metadata().expect("a file").len()).sum()
}

#[test]
fn old_segments_go_and_states_stay_whatever_becomes_of_the_checkpoints() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("it", guest("counter"), "[configuration]\nevery = 0");
    let host = builder(&data, &plugins).start().expect("starts");
    send(&host, "count.event", 1, 300);
    settle(&host);
    let status = wait_for("old segments go", || {
        let status = host.status();
        (status.kept.bases > 0 && status.journal.start > 0 && status.journal.bytes < 512 << 10)
            .then_some(status)
    });
    assert!(status.kept.bases > 0, "{:?}", status.kept);
    assert!(bytes_of(&data.path().join("journal")) < 600 << 10);
    assert_counts(&host, "counter", 300);
    assert!(host.shutdown(PATIENCE).drained);

    // With its checkpoints, without them, and with what is left of them after a bad night.
    let checkpoints = data.path().join("checkpoints");
    let damage: [(&str, &dyn Fn()); 4] = [
        ("checkpoints", &|| {}),
        ("the base at", &|| std::fs::remove_dir_all(&checkpoints).expect("removed")),
        ("the base at", &|| spoil(&checkpoints, &|bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x55))),
        ("the base at", &|| spoil(&checkpoints, &|bytes| bytes.truncate(bytes.len() / 2))),
    ];
    for (round, (from, damage)) in (1..).zip(damage) {
        damage();
        let host = builder(&data, &plugins).start().expect("starts");
        settle(&host);
        let recovery = host.status().recovery;
        assert!(recovery.from.starts_with(from), "{recovery:?}");
        assert_eq!(recovery.rules, 1);
        let sent = 300 + (round - 1) * 20;
        assert_counts(&host, "counter", sent);
        send(&host, "count.event", sent + 1, sent + 20);
        settle(&host);
        assert_counts(&host, "counter", sent + 20);
        if round % 2 == 0 {
            drop(host);
        } else {
            assert!(host.shutdown(PATIENCE).drained);
        }
    }
}

/// Changes the contents of every file of a folder.
fn spoil(folder: &Path, change: &dyn Fn(&mut Vec<u8>)) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            spoil(&path, change);
        } else {
            let mut bytes = std::fs::read(&path).expect("readable");
            change(&mut bytes);
            std::fs::write(&path, bytes).expect("written");
        }
    }
}

#[test]
fn without_checkpoints_and_without_a_base_a_start_says_so() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("it", guest("counter"), "[configuration]\nevery = 0");
    let host = builder(&data, &plugins).start().expect("starts");
    send(&host, "count.event", 1, 200);
    settle(&host);
    wait_for("old segments go", || (host.status().journal.start > 0).then_some(()));
    assert!(host.shutdown(PATIENCE).drained);
    spoil(&data.path().join("checkpoints"), &|bytes| bytes.clear());
    spoil(&data.path().join("bases"), &|bytes| bytes.truncate(bytes.len() / 2));
    let Err(error) = builder(&data, &plugins).start() else { panic!("it starts") };
    assert!(error.to_string().contains("no base from there on can be read"), "{error}");
}

#[test]
fn a_rule_that_lags_too_far_is_left_behind_and_goes_on_with_what_is_kept() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("counts", guest("counter"), "[configuration]\nevery = 0");
    let release = "[release]\nset_aside = 1\nprobation_seconds = 3600";
    let broken = format!("[configuration]\non_event = 'trap'\n{release}");
    plugins.plugin("breaks", guest("hostile"), &broken);
    let host = builder(&data, &plugins).start().expect("starts");
    send(&host, "hostile.event", 1, 1);
    wait_for_state(&host, "breaks", PluginState::Quarantined);
    let left_behind = |host: &Host| {
        plugin(host, "breaks").and_then(|plugin| plugin.work).map_or(0, |work| work.left_behind)
    };
    let mut sent = 0;
    let mut warned = false;
    while left_behind(&host) == 0 {
        sent += 20;
        assert!(sent < 2_000, "it is never left behind: {:?}", host.status().kept);
        send(&host, "count.event", sent - 19, sent);
        warned |= host.status().kept.lagging == ["hostile"];
        std::thread::sleep(Duration::from_millis(50));
    }
    warned |= wait_for("it is warned of", || {
        let status = host.status();
        (warned || status.kept.lagging == ["hostile"]).then_some(true)
    });
    assert!(warned);
    settle(&host);
    assert_counts(&host, "counter", sent);
    let gone = left_behind(&host);
    assert!(gone > 0);
    wait_for("old segments go", || (host.status().journal.start > 0).then_some(()));

    // Fixed, it goes on.
    plugins.put("breaks.toml", release);
    wait_for("the fixed version runs", || (host.status().reloads_ok == 3).then_some(()));
    send(&host, "hostile.event", 2, 6);
    settle(&host);
    assert_eq!(host.state("hostile", "key-3").as_deref(), Some(&b"5"[..]));
    drop(host);
    let host = builder(&data, &plugins).start().expect("starts");
    settle(&host);
    assert_eq!(host.state("hostile", "key-3").as_deref(), Some(&b"5"[..]));
    assert_counts(&host, "counter", sent);
    assert!(host.shutdown(PATIENCE).drained);
}

#[test]
fn a_new_rule_begins_where_the_operator_says() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    let named = |name: &str, start: &str| format!("name = '{name}'\n{start}\n[configuration]\nevery = 0");
    plugins.plugin("first", guest("counter"), &named("first", ""));
    let start =
        || Host::builder().data_dir(data.path()).plugins_dir(plugins.path()).sandbox(sandbox()).start();
    let host = start().expect("starts");
    send(&host, "count.event", 1, 5);
    let middle = host.status().journal.end;
    send(&host, "count.event", 6, 9);
    plugins.plugin("all", guest("counter"), &named("all", "start = 'beginning'"));
    plugins.plugin("some", guest("counter"), &named("some", &format!("start = {middle}")));
    plugins.plugin("none", guest("counter"), &named("none", ""));
    for file in ["all", "some", "none"] {
        wait_for_state(&host, file, PluginState::Active);
    }
    settle(&host);
    let events = |host: &Host, rule: &str| count_of(host, rule, "key-1").events;
    let seen = |host: &Host| ["first", "all", "some", "none"].map(|rule| events(host, rule));
    wait_until_eq("all read what is theirs", [9, 9, 4, 0], || seen(&host));
    send(&host, "count.event", 10, 10);
    settle(&host);
    assert_eq!(seen(&host), [10, 10, 5, 1]);
    drop(host);
    let host = start().expect("starts");
    settle(&host);
    assert_eq!(seen(&host), [10, 10, 5, 1], "a rule is new once");
    plugins.plugin("late", guest("counter"), &named("late", "start = 1_000_000"));
    let refused = wait_for_state(&host, "late", PluginState::Refused);
    assert!(refused.reason.is_some_and(|reason| reason.contains("the journal holds 0 to")));
    assert!(host.shutdown(PATIENCE).drained);
}
