//! One rule in each language, and one set of stories that all of them tell alike: see `tests/conformance`.

use std::path::{Path, PathBuf};

use carpe::Manifest;
use carpe::plugin::{Configuration, inspect};
use carpe::sandbox::Sandbox;
use carpe_scenario::{Cut, Scenario, Telling, difference};
use carpe_tests::guests::{component, root, sandbox};
use serde_json::{Value, json};

/// The rule `conform`, by each route.
const GUESTS: &[&str] = &[
    "tests/guests/conform",
    "tests/guests/conform-c",
    "tests/guests/conform-go",
    "tests/guests/conform-javascript",
    "tests/guests/conform-plain",
    "tests/guests/conform-python",
];

/// What the rule was before: migrations begin with it.
const BEFORE: &str = "conform-before";

/// While one is written, the one whose folder `CARPE_GUEST` names; else all.
fn guests() -> Vec<&'static str> {
    let only = std::env::var("CARPE_GUEST").ok();
    let is_meant = |guest: &&str| only.as_ref().is_none_or(|only| **guest == format!("tests/guests/{only}"));
    let guests: Vec<&str> = GUESTS.iter().copied().filter(is_meant).collect();
    assert!(!guests.is_empty(), "CARPE_GUEST names none of {GUESTS:?}");
    guests
}

/// A story's folder.
fn stories() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/conformance")).expect("the stories");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() >= 26, "stories are missing: {folders:?}");
    folders
}

/// What came of it, as far as guests have to agree: a message is compared where the rule was told to say it, or has to name what is
/// wrong with a state, and `1` and `1.0` are one number.
fn comparable(lines: Vec<Value>) -> Vec<Value> {
    let mut lines: Vec<Value> = lines.into_iter().map(|line| with_floats(&line)).collect();
    for message in lines.iter_mut().filter_map(|line| line.get_mut("set aside")) {
        let said = message.as_str().unwrap_or_default();
        if said == "no count" || said.contains("from format 1: ") && said.contains("no count") {
            *message = json!("no count");
        } else if !said.starts_with("told: ") && !said.starts_with("more than ") {
            *message = json!("any message");
        }
    }
    lines
}

fn with_floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(list) => list.iter().map(with_floats).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), with_floats(value))).collect()
        }
        other => other.clone(),
    }
}

/// What differs, if something does, however the story is cut.
fn tell(folder: &Path, guest: &str) -> Option<String> {
    let story = Scenario::read(folder).unwrap_or_else(|error| panic!("{error}"));
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let expected = comparable(story.expected.clone());
    [(Cut::OneByOne, false), (Cut::Whole, false), (Cut::Random(1), true)].into_iter().find_map(
        |(cut, fresh)| {
            let mut telling = Telling::default();
            (telling.threads, telling.cut, telling.fresh, telling.sandbox) = (2, cut, fresh, sandbox());
            let of = |plugin: &str| match plugin {
                BEFORE => component("tests/guests/conform-before"),
                _ => component(guest),
            };
            let told = story.tell(&|plugin| Some(of(plugin)), &telling);
            let told = told.unwrap_or_else(|error| panic!("{name}, {guest}: {error:?}"));
            difference(&expected, &comparable(told))
                .map(|difference| format!("{name}, {guest}, {cut:?}, fresh: {fresh}: {difference}"))
        },
    )
}

/// One event at a time, all that follow each other at once (up to a thousand), and cut at random, on fresh instances.
#[test]
fn each_guest_tells_each_story() {
    let (guests, stories) = (guests(), stories());
    // Most of the time is waiting for the host to be done.
    let failures: Vec<String> = std::thread::scope(|scope| {
        let tell_all = |guest| stories.iter().filter_map(|folder| tell(folder, guest)).collect::<Vec<_>>();
        let threads: Vec<_> = guests.iter().map(|guest| scope.spawn(move || tell_all(guest))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("all is told")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_wrong_configuration_is_refused_by_its_field() {
    let sandbox = Sandbox::new(sandbox()).expect("a sandbox");
    for guest in guests() {
        let component = component(guest);
        let start = |configuration: &Value| {
            let configuration = Configuration::from_json(configuration.to_string()).expect("an object");
            let mut manifest = Manifest::default();
            manifest.configuration = configuration;
            inspect(&sandbox, &component, &manifest)
        };
        let right = start(&json!({"greeting": "Hello", "limit": 0})).expect("it starts");
        assert_eq!(
            (right.description.name.as_str(), right.description.version.as_str()),
            ("conform", "1.0.0")
        );
        assert_eq!(right.description.state_version, 2);
        assert!(right.migrates, "{guest}");
        assert!(start(&json!({"greeting": "é 🌊"})).is_ok(), "{guest}");
        for (wrong, field) in [
            (json!({}), "greeting"),
            (json!({"greeting": ""}), "greeting"),
            (json!({"greeting": 7}), "greeting"),
            (json!({"greeting": null}), "greeting"),
            (json!({"greeting": "Hello", "limit": "many"}), "limit"),
            (json!({"greeting": "Hello", "limit": -1}), "limit"),
            (json!({"greeting": "Hello", "limit": 1.5}), "limit"),
            (json!({"greeting": "Hello", "other": 1}), "other"),
        ] {
            let error = start(&wrong).expect_err(&format!("{guest} starts with {wrong}"));
            let causes =
                std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            let text: String = causes.map(|error| format!("{error}; ")).collect();
            assert!(text.contains(field), "{guest}: {wrong}: {text}");
        }
    }
}
