//! `carpe run --once`: files to their end.

use crate::carpe::{Place, reading};

fn a_rise() -> String {
    [(1, 0, 460), (2, 10, 480), (3, 20, 503), (4, 30, 530), (5, 40, 470)]
        .map(|(id, minute, cm)| reading(id, "elbe-7", minute, cm))
        .concat()
}

#[test]
fn a_file_is_read_to_its_end_and_only_once() {
    let place = Place::with(&["flood-alert"]);
    place.write("events.jsonl", a_rise());
    let run = ["run", "--timeline", "event", "--json", "--log", "warn", "--once", "events.jsonl"];
    let first = place.carpe(&run).expect(0).expect_err("5 events, 2 moments, actions: 4 delivered");
    let lines = first.json();
    let shown: Vec<_> = lines
        .iter()
        .filter_map(|line| line["moment"]["kind"].as_str().or(line["action"]["type"].as_str()))
        .collect();
    let expected = [
        "flood.rising",
        "alert.residents",
        "alert.emergency-services",
        "flood.over",
        "stand-down.residents",
        "stand-down.emergency-services",
    ];
    assert_eq!(shown, expected);
    assert!(lines[0]["moment"]["time"].as_str().unwrap().starts_with("2026-01-01T00:20:00"));

    let second = place.carpe(&run).expect(0).expect_err("nothing new");
    assert_eq!(second.out, "");

    // What is added is read on, with the state of before: the next rise.
    place.write("events.jsonl", a_rise() + &reading(6, "elbe-7", 50, 510));
    let third = place.carpe(&run).expect(0).expect_err("1 event, 1 moment, actions: 2 delivered");
    assert_eq!(third.json()[0]["moment"]["kind"], "flood.rising");
}

#[test]
fn people_read_moments_and_their_actions() {
    let place = Place::with(&["flood-alert"]);
    let run = ["run", "--timeline", "event", "--once", "-"];
    let said = place.carpe_with_input(&run, &a_rise()).expect(0);
    let shown = "2026-01-01T00:20:00.000Z flood.rising elbe-7: the water stands at 503 cm, and 500 cm is the alert \
                 level [flood-alert]\n  -> alert.residents elbe-7 {\"cm\":503.0,";
    assert!(said.out.contains(shown), "{}", said.out);
}

#[test]
fn a_bad_line_stops_it_unless_it_is_to_be_skipped() {
    let place = Place::with(&["flood-alert"]);
    place.write(
        "events.jsonl",
        reading(1, "elbe-7", 0, 400) + "{\"specversion\":\"1.0\"}\n" + &reading(2, "elbe-7", 1, 520),
    );
    let run = ["run", "--timeline", "event", "--log", "error", "--once", "events.jsonl"];
    place.carpe(&run).expect(1).expect_err("events.jsonl:2:").expect_err("--skip-bad-lines");
    let skip = [&run[..5], &["--skip-bad-lines"], &run[5..]].concat();
    place.carpe(&skip).expect(0).expect_err("1 event, 1 bad line, 1 moment");
}

#[test]
fn nothing_is_done_without_a_good_plugin() {
    let place = Place::new();
    place.write("events.jsonl", reading(1, "elbe-7", 0, 400));
    let run = ["run", "--once", "events.jsonl"];
    place.carpe(&run).expect(0).expect_err("no plugin was there to handle them");
    place.write("plugins/bad.wasm", "hello");
    place.carpe(&run).expect(1).expect_err("the plugin bad.wasm is refused: it is not WebAssembly");
}

#[test]
fn what_cannot_be_handled_is_shown() {
    let place = Place::with(&["flood-alert"]);
    let said =
        place.carpe_with_input(&["run", "--log", "error", "--once", "-"], &reading(1, "elbe-7", 0, 9_999));
    said.expect(0).expect_err("1 input set aside").expect_err("9999 cm at gauge elbe-7: is it broken?");
}

#[test]
fn it_ends_when_nobody_reads_what_it_prints() {
    let place = Place::with(&["flood-alert"]);
    place.write("events.jsonl", a_rise());
    let mut command = place.command(&["run", "--timeline", "event", "--once", "events.jsonl"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    child.wait().unwrap();
    // What nobody read is printed by the next run.
    let next = place.carpe(&["run", "--timeline", "event", "--once", "events.jsonl"]).expect(0);
    assert_eq!(next.out.matches("  -> ").count(), 4, "{next:#?}");
}
