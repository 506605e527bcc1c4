//! `carpe demo`.

use serde_json::Value;

use crate::carpe::{Place, city};

/// The shortest day, in which each rule has its moments all the same.
#[test]
fn in_the_city_nothing_is_lost_and_nobody_is_wronged() {
    let place = Place::new();
    let plugins = city().to_str().unwrap();
    let summary = place.carpe(&["demo", "--fast", "--json", "--plugins", plugins]).expect(0).json().remove(0);
    let count = |value: &Value| value.as_u64().unwrap();
    assert!(summary["checks"].as_array().unwrap().iter().all(|check| check["holds"] == true), "{summary:#}");
    let rules = summary["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 10, "{summary:#}");
    for rule in rules {
        assert!(count(&rule["moments"]) > 0 && count(&rule["actions"]["delivered"]) > 0, "{rule:#}");
        // What it finds out goes to another rule, and to no enterprise.
        assert_eq!(rule["latency"].is_null(), rule["rule"] == "streetlights-cars", "{rule:#}");
    }
    // Else the checks of a city in which all goes well say little.
    for manner in ["busy", "cut", "late", "refused", "repeated"] {
        assert!(count(&summary["enterprises"][manner]) > 0, "{manner}: {summary:#}");
    }
    for oddity in ["repeated", "late", "refused", "set_aside"] {
        assert!(count(&summary["events"][oddity]) > 0, "{oddity}: {summary:#}");
    }
    assert_ne!(summary["reload"]["from"], summary["reload"]["to"]);
    let guardrails = summary["guardrails"].as_array().unwrap();
    let guardrail = |kind: &str| guardrails.iter().find(|guardrail| guardrail["kind"] == kind).unwrap();
    for kind in ["consent", "frequency", "budget", "approval", "rate"] {
        let asks_a_person = kind == "approval";
        assert_eq!(guardrail(kind)["approved"].is_u64(), asks_a_person, "{summary:#}");
    }
    assert!(count(&guardrail("consent")["withheld"]) > 0, "{summary:#}");
    for part in ["held", "withheld", "approved", "refused"] {
        assert!(count(&guardrail("approval")[part]) > 0, "{part}: {summary:#}");
    }
}

#[test]
fn it_says_which_plugins_it_lacks_and_how_to_get_them() {
    let place = Place::new();
    place
        .carpe(&["demo", "--plugins", "."])
        .expect(1)
        .expect_err("flood-alert.wasm")
        .expect_err("viral-video.wasm")
        .expect_err("make plugins");
}
