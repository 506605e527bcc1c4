//! What operators do to a host that runs: dead letters, states, erasures.

use serde_json::Value;

use crate::carpe::{Place, Said, reading};
use crate::daemon::FILE_SINK;

fn keys(said: &Said) -> Vec<String> {
    said.json().iter().map(|line| line["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn dead_letters_are_given_again_after_the_plugin_was_fixed() {
    let place = Place::with(&["flood-alert"]);
    let host = place.host(&[]);
    let broken =
        reading(1, "elbe-7", 0, 9_999) + &reading(2, "elbe-8", 0, 9_998) + &reading(3, "elbe-9", 0, 9_997);
    place.carpe_with_input(&["send"], &broken).expect(0);
    place.settled();
    let listed = place.carpe(&["dead-letters", "list", "--json", "--rule", "flood-alert"]).expect(0).json();
    assert_eq!(place.carpe(&["dead-letters", "--rule", "other"]).expect(0).out, "no input is set aside\n");
    let id = |key: &str| {
        let letter = listed.iter().find(|letter| letter["key"] == key);
        letter.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let shown = place.carpe(&["dead-letters", "show", &id("elbe-7")]).expect(0).out;
    assert!(shown.contains("is it broken?") && shown.contains(r#"{"cm":9999}"#), "{shown}");
    let shown = place.carpe(&["dead-letters", "show", "--json", &id("elbe-8")]).expect(0).json();
    assert_eq!(shown[0]["input"]["event"]["subject"], "elbe-8");

    place.write("plugins/flood-alert.toml", "[configuration]\nhighest_cm = 20_000\n");
    place.wait_for(|status| status["reloads_ok"] == 2);
    let again = place.carpe(&["dead-letters", "again", &id("elbe-7")]).expect(0);
    assert_eq!(again.out, "given again, as new inputs: 1 dead letter\n");
    let dropped = place.carpe(&["dead-letters", "drop", &id("elbe-8"), "--json"]).expect(0).json();
    assert_eq!(dropped[0]["id"], id("elbe-8").as_str());
    let again = place.carpe(&["dead-letters", "again", "--all"]).expect(0);
    assert_eq!(again.out, "given again, as new inputs: 1 dead letter\n");
    place.settled();
    assert_eq!(place.carpe(&["dead-letters"]).expect(0).out, "no input is set aside\n");
    assert_eq!(
        keys(&place.carpe(&["state", "list", "flood-alert", "--json"]).expect(0)),
        ["elbe-7", "elbe-9"]
    );

    let gone = place.carpe(&["dead-letters", "again", &id("elbe-8"), "xyz"]).expect(1);
    gone.expect_err("there is no dead letter `xyz`").expect_err(&id("elbe-8"));
    place.carpe(&["dead-letters", "show", "xyz"]).expect(1).expect_err("there is no dead letter `xyz`");
    for wrong in [&["again"][..], &["drop", "--all", "--rule", "a"], &["drop", "a", "--all"]] {
        place.carpe(&[&["dead-letters"], wrong].concat()).expect(2);
    }
    host.stop().expect(0);
}

#[test]
fn states_are_exported_forgotten_and_imported_byte_for_byte() {
    let place = Place::with(&["flood-alert"]);
    let host = place.host(&[]);
    assert_eq!(place.carpe(&["state", "export", "flood-alert"]).expect(0).out, "");
    let names = ["..", "a b/ü?#%&+", "elbe-7"];
    let readings: String = (1..).zip(names).map(|(number, name)| reading(number, name, 0, 510)).collect();
    place.carpe_with_input(&["send"], &readings).expect(0);
    place.settled();
    assert!(place.carpe(&["state"]).expect(0).out.contains("flood-alert  3\n"));
    assert_eq!(place.carpe(&["state", "--json"]).expect(0).json()[0]["keys"], 3);
    let exported = place.carpe(&["state", "export", "flood-alert", "-o", "keys.jsonl"]).expect(0);
    assert_eq!(exported.out, "exported: 3 keys to keys.jsonl\n");
    let lines = place.read("keys.jsonl");
    let export = || place.carpe(&["state", "export", "flood-alert"]).expect(0);
    assert_eq!(export().out, lines);
    assert_eq!(keys(&export()), names);
    assert_eq!(export().json()[2]["state"]["peak_cm"], 510.0);
    for name in names {
        let shown = place.carpe(&["state", "show", "flood-alert", name]).expect(0).out;
        assert!(shown.starts_with(name) && shown.contains("\"peak_cm\":510.0"), "{shown}");
    }
    let first = place.carpe(&["state", "list", "flood-alert", "--limit", "2"]).expect(0).out;
    assert!(first.contains("there are more: --after 'a b/ü?#%&+'"), "{first}");
    let rest = place.carpe(&["state", "list", "flood-alert", "--after", names[1], "--json"]).expect(0);
    assert_eq!(keys(&rest), ["elbe-7"]);

    let forgotten = place.carpe(&["state", "forget", "flood-alert", "..", names[1]]).expect(0);
    assert_eq!(forgotten.out, "forgotten: 2 keys\n");
    place.settled();
    assert_eq!(keys(&export()), ["elbe-7"]);
    let none = place.carpe(&["state", "show", "flood-alert", ".."]).expect(1);
    none.expect_err("there is no key `..` that the rule `flood-alert` remembers");
    place.carpe(&["state", "forget", "flood-alert", "elbe-7", "elbe-8"]).expect(1).expect_err("`elbe-8`");
    let all = place.carpe(&["state", "forget", "flood-alert", "--all", "--json"]).expect(0);
    assert_eq!(all.json()[0]["keys"], 1);
    place.settled();
    assert_eq!(export().out, "");
    let imported = place.carpe(&["state", "import", "flood-alert", "keys.jsonl"]).expect(0);
    assert_eq!(imported.out, "imported: 3 keys\n");
    place.settled();
    assert_eq!(export().out, lines);

    // Nothing of a file that is wrong is imported.
    place.carpe(&["state", "forget", "flood-alert", "--all"]).expect(0);
    place.settled();
    place.write("wrong.jsonl", lines.clone() + "\n{\"key\":\"x\"}\n");
    let wrong = place.carpe(&["state", "import", "flood-alert", "wrong.jsonl"]).expect(1);
    wrong.expect_err("wrong.jsonl:5 cannot be imported").expect_err("nothing was imported");
    let newer = r#"{"key":"x","state_version":9,"state":{}}"#;
    let newer = place.carpe_with_input(&["state", "import", "flood-alert", "-"], newer).expect(1);
    newer.expect_err("the state of `x` has format 9, the rule's is ");
    assert_eq!(export().out, "");
    let none = place.carpe(&["state", "export", "flod-alert", "-o", "none.jsonl"]).expect(1);
    none.expect_err("there is no rule `flod-alert`");
    assert!(!place.path("none.jsonl").exists());
    host.stop().expect(0);
}

#[test]
fn whoever_is_erased_is_gone_from_what_rules_remember() {
    let place = Place::with(&["flood-alert"]);
    let host = place.host(&[]);
    let readings =
        reading(1, "ada-lovelace", 0, 510) + &reading(2, "elbe-7", 0, 510) + &reading(3, "elbe-8", 0, 510);
    place.carpe_with_input(&["send"], &readings).expect(0);
    place.settled();
    let asked = place.carpe(&["erase", "--subject", "ada-lovelace"]).expect(0).out;
    for part in ["Asked for at position ", "`[journal] erase_seconds`", "Not reached: backups"] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    let key = place.carpe(&["erase", "--rule", "flood-alert", "--key", "elbe-8", "--json"]).expect(0).json();
    assert_eq!(key[0]["done"], false);
    let status = place.settled();
    assert_eq!(status["kept"]["erasures"][1], key[0]["position"]);
    let table = place.carpe(&["status"]).expect(0).out;
    assert!(table.contains("erasures: not done yet, asked for at position "), "{table}");
    assert_eq!(keys(&place.carpe(&["state", "list", "flood-alert", "--json"]).expect(0)), ["elbe-7"]);

    place
        .carpe(&["erase", "--rule", "flod-alert", "--key", "x"])
        .expect(1)
        .expect_err("no rule `flod-alert`");
    for wrong in
        [&[][..], &["--rule", "a"], &["--key", "a"], &["--subject", "a", "--rule", "b", "--key", "c"]]
    {
        place.carpe(&[&["erase"], wrong].concat()).expect(2);
    }
    let said = host.stop().expect(0);
    assert!(!said.err.contains("ada-lovelace"), "{}", said.err);
}

#[test]
fn the_status_says_how_the_start_went_and_what_is_kept() {
    let place = Place::with(&["flood-alert"]);
    place.write("carpe.toml", FILE_SINK);
    let host = place.host(&[]);
    place.carpe_with_input(&["send"], &reading(1, "elbe-7", 0, 510)).expect(0);
    place.settled();
    host.stop().expect(0);
    let host = place.host(&[]);
    let status = place.wait_for(|status| !status["recovery"]["caught_up_ms"].is_null());
    assert_eq!(
        (&status["recovery"]["keys"], &status["recovery"]["target_ms"]),
        (&Value::from(1), &5_000.into())
    );
    let table = place.carpe(&["status"]).expect(0).out;
    for part in ["from checkpoints: 1 rule and 1 key in ", "caught up after ", " ms of 5,000", "kept  "] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let said = host.stop().expect(0);
    assert_eq!(said.err.matches(r#""message":"recovered""#).count(), 1, "{}", said.err);
}
