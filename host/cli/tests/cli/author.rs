//! What authors use while they write a rule: `carpe dev`, `carpe bench`, `carpe compile`.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::carpe::{Place, Said, target};

const READINGS: &str = r#"{"specversion":"1.0","id":"1","source":"/g","type":"gauge.level","subject":"elbe-7","time":"2026-01-01T00:00:00Z","data":{"cm":510}}
{"specversion":"1.0","id":"2","source":"/g","type":"gauge.level","subject":"elbe-8","time":"2026-01-01T00:00:00Z","data":{"cm":"high"}}
{"specversion":"1.0","id":"3","source":"/g","type":"other","subject":"elbe-7","time":"2026-01-01T00:00:01Z"}
"#;

#[test]
fn a_rule_is_measured_with_events_of_a_file() {
    let place = Place::with(&["flood-alert"]);
    place.write("plugins/flood-alert.toml", "[configuration]\nalert_cm = 500\n[limits]\nstate_bytes = 100\n");
    place.write("readings.jsonl", READINGS);
    let bench = |events: &str, more: &[&str]| {
        let usual = ["bench", "plugins/flood-alert.wasm", "--milliseconds", "5", "--events", events];
        place.carpe(&[&usual, more].concat())
    };
    let said = bench("readings.jsonl", &["--batches", "1,7"]).expect(0);
    for part in [
        "flood-alert 0.1.0: 2 inputs, over and over",
        "NS/INPUT",
        "\n7  ",
        "state of a key",
        "100 bytes",
        "%, near it",
        "handle_cpu_ms",
        "set aside, the first with: the event's data has \"high\" at `/cm`, where a number should be",
    ] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    let report = bench("readings.jsonl", &["--json", "--batches", "64"]).expect(0).json().remove(0);
    let measured = &report["batches"][0];
    assert_eq!((&report["inputs"], &measured["batch"]), (&2.into(), &64.into()));
    for (what, figure) in [
        ("ns_per_input", &measured["ns_per_input"]),
        ("inputs", &measured["inputs"]),
        ("memory_bytes", &report["memory_bytes"]),
        ("state_bytes", &report["state_bytes"]),
        ("failures", &report["failures"]),
    ] {
        assert!(figure.as_u64().unwrap() > 0, "{what} in {report}");
    }
    assert_eq!(report["actions"], 2);
}

#[test]
fn what_cannot_be_measured_says_why() {
    let place = Place::with(&["flood-alert"]);
    let bench = |more: &[&str]| place.carpe(&[&["bench", "plugins/flood-alert.wasm"], more].concat());
    bench(&[]).expect(1).expect_err("there are no stories").expect_err("--events");
    place.write("others.jsonl", READINGS.lines().last().unwrap());
    bench(&["--events", "others.jsonl"]).expect(1).expect_err("the rule subscribes to none");
    place.write("broken.jsonl", "{}\n");
    bench(&["--events", "broken.jsonl"]).expect(1).expect_err("broken.jsonl:1: it is no event");
    bench(&["--events", "none.jsonl"]).expect(1).expect_err("cannot read none.jsonl");
    bench(&["--batches", "0"]).expect(2);
    place.write("plugins/flood-alert.toml", "[configuration]\nrise_cm = -1\n");
    place.write("readings.jsonl", READINGS);
    let said = bench(&["--events", "readings.jsonl"]).expect(1);
    said.expect_err("the rule does not start").expect_err("`rise_cm` is -1");
    // A rule that gets stuck is stopped, and it is said on what.
    place.write("plugins/flood-alert.toml", "[limits]\nmemory_bytes = 1000\n");
    bench(&["--events", "readings.jsonl"]).expect(1).expect_err("it wanted more memory than its limit");
}

#[test]
fn what_is_compiled_ahead_need_not_be_compiled_by_the_host() {
    let place = Place::with(&["flood-alert", "medication"]);
    place.write("plugins/broken.wasm", "no component");
    let said = place.carpe(&["compile"]).expect(1);
    assert!(said.out.contains("plugins/medication.wasm: ready, after "), "{}", said.out);
    assert!(said.out.contains("2 of 3 components ready in .carpe"), "{}", said.out);
    said.expect_err("plugins/broken.wasm: a host would refuse it").expect_err("it is not WebAssembly");
    std::fs::remove_file(place.path("plugins/broken.wasm")).unwrap();

    let compiled = || {
        let mut found = Vec::new();
        let mut pending = vec![place.path(".carpe/cache")];
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else if path.extension().is_none() {
                    let changed = path.metadata().unwrap().modified().unwrap();
                    found.push((path, changed));
                }
            }
        }
        found.sort();
        found
    };
    let ahead = compiled();
    assert_eq!(ahead.len(), 2, "{ahead:?}");
    place.write("readings.jsonl", READINGS);
    place.carpe(&["run", "--once", "readings.jsonl"]).expect(0);
    assert_eq!(compiled(), ahead, "the host has compiled nothing");
}

/// What is compiled is run as it is: so only the owner may write where it lies.
#[test]
fn a_cache_that_others_can_write_to_is_not_used() {
    let place = Place::with(&["flood-alert"]);
    place.carpe(&["compile"]).expect(0);
    let cache = place.path(".carpe/cache");
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).unwrap();
    for command in [&["compile"][..], &["run", "--once", "-"]] {
        place
            .carpe(command)
            .expect(if command[0] == "run" { 1 } else { 3 })
            .expect_err("others can write to it");
    }
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.carpe(&["compile"]).expect(0);
}

#[test]
fn once_it_is_built_and_told_its_stories_and_only_then_put_in_place() {
    let place = Place::new();
    place.carpe(&["new", "hot-once"]).expect(0);
    let guests = target();
    let dev = || {
        let target = guests.to_str().unwrap();
        place.carpe(&["dev", "hot-once", "--once", "--out", "plugins", "--target-dir", target])
    };
    let source = place.read("hot-once/src/lib.rs");
    place.write("hot-once/src/lib.rs", source.replace("== 3", "== 2"));
    let said = dev().expect(1);
    assert!(said.out.contains("FAILED  usual"), "{}", said.out);
    assert!(!place.path("plugins/hot-once.wasm").exists(), "what fails is put nowhere");
    place.write("hot-once/src/lib.rs", source.replace("== 3", "== three"));
    dev().expect(1).expect_err("does not compile").expect_err("src/lib.rs:");
    place.write("hot-once/src/lib.rs", source);
    let said = dev().expect(0);
    assert!(said.out.contains("plugins/hot-once.wasm is up to date, after "), "{}", said.out);
    assert!(place.path("plugins/hot-once.wasm").exists());

    // From within its folder, with what an operator sets beside it.
    place.write("hot-once.toml", "[limits]\nstate_bytes = 10\n");
    let mut bench =
        place.command(&["bench", ".", "--milliseconds", "5", "--target-dir", guests.to_str().unwrap()]);
    let said = Said::of(&bench.current_dir(place.path("hot-once")).output().unwrap()).expect(0);
    assert!(said.out.contains("hot-once 0.1.0: 4 inputs") && said.out.contains("10 bytes"), "{}", said.out);
}

#[test]
fn a_change_is_built_tested_and_taken_up_by_the_host() {
    let place = Place::new();
    place.carpe(&["new", "hot-watched"]).expect(0);
    place.write("plugins/hot-watched.toml", "[configuration]\nmax_celsius = 90\n");
    let host = place.host(&[]);
    let guests = target();
    let mut command =
        place.command(&["dev", "hot-watched", "--out", "plugins", "--target-dir", guests.to_str().unwrap()]);
    let mut dev = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(dev.stdout.take().unwrap());
    let mut until = |part: &str| {
        let mut said = String::new();
        while !said.contains(part) {
            assert!(out.read_line(&mut said).unwrap() > 0, "`carpe dev` has ended: {said}");
        }
        said
    };
    let said = until("watching hot-watched");
    assert!(said.contains("1 story, 0 failed") && said.contains("the host runs it, after"), "{said}");

    let source = place.read("hot-watched/src/lib.rs");
    place.write("hot-watched/src/lib.rs", source.replace("too hot three times in a row", "hot"));
    let said = until("watching hot-watched");
    assert!(said.contains("src/lib.rs has changed"), "{said}");
    assert!(said.contains("FAILED  usual") && !said.contains("the host runs it"), "{said}");

    // Another component, which does the same.
    let another = source.replace("machine.hot = if", "log::info!(\"read\");\n        machine.hot = if");
    place.write("hot-watched/src/lib.rs", another);
    let said = until("watching hot-watched");
    assert!(said.contains("the host runs it, after"), "{said}");
    assert!(place.carpe(&["status"]).expect(0).out.contains("active"));

    dev.kill().unwrap();
    dev.wait().unwrap();
    let mut errors = String::new();
    dev.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
    let Said { code, .. } = host.stop();
    assert_eq!(code, 0);
}

/// A component in JavaScript takes a second or more to compile: that is seen, and holds up no other plugin.
#[test]
fn what_takes_long_to_compile_says_how_far_it_is() {
    let place = Place::with(&["flood-alert"]);
    let host = place.host(&[]);
    let shop = r#"{ id = "bakery", name = "Bakery", lat = 52.52, lon = 13.405, offer = "a roll" }"#;
    place.write("plugins/shop-nearby.toml", format!("[configuration]\nshops = [{shop}]\n"));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/shop-nearby");
    place.carpe(&["build", folder.to_str().unwrap(), "--out", "plugins", "--quiet"]).expect(0);
    let of = |status: &serde_json::Value, file: &str| {
        let plugins = status["plugins"].as_array().unwrap().clone();
        plugins.into_iter().find(|plugin| plugin["file"] == file).unwrap_or_default()
    };
    let compiling = place.wait_for(|status| of(status, "shop-nearby")["loading"].is_string());
    let said = of(&compiling, "shop-nearby");
    assert_eq!(said["state"], "loading");
    assert!(
        said["loading"].as_str().unwrap().starts_with("its newest content is being compiled, for "),
        "{said}"
    );
    assert_eq!(of(&compiling, "flood-alert")["state"], "active");
    let done = place.wait_for(|status| of(status, "shop-nearby")["state"] == "active");
    assert!(of(&done, "shop-nearby")["loading"].is_null());
    assert_eq!(host.stop().code, 0);
}
