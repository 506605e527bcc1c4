//! Plugins of this repository, built as a user builds them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use carpe_build::{BuildError, Options, build, componentize};
use wit_component::DecodedWasm;

mod c;
mod go;
mod javascript;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Within Cargo's own target folder, beside what this test is built from.
fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests")
}

fn options(out: &Path) -> Options {
    Options { out: Some(out.to_owned()), target_dir: Some(target_dir()), verbose: false }
}

/// What a component imports and exports, by name.
#[expect(clippy::unwrap_used, clippy::panic, reason = "part of a test")]
fn interfaces(component: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component).unwrap() else {
        panic!("not a component")
    };
    let world = &resolve.worlds[world];
    let imports = world.imports.keys().map(|key| resolve.name_world_key(key)).collect();
    let exports = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
    (imports, exports)
}

#[test]
fn every_plugin_needs_nothing_but_the_log() {
    let out = tempfile::tempdir().unwrap();
    for folder in ["plugins", "tests/guests"] {
        for folder in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            let folder = folder.unwrap().path();
            if !folder.join("src/lib.rs").is_file() {
                continue;
            }
            let component = build(&folder, &options(out.path())).unwrap();
            assert_eq!(component.file_stem(), folder.file_name());
            let (imports, exports) = interfaces(&fs::read(&component).unwrap());
            for import in imports {
                assert!(
                    import == "carpe:rule/log@0.1.0" || import == "carpe:rule/types@0.1.0",
                    "{} imports {import}",
                    folder.display()
                );
            }
            assert!(exports.contains("carpe:rule/rule@0.1.0"), "{} exports {exports:?}", folder.display());
            // All that are written with the SDK.
            let has_columns = exports.contains("carpe:rule/columns@0.1.0");
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            assert_eq!(has_columns, manifest.contains("carpe-sdk"), "{}", folder.display());
            let migrates = ["conform", "conform-plain", "counter-migrating", "flood-alert", "medication"]
                .iter()
                .any(|name| folder.ends_with(name));
            assert_eq!(exports.contains("carpe:rule/migration@0.1.0"), migrates, "{}", folder.display());
        }
    }
}

#[test]
fn what_does_not_compile_is_said_with_the_compilers_words() {
    let folder = tempfile::tempdir().unwrap();
    let manifest =
        "[package]\nname = \"broken\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/lib.rs"), "fn broken( {}").unwrap();
    let out = folder.path().join("out.wasm");
    let error = build(folder.path(), &options(&out)).unwrap_err();
    assert!(matches!(error, BuildError::Compile { .. }));
    assert!(error.to_string().contains("fn broken( {}"), "{error}");
    assert!(!out.exists());

    fs::write(folder.path().join("src/lib.rs"), "").unwrap();
    let error = build(folder.path(), &options(&out)).unwrap_err();
    assert!(matches!(error, BuildError::NotAPlugin(_)), "{error}");
    assert!(!out.exists());
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let error = build("no/such/folder".as_ref(), &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot open the folder: no/such/folder");
}

#[test]
fn only_a_core_module_that_exports_a_rule_becomes_a_component() {
    for bytes in
        [&b""[..], b"\0asm", &wat::parse_str("(module)").unwrap(), &wat::parse_str("(component)").unwrap()]
    {
        assert!(matches!(componentize(bytes), Err(BuildError::NotAPlugin(_))));
    }
}

/// A rule in Python, in a folder of its own.
#[expect(clippy::unwrap_used, reason = "part of a test")]
fn python_rule(manifest: &str, source: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sdk = Path::new(ROOT).join("sdk/python").canonicalize().unwrap();
    let manifest = manifest.replace("SDK", &sdk.display().to_string());
    fs::write(folder.path().join("pyproject.toml"), manifest).unwrap();
    fs::write(folder.path().join("doorbell.py"), source).unwrap();
    folder
}

const DOORBELL_MANIFEST: &str =
    "[project]\nname = \"doorbell\"\nversion = \"1.0.0\"\n[tool.carpe]\nsdk = \"SDK\"\n";
const DOORBELL: &str = "
from dataclasses import dataclass
from carpe_sdk import Event, Output, Rule, export_rule, on

@dataclass
class Doorbell(Rule[None]):
    def on_event(self, event: Event, state: None, out: Output) -> None:
        out.moment('visitor.waiting')

export_rule(Doorbell, on('door.rung').moment('visitor.waiting'))
";

/// With nothing kept from earlier builds.
fn python_options(out: &Path) -> Options {
    Options { target_dir: Some(out.join("target")), ..options(out) }
}

#[test]
fn a_python_rule_needs_nothing_but_the_log_and_is_the_same_twice() {
    let out = tempfile::tempdir().unwrap();
    let folder = Path::new(ROOT).join("plugins/viral-video");
    let component = build(&folder, &python_options(out.path())).unwrap();
    assert_eq!(component.file_name().unwrap(), "viral-video.wasm");
    let first = fs::read(&component).unwrap();
    let (imports, exports) = interfaces(&first);
    for import in imports {
        assert!(import == "carpe:rule/log@0.1.0" || import == "carpe:rule/types@0.1.0", "{import}");
    }
    assert!(exports.contains("carpe:rule/rule@0.1.0"), "{exports:?}");
    assert!(!exports.contains("carpe:rule/migration@0.1.0"), "{exports:?}");
    assert!(
        !folder.join("__pycache__/viral_video.cpython-314.pyc").exists(),
        "nothing is left in the folder"
    );

    fs::remove_file(&component).unwrap();
    build(&folder, &python_options(out.path())).unwrap();
    assert!(first == fs::read(&component).unwrap(), "the same source gives the same component");
}

#[test]
fn what_is_wrong_with_a_python_rule_is_said_with_its_own_lines() {
    let out = tempfile::tempdir().unwrap();
    let options = python_options(out.path());
    let message = |manifest: &str, source: &str| {
        let folder = python_rule(manifest, source);
        let error = build(folder.path(), &options).unwrap_err().to_string();
        error.replace(&folder.path().canonicalize().unwrap().display().to_string(), "FOLDER")
    };
    assert_eq!(
        message(DOORBELL_MANIFEST, "import carpe_sdk\n\ndef broken(:\n"),
        "FOLDER does not compile:\n  File \"FOLDER/doorbell.py\", line 3\n    def broken(:\n               \
         ^\nSyntaxError: invalid syntax"
    );
    let error = message(DOORBELL_MANIFEST, "import carpe_sdk\n");
    assert!(error.contains("the module exports no rule: call `export_rule("), "{error}");
    let error =
        message(DOORBELL_MANIFEST, &DOORBELL.replace("def on_event", "migrate = 1\n    def on_event"));
    assert!(error.contains("say `migrates = true` under `[tool.carpe]`"), "{error}");

    let error = message(&DOORBELL_MANIFEST.replace("doorbell", "bell"), DOORBELL);
    assert!(error.contains("there is no module `bell`"), "{error}");
    let error = message(&DOORBELL_MANIFEST.replace("SDK", "no/sdk"), DOORBELL);
    assert!(error.contains("there is no `carpe_sdk` in FOLDER/no/sdk"), "{error}");
    let error = message(&DOORBELL_MANIFEST.replace("sdk =", "skd ="), DOORBELL);
    assert!(error.contains("unknown field `skd`"), "{error}");
    let error = message("[project]\nname = \"doorbell\"\n", DOORBELL);
    assert!(error.contains("`[project]` has no `version`"), "{error}");
    assert!(!out.path().join("doorbell.wasm").exists());
}

#[test]
fn a_folder_without_source_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = build(folder.path(), &Options::default()).unwrap_err().to_string();
    assert!(
        error.contains("holds no rule: it has none of Cargo.toml, pyproject.toml, go.mod, package.json, rule.toml, rule.wat"),
        "{error}"
    );
}

/// A module gets its world by what it exports; a component is taken as it is.
#[test]
fn text_is_translated() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.wasm");
    let exports = |text: &str| {
        fs::write(folder.path().join("rule.wat"), text).unwrap();
        let built = build(folder.path(), &options(&out))?;
        Ok::<_, BuildError>(interfaces(&fs::read(built).unwrap()).1)
    };
    let rule = fs::read_to_string(Path::new(ROOT).join("plugins/doorbell/rule.wat")).unwrap();
    assert_eq!(exports(&rule).unwrap(), BTreeSet::from(["carpe:rule/rule@0.1.0".to_owned()]));
    let component = fs::read(&out).unwrap();

    let body = rule.trim_end().strip_suffix(')').unwrap();
    let migration = r#"(func (export "carpe:rule/migration@0.1.0#migrate")
        (param i32 i32 i32 i32 i32) (result i32) unreachable)"#;
    assert!(exports(&format!("{body} {migration})")).unwrap().contains("carpe:rule/migration@0.1.0"));

    let bytes: String = component.iter().map(|byte| format!("\\{byte:02x}")).collect();
    assert!(exports(&format!("(component binary \"{bytes}\")")).unwrap().contains("carpe:rule/rule@0.1.0"));
    assert_eq!(fs::read(&out).unwrap(), component);

    fs::write(folder.path().join("ring.2.wat"), &rule).unwrap();
    let built = build(&folder.path().join("ring.2.wat"), &Options::default()).unwrap();
    assert_eq!(built.file_name().unwrap(), "ring.2.wasm");
    assert_eq!(fs::read(built).unwrap(), component);

    let error = exports("(module\n  (func (result i32)))").unwrap_err();
    assert!(matches!(error, BuildError::NotAPlugin(_)), "{error}");
    let error = exports("(component)").unwrap_err();
    assert!(matches!(error, BuildError::NotAPlugin(_)), "{error}");
    let error = exports("(module\n  (fun))").unwrap_err();
    assert!(error.to_string().contains("rule.wat:2:4"), "{error}");
}
