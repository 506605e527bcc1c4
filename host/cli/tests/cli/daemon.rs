//! A host that runs, and the commands that talk to it.

use rustix::process::Signal;
use serde_json::Value;

use crate::carpe::{Place, reading};

pub(crate) const FILE_SINK: &str =
    "[sink.log]\nkind = 'file'\npath = 'actions.jsonl'\n[[route]]\naction = '*'\nsink = 'log'\n";

#[test]
fn events_are_sent_and_the_status_shows_them() {
    let place = Place::with(&["flood-alert"]);
    let host = place.host(&[]);
    place.write(
        "events.jsonl",
        reading(1, "elbe-7", 0, 400)
            + "\n{\"id\":\"x\"}\nhello\n"
            + &reading(2, "elbe-7", 1, 9_999)
            + &reading(3, "elbe-7", 2, 520),
    );
    let sent = place.carpe(&["send", "events.jsonl"]).expect(1);
    assert_eq!(sent.out, "3 events accepted, 0 repeated, 2 refused\n");
    assert!(
        sent.err.contains("events.jsonl:3: ") && sent.err.contains("events.jsonl:4: it is not JSON"),
        "{}",
        sent.err
    );
    let again = place.carpe_with_input(&["send", "--json"], &reading(1, "elbe-7", 0, 400)).expect(0).json();
    assert_eq!((&again[0]["accepted"], &again[0]["repeated"]), (&Value::from(0), &Value::from(1)));

    let status = place.settled();
    assert_eq!(status["intake"]["accepted"], 3);
    assert_eq!(status["plugins"][0]["state"], "active");
    assert_eq!(status["actions"]["delivered"], 2);
    let table = place.carpe(&["status"]).expect(0);
    for part in ["is ready", "3 accepted, 1 repeated", "flood-alert", "active", "2 delivered", "stdout"] {
        assert!(table.out.contains(part), "{part} in {}", table.out);
    }
    let letters = place.carpe(&["dead-letters"]).expect(0);
    assert!(
        letters.out.contains("flood-alert elbe-7") && letters.out.contains("is it broken?"),
        "{}",
        letters.out
    );
    assert_eq!(place.carpe(&["dead-letters", "--json"]).expect(0).json().len(), 1);

    let said = host.stop().expect(0);
    assert!(said.out.contains("flood.rising elbe-7: "), "{}", said.out);
    assert!(said.out.contains("-> alert.residents elbe-7"), "{}", said.out);
    assert!(!place.path(".carpe/addresses.json").exists());
    place
        .carpe(&["status", "--to", "http://127.0.0.1:1"])
        .expect(4)
        .expect_err("no host answers at http://127.0.0.1:1");
}

#[test]
fn a_stop_finishes_what_was_accepted() {
    let place = Place::with(&["flood-alert"]);
    place.write("carpe.toml", FILE_SINK);
    let host = place.host(&[]);
    let rises: String = (0..500).map(|number| reading(number, &format!("gauge-{number}"), 0, 520)).collect();
    let sent = place.carpe_with_input(&["send"], &rises).expect(0);
    assert_eq!(sent.out, "500 events accepted, 0 repeated, 0 refused\n");
    let said = host.stop().expect(0);
    assert!(said.err.contains("all that was accepted is done"), "{}", said.err);
    assert_eq!(place.read("actions.jsonl").lines().count(), 1_000);

    // The next run knows what the last one did: nothing goes out again.
    let host = place.host(&[]);
    assert_eq!(place.settled()["plugins"][0]["work"]["keys"], 500);
    host.stop().expect(0);
    assert_eq!(place.read("actions.jsonl").lines().count(), 1_000);
}

#[test]
fn an_interrupt_stops_it_too_and_files_are_followed() {
    let place = Place::with(&["flood-alert"]);
    place.write("events.jsonl", reading(1, "elbe-7", 0, 520));
    place.write(
        "carpe.toml",
        format!("{FILE_SINK}[[source]]\nkind = 'file'\npath = 'events.jsonl'\nfollow = true\n"),
    );
    let host = place.host(&[]);
    while place.carpe(&["status", "--json"]).expect(0).json()[0]["actions"]["delivered"] != 2 {}
    host.signal(Signal::INT);
    host.end().expect(0);
    assert_eq!(place.read("actions.jsonl").lines().count(), 2);
}

#[test]
fn a_second_signal_stops_it_at_once_and_the_next_start_goes_on() {
    let place = Place::with(&["flood-alert"]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = format!("[sink.ops]\nkind = 'webhook'\nurl = 'http://{}/'\n", nobody.local_addr().unwrap());
    let route = "[[route]]\naction = '*'\nsink = 'ops'\n[shutdown]\ndrain_ms = 600_000\n";
    place.write("carpe.toml", format!("{webhook}{route}"));
    let host = place.host(&[]);
    place.carpe_with_input(&["send"], &reading(1, "elbe-7", 0, 520)).expect(0);
    // The receiver has taken the request, and never answers.
    let (_unanswered, _) = nobody.accept().unwrap();
    host.signal(Signal::TERM);
    while place.carpe(&["status", "--json"]).expect(0).json()[0]["ready"] == true {}
    host.signal(Signal::TERM);
    host.end().expect(0).expect_err("stopped at once: the next start goes on with the rest");

    place.write("carpe.toml", FILE_SINK.replace("sink.log", "sink.ops").replace("'log'", "'ops'"));
    place.host(&[]).stop().expect(0);
    assert_eq!(place.read("actions.jsonl").lines().count(), 2);
}

#[test]
fn a_data_folder_has_one_host() {
    let place = Place::new();
    let host = place.host(&[]);
    let second = place.carpe(&["run", "--listen-events", "none", "--listen-operators", "none"]).expect(1);
    second.expect_err("is in use by another process").expect_err("hint: ");
    // Nor has a port two listeners.
    let addresses: Value = serde_json::from_str(&place.read(".carpe/addresses.json")).unwrap();
    let taken = addresses["events"].as_str().unwrap().trim_start_matches("http://");
    let third =
        place.carpe(&["run", "--data", "other", "--listen-events", taken, "--listen-operators", "none"]);
    third.expect(1).expect_err("cannot listen on").expect_err("does a host run already?");
    // The first goes on.
    place.carpe(&["status"]).expect(0);
    host.stop().expect(0);
}

#[test]
fn a_token_is_asked_for() {
    let place = Place::new();
    place.write("token", "s3cret\n");
    place.write("carpe.toml", "[listen]\ntoken_file = 'token'\n");
    let host = place.host(&[]);
    let refused = place.carpe(&["status"]).expect(1).expect_err("Authorization");
    assert!(refused.err.contains("--token-file"), "{}", refused.err);
    place.carpe(&["status", "--token-file", "token"]).expect(0);
    let events = reading(1, "elbe-7", 0, 400);
    place.carpe_with_input(&["send"], &events).expect(1);
    place.carpe_with_input(&["send", "--token-file", "token"], &events).expect(0);
    let said = host.stop().expect(0);
    assert!(!said.err.contains("s3cret"), "{}", said.err);
}
