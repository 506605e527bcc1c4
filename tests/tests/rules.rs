//! The example rules from end to end: events over HTTP into `carpe run`, signed actions out to a webhook.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use carpe::{Instant, format_instant, parse_instant};
use carpe_tests::daemon::{Daemon, Home};
use carpe_tests::guests::component;
use carpe_tests::receiver::{Receiver, Request};
use carpe_tests::wait_until_eq;
use serde_json::{Value, json};

const STRUCTURED: [(&str, &str); 1] = [("content-type", "application/cloudevents+json")];
const BATCH: [(&str, &str); 1] = [("content-type", "application/cloudevents-batch+json")];

fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the year 500 million")
}

fn event(id: &str, kind: &str, subject: &str, time: Instant, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/tests/rules", "type": kind,
        "subject": subject, "time": format_instant(time), "data": data,
    })
}

/// Sends an event in structured mode; it is accepted.
#[track_caller]
fn structured(daemon: &Daemon<'_>, event: &Value) {
    let answer = daemon.send(&STRUCTURED, &event.to_string());
    assert_eq!(answer, (202, json!({ "accepted": 1, "repeated": 0 })));
}

/// Sends an event in binary mode; it is accepted.
#[track_caller]
fn binary(daemon: &Daemon<'_>, event: &Value) {
    let text = |name: &str| event[name].as_str().expect("a text").to_owned();
    let attributes = ["specversion", "id", "source", "type", "subject", "time"];
    let headers: Vec<_> = attributes.map(|name| (format!("ce-{name}"), text(name))).into();
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.push(("content-type", "application/json"));
    let answer = daemon.send(&headers, &event["data"].to_string());
    assert_eq!(answer, (202, json!({ "accepted": 1, "repeated": 0 })));
}

/// An action's name, subject and data.
fn said(request: &Request) -> (String, String, Value) {
    let text = |name: &str| request.action[name].as_str().unwrap_or_default().to_owned();
    (text("type"), text("subject"), request.action["data"].clone())
}

/// What was taken, in any order.
fn all_said(receiver: &Receiver) -> BTreeSet<(String, String, String)> {
    receiver.taken().iter().map(said).map(|(name, subject, data)| (name, subject, data.to_string())).collect()
}

/// That each action was taken once, under the id that it has everywhere.
#[track_caller]
fn assert_once_each(home: &Home, receiver: &Receiver) {
    let taken = receiver.taken();
    let ids: BTreeSet<&str> = taken.iter().map(|request| request.id.as_str()).collect();
    assert_eq!(ids.len(), taken.len(), "each is taken once: {taken:#?}");
    for request in &taken {
        assert_eq!(request.action["id"], request.id.as_str());
        let its_id = format!(r#""id":"{}""#, request.id);
        wait_until_eq("the moment of each is printed, with its id", true, || {
            home.text("out").contains(&its_id)
        });
    }
}

fn home(receiver: &Receiver, actions: &[&str], rules: &[(&str, &str)]) -> Home {
    let home = Home::new(&format!(
        "{}[moments]\nprint = 'json'\n[retry]\nfirst_ms = 50\n",
        receiver.configuration(actions)
    ));
    for (rule, manifest) in rules {
        home.plugins.plugin(rule, component(&format!("plugins/{rule}")), manifest);
    }
    home
}

#[test]
fn streetlights_switch_lamps_ahead_on_and_those_behind_off_and_nothing_after_the_fact() {
    const CARS: &str = "
        [configuration]
        row = { prefix = 'lamp-', lamps = 10, spacing_metres = 50 }
        gone_after_seconds = 3600
        [[route]]
        action = 'lamp.car'
        host = true
    ";
    let receiver = Receiver::start();
    let home = home(&receiver, &["lamp.o*"], &[("streetlights-cars", CARS), ("streetlights", "")]);
    let daemon = home.start();

    // A clock that is ahead: so the test has time enough, and what expires with a moment is still exact.
    let start = now() + 3_000;
    let at = |id: &str, car: &str, time: Instant, x: u64| {
        event(id, "car.position", car, time, &json!({ "x": x, "y": 2 }))
    };
    binary(&daemon, &at("1", "car-1", start, 0));
    structured(&daemon, &at("2", "car-1", start + 500, 20));
    let batch = json!([at("3", "car-1", start + 1_000, 75), at("2", "car-1", start + 500, 20)]);
    let answer = daemon.send(&BATCH, &batch.to_string());
    assert_eq!(answer, (202, json!({ "accepted": 1, "repeated": 1 })));
    daemon.settle();

    let mut switched: Vec<_> = receiver
        .taken()
        .iter()
        .map(|request| {
            let (name, lamp, data) = said(request);
            assert_eq!(data, json!({ "lamp": lamp }));
            let text = |name: &str| request.action[name].as_str().unwrap_or_default().to_owned();
            (text("time"), lamp, name, text("expirytime"))
        })
        .collect();
    switched.sort();
    let expected = [
        (0, "lamp-0", "lamp.on"),
        (500, "lamp-1", "lamp.on"),
        (500, "lamp-2", "lamp.on"),
        (1_000, "lamp-0", "lamp.off"),
        (1_000, "lamp-1", "lamp.off"),
        (1_000, "lamp-3", "lamp.on"),
    ]
    .map(|(after, lamp, action)| {
        let time = start + after;
        (format_instant(time), lamp.to_owned(), action.to_owned(), format_instant(time + 1_000))
    });
    assert_eq!(switched, expected);
    assert_once_each(&home, &receiver);

    // What is told two seconds late switches nothing.
    structured(&daemon, &at("4", "car-2", now() - 2_000, 300));
    daemon.settle();
    assert_eq!(receiver.requests().len(), expected.len());
    assert_eq!(daemon.status()["actions"]["expired"], 1);

    assert!(daemon.stop().success());
    assert!(!home.file("data/addresses.json").exists(), "scripts see that nobody listens");
}

#[test]
fn a_flood_alerts_both_once_and_a_receiver_in_trouble_is_tried_again_under_the_same_id() {
    const GAUGES: &str =
        "[configuration]\nalert_cm = 500\nrise_cm = 50\nwithin_seconds = 3600\nfall_cm = 20\n";
    let receiver = Receiver::answering(|name, before| match (name, before) {
        ("alert.residents", 0 | 1) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    });
    let home = home(&receiver, &["alert.*", "stand-down.*"], &[("flood-alert", GAUGES)]);
    let daemon = home.start();
    let sent = now();
    let start = sent - 60 * 60_000;
    let level = |id: &str, minute: u64, cm: f64| {
        event(id, "gauge.level", "elbe-7", start + minute * 60_000, &json!({ "cm": cm }))
    };
    binary(&daemon, &level("1", 0, 470.0));
    let batch = json!([level("2", 10, 488.0), level("3", 20, 503.5), level("4", 30, 530.0)]).to_string();
    assert_eq!(daemon.send(&BATCH, &batch), (202, json!({ "accepted": 3, "repeated": 0 })));
    daemon.settle();
    let alert = json!({ "gauge": "elbe-7", "cm": 503.5, "risen_cm": 33.5 });
    let alerts = ["alert.emergency-services", "alert.residents"];
    let alerts = alerts.map(|name| (name.to_owned(), "elbe-7".to_owned(), alert.to_string()));
    assert_eq!(all_said(&receiver), BTreeSet::from(alerts.clone()));

    let residents: Vec<_> = receiver
        .requests()
        .into_iter()
        .filter(|request| request.action["type"] == "alert.residents")
        .collect();
    let answers: Vec<u16> = residents.iter().map(|request| request.answer.as_u16()).collect();
    assert_eq!(answers, [503, 503, 200]);
    for request in &residents {
        assert_eq!((&request.id, &request.action), (&residents[0].id, &residents[0].action));
        let expires = request.action["expirytime"].as_str().and_then(parse_instant).expect("it expires");
        assert!((sent..=now()).contains(&(expires - 60 * 60_000)), "an hour after it was learnt of");
        assert_eq!(request.action["carperule"], "flood-alert");
        let why = "the water stands at 503.5 cm, and 500 cm is the alert level";
        assert_eq!(request.action["carpewhy"], why);
    }

    // Sent again, and with one that is no event: nothing is alerted again.
    assert_eq!(daemon.send(&BATCH, &batch), (202, json!({ "accepted": 0, "repeated": 3 })));
    let spoilt = json!([level("5", 40, 480.0), { "specversion": "1.0", "id": "6" }]).to_string();
    let (status, problem) = daemon.send(&BATCH, &spoilt);
    assert_eq!(status, 400, "{problem}");
    assert!(problem.to_string().contains("source"), "{problem}");
    daemon.settle();
    assert_eq!(receiver.taken().len(), 2);

    structured(&daemon, &level("5", 40, 480.0));
    daemon.settle();
    let over = json!({ "gauge": "elbe-7", "cm": 480.0 }).to_string();
    let stand_downs = ["stand-down.emergency-services", "stand-down.residents"];
    let stand_downs = stand_downs.map(|name| (name.to_owned(), "elbe-7".to_owned(), over.clone()));
    assert_eq!(all_said(&receiver), alerts.into_iter().chain(stand_downs).collect());
    assert_once_each(&home, &receiver);
    assert!(daemon.stop().success());
}

#[test]
fn a_dose_that_was_not_taken_is_told_of_though_the_host_was_killed_meanwhile() {
    const GRACE_MS: u64 = 1_000;
    let receiver = Receiver::start();
    let manifest = "[configuration]\ngrace_seconds = 1\n";
    let home = home(&receiver, &["*"], &[("medication", manifest)]);
    let daemon = home.start();
    let due = now() + 3_000;
    let scheduled = |id: &str, patient: &str| {
        event(
            id,
            "medication.scheduled",
            patient,
            now(),
            &json!({ "dose": format!("{patient}-1"), "due": due }),
        )
    };
    let taken = |id: &str, patient: &str| {
        event(id, "medication.taken", patient, now(), &json!({ "dose": format!("{patient}-1") }))
    };
    structured(&daemon, &scheduled("1", "anna"));
    binary(&daemon, &scheduled("2", "bert"));
    structured(&daemon, &taken("3", "anna"));
    daemon.kill();
    assert!(receiver.requests().is_empty(), "not before its time");

    let daemon = home.start();
    wait_until_eq("the reminders", 1, || receiver.taken().len());
    assert!(now() >= due + GRACE_MS, "not before its time");
    let reminder = |name: &str| {
        let data = json!({ "dose": "bert-1", "due": due, "patient": "bert" });
        (name.to_owned(), "bert".to_owned(), data)
    };
    assert_eq!(said(&receiver.taken()[0]), reminder("remind.nursing"));
    assert_eq!(receiver.taken()[0].action["time"], format_instant(due + GRACE_MS));

    // Once it is known that the reminder was taken, no start sends it again.
    daemon.settle();
    assert_once_each(&home, &receiver);
    daemon.kill();
    let daemon = home.start();
    structured(&daemon, &taken("4", "bert"));
    daemon.settle();
    let said: Vec<_> = receiver.taken().iter().map(said).collect();
    assert_eq!(said, [reminder("remind.nursing"), reminder("withdraw.reminder")]);
    assert_once_each(&home, &receiver);
    assert!(daemon.stop().success());
}
