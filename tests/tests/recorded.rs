//! Recorded streams through the file source into a rule: what comes of them is what a plain implementation of the same
//! rule finds, and a file that was read is not read again.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use carpe::{Instant, format_instant, parse_instant};
use carpe_tests::daemon::Home;
use carpe_tests::guests::{component, guest, root};
use carpe_tests::wait_for;
use serde_json::{Value, json};

/// A moment that should come: key, kind, time, data.
type Expected = (String, String, String, Value);

/// A recorded stream: when, and what was measured, as its file has it.
fn recorded(name: &str) -> Vec<(Instant, f64)> {
    let path = root().join("tests/data").join(name).with_extension("csv");
    let text = std::fs::read_to_string(path).expect("a recorded stream");
    let line = |line: &str| {
        let (time, value) = line.split_once(',').expect("two columns");
        let time = parse_instant(&format!("{}Z", time.replace(' ', "T"))).expect("an instant");
        (time, value.parse().expect("a number"))
    };
    text.lines().skip(1).map(line).collect()
}

/// The stream as events of a rule, a line each.
fn events(kind: &str, name: &str, field: &str, stream: &[(Instant, f64)]) -> Vec<String> {
    let event = |(n, (time, value)): (usize, &(Instant, f64))| {
        let event = json!({
            "specversion": "1.0", "id": format!("{name}-{n}"), "source": "/recorded", "type": kind,
            "subject": name, "time": format_instant(*time), "data": { field: value },
        });
        format!("{event}\n")
    };
    stream.iter().enumerate().map(event).collect()
}

fn append(path: &PathBuf, lines: &[String]) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(lines.concat().as_bytes())).expect("written");
}

/// The moments in what `carpe run --json` printed.
fn printed(text: &str) -> Vec<Expected> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let moments = lines.filter_map(|line| line.get("moment").cloned());
    let shown = |moment: Value| {
        let text = |name: &str| moment[name].as_str().unwrap_or_default().to_owned();
        (text("key"), text("kind"), text("time"), moment["data"].clone())
    };
    moments.map(shown).collect()
}

/// By key, in the order in which they came: between keys there is none.
fn sorted(mut moments: Vec<Expected>) -> Vec<Expected> {
    moments.sort_by(|one, other| one.0.cmp(&other.0));
    moments
}

/// Moments are printed in their order where nobody waits for their actions: those go to a file.
const TO_A_FILE: &str =
    "[sink.file]\nkind = 'file'\npath = 'actions.jsonl'\n[[route]]\naction = '*'\nsink = 'file'\n";

const MAX_CELSIUS: f64 = 90.0;

/// `tests/guests/overheat`, plainly.
fn overheats(name: &str, stream: &[(Instant, f64)]) -> Vec<Expected> {
    let mut streak = 0;
    let mut moments = Vec::new();
    for (time, celsius) in stream {
        streak = if *celsius > MAX_CELSIUS { streak + 1 } else { 0 };
        if streak == 3 {
            let kind = "machine.overheating".to_owned();
            moments.push((name.to_owned(), kind, format_instant(*time), Value::Null));
        }
    }
    moments
}

const ALERT_CM: f64 = 1_000.0;
const RISE_CM: f64 = 300.0;
const WITHIN_MS: u64 = 3_600_000;
const FALL_CM: f64 = 150.0;

/// `plugins/flood-alert`, plainly: all readings of this rise are kept, and searched each time.
fn floods(name: &str, stream: &[(Instant, f64)]) -> Vec<Expected> {
    let mut moments = Vec::new();
    let mut readings: Vec<(Instant, f64)> = Vec::new();
    let mut peak: Option<f64> = None;
    for &(time, cm) in stream {
        if readings.last().is_some_and(|&(last, _)| time <= last) {
            continue;
        }
        readings.push((time, cm));
        let recent = readings.iter().filter(|(at, _)| time - at <= WITHIN_MS);
        let risen = cm - recent.map(|&(_, cm)| cm).fold(f64::INFINITY, f64::min);
        let mut occurs = |kind: &str, data: Value| {
            moments.push((name.to_owned(), kind.to_owned(), format_instant(time), data));
        };
        match peak {
            None if cm >= ALERT_CM || risen >= RISE_CM => {
                occurs("flood.rising", json!({ "gauge": name, "cm": cm, "risen_cm": risen }));
                peak = Some(cm);
            }
            None => {}
            Some(highest) if cm <= highest - FALL_CM && cm <= ALERT_CM - FALL_CM => {
                occurs("flood.over", Value::Null);
                peak = None;
                readings = vec![(time, cm)];
            }
            Some(highest) => peak = Some(highest.max(cm)),
        }
    }
    moments
}

#[test]
fn a_machine_that_overheated_is_found_as_a_plain_rule_finds_it_and_no_line_counts_twice() {
    const RUN: [&str; 6] = ["run", "--timeline", "event", "--json", "--once", "events.jsonl"];
    let name = "machine_temperature_system_failure";
    let stream = recorded(name);
    let lines = events("machine.temperature", name, "celsius", &stream);
    let home = Home::new(TO_A_FILE);
    let manifest = format!("[configuration]\nmax_celsius = {MAX_CELSIUS:?}\n");
    home.plugins.plugin("overheat", guest("overheat"), &manifest);
    let file = home.file("events.jsonl");

    let (first, rest) = lines.split_at(12_345);
    append(&file, first);
    home.call(&RUN);
    let expected = overheats(name, &stream);
    let so_far = printed(&home.text("out"));
    assert!(!so_far.is_empty() && so_far.len() < expected.len(), "{} of {}", so_far.len(), expected.len());

    // Nothing is new.
    home.call(&RUN);
    assert_eq!(printed(&home.text("out")), so_far);
    assert!(home.text("log").contains("nothing new"), "{}", home.text("log"));

    // It goes on where it was, with what it remembered.
    append(&file, rest);
    home.call(&RUN);
    assert_eq!(printed(&home.text("out")), expected);
}

#[test]
fn roads_that_filled_up_are_found_as_a_plain_rule_finds_them() {
    let home = Home::new(TO_A_FILE);
    let manifest = format!(
        "[configuration]\nalert_cm = {ALERT_CM:?}\nrise_cm = {RISE_CM:?}\nwithin_seconds = {}\nfall_cm = {FALL_CM:?}\n\
         highest_cm = 10000.0\n",
        WITHIN_MS / 1_000
    );
    home.plugins.plugin("flood-alert", component("plugins/flood-alert"), &manifest);
    let mut expected = Vec::new();
    for name in ["TravelTime_387", "speed_7578"] {
        let stream = recorded(name);
        append(&home.file(name), &events("gauge.level", name, "cm", &stream));
        expected.extend(floods(name, &stream));
    }
    assert!(expected.len() > 20, "{}", expected.len());
    home.call(&["run", "--timeline", "event", "--json", "--once", "TravelTime_387", "speed_7578"]);
    assert_eq!(sorted(printed(&home.text("out"))), sorted(expected));
}

#[test]
fn a_run_that_was_killed_loses_and_repeats_nothing() {
    const RUN: [&str; 5] = ["run", "--timeline", "event", "--once", "events.jsonl"];
    let name = "machine_temperature_system_failure";
    let stream = recorded(name);
    let home = Home::new(TO_A_FILE);
    let manifest = format!("[configuration]\nmax_celsius = {MAX_CELSIUS:?}\n");
    home.plugins.plugin("overheat", guest("overheat"), &manifest);
    append(&home.file("events.jsonl"), &events("machine.temperature", name, "celsius", &stream));

    let mut killed = home.carpe(&RUN).spawn().expect("carpe starts");
    wait_for("the first actions", || {
        let ended = killed.try_wait().expect("it ran").is_some();
        (ended || home.text("actions.jsonl").lines().count() > 3).then_some(())
    });
    killed.kill().expect("it ran");
    killed.wait().expect("it ran");
    home.call(&RUN);

    // An action may go out twice, under the same id.
    let text = home.text("actions.jsonl");
    let actions = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("whole lines"));
    let mut actions: Vec<(String, String)> = actions
        .map(|action| {
            let text = |name: &str| action[name].as_str().unwrap_or_default().to_owned();
            (text("time"), text("id"))
        })
        .collect();
    actions.sort();
    actions.dedup();
    let times: Vec<String> = actions.into_iter().map(|(time, _)| time).collect();
    let mut expected: Vec<String> = overheats(name, &stream).into_iter().map(|moment| moment.2).collect();
    expected.sort();
    assert_eq!(times, expected);
}

/// When people marked that something was going on with the machine: from, until. The middle of each is the fault.
const MARKED: [(&str, &str); 4] = [
    ("2013-12-10T06:25:00Z", "2013-12-12T05:35:00Z"),
    ("2013-12-15T17:50:00Z", "2013-12-17T17:00:00Z"),
    ("2014-01-27T14:20:00Z", "2014-01-29T13:30:00Z"),
    ("2014-02-07T14:55:00Z", "2014-02-09T14:05:00Z"),
];
const HOUR_MS: u64 = 3_600_000;

#[test]
fn a_machine_books_its_service_hours_before_each_fault_that_people_marked() {
    let name = "machine_temperature_system_failure";
    let stream = recorded(name);
    let home = Home::new(TO_A_FILE);
    // The file is read faster than any workshop answers.
    let manifest = "[configuration]\nanswer_minutes = 100000\n";
    home.plugins.plugin("self-maintenance", component("plugins/self-maintenance"), manifest);
    append(&home.file("events.jsonl"), &events("machine.reading", name, "value", &stream));
    home.call(&["run", "--timeline", "event", "--json", "--once", "events.jsonl"]);

    let moments = printed(&home.text("out"));
    let needed = moments.iter().filter(|moment| moment.1 == "service.needed");
    let needed: Vec<Instant> = needed.map(|moment| parse_instant(&moment.2).expect("an instant")).collect();
    let marked = MARKED.map(|(from, until)| {
        (parse_instant(from).expect("an instant"), parse_instant(until).expect("an instant"))
    });
    for (from, until) in marked {
        let fault = from.midpoint(until);
        let first = needed.iter().find(|at| (from..=until).contains(at));
        let ahead = first.and_then(|first| fault.checked_sub(*first)).map(|ahead| ahead / HOUR_MS);
        println!("{}: {ahead:?} hours before", format_instant(fault));
        assert!(ahead.is_some_and(|hours| hours >= 6), "{}", format_instant(fault));
    }
    let is_false = |at: &&Instant| !marked.iter().any(|(from, until)| (from..=until).contains(at));
    let others: Vec<String> = needed.iter().filter(is_false).map(|at| format_instant(*at)).collect();
    println!("besides, in 79 days: {others:?}");
    assert!(others.len() <= 5, "{others:?}");
}
