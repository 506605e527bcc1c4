//! Rules in Go, built as a user builds them.
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::fs;
use std::path::Path;

use carpe_build::{BuildError, build};
use tempfile::TempDir;

use crate::{ROOT, interfaces, options};

const RULE: &str = r#"package main

import "carpe"

type Doorbell struct{}

type Nothing struct{}

func (Doorbell) OnEvent(event *carpe.Event, _ *Nothing, out *carpe.Output) error {
	out.Moment("visitor.waiting")
	return nil
}

var plugin = carpe.Export(Doorbell{}, carpe.Describe("doorbell", "1.0.0", "Somebody waits.").
	On("door.rung").Moment("visitor.waiting"))

func main() {}
"#;

/// A module of its own, in a folder that has this repository's `.venv` above it.
fn module(source: &str) -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sdk = Path::new(ROOT).join("sdk/go").canonicalize().unwrap();
    let manifest = format!(
        "module doorbell\n\ngo 1.24\n\nrequire carpe v0.0.0\n\nreplace carpe => {:?}\n",
        sdk.display()
    );
    fs::write(folder.path().join("go.mod"), manifest).unwrap();
    fs::write(folder.path().join("rule.go"), source).unwrap();
    std::os::unix::fs::symlink(
        Path::new(ROOT).canonicalize().unwrap().join(".venv"),
        folder.path().join(".venv"),
    )
    .unwrap();
    folder
}

fn component(folder: &Path) -> Result<Vec<u8>, BuildError> {
    let out = tempfile::tempdir().unwrap();
    let built = build(folder, &options(&out.path().join("out.wasm")));
    assert_eq!(built.is_ok(), out.path().join("out.wasm").exists());
    built.map(|path| fs::read(path).unwrap())
}

#[test]
fn a_rule_needs_the_log_and_what_the_closed_wasi_has_and_is_the_same_in_each_folder() {
    let first = component(module(RULE).path()).unwrap();
    let (imports, exports) = interfaces(&first);
    for import in imports {
        assert!(import.starts_with("carpe:rule/") || import.starts_with("wasi:"), "{import}");
    }
    assert!(exports.contains("carpe:rule/rule@0.1.0"), "{exports:?}");
    assert!(exports.contains("carpe:rule/columns@0.1.0"), "{exports:?}");
    assert!(!exports.contains("carpe:rule/migration@0.1.0"), "{exports:?}");
    assert!(first == component(module(RULE).path()).unwrap(), "the same source gave another component");
}

#[test]
fn a_rule_that_migrates_exports_that_too() {
    let migrating = RULE.replace("import \"carpe\"", "import \"carpe\"\nimport _ \"carpe/migration\"");
    let migrating = format!(
        "{migrating}\nfunc (Doorbell) Migrate(from uint32, key string, state []byte) (*Nothing, error) {{\n\treturn nil, nil\n}}\n"
    );
    let (_, exports) = interfaces(&component(module(&migrating).path()).unwrap());
    assert!(exports.contains("carpe:rule/migration@0.1.0"), "{exports:?}");
}

#[test]
fn what_does_not_compile_is_said_with_the_place_in_the_source() {
    let error = component(module(&RULE.replace("return nil", "return 5")).path()).unwrap_err();
    assert!(matches!(error, BuildError::Compile { .. }));
    assert!(error.to_string().contains("rule.go:11:9: cannot use 5"), "{error}");
    let error = component(module(&RULE.replace("\"carpe\"", "\"example.com/nowhere\"")).path()).unwrap_err();
    assert!(error.to_string().contains("rule.go:3:8: "), "{error}");
    let error = component(module("package main\n\nfunc main() {}\n").path()).unwrap_err();
    assert!(matches!(error, BuildError::NotAPlugin(_)), "{error}");
}
