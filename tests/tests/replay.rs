//! Replay is exact: the journal of a host under load, with versions that change, inputs that are set aside, rules that lag
//! and outcomes, comes to identical states, moments and idempotency keys, on any number of threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use carpe::replay::{ReplayOptions, Replayed, replay, verify};
use carpe::status::PluginState;
use carpe::{Event, Host, KeyInfo, Moment, Retention, Route, Target};
use carpe_tests::events::counts;
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::recorder::Recorder;
use carpe_tests::{PATIENCE, settle, wait_for, wait_for_state};
use serde_json::json;

const KEYS: u64 = 40;

/// What a moment is known by: idempotency keys, and all that the rule said.
type Seen = BTreeMap<(String, String), Vec<(u64, String, Vec<String>)>>;

fn note(seen: &mut Seen, moment: &Moment) {
    let ids = moment.actions.iter().map(|action| format!("{} {}", action.id, action.data)).collect();
    let of_key = seen.entry((moment.rule.clone(), moment.key.clone())).or_default();
    of_key.push((moment.position, format!("{} {} {}", moment.kind, moment.why, moment.now), ids));
}

fn options(data: &Path, threads: usize) -> ReplayOptions {
    ReplayOptions { data_dir: data.to_owned(), threads, sandbox: sandbox() }
}

fn replayed(data: &Path, threads: usize) -> (Replayed, Seen) {
    let mut seen = Seen::new();
    let replayed = replay(&options(data, threads), &mut |moment| note(&mut seen, moment)).expect("replayed");
    (replayed, seen)
}

fn keys_of<'a>(replayed: &'a Replayed, rule: &str) -> &'a [KeyInfo] {
    let found = replayed.rules.iter().find(|found| found.rule == rule);
    found.map_or(&[], |found| &found.keys)
}

fn same(replayed: &[KeyInfo], live: &[KeyInfo], rule: &str) {
    for (one, other) in replayed.iter().zip(live) {
        assert!(one == other, "{rule}: {one:?}, but live {other:?}");
    }
    assert_eq!(replayed.len(), live.len(), "{rule}");
}

/// Events of all sorts: counted, with timers, failing, trapping; from many keys.
fn events(round: u64) -> Vec<Event> {
    let deeds = ["none", "timer", "none", "error", "cancel", "none", "fail", "timer", "trap", "forget"];
    (0..KEYS)
        .map(|key| {
            let mixed = (round * 31 + key * 17) % 997;
            let deed = deeds[(mixed % 97 % 10) as usize];
            // Traps are rare: each costs two instances.
            let deed = if deed == "trap" && !mixed.is_multiple_of(5) { "none" } else { deed };
            let data = match deed {
                "none" => json!({ "n": round }),
                deed => json!({ "n": round, "do": deed, "after_ms": mixed % 40 }),
            };
            Event::new(format!("{key}-{round}"), "/tests/replay", "count.event")
                .with_subject(format!("key-{key}"))
                .with_json(data.to_string())
        })
        .collect()
}

#[test]
fn a_journal_comes_to_the_same_again_on_any_number_of_threads() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    let manifest = |version: u64, outcomes: bool| {
        format!("[release]\nset_aside = 100_000\n[configuration]\nversion = {version}\noutcomes = {outcomes}")
    };
    let other = |version: u64| format!("name = 'other'\n{}", manifest(version, false));
    plugins.plugin("it", guest("counter"), &manifest(0, true));
    plugins.plugin("other", guest("counter"), &other(0));
    let mut retention = Retention::default();
    // Several bases, each to be compared with.
    retention.keep_bytes = 1 << 20;
    let recorder = Recorder::new();
    let host = Host::builder()
        .data_dir(data.path())
        .plugins_dir(plugins.path())
        .sandbox(sandbox())
        .threads(4)
        .segments(64 << 10, true)
        .retention(retention)
        .known_ids(1_000, Duration::from_secs(60))
        .checkpoint_every(Duration::from_millis(200))
        .sink("out", recorder)
        .route(Route::new("*", Target::Sink("out".to_owned())))
        .start()
        .expect("starts");
    let mut moments = host.moments();
    let mut live = Seen::new();
    let mut receipts = Vec::new();
    for round in 1..=150 {
        receipts.push(host.submit_all(events(round)).expect("room"));
        match round {
            41 => plugins.put("it.toml", manifest(1, true)),
            61 => plugins.remove("other.wasm"),
            81 => plugins.put("it.toml", manifest(2, false)),
            101 => plugins.put("other.wasm", guest("counter")),
            121 => plugins.put("other.toml", other(3)),
            _ => {}
        }
        // Now and then what was changed has taken effect, and mostly it does while events come in.
        match round {
            59 => wait_for("a version takes effect", || (host.status().reloads_ok >= 3).then_some(())),
            99 => drop(wait_for_state(&host, "other", PluginState::Removed)),
            119 => drop(wait_for_state(&host, "other", PluginState::Active)),
            139 => {
                wait_for("the last version takes effect", || (host.status().reloads_ok >= 6).then_some(()))
            }
            _ => {}
        }
        if round % 10 == 0 {
            std::thread::sleep(Duration::from_millis(60));
            settle(&host);
        }
        while let Some(moment) = moments.try_recv().expect("no moment is missed") {
            note(&mut live, &moment);
        }
    }
    for receipt in receipts {
        receipt.wait().expect("accepted");
    }
    // All timers have fired: a stop leaves nothing that a replay would do more.
    wait_for("all timers have fired", || {
        let timers = |host: &Host| {
            host.status()
                .plugins
                .iter()
                .filter_map(|plugin| Some(plugin.work.as_ref()?.timers))
                .sum::<usize>()
        };
        (timers(&host) == 0).then_some(())
    });
    settle(&host);
    while let Some(moment) = moments.try_recv().expect("no moment is missed") {
        note(&mut live, &moment);
    }
    let states = ["counter", "other"].map(|rule| (rule, host.states(rule)));
    let mut letters: Vec<(u64, String)> =
        host.dead_letters(usize::MAX).into_iter().map(|letter| (letter.position, letter.reason)).collect();
    letters.sort();
    assert!(host.shutdown(PATIENCE).drained);

    let (first, seen) = replayed(data.path(), 1);
    assert!(first.from == 0 || seen.len() < live.len() || !seen.is_empty());
    for (rule, states) in &states {
        same(keys_of(&first, rule), states, rule);
    }
    let mut dead: Vec<(u64, String)> =
        first.rules.iter().flat_map(|rule| rule.dead_letters.iter().cloned()).collect();
    dead.sort();
    assert_eq!(dead, letters);
    for rule in &first.rules {
        assert!(rule.undecided.is_empty(), "{}: {:?}", rule.rule, rule.undecided);
    }
    // A replay from a base tells what came after it.
    for (key, of_key) in &seen {
        let told = live.get(key).unwrap_or_else(|| panic!("{key:?} is new"));
        assert!(told.ends_with(of_key), "{key:?}: {told:?} does not end with {of_key:?}");
    }
    if first.from == 0 {
        assert_eq!(seen, live);
    }
    println!(
        "replayed from {} to {}: {} moments of {}, {} dead letters, components {:?}",
        first.from,
        first.until,
        seen.values().map(Vec::len).sum::<usize>(),
        live.values().map(Vec::len).sum::<usize>(),
        letters.len(),
        first.rules.iter().map(|rule| rule.components.len()).collect::<Vec<_>>()
    );
    for threads in [2, 8] {
        let (again, seen_again) = replayed(data.path(), threads);
        assert_eq!(seen_again, seen, "{threads} threads");
        for (rule, states) in &states {
            same(keys_of(&again, rule), states, rule);
        }
    }

    let verified = verify(&options(data.path(), 2)).expect("verified");
    assert_eq!(verified.differing, 0, "{:?}", verified.differences);
    assert!(verified.rules == 2 && verified.keys > 0, "{verified:?}");

    // One byte of one state, and it is told.
    tamper(&data.path().join("checkpoints"));
    let verified = verify(&options(data.path(), 2)).expect("verified");
    assert_eq!(verified.differing, 1, "{:?}", verified.differences);
    assert!(verified.differences[0].key.is_some(), "{:?}", verified.differences);
}

/// Changes one byte in a state of a key.
fn tamper(checkpoints: &Path) {
    let database = fjall::Database::builder(checkpoints).open().expect("opened");
    let rows = database.keyspace("rules", fjall::KeyspaceCreateOptions::default).expect("opened");
    let row = rows.prefix([b'k']).next().expect("a key");
    let (name, value) = row.into_inner().expect("readable");
    let mut value = value.to_vec();
    let at = value.windows(8).position(|part| part == b"\"events\"").expect("a state");
    value[at + 1] = b'E';
    rows.insert(name, value).expect("written");
    database.persist(fjall::PersistMode::SyncAll).expect("durable");
}

#[test]
fn a_folder_that_is_in_use_is_replayed_but_not_verified() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("it", guest("counter"), "");
    let host = Host::builder().data_dir(data.path()).plugins_dir(plugins.path()).sandbox(sandbox());
    let host = host.start().expect("starts");
    host.submit_all(counts("key", 100)).expect("room").wait().expect("accepted");
    settle(&host);
    let (replayed, _) = replayed(data.path(), 2);
    assert!(keys_of(&replayed, "counter") == host.states("counter"));
    let error = verify(&options(data.path(), 2)).expect_err("it is in use");
    let mut causes = vec![error.to_string()];
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    assert!(causes.join(": ").contains("in use by another process"), "{causes:?}");
    // Nobody's folder is nothing to replay.
    let empty = tempfile::tempdir().expect("a folder");
    assert!(replay(&options(empty.path(), 1), &mut |_| {}).is_err());
}
