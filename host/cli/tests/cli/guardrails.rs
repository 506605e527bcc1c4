//! What operators see of moments, and tell guardrails.

use serde_json::{Value, json};

use crate::carpe::{Place, reading};

const SINK: &str = "default_sink = 'log'\n[sink.log]\nkind = 'file'\npath = 'actions.jsonl'\n";

/// Actions that went out, by name and subject.
fn out(place: &Place) -> Vec<(String, String)> {
    let lines = std::fs::read_to_string(place.path("actions.jsonl")).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|action| (text(&action["type"]), text(&action["subject"]))).collect()
}

fn send(place: &Place, readings: &str) {
    place.carpe_with_input(&["send"], readings).expect(0);
}

/// Waits until all moments are at an end, or held.
fn ended(place: &Place, moments: u64) {
    place.wait_for(|status| {
        let count = |outcome: &str| status["actions"][outcome].as_u64().unwrap_or(0);
        let all = ["delivered", "withheld"].map(count).iter().sum::<u64>();
        status["moments"] == moments && all + status["guardrails"]["held"].as_u64().unwrap() == 2 * moments
    });
}

#[test]
fn what_is_held_waits_for_a_persons_word() {
    let place = Place::with(&["flood-alert"]);
    place.write(
        "carpe.toml",
        format!(
            "{SINK}[guardrail.siren]\nkind = 'approval'\nactions = ['alert.residents']\nwithin_seconds = 3_600\n"
        ),
    );
    let host = place.host(&[]);
    assert_eq!(place.carpe(&["held"]).expect(0).out, "nothing is held\n");
    assert_eq!(place.carpe(&["moments"]).expect(0).out, "no moments\n");
    send(&place, &(reading(1, "elbe-7", 0, 510) + &reading(2, "saale-1", 0, 520)));
    ended(&place, 2);
    let held = place.carpe(&["held", "--json"]).expect(0).json();
    assert_eq!(held.len(), 2);
    let of = |subject: &str| held.iter().find(|held| held["subject"] == subject).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (elbe, saale) = (of("elbe-7"), of("saale-1"));
    assert_eq!(
        (&elbe["action"], &elbe["guardrail"], &elbe["for_approval"], &elbe["data"]["cm"]),
        (&json!("alert.residents"), &json!("siren"), &json!(true), &json!(510.0))
    );
    let shown = place.carpe(&["held"]).expect(0).out;
    assert!(shown.contains("alert.residents elbe-7 for a person, until 20"), "{shown}");
    let table = place.carpe(&["status"]).expect(0).out;
    assert!(
        table.contains("siren      approval  2     0") && table.contains("held now: 2 actions"),
        "{table}"
    );

    let approved = place.carpe(&["held", "approve", &text(&elbe["id"]), "--why", "Ada looked"]).expect(0);
    assert_eq!(approved.out, "approved: 1 action\n");
    let refused = place.carpe(&["held", "refuse", &text(&saale["id"]), "--json"]).expect(0).json();
    assert_eq!(refused[0]["id"], saale["id"]);
    place.wait_for(|status| status["actions"]["delivered"] == 3 && status["actions"]["withheld"] == 1);
    let again = place.carpe(&["held", "approve", &text(&saale["id"]), "nonsense"]).expect(1);
    again.expect_err("waits for nobody's approval").expect_err("there is no held action `nonsense`");
    let went = out(&place);
    assert!(went.contains(&("alert.residents".into(), "elbe-7".into())), "{went:?}");
    assert!(!went.contains(&("alert.residents".into(), "saale-1".into())), "{went:?}");

    let whole = place.carpe(&["moments", "show", &text(&elbe["moment"])]).expect(0).out;
    for part in [
        "done flood.rising elbe-7",
        " detected\n",
        " held until 20",
        "acting: approved: Ada looked",
        "facts",
        "expires  20",
    ] {
        assert!(whole.contains(part), "{part} in {whole}");
    }
    let stages = |subject: &str, id: &Value| {
        let life = place.carpe(&["moments", "show", &text(id), "--json"]).expect(0).json().remove(0);
        let action = life["actions"].as_array().unwrap().iter();
        let action = action.clone().find(|action| action["name"] == "alert.residents").unwrap().clone();
        assert_eq!(life["subject"], subject);
        let steps = action["steps"].as_array().unwrap().iter().map(|step| text(&step["stage"]));
        steps.collect::<Vec<_>>()
    };
    assert_eq!(stages("elbe-7", &elbe["moment"]), ["detected", "held", "acting", "done"]);
    assert_eq!(stages("saale-1", &saale["moment"]), ["detected", "held", "withheld"]);
    let listed = place.carpe(&["moments", "--stage", "withheld", "--json"]).expect(0).json();
    assert_eq!((listed.len(), &listed[0]["subject"]), (1, &json!("saale-1")));
    assert_eq!(place.carpe(&["moments", "--rule", "other"]).expect(0).out, "no moments\n");
    place
        .carpe(&["moments", "--stage", "gone"])
        .expect(2)
        .expect_err("`gone` is no stage: it must be one of detected");
    place.carpe(&["moments", "show", "xyz"]).expect(1).expect_err("there is no moment `xyz`");

    // A host that does not run says the same.
    host.stop().expect(0);
    let replayed = place.carpe(&["moments", "--replay", "--json"]).expect(0).json();
    let ends = |lives: &[Value]| {
        let mut ends: Vec<_> = lives.iter().map(|life| (text(&life["id"]), text(&life["stage"]))).collect();
        ends.sort();
        ends
    };
    let expected = [(text(&elbe["moment"]), "done".into()), (text(&saale["moment"]), "withheld".into())];
    let mut expected = Vec::from(expected);
    expected.sort();
    assert_eq!(ends(&replayed), expected);
    let shown = place.carpe(&["moments", "show", "--replay", &text(&saale["moment"])]).expect(0).out;
    assert!(shown.contains("guardrail `siren`: ") && shown.contains("data {"), "{shown}");
    place.carpe(&["moments", "show", "--replay", "xyz"]).expect(1).expect_err("there is no moment `xyz`");
}

#[test]
fn a_persons_yes_is_given_and_taken_back() {
    let place = Place::with(&["flood-alert"]);
    place.write(
        "carpe.toml",
        format!("{SINK}[guardrail.asked]\nkind = 'consent'\npurposes = {{ 'alert.*' = 'warnings' }}\n"),
    );
    let host = place.host(&[]);
    send(&place, &reading(1, "elbe-7", 0, 510));
    ended(&place, 1);
    let none = place.carpe(&["consent", "show", "elbe-7"]).expect(0).out;
    assert!(none.starts_with("elbe-7 has said nothing"), "{none}");
    assert_eq!(
        place.carpe(&["consent", "give", "elbe-8", "warnings"]).expect(0).out,
        "elbe-8 says yes to warnings\n"
    );
    let again = place.carpe(&["consent", "give", "elbe-8", "warnings", "--said", "2020-01-01T00:00:00Z"]);
    assert!(again.expect(0).out.contains("nothing has changed"));
    send(&place, &reading(2, "elbe-8", 0, 510));
    ended(&place, 2);
    assert_eq!(
        place.carpe(&["consent", "withdraw", "elbe-8", "warnings", "--json"]).expect(0).json()[0]["changed"],
        1
    );
    let shown = place.carpe(&["consent", "show", "elbe-8", "--json"]).expect(0).json();
    assert_eq!((&shown[0]["purpose"], &shown[0]["given"]), (&json!("warnings"), &json!(false)));

    let line = |subject: &str| {
        format!(
            r#"{{"subject":"{subject}","purpose":"warnings","given":true,"said":"2026-01-01T00:00:00Z"}}"#
        ) + "\n"
    };
    place.write("bad.jsonl", line("elbe-9") + "{\"subject\":\"elbe-9\"}\nyes\n");
    let bad = place.carpe(&["consent", "load", "bad.jsonl"]).expect(1);
    bad.expect_err("bad.jsonl:2: missing field `purpose`")
        .expect_err("bad.jsonl:3: it is not JSON")
        .expect_err("nothing was taken in");
    assert!(place.carpe(&["consent", "show", "elbe-9"]).expect(0).out.contains("has said nothing"));
    place.write("good.jsonl", line("elbe-9") + "\n" + &line("elbe-8"));
    let loaded = place.carpe(&["consent", "load", "good.jsonl"]).expect(0).out;
    assert_eq!(loaded, "read: 2 lines; 1 of them said something new\n", "elbe-8 has said no since");
    send(&place, &(reading(3, "elbe-9", 0, 510) + &reading(4, "elbe-10", 0, 510)));
    ended(&place, 4);
    let mut went = out(&place);
    went.retain(|(name, _)| name == "alert.residents");
    went.sort();
    assert_eq!(went.iter().map(|(_, subject)| subject.as_str()).collect::<Vec<_>>(), ["elbe-8", "elbe-9"]);

    place
        .carpe(&["consent", "give", "", "warnings"])
        .expect(1)
        .expect_err("`subject` must have 1 to 1,024 bytes");
    let soon = place.carpe(&["consent", "give", "a", "b", "--said", "soon"]).expect(1);
    soon.expect_err("`said` is `soon`: it must be an instant such as");
    let future = place.carpe(&["consent", "give", "a", "b", "--said", "2999-01-01T00:00:00Z"]).expect(1);
    future.expect_err("is still to come");
    place.carpe(&["consent"]).expect(2);
    place.carpe(&["consent", "load", "none.jsonl"]).expect(2).expect_err("cannot read none.jsonl");
    let said = host.stop().expect(0);
    assert!(!said.err.contains("elbe-9"), "names are in no log: {}", said.err);
}

#[test]
fn what_is_muted_is_not_heard_until_it_is_unmuted() {
    let place = Place::with(&["flood-alert"]);
    place.write("carpe.toml", SINK);
    let host = place.host(&[]);
    let muted =
        place.carpe(&["mute", "--rule", "flood-alert", "--for", "2h", "--why", "a drill"]).expect(0).out;
    assert!(muted.starts_with("muted: the rule flood-alert, until 20"), "{muted}");
    let subject = place.carpe(&["mute", "--subject", "elbe-8"]).expect(0).out;
    assert_eq!(subject, "muted: the subject elbe-8, until `carpe unmute`\n");
    send(&place, &reading(1, "elbe-7", 0, 510));
    ended(&place, 1);
    let table = place.carpe(&["status"]).expect(0).out;
    assert!(
        table.contains("muted: the rule flood-alert, until 20") && table.contains(": a drill"),
        "{table}"
    );
    assert!(table.contains("muted: the subject whose hash is ") && !table.contains("elbe-8"), "{table}");
    let life = place.carpe(&["moments", "--json"]).expect(0).json().remove(0);
    let last = &life["actions"][0]["steps"][1];
    assert_eq!((&last["stage"], life["stage"].as_str()), (&json!("withheld"), Some("withheld")));
    assert!(last["why"].as_str().unwrap().contains("a drill"), "{last}");

    let unmuted = place.carpe(&["unmute", "--rule", "flood-alert"]).expect(0).out;
    assert_eq!(unmuted, "not muted any more: the rule flood-alert\n");
    place.carpe(&["unmute", "--rule", "flood-alert"]).expect(1).expect_err("there is no such mute");
    send(&place, &(reading(2, "elbe-8", 0, 510) + &reading(3, "elbe-9", 0, 510)));
    ended(&place, 3);
    let went = out(&place);
    assert!(went.len() == 2 && went.iter().all(|(_, subject)| subject == "elbe-9"), "{went:?}");

    place.carpe(&["mute"]).expect(2);
    place.carpe(&["mute", "--rule", "a", "--subject", "b"]).expect(2);
    place.carpe(&["mute", "--rule", "a", "--for", "soon"]).expect(2).expect_err("it must be a time such as");
    let long = "x".repeat(1_025);
    place.carpe(&["mute", "--moment", &long]).expect(1).expect_err("1 to 1,024 bytes");
    host.stop().expect(0);

    // A mute is there after a restart.
    let host = place.host(&[]);
    send(&place, &reading(4, "elbe-8", 60, 600));
    place.carpe(&["unmute", "--subject", "elbe-8"]).expect(0);
    host.stop().expect(0);
}

#[test]
fn a_plugin_whose_actions_no_route_takes_is_an_error_of_check() {
    let place = Place::with(&["flood-alert"]);
    let check = || place.carpe(&["check", "plugins/flood-alert.wasm"]);
    check().expect(0);
    place.write(
        "carpe.toml",
        "[sink.log]\nkind = 'file'\npath = 'actions.jsonl'\n[[route]]\naction = 'alert.*'\nsink = 'log'\n",
    );
    let wrong = check().expect(1);
    assert!(wrong.out.contains("a host would take it"), "{wrong:?}");
    let wrong = wrong.expect_err("no route takes the action `stand-down.residents`: it would be withheld");
    assert!(!wrong.err.contains("alert.residents`"), "{wrong:?}");
    let json = place.carpe(&["check", "--json", "plugins/flood-alert.wasm"]).expect(1).json();
    assert_eq!((&json[0]["accepted"], json[0]["routes_wrong"].as_array().unwrap().len()), (&json!(true), 2));
    place.write("plugins/flood-alert.toml", "[[route]]\naction = 'stand-down.*'\nsink = 'lag'\n");
    check()
        .expect(1)
        .expect_err("its route of `stand-down.*` leads to the sink `lag`, which the configuration has not");
    place.write("plugins/flood-alert.toml", "[[route]]\naction = 'stand-down.*'\nsink = 'log'\n");
    check().expect(0);
    place.write("other.toml", SINK);
    place.write("plugins/flood-alert.toml", "");
    place.carpe(&["check", "--config", "other.toml", "plugins/flood-alert.wasm"]).expect(0);
}
