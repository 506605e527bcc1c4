//! Data folders: copied, checked, computed again, and refused.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::carpe::{Place, counter, reading};
use crate::daemon::FILE_SINK;

const KEYS: u64 = 5;

/// The round's events for the counter: one for each key, numbered by the rounds.
fn counts(round: u64) -> String {
    let event = |key| {
        format!(
            r#"{{"specversion":"1.0","id":"{round}-{key}","source":"/t","type":"count.event","subject":"k{key}","data":{{"n":{round}}}}}"#
        ) + "\n"
    };
    (0..KEYS).map(event).collect()
}

/// A place whose data folder was filled by a run over some readings.
fn ran(place: &Place, data: &str, readings: &str) -> Vec<Value> {
    place.write("events.jsonl", readings);
    let run =
        ["run", "--data", data, "--timeline", "event", "--json", "--log", "warn", "--once", "events.jsonl"];
    place.carpe(&run).expect(0).json()
}

fn rises(cm: u32) -> String {
    (0..40).map(|number| reading(number, &format!("gauge-{}", number % 4), number, cm + number)).collect()
}

#[test]
fn a_copy_of_a_running_host_goes_on_by_itself() {
    let place = Place::new();
    std::fs::copy(counter(), place.path("plugins/counter.wasm")).unwrap();
    place.write("carpe.toml", FILE_SINK);
    let host = place.host(&[]);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for round in 0..20 {
                let events: String = (1..=10).map(|number| counts(round * 10 + number)).collect();
                place.carpe_with_input(&["send", "--batch", "7"], &events).expect(0);
            }
        });
        place.wait_for(|status| status["intake"]["accepted"].as_u64() > Some(100));
        let said = place.carpe(&["backup", "early"]).expect(0).out;
        for part in
            ["copied to early: ", "carpe run --data early", "carpe verify --data early", "not in it: "]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
        sending.join().unwrap();
    });
    place.settled();
    let export = |data: &str| place.carpe(&["state", "export", "counter", "--data", data]).expect(0).out;
    let live = export(".carpe");
    let late = place.carpe(&["backup", "late", "--json"]).expect(0).json();
    assert!(late[0]["files"].as_u64() > Some(1) && late[0]["end"].as_u64() > Some(200 * KEYS));
    host.stop().expect(0);

    for data in ["early", "late"] {
        place.carpe(&["verify", "--data", data]).expect(0);
        let replay = |threads: &str| {
            place.carpe(&["replay", "--json", "--data", data, "--threads", threads]).expect(0).out
        };
        assert_eq!(replay("1"), replay("3"));
    }
    place.carpe(&["replay", "--data", "early", "--states", "states.jsonl"]).expect(0);
    let early: Vec<Value> =
        place.read("states.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(early.len() as u64, KEYS);
    for key in early {
        let state = &key["state"];
        assert_eq!((&state["events"], &state["out_of_order"]), (&state["last_n"], &Value::from(0)), "{key}");
        assert!((20..=200).contains(&state["events"].as_u64().unwrap()), "{key}");
    }
    let host = place.host(&["--data", "late"]);
    // It takes events before it has read on to its end.
    let deadline = Instant::now() + Duration::from_secs(60);
    while export("late") != live && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(export("late"), live);
    host.stop().expect(0);

    place.carpe(&["backup", "late"]).expect(1).expect_err("late is there already");
    place.carpe(&["backup", "new", "--data", "none"]).expect(1).expect_err("none is no data folder");
    assert!(!place.path("new").exists());
}

#[test]
fn a_replay_does_what_the_host_did() {
    let place = Place::with(&["flood-alert"]);
    // Actions elsewhere, so that each moment is one whole line.
    place.write("carpe.toml", FILE_SINK);
    let mut printed: Vec<String> =
        ran(&place, ".carpe", &rises(490)).iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    assert!(!printed.is_empty());
    let said = place.carpe(&["verify"]).expect(0).out;
    assert!(
        said.contains("1 rule of checkpoints, 4 keys") && said.ends_with("all is as it should be\n"),
        "{said}"
    );

    let replay = ["replay", "--threads", "2", "--moments", "-", "--states", "states.jsonl", "--json"];
    let said = place.carpe(&replay).expect(0);
    let mut again: Vec<String> =
        said.json().iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    printed.sort();
    again.sort();
    assert_eq!(printed, again);
    let summary: Value = serde_json::from_str(&said.err).unwrap();
    let rule = &summary["rules"][0];
    assert_eq!((&rule["keys"], &rule["inputs"]), (&Value::from(4), &Value::from(40)));
    let states = place.read("states.jsonl");
    assert_eq!(rule["states_digest"], *blake3::hash(states.as_bytes()).to_hex());
    assert!(states.starts_with(r#"{"rule":"flood-alert","key":"gauge-0","#), "{states}");
    let text = place.carpe(&["replay"]).expect(0).out;
    assert!(
        text.contains("flood-alert: 40 inputs, ") && text.contains(", 4 keys, 0 dead letters, "),
        "{text}"
    );

    // They can be imported.
    let host = place.host(&["--data", "other"]);
    place.carpe(&["state", "import", "flood-alert", "states.jsonl", "--data", "other"]).expect(0);
    host.stop().expect(0);
    place.carpe(&["replay", "--moments", "-", "--states", "-"]).expect(2);
    place.carpe(&["replay", "--data", "none"]).expect(1).expect_err("none is no data folder");
}

#[test]
fn what_the_journal_does_not_come_to_is_found() {
    let place = Place::with(&["flood-alert"]);
    for (data, cm) in [("a", 400), ("b", 401)] {
        ran(&place, data, &rises(cm));
        place.carpe(&["verify", "--data", data]).expect(0);
    }
    std::fs::remove_dir_all(place.path("a/checkpoints")).unwrap();
    std::fs::rename(place.path("b/checkpoints"), place.path("a/checkpoints")).unwrap();
    let said = place.carpe(&["verify", "--data", "a"]).expect(1);
    assert!(said.out.contains("checkpoint, flood-alert, gauge-0: a state of "), "{said:#?}");
    said.expect_err("a is not what it should be: 4 differences").expect_err("hint: ");
    let json = place.carpe(&["verify", "--data", "a", "--json"]).expect(1).json();
    assert_eq!(json[0]["differing"], 4);
}

#[test]
fn a_folder_that_cannot_be_used_says_what_to_do() {
    let place = Place::with(&["flood-alert"]);
    ran(&place, ".carpe", &rises(400));
    let run = ["run", "--listen-events", "none", "--listen-operators", "none"];
    for (format, says, hint) in [
        ("9", "written by a newer version of carpe (format 9", "nothing in the folder was changed"),
        ("nine", "does not say which format the folder has", "go on from a backup"),
    ] {
        place.write(".carpe/FORMAT", format);
        for command in [&run[..], &["verify"], &["replay"], &["backup", "copy"]] {
            place.carpe(command).expect(1).expect_err(says).expect_err(hint);
        }
    }
    place.write(".carpe/FORMAT", "2\n");
    place.carpe(&["verify"]).expect(0);
    let segment = first_segment(&place.path(".carpe/journal"));
    let mut bytes = std::fs::read(&segment).unwrap();
    // In the first group, which others follow: no crash does that.
    bytes[100] ^= 0x40;
    std::fs::write(&segment, bytes).unwrap();
    for command in [&run[..], &["verify"], &["replay"], &["backup", "copy"]] {
        let said = place.carpe(command).expect(1);
        said.expect_err("the journal is damaged from position 0 up to 1")
            .expect_err("carpe run --data BACKUP");
    }
}

fn first_segment(folder: &Path) -> std::path::PathBuf {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|ending| ending == "journal")).min().unwrap()
}

#[test]
fn a_folder_in_use_is_computed_again_but_not_verified() {
    let place = Place::with(&["flood-alert"]);
    let host = place.host(&[]);
    place.carpe_with_input(&["send"], &rises(400)).expect(0);
    place.settled();
    let replayed = place.carpe(&["replay", "--states", "states.jsonl"]).expect(0).out;
    assert!(replayed.contains("flood-alert: 40 inputs, "), "{replayed}");
    let exported = place.carpe(&["state", "export", "flood-alert"]).expect(0).out;
    assert_eq!(place.read("states.jsonl").replace("{\"rule\":\"flood-alert\",", "{"), exported);
    place
        .carpe(&["verify"])
        .expect(1)
        .expect_err("in use by another process")
        .expect_err("`carpe backup FOLDER`");
    host.stop().expect(0);
}
