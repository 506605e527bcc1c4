//! Each folder in a rule's `scenarios` is a story, told to the host as it is.

use std::path::PathBuf;

use carpe_scenario::{Scenario, Telling, Wrong};
use carpe_tests::guests::{MANIFESTS, component, guest, root, sandbox};

/// Every story, by the folder of its rule.
fn all() -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    for rules in ["plugins", "tests/guests"] {
        for rule in std::fs::read_dir(root().join(rules)).expect("the rules") {
            let rule = rule.expect("an entry").file_name().to_string_lossy().into_owned();
            let rule = format!("{rules}/{rule}");
            let Ok(stories) = std::fs::read_dir(root().join(&rule).join("scenarios")) else { continue };
            all.extend(stories.map(|story| (rule.clone(), story.expect("an entry").path())));
        }
    }
    all.sort();
    assert!(all.len() >= 7, "stories are missing: {all:?}");
    all
}

#[test]
fn each_leads_to_what_it_says() {
    let mut failures = Vec::new();
    for (rule, folder) in all() {
        let scenario = Scenario::read(&folder).unwrap_or_else(|error| panic!("{error}"));
        let (rules, _) = rule.rsplit_once('/').unwrap_or_default();
        let of = |plugin: &str| match plugin.strip_prefix("../") {
            Some(beside) => Some(component(&format!("{rules}/{beside}"))),
            None => Some(component(&rule)),
        };
        let (_, wrong) = scenario
            .check(&of, &sandbox(), 7)
            .unwrap_or_else(|error| panic!("{}: {error:?}", folder.display()));
        failures.extend(wrong.map(|wrong| format!("{}: {wrong}", folder.display())));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Each rule has its usual story, and one of what comes late, twice, out of order and absurd. A rule that is the first part of another
/// one's story has it there.
#[test]
fn each_example_rule_is_told_of() {
    let set_up = |(_, folder): &(String, PathBuf)| {
        std::fs::read_to_string(folder.join("scenario.toml")).expect("a set-up")
    };
    let all = all();
    for entry in std::fs::read_dir(root().join("plugins")).expect("the rules") {
        let path = entry.expect("an entry").path();
        let is_rule = MANIFESTS.iter().any(|file| path.join(file).is_file());
        if path.is_dir() && is_rule {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let own = all.iter().filter(|(rule, _)| *rule == format!("plugins/{name}")).count();
            let part = all.iter().filter(|story| set_up(story).contains(&format!("\"../{name}\""))).count();
            assert!(own + part >= 2, "{name} has fewer than two stories");
        }
    }
}

/// The first promise of the contract is kept or the author is told.
#[test]
fn a_rule_that_keeps_something_between_calls_is_found() {
    let folder = root().join("tests/data/impure");
    let story = Scenario::read(&folder).unwrap_or_else(|error| panic!("{error}"));
    let (_, wrong) = story.check(&|_| Some(guest("hostile")), &sandbox(), 1).expect("it can be told");
    assert!(matches!(wrong, Some(Wrong::Impure { .. })), "{wrong:?}");
}

/// What a rule cannot go on with is said, and where.
#[test]
fn a_story_says_what_it_cannot_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writable");
    let told = |load: &str| {
        write("scenario.toml", "[[rules]]\nname = \"counter\"\n");
        write("events.jsonl", &format!("{{\"load\": {load}}}\n"));
        write("expected.jsonl", "{}\n");
        let story = Scenario::read(folder.path()).map_err(|error| error.to_string())?;
        let of = |plugin: &str| match plugin {
            "." => Some(guest("counter")),
            "later" => Some(guest("counter-migrating")),
            _ => None,
        };
        let mut telling = Telling::default();
        telling.sandbox = sandbox();
        story.tell(&of, &telling).map(drop).map_err(|error| error.to_string())
    };
    for (load, says) in [
        (r#"{"rule": "counter"}"#, "events.jsonl:1: `load` needs a `plugin`, a `configuration`, or both"),
        (r#"{"plugin": "."}"#, "events.jsonl:1: `load`: missing field `rule`"),
        (r#"{"rule": "counter", "file": "."}"#, "events.jsonl:1: `load`: unknown field `file`"),
        (r#"{"rule": "counter", "configuration": 7}"#, "events.jsonl:1: `load`: "),
        (r#"{"rule": "echo", "plugin": "."}"#, "there is no rule `echo` to load: the story has `counter`"),
        (
            r#"{"rule": "counter", "plugin": "nowhere"}"#,
            "the story names the plugin `nowhere`, which is not there",
        ),
        (
            r#"{"rule": "counter", "configuration": {"colour": "red"}}"#,
            "the rule `counter` cannot go on with what is loaded: ",
        ),
    ] {
        let said = told(load).expect_err(load);
        assert!(said.contains(says), "{load}: {said}");
    }
    assert_eq!(told(r#"{"rule": "counter", "plugin": "later"}"#), Ok(()));
    assert_eq!(told(r#"{"rule": "counter", "configuration": {"version": 2}}"#), Ok(()));
}
