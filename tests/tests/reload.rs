//! A reload loses nothing and repeats nothing, and a bad version never replaces a good one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use carpe::status::PluginState;
use carpe::{Host, HostBuilder, Route, Target};
use carpe_tests::events::{Count, count, count_of, counts};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::recorder::Recorder;
use carpe_tests::wat::component;
use carpe_tests::{PATIENCE, settle, wait_for, wait_for_state, wait_until_eq};
use serde::Deserialize;

fn builder(folder: &Folder) -> HostBuilder {
    Host::builder().plugins_dir(folder.path()).sandbox(sandbox()).threads(2)
}

/// Replacements that the host must have looked at.
const REPLACEMENTS: u64 = 100;
const KEYS: u64 = 20;
const SEED: u64 = 20_260_101;

/// A report of the counter.
#[derive(Deserialize)]
struct Report {
    key: String,
    count: u64,
    out_of_order: u64,
    repeated: u64,
    version: u64,
}

/// One step of a sequence that looks random (splitmix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The same component with another hash: a section that says nothing to a runtime stands at its end.
fn build_of(component: &[u8], number: u64) -> Vec<u8> {
    let note = [b"\x05build".as_slice(), &number.to_le_bytes()].concat();
    [component, &[0, u8::try_from(note.len()).expect("short")], &note].concat()
}

/// The counter's file `it`, replaced again and again.
struct Replaced {
    folder: Folder,
    /// Versions that may become active.
    good: BTreeSet<u64>,
    seed: u64,
}

impl Replaced {
    fn new() -> Replaced {
        let folder = Folder::new();
        folder.plugin("it", guest("counter"), &manifest(0, ""));
        Replaced { folder, good: BTreeSet::from([0]), seed: SEED }
    }

    /// Writes version `number`, good or bad, in one way or another. A version that follows a bad one is good.
    fn replace(&mut self, number: u64, after_bad: bool) -> bool {
        let choice = if after_bad { next(&mut self.seed) % 3 } else { next(&mut self.seed) % 10 };
        let whole = guest("counter");
        let (component, manifest) = match choice {
            0 => (whole.to_vec(), manifest(number, "")),
            1 => (build_of(&whole, number), manifest(number, "")),
            2 => (whole.to_vec(), manifest(number, "load_rounds = 100000000")),
            3 => (whole.to_vec(), manifest(number, "on_load = 'trap'")),
            4 => (whole.to_vec(), manifest(number, "on_load = 'error'")),
            5 => (
                whole.to_vec(),
                format!("limits = {{ init_cpu_ms = 50 }}\n{}", manifest(number, "on_load = 'loop'")),
            ),
            6 => {
                (build_of(&whole, number)[..whole.len() / 2 + number as usize].to_vec(), manifest(number, ""))
            }
            7 => (build_of(&wants_files(), number), manifest(number, "")),
            8 => (format!("not WebAssembly, {number} times").into_bytes(), manifest(number, "")),
            _ => (whole.to_vec(), manifest(number, "no_such_setting = true")),
        };
        let good = choice < 3;
        if good {
            self.good.insert(number);
        }
        // What of the two comes first may be tried with what is there of the other: such a mixture must not be good
        // by chance.
        let put = |name: &str, bytes: &[u8]| match number % 2 {
            0 => self.folder.put(name, bytes),
            _ => self.folder.copy(name, bytes),
        };
        let component = || put("it.wasm", &component);
        let manifest = || put("it.toml", manifest.as_bytes());
        if good {
            manifest();
            component();
        } else {
            component();
            manifest();
        }
        good
    }
}

fn manifest(number: u64, more: &str) -> String {
    format!("[configuration]\nversion = {number}\n{more}\n")
}

fn wants_files() -> Vec<u8> {
    let rule = r#"(instance $none) (export "carpe:rule/rule@0.1.0" (instance $none))"#;
    component(&format!(r#"(import "wasi:filesystem/types@0.2.3" (instance (export "x" (func)))) {rule}"#))
}

#[test]
fn a_hundred_replacements_under_load_lose_nothing_and_repeat_nothing() {
    let mut replaced = Replaced::new();
    let data = tempfile::tempdir().expect("a folder");
    let recorder = Recorder::new();
    let to_recorder = Route::new("count.report", Target::Sink("recorder".to_owned()));
    let host = builder(&replaced.folder)
        .data_dir(data.path())
        .sink("recorder", recorder.clone())
        .route(to_recorder)
        .start()
        .expect("starts");

    let stop = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let (host, stop) = (host.clone(), Arc::clone(&stop));
        move || {
            let mut n = 0;
            while !stop.load(Ordering::Acquire) {
                n += 1;
                let events = (0..KEYS).map(|key| count(&format!("key-{key}"), n)).collect();
                host.submit_all(events).expect("room").wait().expect("accepted");
                // A pace at which events flow all the time, and do not pile up.
                std::thread::sleep(Duration::from_millis(5));
            }
            n
        }
    });

    let looked_at = || {
        let status = host.status();
        status.reloads_ok + status.reloads_refused
    };
    let (mut number, mut after_bad) = (0, false);
    while looked_at() < REPLACEMENTS {
        number += 1;
        let before = looked_at();
        let good = replaced.replace(number, after_bad);
        let deadline = Instant::now() + PATIENCE;
        wait_for("the host looks at the replacement", || (looked_at() > before).then_some(()));
        assert!(Instant::now() < deadline);
        after_bad = !good;
    }
    // The last one is good, and comes into force.
    number += 1;
    replaced.folder.plugin("it", guest("counter"), &manifest(number, ""));
    replaced.good.insert(number);
    wait_for("the last version is active", || {
        let deliveries = recorder.deliveries();
        deliveries
            .iter()
            .rev()
            .take(KEYS as usize)
            .any(|delivery| report(delivery).version == number)
            .then_some(())
    });
    stop.store(true, Ordering::Release);
    let sent = sender.join().expect("the sender");
    settle(&host);

    for key in 0..KEYS {
        assert_eq!(count_of(&host, "counter", &format!("key-{key}")), Count::exact(sent), "key-{key}");
    }
    let mut reports: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    for delivery in recorder.deliveries() {
        let report = report(&delivery);
        assert_eq!((report.out_of_order, report.repeated), (0, 0));
        reports.entry(report.key).or_default().push((report.count, report.version));
    }
    for (key, mut reports) in reports {
        reports.sort_unstable();
        let (handled, by): (Vec<u64>, Vec<u64>) = reports.into_iter().unzip();
        assert!(handled.into_iter().eq(1..=sent), "{key}: each event has one report");
        assert!(by.is_sorted(), "{key}: no version comes back");
        let bad: Vec<_> = by.iter().filter(|version| !replaced.good.contains(version)).collect();
        assert!(bad.is_empty(), "{key}: {bad:?}");
    }
    let status = host.status();
    assert!(
        status.reloads_ok >= REPLACEMENTS / 4 && status.reloads_refused >= REPLACEMENTS / 4,
        "{status:?}"
    );
    assert_eq!(status.dead_letters, 0);
    println!("{} events, {} reloads, {} refusals", sent * KEYS, status.reloads_ok, status.reloads_refused);
}

fn report(delivery: &carpe::Delivery) -> Report {
    let carpe::Data::Json(data) = &delivery.event.data else { panic!("no JSON: {delivery:?}") };
    serde_json::from_str(data).expect("a report")
}

#[test]
fn a_file_that_is_moved_takes_its_state_along() {
    let folder = Folder::new();
    folder.plugin("a", guest("counter"), "name = 'moved'");
    let host = builder(&folder).start().expect("starts");
    let mut sent = 0;
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
        for _ in 0..20 {
            sent += 1;
            host.submit(count("key", sent)).expect("room").wait().expect("accepted");
        }
        for file in ["toml", "wasm"] {
            let rename = |name: &str| folder.file(&format!("{name}.{file}"));
            std::fs::rename(rename(from), rename(to)).expect("moved");
            sent += 1;
            host.submit(count("key", sent)).expect("room").wait().expect("accepted");
        }
        let status = wait_for_state(&host, to, PluginState::Active);
        assert_eq!(status.rule.as_deref(), Some("moved"));
        wait_until_eq("the old name is gone", None, || host.plugin_state(from));
    }
    settle(&host);
    assert_eq!(count_of(&host, "moved", "key"), Count::exact(sent));
}

#[test]
fn of_two_files_with_one_rule_the_second_waits_for_the_first_to_go() {
    let folder = Folder::new();
    folder.plugin("first", guest("counter"), "[configuration]\nversion = 1");
    let host = builder(&folder).start().expect("starts");
    folder.plugin("second", guest("counter"), "[configuration]\nversion = 2");
    let refused = wait_for_state(&host, "second", PluginState::Refused);
    let reason = refused.reason.expect("a reason");
    for word in ["`counter`", "`first.wasm`", "second.toml"] {
        assert!(reason.contains(word), "{reason}");
    }
    let mut moments = host.moments();
    let mut version_after = |n| {
        host.submit(count("key", n)).expect("room").wait().expect("accepted");
        let moment = moments.recv_blocking().expect("a moment");
        serde_json::from_str::<Report>(&moment.actions[0].data).expect("a report").version
    };
    assert_eq!(version_after(1), 1);
    folder.remove("first.wasm");
    wait_for_state(&host, "second", PluginState::Active);
    assert_eq!(version_after(2), 2);
    settle(&host);
    assert_eq!(count_of(&host, "counter", "key"), Count::exact(2));
}

#[test]
fn a_plugin_that_was_removed_and_returns_goes_on_with_its_state_at_the_end() {
    let folder = Folder::new();
    folder.plugin("it", guest("counter"), "");
    let host = builder(&folder).start().expect("starts");
    host.submit_all(counts("key", 5)).expect("room").wait().expect("accepted");
    settle(&host);
    folder.remove("it.wasm");
    wait_for_state(&host, "it", PluginState::Removed);
    // Nobody is there to be given this one.
    host.submit(count("other", 1)).expect("room").wait().expect("accepted");
    settle(&host);
    assert_eq!(count_of(&host, "counter", "key"), Count::exact(5), "its state stays");
    folder.put("it.wasm", guest("counter"));
    wait_for_state(&host, "it", PluginState::Active);
    host.submit(count("key", 6)).expect("room").wait().expect("accepted");
    settle(&host);
    assert_eq!(count_of(&host, "counter", "key"), Count::exact(6));
    assert_eq!(count_of(&host, "counter", "other"), Count::default());
}

/// The state is brought along by the version that reads both formats; what it cannot read waits as it is.
#[test]
fn a_version_with_another_format_of_state_brings_the_states_along() {
    let folder = Folder::new();
    folder.plugin("it", guest("counter"), "");
    let host = builder(&folder).start().expect("starts");
    host.submit_all(counts("key", 3)).expect("room").wait().expect("accepted");
    host.submit_all(counts("unlucky", 3)).expect("room").wait().expect("accepted");
    settle(&host);
    folder.put("it.wasm", guest("counter-migrating"));
    wait_until_eq("the new version", Some("2.0.0".to_owned()), || carpe_tests::plugin(&host, "it")?.version);
    host.submit_all(vec![count("key", 4), count("unlucky", 4)]).expect("room").wait().expect("accepted");
    settle(&host);
    assert_eq!(host.state("counter", "key").as_deref(), Some(&b"\"4 4\""[..]));
    assert_eq!(count_of(&host, "counter", "unlucky"), Count::exact(3));
    let letters = host.dead_letters(10);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].reason.contains("cannot be brought along from version 1"), "{}", letters[0].reason);
    // There is no way back: state would be read wrongly.
    folder.put("it.wasm", guest("counter"));
    let reason = wait_for_state(&host, "it", PluginState::Failing).reason.expect("a reason");
    assert!(reason.contains("state cannot be brought back"), "{reason}");
}
