//! `carpe check` and `carpe build`.

use crate::carpe::{Place, plugin};

#[test]
fn a_plugin_says_what_it_is_and_needs() {
    let place = Place::with(&["flood-alert"]);
    let said = place.carpe(&["check", "plugins/flood-alert.wasm"]).expect(0);
    for part in [
        "a host would take it",
        "flood-alert 0.1.0",
        "gauge.level, keyed by subject",
        "flood.rising, flood.over",
        "alert.residents",
        "carpe:rule/log@0.1.0",
        "MiB of memory at the start",
        "ms to compile",
    ] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    let json = place.carpe(&["check", "--json", "plugins/flood-alert.wasm"]).expect(0).json();
    assert_eq!(json[0]["accepted"], true);
    assert_eq!(json[0]["rule"], "flood-alert");
    assert_eq!(json[0]["description"]["subscriptions"][0]["event_type"], "gauge.level");
}

#[test]
fn what_stands_beside_it_counts() {
    let place = Place::with(&["flood-alert"]);
    place.write("plugins/flood-alert.toml", "name = \"elbe\"\n[configuration]\nalert_cm = 300\n");
    let said = place.carpe(&["check", "plugins/flood-alert.wasm"]).expect(0);
    assert!(said.out.contains("elbe 0.1.0") && said.out.contains("flood-alert.toml"), "{}", said.out);

    place.write("plugins/flood-alert.toml", "[configuration]\nrise_cm = -1\n");
    place
        .carpe(&["check", "plugins/flood-alert.wasm"])
        .expect(1)
        .expect_err("`rise_cm` is -1: it must be above 0");

    place.write("plugins/flood-alert.toml", "[limits]\nmemory_bytes = 1_000\n");
    let said = place.carpe(&["check", "plugins/flood-alert.wasm"]).expect(1);
    said.expect_err("its `init` needs too much memory").expect_err("as `memory_bytes` under [limits]");
    place.write("plugins/flood-alert.toml", "[limits]\ninit_cpu_ms = 0\n");
    let said = place.carpe(&["check", "plugins/flood-alert.wasm"]);
    assert!(said.code == 0 || said.err.contains("as `init_cpu_ms` under [limits]"), "{said:?}");

    place.write("plugins/flood-alert.toml", "[limit]\n");
    let said = place.carpe(&["check", "plugins/flood-alert.wasm"]).expect(1);
    said.expect_err("flood-alert.toml:1:2: `limit`: there is no such key; did you mean `limits`?");
}

#[test]
fn what_is_no_plugin_is_refused_with_a_reason() {
    let place = Place::new();
    let whole = std::fs::read(plugin("flood-alert")).unwrap();
    place.write("half.wasm", &whole[..whole.len() / 2]);
    place.write("core.wasm", b"\0asm\x01\0\0\0");
    place.write("text.wasm", "hello");
    place.write("empty.wasm", "");
    for (file, says) in [
        ("half.wasm", "it ends in the middle"),
        ("core.wasm", "it is a core WebAssembly module, not a component: make it one with `carpe build`"),
        ("text.wasm", "it is not WebAssembly"),
        ("empty.wasm", "it is not WebAssembly"),
        ("none.wasm", "cannot read none.wasm"),
    ] {
        place.carpe(&["check", file]).expect(1).expect_err(says).expect_err("a host would refuse it");
        let json = place.carpe(&["check", "--json", file]).expect(1).json();
        assert_eq!(json[0]["accepted"], false);
        assert!(json[0]["reasons"][0].as_str().unwrap().contains(says), "{json:?}");
    }
}

#[test]
fn build_says_what_is_missing() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).unwrap();
    place.carpe(&["build", "nowhere"]).expect(1).expect_err("cannot open the folder: nowhere");
    place.carpe(&["build", "--quiet", "empty"]).expect(1).expect_err("Cargo.toml");
}
