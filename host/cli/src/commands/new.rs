//! `carpe new`: a rule to begin with, with a test, a story and a README.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::args::{NewArgs, NewLanguage};
use crate::failure::{Failure, Kind};
use crate::output::print;

/// A file of a template: where it goes, and what is in it.
type File = (&'static str, &'static str);

macro_rules! template {
    ($($path:literal from $file:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../templates/", $file)))),*]
    };
}

const COMMON: &[File] = template![
    ".gitignore" from "gitignore",
    "README.md" from "README.md",
    "scenarios/usual/scenario.toml" from "scenarios/usual/scenario.toml",
    "scenarios/usual/events.jsonl" from "scenarios/usual/events.jsonl",
    "scenarios/usual/expected.jsonl" from "scenarios/usual/expected.jsonl",
];

/// The packages that rules use, where this command was built: they are not published yet.
const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk");

impl NewLanguage {
    fn files(self) -> &'static [File] {
        match self {
            NewLanguage::Rust => template![
                "Cargo.toml" from "rust/Cargo.toml",
                "src/lib.rs" from "rust/src/lib.rs",
            ],
            NewLanguage::Javascript => template![
                "package.json" from "javascript/package.json",
                "rule.js" from "javascript/rule.js",
                "rule.test.js" from "javascript/rule.test.js",
            ],
            NewLanguage::Typescript => template![
                "package.json" from "typescript/package.json",
                "tsconfig.json" from "typescript/tsconfig.json",
                "src/rule.ts" from "javascript/rule.js",
                "src/rule.test.ts" from "typescript/src/rule.test.ts",
            ],
            NewLanguage::Python => template![
                "pyproject.toml" from "python/pyproject.toml",
                "{{module}}.py" from "python/rule.py",
                "test_{{module}}.py" from "python/test_rule.py",
            ],
            NewLanguage::Go => template![
                "go.mod" from "go/go.mod",
                "rule.go" from "go/rule.go",
                "rule_test.go" from "go/rule_test.go",
            ],
            NewLanguage::C => template![
                "rule.toml" from "c/rule.toml",
                "rule.c" from "c/rule.c",
                "test_rule.c" from "c/test_rule.c",
                "Makefile" from "c/Makefile",
            ],
        }
    }

    /// What is to be done once, and how the rule's own tests are run.
    fn commands(self) -> (&'static str, &'static str) {
        match self {
            NewLanguage::Rust => ("", "cargo test           # the rule's own tests, natively"),
            NewLanguage::Javascript | NewLanguage::Typescript => {
                ("npm install          # once\n", "npm test             # the rule's own tests, natively")
            }
            NewLanguage::Python => (
                "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1 pytest==8.4.2    # once\n",
                ".venv/bin/python -m pytest    # the rule's own tests, natively",
            ),
            NewLanguage::Go => ("", "go test              # the rule's own tests, natively: Go from 1.24 on"),
            NewLanguage::C => (
                "python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.1    # once\n",
                "make test            # the rule's own tests, natively",
            ),
        }
    }
}

pub(crate) fn new(args: &NewArgs) -> Result<ExitCode, Failure> {
    let folder = &args.folder;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if !name.starts_with(|first: char| first.is_ascii_lowercase())
        || !name.chars().all(plain)
        || name.ends_with('-')
    {
        let wrong = format!(
            "`{name}` is no name for a rule: it needs lower-case letters, digits and `-`, e.g. `door-left-open`"
        );
        return Err(Failure::new(Kind::Usage, wrong));
    }
    let sdk = args.sdk.clone().unwrap_or_else(|| PathBuf::from(SDK));
    let sdk = fs::canonicalize(&sdk)
        .map_err(|error| {
            Failure::from(
                anyhow::Error::new(error).context(format!("cannot find the SDKs in {}", sdk.display())),
            )
        })
        .map_err(|failure| failure.with_hint("say by --sdk where Carpe's folder `sdk` is"))?;
    // Where there is something nothing is written.
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(Failure::new(
                    Kind::Failed,
                    format!("{} is there already, and is not empty", folder.display()),
                ));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(anyhow::Error::new(error)
                .context(format!("cannot look at {}", folder.display()))
                .into());
        }
    }
    // Between quotes of JSON and TOML, which escape alike.
    let sdk = serde_json::Value::from(sdk.display().to_string()).to_string();
    let sdk = sdk[1..sdk.len() - 1].to_owned();
    let (setup, test) = args.language.commands();
    let filled = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{Name}}", &type_name(name))
            .replace("{{module}}", &name.replace('-', "_"))
            .replace("{{sdk}}", &sdk)
            .replace("{{setup}}", setup)
            .replace("{{test}}", test)
    };
    for (path, text) in COMMON.iter().chain(args.language.files()) {
        write(&folder.join(filled(path)), &filled(text))?;
    }
    print(&format!(
        "{} is a rule to begin with: its README.md says how to build and test it\n",
        folder.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(path, text)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// `door-left-open` as `DoorLeftOpen`.
fn type_name(name: &str) -> String {
    name.split('-')
        .flat_map(|word| {
            word.chars()
                .enumerate()
                .map(|(at, letter)| if at == 0 { letter.to_ascii_uppercase() } else { letter })
        })
        .collect()
}
