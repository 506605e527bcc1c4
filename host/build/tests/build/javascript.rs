//! Rules in JavaScript and TypeScript, built as a user builds them.
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use carpe_build::{BuildError, Options, build};
use tempfile::TempDir;

use crate::{ROOT, interfaces};

/// A guest of this repository, with what it needs from npm.
fn conform() -> PathBuf {
    // The tests of this process wait for each other; another one leaves the folder as it should be too.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = fs::canonicalize(Path::new(ROOT).join("tests/guests/conform-javascript")).unwrap();
    if !folder.join("node_modules/.package-lock.json").is_file() {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--prefer-offline", "--no-audit", "--no-fund"]).current_dir(&folder);
        assert!(npm.stdin(Stdio::null()).status().unwrap().success());
    }
    folder
}

/// A package of its own, with the packages that are installed for the guest.
struct Package {
    folder: TempDir,
}

impl Package {
    fn new(manifest: &str, rule: &str) -> Self {
        let package = Package { folder: tempfile::tempdir().unwrap() };
        package.write("package.json", manifest);
        package.write("rule.ts", rule);
        let modules = package.folder.path().join("node_modules");
        fs::create_dir(&modules).unwrap();
        for installed in fs::read_dir(conform().join("node_modules")).unwrap() {
            let installed = installed.unwrap();
            // What a build keeps is its own.
            if installed.file_name() != ".cache" {
                std::os::unix::fs::symlink(installed.path(), modules.join(installed.file_name())).unwrap();
            }
        }
        package
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn build(&self) -> Result<Vec<u8>, BuildError> {
        let out = self.folder.path().join("out.wasm");
        let _ = fs::remove_file(&out);
        let options = Options { out: Some(out.clone()), ..Options::default() };
        let built = build(self.folder.path(), &options);
        assert_eq!(built.is_ok(), out.exists(), "{built:?}");
        built.map(|path| fs::read(path).unwrap())
    }

    fn error(&self) -> String {
        self.build().unwrap_err().to_string()
    }
}

const MANIFEST: &str = r#"{
    "name": "doorbell", "version": "0.1.0", "main": "rule.ts",
    "dependencies": {"carpe-sdk": "*"}, "devDependencies": {"rolldown": "*", "componentize-qjs": "*"}
}"#;

const RULE: &str = r#"
    import { on, rule } from "carpe-sdk";
    import { kind } from "./kind.ts";
    export default rule({
        about: on("door.rung").moment(kind),
        onEvent(event, _, out) { out.moment(kind).why(event.key as string); },
    });
"#;

fn doorbell() -> Package {
    let package = Package::new(MANIFEST, RULE);
    package.write("kind.ts", "export const kind: string = 'visitor.waiting';");
    package
}

#[test]
fn a_rule_in_several_files_needs_nothing_but_the_log_and_is_the_same_each_time() {
    let package = doorbell();
    let component = package.build().unwrap();
    let (imports, exports) = interfaces(&component);
    let log = ["carpe:rule/log@0.1.0", "carpe:rule/types@0.1.0"];
    assert!(imports.iter().all(|import| log.contains(&import.as_str())), "{imports:?}");
    assert!(exports.contains("carpe:rule/rule@0.1.0"), "{exports:?}");
    assert!(!exports.contains("carpe:rule/migration@0.1.0"), "{exports:?}");
    assert!(package.build().unwrap() == component, "the same source gave another component");

    package.write("kind.ts", "export const kind: string = 'visitor.gone';");
    assert!(package.build().unwrap() != component, "a module that the rule imports has changed");
}

#[test]
fn a_rule_that_migrates_says_so_in_both_places() {
    let migrating = RULE.replace("onEvent", "stateVersion: 2, migrate() { return null; }, onEvent");
    let package = Package::new(MANIFEST, &migrating);
    package.write("kind.ts", "export const kind = 'visitor.waiting';");
    let error = package.error();
    assert!(error.contains(r#"say "carpe": { "migrates": true } in its package.json"#), "{error}");

    package.write("package.json", &MANIFEST.replace(r#""main""#, r#""carpe": {"migrates": true}, "main""#));
    let (_, exports) = interfaces(&package.build().unwrap());
    assert!(exports.contains("carpe:rule/migration@0.1.0"), "{exports:?}");

    package.write("rule.ts", RULE);
    let error = package.error();
    assert!(error.contains("but the rule has no `migrate`"), "{error}");
}

#[test]
fn a_rule_without_the_sdk_exports_the_contract_itself() {
    let manifest = MANIFEST
        .replace(r#""dependencies": {"carpe-sdk": "*"}, "#, "")
        .replace(r#""main": "rule.ts""#, r#""carpe": {"rule": "rule.ts"}"#);
    let package = Package::new(&manifest, "export const rule = { init() {}, handle() {} };");
    fs::remove_file(package.folder.path().join("node_modules/carpe-sdk")).unwrap();
    let (_, exports) = interfaces(&package.build().unwrap());
    assert!(exports.contains("carpe:rule/rule@0.1.0"), "{exports:?}");
}

#[test]
fn what_does_not_build_is_said_with_the_place_in_the_source() {
    let package = doorbell();
    for (rule, parts) in [
        ("export default (;", &["rule.ts:1:17"][..]),
        (
            "import { ruler } from 'carpe-sdk';\nexport default ruler;",
            &["\"ruler\" is not exported", "rule.ts:1:10"],
        ),
        ("import x from 'nowhere';\nexport default x;", &["nowhere"]),
        ("export default Date.now();", &["the clock is out of a rule's reach", "(rule.ts:1)"]),
        ("export default 5;", &["write `export default rule({ .. })`"]),
        (&RULE.replace("onEvent", "onEvents"), &["a rule has no `onEvents`", "<anonymous> (rule.ts:"]),
    ] {
        package.write("rule.ts", rule);
        let error = package.error();
        for part in parts {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
        assert!(!error.contains("node_modules/"), "{error}");
    }
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let package = doorbell();
    let folder = fs::canonicalize(package.folder.path()).unwrap();
    let modules = folder.join("node_modules");
    for missing in ["carpe-sdk", "componentize-qjs", "rolldown"] {
        fs::remove_file(modules.join(missing)).unwrap();
        let error = package.error();
        assert_eq!(error, format!("`{missing}` is not installed: run `npm install` in {}", folder.display()));
    }
    package.write("package.json", r#"{"name": "doorbell", "version": "0.1.0", "main": "rule.ts"}"#);
    let error = package.error();
    assert!(error.contains("after `npm install --save-dev rolldown`"), "{error}");

    let package = doorbell();
    for (manifest, message) in [
        ("{", "cannot be used: "),
        ("{}", "has no `name`"),
        (r#"{"name": "doorbell"}"#, "has no `version`"),
        (r#"{"name": "doorbell", "version": "0.1.0"}"#, "does not say which file exports the rule"),
        (r#"{"name": "doorbell", "version": "0.1.0", "main": "rules.ts"}"#, "there is no such file"),
        (r#"{"name": "doorbell", "version": "0.1.0", "carpe": {"world": 1}}"#, "unknown field `world`"),
    ] {
        package.write("package.json", manifest);
        let error = package.error();
        assert!(error.contains("package.json") && error.contains(message), "{error}");
    }
    fs::remove_file(package.folder.path().join("package.json")).unwrap();
    let error = package.error();
    assert!(error.contains("it has none of Cargo.toml, pyproject.toml, go.mod, package.json"), "{error}");
}

#[test]
fn the_guest_of_the_conformance_suite_builds() {
    let out = tempfile::tempdir().unwrap();
    let options = Options { out: Some(out.path().to_owned()), ..Options::default() };
    let component = build(&conform(), &options).unwrap();
    assert_eq!(component.file_name().unwrap(), "conform-javascript.wasm");
}
