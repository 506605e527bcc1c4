//! A power loss: the files are as they were at the last sync. Positions come up again, idempotency keys do not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carpe::journal::Durability;
use carpe::{Host, HostBuilder, Route, Target};
use carpe_tests::events::{Count, count, count_of};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::recorder::Recorder;
use carpe_tests::settle;

const KEYS: u64 = 5;

/// A host that syncs as late as it may, unless it is to be durable.
fn builder(data: &Path, plugins: &Folder, durability: Durability) -> HostBuilder {
    Host::builder()
        .data_dir(data)
        .plugins_dir(plugins.path())
        .sandbox(sandbox())
        .durability(durability, Duration::from_secs(60))
        .checkpoint_every(Duration::from_secs(3_600))
        .route(Route::new("*", Target::Sink("out".to_owned())))
}

/// Runs a host that takes events `from..=to` of each key, and ends it without a word. Returns the keys of its actions,
/// and the journal's end.
fn run(data: &Path, plugins: &Folder, durability: Durability, from: u64, to: u64) -> (BTreeSet<String>, u64) {
    let recorder = Recorder::new();
    let host = builder(data, plugins, durability).sink("out", recorder.clone()).start().expect("starts");
    for n in from..=to {
        let events = (0..KEYS).map(|key| count(&format!("key-{key}"), n)).collect();
        host.submit_all(events).expect("room").wait().expect("accepted");
    }
    settle(&host);
    for key in 0..KEYS {
        assert_eq!(count_of(&host, "counter", &format!("key-{key}")).events, to, "key-{key}");
    }
    let end = host.status().journal.end;
    drop(host);
    (recorder.deliveries().iter().map(|delivery| delivery.id.to_string()).collect(), end)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}

#[test]
fn positions_that_come_up_again_give_no_action_an_old_key() {
    for durability in [Durability::Durable, Durability::Relaxed] {
        let (home, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
        plugins.plugin("it", guest("counter"), "");
        let (data, before) = (home.path().join("data"), home.path().join("before"));
        let (first, _) = run(&data, &plugins, durability, 1, 3);
        assert_eq!(first.len() as u64, 3 * KEYS);
        copy(&data, &before);
        // What comes after this is lost with the power: the files are as they were.
        let (lost, end) = run(&data, &plugins, durability, 4, 8);
        let (again, end_again) = run(&before, &plugins, durability, 4, 8);
        assert_eq!(end, end_again, "positions come up again");
        assert_eq!((lost.len(), again.len()), (5 * KEYS as usize, 5 * KEYS as usize), "{durability:?}");
        assert!(lost.is_disjoint(&again), "{durability:?}: an old key was given to a new action");
        assert!(first.is_disjoint(&again), "{durability:?}");
    }
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("journal")).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "journal")).collect();
    paths.sort();
    paths
}

#[test]
fn relaxed_loses_what_was_not_synced_and_nothing_else() {
    let (home, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("it", guest("counter"), "");
    let data = home.path().join("data");
    // A stop syncs: this much is safe.
    let (safe, _) = run(&data, &plugins, Durability::Relaxed, 1, 4);
    let segment = segments(&data).pop().expect("a segment");
    let synced = std::fs::metadata(&segment).expect("a file").len();
    let (lost, _) = run(&data, &plugins, Durability::Relaxed, 5, 9);
    // The system had all of it, the disk only what was synced, and some page of the rest.
    let mut bytes = std::fs::read(&segment).expect("readable");
    let end = bytes.len();
    assert!(end as u64 > synced + 200);
    bytes[synced as usize..end - 100].fill(0);
    std::fs::write(&segment, bytes).expect("written");
    let (again, _) = {
        let recorder = Recorder::new();
        let host = builder(&data, &plugins, Durability::Relaxed).sink("out", recorder.clone()).start();
        let host = host.expect("what was never promised is cut off");
        settle(&host);
        for key in 0..KEYS {
            assert_eq!(count_of(&host, "counter", &format!("key-{key}")), Count::exact(4), "key-{key}");
        }
        drop(host);
        run(&data, &plugins, Durability::Relaxed, 5, 9)
    };
    assert!(again.is_disjoint(&lost) && again.is_disjoint(&safe));
}
