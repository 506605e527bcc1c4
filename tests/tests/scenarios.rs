//! Every folder of `tests/scenarios` is a story, told to the host as it is: with one thread and with four.

use std::path::PathBuf;

use carpe_tests::guests::root;
use carpe_tests::scenario::{Scenario, difference};

/// Every scenario, by its name.
fn all() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(root().join("tests/scenarios")).expect("the scenarios");
    let paths = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let name = |path: PathBuf| (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path);
    let mut all: Vec<_> = paths.map(name).collect();
    all.sort();
    all
}

#[test]
fn each_leads_to_what_it_says() {
    let mut failures = Vec::new();
    for (name, folder) in all() {
        let scenario = Scenario::read(&folder);
        for threads in [1, 4] {
            if let Some(difference) = difference(&scenario.expected, &scenario.run(threads)) {
                failures.push(format!("{name}, on {threads} threads: {difference}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// One that has no expectations would pass whatever happens.
#[test]
fn each_says_what_must_come_of_it() {
    for (name, folder) in all() {
        assert!(folder.join("expected.jsonl").is_file(), "{name} has no expected.jsonl");
        assert!(!Scenario::read(&folder).expected.is_empty(), "{name} expects nothing");
    }
}

/// Each rule has its usual story, and one of what comes late, twice, out of order and absurd.
#[test]
fn each_example_rule_is_told_of() {
    let told: String = all()
        .into_iter()
        .map(|(_, folder)| std::fs::read_to_string(folder.join("scenario.toml")).expect("a set-up"))
        .collect();
    for entry in std::fs::read_dir(root().join("plugins")).expect("the rules") {
        let path = entry.expect("an entry").path();
        if path.join("Cargo.toml").is_file() {
            let rule = format!("plugins/{}\"", path.file_name().unwrap_or_default().to_string_lossy());
            assert!(told.matches(&rule).count() >= 2, "{rule} has fewer than two scenarios");
        }
    }
}
