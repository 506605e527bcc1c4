//! `docs/first-rule`: one guide for each language, made from one template and from what `carpe new` makes. What its commands
//! print is what the guide says.

use std::path::Path;
use std::process::Command;

use crate::carpe::{Place, target};

/// Set it, and the guides are written anew.
const WRITE: &str = "CARPE_WRITE";

struct Guide {
    language: &'static str,
    flag: &'static str,
    needs: &'static str,
    /// What is to be installed once; the test takes what is installed already, under this name in the folder.
    setup: Option<(&'static str, &'static str, &'static str)>,
    rule_file: &'static str,
    test_file: &'static str,
    fence: &'static str,
    test: &'static str,
    sdk: &'static str,
}

const GUIDES: &[Guide] = &[
    Guide {
        language: "Rust",
        flag: "rust",
        needs: ", and Rust's target for WebAssembly (`rustup target add wasm32-unknown-unknown`)",
        setup: None,
        rule_file: "src/lib.rs",
        test_file: "src/lib.rs, at its end",
        fence: "rust",
        test: "cargo test",
        sdk: "sdk/rust",
    },
    Guide {
        language: "JavaScript",
        flag: "javascript",
        needs: ", and Node.js 20.19 or later with npm",
        setup: Some(("npm install", "plugins/shop-nearby/node_modules", "node_modules")),
        rule_file: "rule.js",
        test_file: "rule.test.js",
        fence: "js",
        test: "npm test",
        sdk: "sdk/javascript",
    },
    Guide {
        language: "TypeScript",
        flag: "typescript",
        needs: ", and Node.js 20.19 or later with npm",
        setup: Some(("npm install", "plugins/shop-nearby/node_modules", "node_modules")),
        rule_file: "src/rule.ts",
        test_file: "src/rule.test.ts",
        fence: "ts",
        test: "npm test",
        sdk: "sdk/javascript",
    },
    Guide {
        language: "Python",
        flag: "python",
        needs: ", and Python 3.11 or later with venv",
        setup: Some((
            "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1 pytest==8.4.2",
            ".venv",
            ".venv",
        )),
        rule_file: "too_hot.py",
        test_file: "test_too_hot.py",
        fence: "python",
        test: ".venv/bin/python -m pytest",
        sdk: "sdk/python",
    },
    Guide {
        language: "Go",
        flag: "go",
        needs: ", and Go 1.24 or later",
        setup: None,
        rule_file: "rule.go",
        test_file: "rule_test.go",
        fence: "go",
        test: "go test",
        sdk: "sdk/go",
    },
    Guide {
        language: "C",
        flag: "c",
        needs: ", a C compiler, make, and Python 3.11 or later with venv (which the compiler for WebAssembly comes with)",
        setup: Some(("python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.1", ".venv", ".venv")),
        rule_file: "rule.c",
        test_file: "test_rule.c",
        fence: "c",
        test: "make test",
        sdk: "sdk/c",
    },
];

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

impl Guide {
    fn text(&self, rule: &str) -> String {
        let template = std::fs::read_to_string(root().join("docs/first-rule/template.md")).unwrap();
        let setup = self.setup.map(|(command, ..)| format!("\nOnce:\n\n```sh\n{command}\n```\n"));
        template
            .replace("{{language}}", self.language)
            .replace("{{flag}}", self.flag)
            .replace("{{needs}}", self.needs)
            .replace("{{setup}}", &setup.unwrap_or_default())
            .replace("{{rule_file}}", self.rule_file)
            .replace("{{test_file}}", self.test_file)
            .replace("{{fence}}", self.fence)
            .replace("{{rule}}", without_tests(rule).trim_end())
            .replace("{{test}}", self.test)
            .replace("{{sdk}}", self.sdk)
    }
}

/// In Rust, a file's tests stand at its end.
fn without_tests(rule: &str) -> &str {
    rule.split("\n#[cfg(test)]").next().unwrap_or(rule)
}

/// Each command of a guide, with the lines that it is to print.
fn commands(guide: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut inside = false;
    for line in guide.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            found.push((command, Vec::new()));
        } else if inside && let Some((_, lines)) = found.last_mut() {
            lines.push(line);
        }
    }
    found
}

/// Whether a text is as a pattern says, in which `...` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn follow(guide: &Guide) {
    let place = Place::new();
    let path = root().join(format!("docs/first-rule/{}.md", guide.flag));
    place.carpe(&["new", "too-hot", "--language", guide.flag]).expect(0);
    let text = guide.text(&place.read(&format!("too-hot/{}", guide.rule_file)));
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{} is out of date: {WRITE}=1 cargo test -p carpe-cli --test cli guide",
        path.display()
    );

    std::fs::remove_dir_all(place.path("too-hot")).unwrap();
    let carpe = Path::new(env!("CARGO_BIN_EXE_carpe")).parent().unwrap();
    // Go is on the path, or nowhere.
    let installed = root().join(".venv/bin");
    let path = format!("{}:{}:{}", carpe.display(), std::env::var("PATH").unwrap(), installed.display());
    let mut folder = place.path("");
    for (line, expected) in commands(&text) {
        if let Some(to) = line.strip_prefix("cd ") {
            folder = folder.join(to);
            if let Some((_, installed, name)) = guide.setup {
                let installed = root().join(installed);
                assert!(installed.exists(), "{} is missing: run `make setup`", installed.display());
                std::os::unix::fs::symlink(installed, folder.join(name)).unwrap();
            }
            continue;
        }
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(&folder).env("PATH", &path).env("CARGO_TARGET_DIR", target());
        let output = command.output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success(), "{}: `{line}`: {out}{err}", guide.language);
        // What a test runner prints is its own affair.
        if !expected.is_empty() {
            let (out, expected) = (out.trim_end(), expected.join("\n"));
            assert!(
                is_like(out, &expected),
                "{}: `{line}` prints\n{out}\nbut not\n{expected}",
                guide.language
            );
        }
    }
}

#[test]
fn each_guide_is_true() {
    GUIDES.iter().for_each(follow);
}

#[test]
fn each_language_has_a_guide() {
    let place = Place::new();
    let said = place.carpe(&["new", "too-hot", "--language", "klingon"]).expect(2);
    let listed = said.err.split_once("[possible values: ").unwrap().1.split_once(']').unwrap().0;
    let listed: Vec<_> = listed.split(", ").collect();
    let guides: Vec<_> = GUIDES.iter().map(|guide| guide.flag).collect();
    assert_eq!(listed, guides);
}
