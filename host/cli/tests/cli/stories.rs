//! `carpe test`.

use crate::carpe::Place;

const SETUP: &str = "[[rules]]\nconfiguration = { alert_cm = 500 }\n";
const EVENTS: &str = r#"{"specversion":"1.0","id":"1","source":"/g","type":"gauge.level","subject":"elbe-7","time":"2026-01-01T00:00:00Z","data":{"cm":510}}
"#;

/// A story of one reading; `level` is what the alert is to say.
fn write(place: &Place, level: u32) {
    let folder = "plugins/flood-alert/scenarios/rises";
    std::fs::create_dir_all(place.path(folder)).unwrap();
    place.write(&format!("{folder}/scenario.toml"), SETUP);
    place.write(&format!("{folder}/events.jsonl"), EVENTS);
    let data = format!(r#"{{"gauge":"elbe-7","cm":{level}.0,"risen_cm":0.0}}"#);
    let expected = format!(
        r#"{{"rule":"flood-alert","key":"elbe-7","moment":"flood.rising","why":"the water stands at 510 cm, and 500 cm is the alert level","time":"2026-01-01T00:00:00.000Z","actions":[{{"name":"alert.residents","data":{data}}},{{"name":"alert.emergency-services","data":{data}}}]}}"#
    );
    place.write(&format!("{folder}/expected.jsonl"), expected);
}

#[test]
fn what_came_is_shown_beside_what_should_have() {
    let place = Place::with(&["flood-alert"]);
    write(&place, 510);
    let said = place.carpe(&["test", "plugins/flood-alert.wasm"]).expect(0);
    for part in [
        "ok      rises",
        "covered subscriptions 1 of 1",
        "covered moments 1 of 2; never `flood.over`",
        "1 story, 0 failed",
    ] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    write(&place, 511);
    let said = place.carpe(&["test", "plugins/flood-alert.wasm", "--junit", "report.xml"]).expect(1);
    assert!(said.out.contains("FAILED  rises"), "{}", said.out);
    assert!(said.out.contains("  - {\"rule\"") && said.out.contains("  + {\"rule\""), "{}", said.out);
    let report = place.read("report.xml");
    assert!(report.contains("failures=\"1\"") && report.contains("name=\"rises\""), "{report}");
}

#[test]
fn what_is_no_story_is_named() {
    let place = Place::with(&["flood-alert"]);
    let test = |more: &[&str]| place.carpe(&[&["test", "plugins/flood-alert.wasm"], more].concat());
    test(&[]).expect(1).expect_err("there are no stories in plugins/flood-alert/scenarios");
    write(&place, 510);
    place.write(
        "plugins/flood-alert/scenarios/rises/events.jsonl",
        format!("{EVENTS}{{\"specversion\":\"1.0\"}}\n"),
    );
    let said = test(&[]).expect(1);
    assert!(said.out.contains("events.jsonl:2: attribute `id` is missing"), "{}", said.out);
    test(&["--only", "falls"]).expect(1).expect_err("there are no stories");
    test(&["--scenarios", "nowhere"]).expect(1).expect_err("there are no stories in nowhere");
    write(&place, 510);
    place.write(
        "plugins/flood-alert/scenarios/rises/scenario.toml",
        "[[rules]]\nconfiguration = { alert = 500 }\n",
    );
    let said = test(&[]).expect(1);
    assert!(said.out.contains("unknown field `alert`"), "{}", said.out);
}

#[test]
fn a_rule_goes_on_with_what_a_story_loads() {
    let place = Place::with(&["flood-alert"]);
    write(&place, 510);
    let events = "plugins/flood-alert/scenarios/rises/events.jsonl";
    let load = |load: &str| {
        place.write(events, format!("{{\"load\": {load}}}\n{EVENTS}"));
        place.carpe(&["test", "plugins/flood-alert.wasm"])
    };
    load(r#"{"rule": "flood-alert", "plugin": "flood-alert.wasm"}"#).expect(0);
    let said = load(r#"{"rule": "flood-alert", "configuration": {"alert_cm": 600}}"#).expect(1);
    assert!(said.out.contains("  - {\"rule\""), "it is not the alert level any more: {}", said.out);
    let said = load(r#"{"rule": "flood-alert", "plugin": "later.wasm"}"#).expect(1);
    assert!(said.out.contains("cannot read plugins/later.wasm"), "{}", said.out);
    let said = load(r#"{"rule": "flood-alert", "configuration": {"alert": 600}}"#).expect(1);
    let says = "the rule `flood-alert` cannot go on with what is loaded: ";
    assert!(said.out.contains(says) && said.out.contains("unknown field `alert`"), "{}", said.out);
}
