//! A rule with a filter is given what the filter lets pass, and nothing else: live, after a change, a crash, and in a replay.

use carpe::replay::{ReplayOptions, replay};
use carpe::{Event, Host, KeyInfo};
use carpe_tests::events::{harmless, states};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::{plugin, settle, wait_for};
use tempfile::TempDir;

const KEYS: u64 = 5;

fn host(data: &TempDir, plugins: &Folder) -> Host {
    let host = Host::builder().data_dir(data.path()).plugins_dir(plugins.path()).sandbox(sandbox());
    host.threads(2).start().expect("starts")
}

/// Four events of each key: red, green, blue, and one without a colour.
fn events(round: u64) -> Vec<Event> {
    let colours = [Some("red"), Some("green"), Some("blue"), None];
    let of_key = |key: u64| {
        (0..).zip(colours).map(move |(n, colour)| {
            let mut event = harmless(&format!("{round}-{key}-{n}"), &format!("key-{key}"));
            event.extensions = colour.map(|colour| ("colour".into(), colour.into())).into_iter().collect();
            event
        })
    };
    (0..KEYS).flat_map(of_key).collect()
}

fn send(host: &Host, round: u64) {
    host.submit_all(events(round)).expect("room").wait().expect("accepted");
    settle(host);
}

/// The same count for each of some keys.
fn counts(keys: impl Iterator<Item = u64>, count: u64) -> Vec<(String, String)> {
    keys.map(|key| (format!("key-{key}"), count.to_string())).collect()
}

fn filter_failures(host: &Host) -> u64 {
    plugin(host, "sieve").and_then(|plugin| plugin.work).expect("a rule").filter_failures
}

fn manifest(filter: &str) -> String {
    format!("name = 'sieve'\n[configuration]\nfilter = \"{filter}\"")
}

#[test]
fn a_rule_is_given_what_its_filter_lets_pass() {
    let (data, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("all", guest("hostile"), "name = 'all'");
    let first = manifest("colour IN ('red', 'blue') AND subject != 'key-0'");
    plugins.plugin("sieve", guest("hostile"), &first);
    let live = host(&data, &plugins);
    wait_for("both are there", || (live.status().reloads_ok >= 2).then_some(()));
    send(&live, 1);
    assert_eq!(states(&live, "all"), counts(0..KEYS, 4));
    assert_eq!(states(&live, "sieve"), counts(1..KEYS, 2));
    assert_eq!(filter_failures(&live), KEYS);

    plugins.put("sieve.toml", manifest("NOT EXISTS colour OR colour = 'green'"));
    wait_for("the other filter", || (live.status().reloads_ok >= 3).then_some(()));
    send(&live, 2);
    let both = [counts(0..1, 2), counts(1..KEYS, 4)].concat();
    assert_eq!(states(&live, "sieve"), both);
    assert_eq!(filter_failures(&live), KEYS, "it asks whether there is a colour");

    // What a crash leaves is made again by the filters of then.
    drop(live);
    let live = host(&data, &plugins);
    settle(&live);
    assert_eq!(states(&live, "sieve"), both);
    send(&live, 3);
    let states = [counts(0..1, 4), counts(1..KEYS, 6)].concat();
    assert_eq!(self::states(&live, "sieve"), states);
    drop(live);

    for threads in [1, 3] {
        let options = ReplayOptions { data_dir: data.path().to_owned(), threads, sandbox: sandbox() };
        let replayed = replay(&options, &mut |_| {}).expect("replayed");
        let sieve = replayed.rules.iter().find(|rule| rule.rule == "sieve").expect("the rule");
        let text = |key: &KeyInfo| {
            (key.key.clone(), String::from_utf8(key.state.clone().unwrap_or_default()).expect("text"))
        };
        assert_eq!(sieve.keys.iter().map(text).collect::<Vec<_>>(), states, "on {threads} threads");
    }
}
