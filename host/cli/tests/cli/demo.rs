//! `carpe demo`.

use crate::carpe::{Place, plugins};

#[test]
fn nothing_is_lost() {
    let place = Place::new();
    let plugins = plugins().to_str().unwrap();
    let summary = place.carpe(&["demo", "--fast", "--json", "--plugins", plugins]).expect(0).json().remove(0);
    assert!(summary["checks"].as_array().unwrap().iter().all(|check| check["holds"] == true), "{summary:#}");
    assert!(summary["moments"]["lamp.needed"].as_u64() > Some(0), "{summary:#}");
    assert_ne!(summary["reload"]["from"], summary["reload"]["to"]);
}

#[test]
fn it_says_how_to_get_its_plugins() {
    let place = Place::new();
    place
        .carpe(&["demo", "--plugins", "."])
        .expect(1)
        .expect_err("flood-alert.wasm is not there")
        .expect_err("make demo");
}
