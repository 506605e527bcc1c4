//! `carpe new`: what it makes builds, and passes its own tests and stories, in each language.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::carpe::{Place, target};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Makes a rule, with tools that are installed already in their places.
fn made(language: &str, tools: Option<(&str, &str)>) -> Place {
    let place = Place::new();
    place.carpe(&["new", "door-ajar", "--language", language]).expect(0);
    if let Some((installed, name)) = tools {
        let installed = root().join(installed);
        assert!(installed.exists(), "{} is missing: run `make setup`", installed.display());
        std::os::unix::fs::symlink(installed, place.path("door-ajar").join(name)).unwrap();
    }
    place
}

/// Runs the rule's own tests.
fn passes(place: &Place, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(place.path("door-ajar"));
    command.env("CARGO_TARGET_DIR", target()).env("GOCACHE", target().join("go"));
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{program}: {said}");
}

/// Tells it its story, for which it is built.
fn tells(place: &Place) {
    let target = target();
    let said = place.carpe(&["test", "door-ajar", "--target-dir", target.to_str().unwrap()]).expect(0);
    for part in ["ok      usual", "covered moments 1 of 1", "covered actions 1 of 1", "1 story, 0 failed"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
}

#[test]
fn in_rust() {
    let place = made("rust", None);
    passes(&place, "cargo", &["test", "--quiet"]);
    tells(&place);
}

#[test]
fn in_javascript() {
    let place = made("javascript", Some(("plugins/shop-nearby/node_modules", "node_modules")));
    passes(&place, "npm", &["test"]);
    tells(&place);
}

#[test]
fn in_typescript() {
    let place = made("typescript", Some(("plugins/shop-nearby/node_modules", "node_modules")));
    passes(&place, "npm", &["test"]);
    passes(&place, "npm", &["run", "types"]);
    tells(&place);
}

#[test]
fn in_python() {
    let place = made("python", Some((".venv", ".venv")));
    passes(&place, ".venv/bin/python", &["-m", "pytest", "-q"]);
    tells(&place);
}

#[test]
fn in_go() {
    let place = made("go", Some((".venv", ".venv")));
    passes(&place, ".venv/bin/go", &["test"]);
    passes(&place, ".venv/bin/go", &["vet"]);
    tells(&place);
}

#[test]
fn in_c() {
    let place = made("c", Some((".venv", ".venv")));
    passes(&place, "make", &["test"]);
    tells(&place);
}

#[test]
fn nothing_is_written_over_and_a_name_is_one() {
    let place = Place::new();
    place.carpe(&["new", "rule"]).expect(0);
    place.carpe(&["new", "rule"]).expect(1).expect_err("rule is there already, and is not empty");
    place.carpe(&["new", "Rule 7"]).expect(2).expect_err("`Rule 7` is no name for a rule");
    place
        .carpe(&["new", "other", "--sdk", "nowhere"])
        .expect(1)
        .expect_err("cannot find the SDKs in nowhere");
    assert!(!place.path("other").exists());
}
