//! What operators do to states, dead letters and traces of people: inputs like any other, and as lasting.

use std::path::Path;
use std::time::Duration;

use carpe::journal::{Erasure, FileJournal, FileJournalOptions, Journal, KeyImage};
use carpe::status::PluginState;
use carpe::{Event, Host, HostBuilder};
use carpe_tests::events::{Count, count, count_of, counts, deed, harmless};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::{PATIENCE, settle, wait_for, wait_for_state};
use serde_json::json;
use tempfile::TempDir;

fn builder(data: &TempDir, plugins: &Folder) -> HostBuilder {
    Host::builder()
        .data_dir(data.path())
        .plugins_dir(plugins.path())
        .sandbox(sandbox())
        .threads(2)
        .checkpoint_every(Duration::from_millis(50))
}

fn submit(host: &Host, events: Vec<Event>) {
    host.submit_all(events).expect("room").wait().expect("accepted");
    settle(host);
}

fn number(host: &Host, key: &str) -> String {
    String::from_utf8(host.state("hostile", key).unwrap_or_default()).expect("text")
}

#[test]
fn a_dead_letter_is_given_again_once_the_rule_is_fixed_or_dropped() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("it", guest("hostile"), "[configuration]\non_event = 'trap'");
    let host = builder(&data, &plugins).start().expect("starts");
    submit(&host, ["a", "b", "c"].map(|key| harmless(key, key)).into());
    let letters = host.dead_letters(10);
    assert_eq!(letters.len(), 3, "{letters:?}");
    assert!(
        letters.iter().all(|letter| letter.reason.contains("unreachable") && !letter.backtrace.is_empty())
    );
    let of = |key: &str| letters.iter().find(|letter| letter.key == key).expect("a letter").id.clone();

    // Not fixed: it becomes another letter, at a place of its own.
    let again = host.give_again(&of("a")).expect("given again");
    settle(&host);
    let after = host.dead_letters(10);
    assert_eq!(after.len(), 3);
    let second = after.iter().find(|letter| letter.position == again).expect("a letter");
    assert_eq!(second.key, "a");
    assert!(host.give_again(&of("a")).expect_err("it is gone").to_string().contains("no dead letter"));

    plugins.put("it.toml", "");
    wait_for("the fixed version runs", || (host.status().reloads_ok == 2).then_some(()));
    // With another start in between, and without one.
    host.give_again(&second.id).expect("given again");
    settle(&host);
    assert_eq!(number(&host, "a"), "1");
    drop(host);
    let host = builder(&data, &plugins).start().expect("starts");
    settle(&host);
    assert_eq!(host.dead_letters(10).len(), 2);
    host.give_again(&of("b")).expect("given again");
    host.drop_letter(&of("c")).expect("dropped");
    settle(&host);
    let seen = |host: &Host| ["a", "b", "c"].map(|key| number(host, key));
    assert_eq!(seen(&host), ["1", "1", ""]);
    assert_eq!(host.dead_letters(10).len(), 0);
    assert!(host.shutdown(PATIENCE).drained);
    // Computed again from the beginning, it comes to the same.
    std::fs::remove_dir_all(data.path().join("checkpoints")).expect("removed");
    let host = builder(&data, &plugins).start().expect("starts");
    settle(&host);
    assert_eq!((seen(&host), host.dead_letters(10).len()), (["1", "1", ""].map(str::to_owned), 0));
}

#[test]
fn a_dead_letter_of_a_rule_that_is_gone_waits_for_it() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("it", guest("hostile"), "");
    let host = builder(&data, &plugins).start().expect("starts");
    submit(&host, vec![deed("bad", "key", &json!("trap"))]);
    let id = host.dead_letters(10).remove(0).id;
    plugins.remove("it.wasm");
    wait_for_state(&host, "it", PluginState::Removed);
    wait_for("it does not run", || {
        host.give_again(&id).err().filter(|error| error.to_string().contains("does not run"))
    });
    assert_eq!(host.dead_letters(10).len(), 1);
    assert!(host.give_again("nonsense").is_err());
}

#[test]
fn keys_are_imported_and_forgotten_also_of_a_rule_that_is_not_loaded() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("it", guest("counter"), "[configuration]\nevery = 0");
    let host = builder(&data, &plugins).start().expect("starts");
    submit(&host, [counts("kept", 3), counts("gone", 2)].concat());
    let image = |events: u64| KeyImage {
        state: Some(json!({ "events": events, "last_n": events }).to_string().into_bytes()),
        state_version: host.key("counter", "kept").expect("a key").state_version,
        timers: Vec::new(),
    };
    let image_of_seven = image(7);
    host.change_keys("counter", vec![("new".into(), Some(image_of_seven.clone())), ("gone".into(), None)])
        .expect("journaled");
    submit(&host, vec![count("new", 8)]);
    assert_eq!(count_of(&host, "counter", "new"), Count::exact(8));
    assert_eq!(host.key("counter", "gone"), None);
    let keys: Vec<String> = host.keys("counter", Some("gone"), 10).into_iter().map(|key| key.key).collect();
    assert_eq!(keys, ["kept", "new"]);

    // What breaks a limit changes nothing.
    let large = KeyImage { state: Some(vec![0; 100_000]), ..image_of_seven.clone() };
    let error = host.change_keys("counter", vec![("kept".into(), None), ("new".into(), Some(large))]);
    assert!(error.expect_err("refused").to_string().contains("`state_bytes`"));
    assert!(host.change_keys("nobody", Vec::new()).is_err());
    settle(&host);
    assert_eq!(count_of(&host, "counter", "kept"), Count::exact(3));

    plugins.remove("it.wasm");
    wait_for_state(&host, "it", PluginState::Removed);
    host.change_keys("counter", vec![("kept".into(), None), ("late".into(), Some(image_of_seven))])
        .expect("journaled");
    let seen = |host: &Host| ["kept", "new", "late"].map(|key| count_of(host, "counter", key).events);
    wait_for("it is forgotten", || (seen(&host) == [0, 8, 7]).then_some(()));
    drop(host);
    let host = builder(&data, &plugins).start().expect("starts");
    wait_for("it stays forgotten", || (seen(&host) == [0, 8, 7]).then_some(()));
    plugins.plugin("it", guest("counter"), "[configuration]\nevery = 0");
    wait_for_state(&host, "it", PluginState::Active);
    submit(&host, vec![count("late", 8), count("kept", 4)]);
    assert_eq!(seen(&host), [1, 8, 8]);
}

#[test]
fn a_rule_that_remembers_too_much_stops_and_harms_nobody_else() {
    // Just enough, and one too few: a counter's state has 98 bytes.
    for (limit, name, under, over) in
        [("keys", "limit `keys`", 50, 49), ("total_state_bytes", "`total_state_bytes`", 6_000, 1_500)]
    {
        let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
        let manifest = |name: &str, most: u64| {
            format!("name = '{name}'\nlimits.{limit} = {most}\n[configuration]\nevery = 0")
        };
        plugins.plugin("small", guest("counter"), &manifest("small", over));
        plugins.plugin("large", guest("counter"), &manifest("large", under));
        let host = builder(&data, &plugins).start().expect("starts");
        for n in 1..=3 {
            submit(&host, (0..50).map(|key| count(&format!("key-{key}"), n)).collect());
        }
        let stopped = wait_for_state(&host, "small", PluginState::Quarantined);
        assert!(stopped.reason.as_ref().is_some_and(|reason| reason.contains(name)), "{stopped:?}");
        let counts =
            |rule: &str| (0..50).map(|key| count_of(&host, rule, &format!("key-{key}"))).collect::<Vec<_>>();
        assert_eq!(counts("large"), vec![Count::exact(3); 50]);
        assert_eq!(host.dead_letters(10).len(), 0, "nothing is set aside");
        plugins.put("small.toml", manifest("small", under));
        wait_for("the new limit holds", || (host.status().reloads_ok == 3).then_some(()));
        settle(&host);
        assert_eq!(counts("small"), counts("large"));
    }
}

/// Whose traces are to go, and somebody else.
const NAME: &str = "maria-kowalska-1987";
const OTHER: &str = "somebody-else";

#[test]
fn who_asks_to_be_forgotten_is() {
    for rule in [None, Some("counter")] {
        forget(rule);
    }
}

fn forget(rule: Option<&str>) {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("it", guest("counter"), "[configuration]\nevery = 0");
    let start = || builder(&data, &plugins).segments(64 << 10, true).start().expect("starts");
    let host = start();
    let told = |key: &str, n: u64, deed: &str| {
        Event::new(format!("{n}"), format!("/tests/{key}"), "count.event").with_subject(key).with_json(
            json!({ "n": n, "do": deed, "after_ms": 3_600_000, "who": key, "pad": "x".repeat(900) })
                .to_string(),
        )
    };
    for n in 1..=100 {
        let events = [NAME, OTHER].map(|key| told(key, n, if n % 10 == 0 { "error" } else { "timer" }));
        submit(&host, events.into());
    }
    assert!(host.dead_letters(100).iter().any(|letter| letter.key == NAME));
    assert!(host.checkpoint(PATIENCE));
    assert!(finds(data.path(), NAME) && finds(data.path(), OTHER));
    let timers = || host.status().plugins[0].work.as_ref().map_or(0, |work| work.timers);
    assert_eq!(timers(), 2);

    let asked = host.erase(&Erasure::of(NAME, rule), true).expect("journaled");
    wait_for("state and timers go at once", || (host.key("counter", NAME).is_none()).then_some(()));
    assert!(host.dead_letters(100).iter().all(|letter| letter.key != NAME));
    wait_for("the erasure is done", || host.status().kept.erasures.is_empty().then_some(()));
    settle(&host);
    assert!(host.status().journal.end > asked);
    assert!(!finds(data.path(), NAME), "the name is still there");
    assert!(finds(data.path(), OTHER));
    let others = |host: &Host| (count_of(host, "counter", OTHER), host.dead_letters(100).len());
    let before = others(&host);
    assert_eq!(
        before,
        (Count { out_of_order: 9, ..Count { events: 90, last_n: 99, ..Count::default() } }, 10)
    );

    // It stays so, over restarts of all kinds, and who comes back begins anew.
    drop(host);
    let host = start();
    settle(&host);
    assert_eq!((others(&host), host.key("counter", NAME)), (before, None));
    assert!(host.shutdown(PATIENCE).drained);
    std::fs::remove_dir_all(data.path().join("checkpoints")).expect("removed");
    let host = start();
    settle(&host);
    assert_eq!((others(&host), host.key("counter", NAME)), (before, None));
    assert!(!finds(data.path(), NAME));
    submit(&host, vec![count(NAME, 1)]);
    assert_eq!(count_of(&host, "counter", NAME), Count::exact(1));
}

/// Whether a name stands in any file of a data folder, as it is or decoded.
fn finds(data: &Path, name: &str) -> bool {
    let journal = FileJournal::open_read_only(data.join("journal"), FileJournalOptions::default());
    let journal = journal.expect("the journal can be read");
    let mut at = journal.start();
    while at < journal.end() {
        for entry in journal.read(at, 1 << 20).expect("readable") {
            at = entry.position + 1;
            if format!("{entry:?}").contains(name) {
                return true;
            }
        }
    }
    finds_in_files(data, name)
}

fn finds_in_files(folder: &Path, name: &str) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return finds_in_files(&path, name);
        }
        let bytes = std::fs::read(&path).expect("readable");
        let decoded = match path.extension().and_then(|ending| ending.to_str()) {
            Some("base") => zstd::decode_all(&bytes[12..]).expect("a base"),
            _ => Vec::new(),
        };
        [&bytes, &decoded].iter().any(|bytes| bytes.windows(name.len()).any(|part| part == name.as_bytes()))
    })
}
