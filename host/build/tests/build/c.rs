//! Rules in C and C++.

use std::fs;
use std::path::Path;

use carpe_build::build;

use super::{ROOT, interfaces, options};

const MANIFEST: &str = "name = \"doorbell\"\nversion = \"1.0.0\"\nsummary = \"\\\"é\\\"?\"\nsources = [\"rule.c\"]\nsdk = \"SDK\"\n";

const DOORBELL: &str = "#include <carpe.h>
static bool on_event(const void *configuration, const carpe_event *event, void *state, carpe_output *out) {
    (void)configuration, (void)event, (void)state;
    carpe_occurred(out, \"visitor.waiting\", \"the bell rang\");
    return true;
}
const carpe_rule carpe_exported_rule = {
    .on_event = on_event,
    .subscriptions = CARPE_ON({.event_type = \"door.rung\"}),
    .moments = CARPE_NAMES(\"visitor.waiting\"),
};
";

/// A rule in a folder of its own, below a folder with the compiler.
#[expect(clippy::unwrap_used, reason = "part of a test")]
fn rule(manifest: &str, source: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sdk = Path::new(ROOT).join("sdk/c").canonicalize().unwrap();
    fs::write(folder.path().join("rule.toml"), manifest.replace("SDK", &sdk.display().to_string())).unwrap();
    fs::write(folder.path().join("rule.c"), source).unwrap();
    folder
}

/// What it imports and exports.
#[expect(clippy::unwrap_used, reason = "part of a test")]
fn built(folder: &Path) -> (Vec<String>, Vec<String>, Vec<u8>) {
    let out = tempfile::tempdir().unwrap();
    let component = fs::read(build(folder, &options(out.path())).unwrap()).unwrap();
    let (imports, exports) = interfaces(&component);
    (imports.into_iter().collect(), exports.into_iter().collect(), component)
}

#[test]
fn a_rule_needs_nothing_but_the_log_and_is_the_same_wherever_it_lies() {
    let (imports, exports, component) = built(rule(MANIFEST, DOORBELL).path());
    assert_eq!(imports, ["carpe:rule/log@0.1.0", "carpe:rule/types@0.1.0"]);
    assert_eq!(exports, ["carpe:rule/columns@0.1.0", "carpe:rule/rule@0.1.0"]);
    let (.., again) = built(rule(MANIFEST, DOORBELL).path());
    assert!(component == again, "the same source gives the same component");

    let migrating = format!("{MANIFEST}migrates = true\n");
    let (_, exports, _) = built(rule(&migrating, DOORBELL).path());
    assert!(exports.contains(&"carpe:rule/migration@0.1.0".to_owned()), "{exports:?}");
}

/// It prints, so it asks for what printing takes, of the version that the host has.
#[test]
fn a_rule_with_stdio_asks_for_wasi() {
    let source = DOORBELL
        .replace("#include <carpe.h>", "#include <carpe.h>\n#include <stdio.h>")
        .replace("    carpe_occurred", "    printf(\"%s\\n\", event->key.bytes);\n    carpe_occurred");
    let (imports, ..) = built(rule(MANIFEST, &source).path());
    assert!(imports.iter().any(|import| import.starts_with("wasi:cli/stdout@0.2.")), "{imports:?}");
    assert!(
        imports.iter().all(|import| import.starts_with("wasi:") || import.starts_with("carpe:rule/")),
        "{imports:?}"
    );
}

#[test]
fn a_rule_may_be_in_cpp() {
    let folder = rule(&MANIFEST.replace("rule.c", "rule.cpp"), "");
    let source = "#include <carpe.h>
#include <string_view>
static bool on_event(const void *, const carpe_event *event, void *, carpe_output *out) {
    if (std::string_view(event->key.bytes, event->key.length) != \"\") carpe_occurred(out, \"rung\", \"rung\");
    return true;
}
static const carpe_subscription subscriptions[] = {{.event_type = \"door.rung\"}, {}};
static const char *const moments[] = {\"rung\", nullptr};
const carpe_rule carpe_exported_rule = {.subscriptions = subscriptions, .moments = moments, .on_event = on_event};
";
    fs::write(folder.path().join("rule.cpp"), source).unwrap();
    let (imports, exports, _) = built(folder.path());
    assert_eq!(imports, ["carpe:rule/log@0.1.0", "carpe:rule/types@0.1.0"]);
    assert!(exports.contains(&"carpe:rule/rule@0.1.0".to_owned()), "{exports:?}");
}

#[test]
fn what_is_wrong_is_said_with_the_authors_lines() {
    let out = tempfile::tempdir().unwrap();
    let message = |manifest: &str, source: &str| {
        let folder = rule(manifest, source);
        build(folder.path(), &options(out.path())).unwrap_err().to_string()
    };
    let error = message(MANIFEST, &DOORBELL.replace("return true;", "return tru;"));
    assert!(error.contains("does not compile:\nrule.c:5:12: error: ") && error.contains("tru"), "{error}");
    let error = message(MANIFEST, "int one(void) { return 1; }\n");
    assert!(error.contains("carpe_exported_rule"), "{error}");
    let error = message(&MANIFEST.replace("rule.c", "other.c"), DOORBELL);
    assert!(error.contains("`sources` names other.c, but there is no such file"), "{error}");
    let error = message(&MANIFEST.replace("SDK", "no/sdk"), DOORBELL);
    assert!(error.contains("`sdk` should be the folder `sdk/c` of Carpe's repository"), "{error}");
    let error = message(&MANIFEST.replace("summary", "sumary"), DOORBELL);
    assert!(error.contains("unknown field `sumary`"), "{error}");
    let error = message(&MANIFEST.replace("version = \"1.0.0\"\n", ""), DOORBELL);
    assert!(error.contains("missing field `version`"), "{error}");
    let error = message(&MANIFEST.replace("\"rule.c\"", ""), DOORBELL);
    assert!(error.contains("`sources` is empty"), "{error}");
}
