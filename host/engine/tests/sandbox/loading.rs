//! What is refused before anything of it runs, and in which words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use carpe::sandbox::{LoadError, Sandbox, SandboxOptions};

use super::guest::Guest;
use super::{Log, SANDBOX, limits};

const EMPTY_RULE: &str = r#"(instance $empty) (export "carpe:rule/rule@0.1.0" (instance $empty))"#;

fn refusal(bytes: &[u8]) -> String {
    match SANDBOX.load(bytes) {
        Ok(_) => "it loaded".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {text})")).expect("component text")
}

#[test]
fn a_rule_loads_and_tells_what_it_is() {
    let bytes = Guest::handle("(call $log (i32.const 1) (i32.const 0) (i32.const 0))").build();
    let component = SANDBOX.load(&bytes).expect("loads");
    assert_eq!(component.hash(), *blake3::hash(&bytes).as_bytes());
    assert_eq!(component.contract_version(), "0.1.0");
    assert!(!component.has_migration());
    assert_eq!(component.imports(), ["carpe:rule/log@0.1.0", "carpe:rule/types@0.1.0"]);
    assert_eq!(component.exports(), ["carpe:rule/rule@0.1.0"]);
}

#[test]
fn exports_that_the_host_does_not_know_are_ignored() {
    let guest = Guest {
        world: "export init: func(); export other: interface { handle: func() -> string; }",
        ..Guest::default()
    }
    .with(r#"(func (export "init") unreachable) (func (export "other#handle") (result i32) unreachable)"#);
    let component = SANDBOX.load(&guest.build()).expect("loads");
    assert_eq!(component.exports().len(), 3);
    let log = std::sync::Arc::new(Log::default());
    let (mut instance, _) = component.instantiate("{}", &limits(), log).expect("starts");
    instance.handle(&carpe::rule::Batch::default()).expect("handles");
}

#[test]
fn what_is_no_component_is_refused_with_what_to_do() {
    assert!(refusal(b"").starts_with("it is not WebAssembly"));
    assert!(refusal(b"#!/bin/sh\necho").starts_with("it is not WebAssembly"));
    assert!(refusal(b"\0as").starts_with("it ends in the middle, after 3 bytes"));
    assert!(refusal(b"\0asm\x0d").starts_with("it ends in the middle, after 5 bytes"));
    assert!(refusal(b"\0asm\x07\0\0\0").contains("unknown version"));
    let module = wat::parse_str("(module)").expect("module text");
    assert!(
        refusal(&module).contains("core WebAssembly module, not a component: make it one with `carpe build`")
    );
}

#[test]
fn every_truncation_and_random_bytes_are_refused() {
    let whole = Guest::default().build();
    for end in 0..whole.len() {
        // Sections that say nothing to a runtime stand at the end; without them a component is whole.
        let before_custom_section = whole[end] == 0;
        assert!(SANDBOX.load(&whole[..end]).is_err() || before_custom_section, "cut at {end}");
    }
    let middle = refusal(&whole[..whole.len() / 2]);
    assert!(middle.starts_with("it ends in the middle"), "{middle}");
    let mut noise = blake3::Hasher::new().update(b"noise").finalize_xof();
    for length in 0..500 {
        let mut bytes = whole[..8].to_vec();
        bytes.resize(8 + length, 0);
        noise.fill(&mut bytes[8..]);
        assert!(SANDBOX.load(&bytes).is_err());
    }
}

#[test]
fn changed_bytes_never_panic() {
    let whole = Guest::default().build();
    let mut noise = blake3::Hasher::new().update(b"changes").finalize_xof();
    for _ in 0..300 {
        let mut choice = [0; 5];
        noise.fill(&mut choice);
        let mut bytes = whole.clone();
        let at = u32::from_le_bytes([choice[0], choice[1], choice[2], choice[3]]) as usize % bytes.len();
        bytes[at] ^= choice[4] | 1;
        // Some are still components; none may do harm.
        if let Ok(component) = SANDBOX.load(&bytes) {
            let _ = component.instantiate("{}", &limits(), std::sync::Arc::new(Log::default()));
        }
    }
}

#[test]
fn forbidden_imports_are_named() {
    for (import, advice) in [
        ("wasi:sockets/tcp@0.2.3", "a rule has no network"),
        ("wasi:http/outgoing-handler@0.2.3", "a rule has no network"),
        ("wasi:keyvalue/store@0.2.0-draft", "the state of a key"),
        ("wasi:random/random@0.3.0", "of WASI only 0.2"),
        ("carpe:rule/network@0.1.0", "a rule may import carpe:rule/log"),
        ("acme:tools/time", "a rule may import carpe:rule/log"),
    ] {
        let refused = refusal(&component(&format!(r#"(import "{import}" (instance)) {EMPTY_RULE}"#)));
        assert!(refused.contains(&format!("it imports {import}, which no rule may have: ")), "{refused}");
        assert!(refused.contains(advice), "{refused}");
    }
    let refused = refusal(&component(&format!(r#"(import "now" (func)) {EMPTY_RULE}"#)));
    assert!(refused.contains("it imports now"), "{refused}");
}

#[test]
fn all_forbidden_imports_are_named_with_the_toolchain_that_brings_them_in() {
    let imports = r#"(import "wasi:sockets/tcp@0.2.3" (instance)) (import "carpe:rule/log@0.1.0" (instance))
                     (import "wasi:http/types@0.2.3" (instance))"#;
    let refused = refusal(&component(&format!("{imports} {EMPTY_RULE}")));
    assert!(refused.contains("it imports wasi:sockets/tcp@0.2.3, wasi:http/types@0.2.3, which"), "{refused}");
    assert!(refused.ends_with("route that to a sink"), "nothing is known of how it was made: {refused}");
    for (trace, advice) in [
        ("libpython3.14.so", "`--stub-wasi`"),
        ("componentize-qjs", "`--stub-wasi`"),
        ("starlingmonkey", "`--disable all`"),
        ("Go buildinf:", "`go list -deps .`"),
        ("language\\01\\04Rust\\00\\0cprocessed-by", "wasm32-unknown-unknown"),
        ("clang version 22", "<sys/socket.h>"),
    ] {
        let made = format!(r#"(core module (@custom "made" "{trace}")) {imports} {EMPTY_RULE}"#);
        let refused = refusal(&component(&made));
        assert!(refused.contains("route that to a sink. ") && refused.contains(advice), "{refused}");
    }
}

#[test]
fn a_function_that_an_allowed_interface_lacks_is_named() {
    let text = r#"(import "carpe:rule/log@0.1.0" (instance (export "shout" (func))))"#;
    let refused = refusal(&component(&format!("{text} {EMPTY_RULE}")));
    assert!(refused.starts_with("it does not fit the contract") && refused.contains("shout"), "{refused}");
    let refused = refusal(&component(EMPTY_RULE));
    assert!(refused.starts_with("it does not fit the contract") && refused.contains("init"), "{refused}");
}

#[test]
fn another_version_of_the_contract_is_refused_with_both_named() {
    for text in [
        r#"(instance $empty) (export "carpe:rule/rule@0.2.0" (instance $empty))"#.to_owned(),
        format!(r#"(import "carpe:rule/log@0.2.0" (instance)) {EMPTY_RULE}"#),
    ] {
        let refused = refusal(&component(&text));
        assert!(refused.contains("version 0.2.0 of the contract"), "{refused}");
        assert!(refused.contains("this host speaks 0.1.0"), "{refused}");
    }
}

#[test]
fn a_component_that_is_no_rule_says_what_it_is_instead() {
    let refused = refusal(&component(r#"(instance $empty) (export "wasi:cli/run@0.2.0" (instance $empty))"#));
    assert_eq!(
        refused,
        "it does not export carpe:rule/rule@0.1.0, so it is no rule; it exports wasi:cli/run@0.2.0"
    );
    assert!(refusal(&component("")).ends_with("it exports nothing"));
}

#[test]
fn too_big_is_refused_unread_and_just_fitting_is_not() {
    let bytes = Guest::default().build();
    let sandbox = |max_component_bytes| {
        Sandbox::new(SandboxOptions { max_instances: 2, max_component_bytes, ..SandboxOptions::default() })
            .expect("sandbox")
    };
    assert!(sandbox(bytes.len()).load(&bytes).is_ok());
    let refused = sandbox(bytes.len() - 1).load(&bytes).map(drop);
    assert_eq!(refused, Err(LoadError::TooBig { bytes: bytes.len(), limit: bytes.len() - 1 }));
}

#[test]
fn what_takes_too_long_to_compile_is_given_up() {
    let functions: String = (0..20_000)
        .map(|number| format!("(func (param i32) (result i32) (i32.mul (local.get 0) (i32.const {number})))"))
        .collect();
    let bytes = Guest::default().with(&functions).build();
    let limit = Duration::from_millis(1);
    let options = SandboxOptions { max_instances: 2, compile_timeout: limit, ..SandboxOptions::default() };
    let refused = Sandbox::new(options).expect("sandbox").load(&bytes).map(drop);
    assert_eq!(refused, Err(LoadError::CompileTimeout { limit }));
}

#[test]
fn memories_and_instances_are_bounded_in_number() {
    let rule = "(core module $main (func (export \"run\")))
        (core instance $main (instantiate $main)) (func $run (canon lift (core func $main \"run\")))
        (instance $rule (export \"init\" (func $run)) (export \"handle\" (func $run)))
        (export \"carpe:rule/rule@0.1.0\" (instance $rule))";
    let memories = |count| {
        let module =
            format!("(core module $m {}) (core instance (instantiate $m))", "(memory 0)".repeat(count));
        refusal(&component(&format!("{module} {rule}")))
    };
    assert_eq!(memories(4), "it loaded");
    assert!(memories(5).contains("memories"), "{}", memories(5));
    let instances = |count| {
        let instances = "(core instance (instantiate $m))".repeat(count);
        refusal(&component(&format!("(core module $m) {instances} {rule}")))
    };
    assert_eq!(instances(63), "it loaded");
    assert!(instances(64).contains("instances"), "{}", instances(64));
    let imports = "(import \"a\" (func))".replace('a', "a{}");
    let many: String = (0..1_001).map(|number| imports.replace("{}", &number.to_string())).collect();
    assert!(refusal(&component(&many)).contains("more than 1000 things"));
}

#[test]
fn a_component_composed_of_others_compiles() {
    let text = r#"
        (component $inner
            (core module $m
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                (func (export "take") (param i32 i32)))
            (core instance $m (instantiate $m))
            (func (export "take") (param "text" string)
                (canon lift (core func $m "take") (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))
        (instance $inner (instantiate $inner))
        (core module $memory (memory (export "memory") 1))
        (core instance $memory (instantiate $memory))
        (core func $take (canon lower (func $inner "take") (memory (core memory $memory "memory"))))
        (core module $main
            (import "inner" "take" (func $take (param i32 i32)))
            (func (export "run") (call $take (i32.const 0) (i32.const 1))))
        (core instance $main (instantiate $main (with "inner" (instance (export "take" (func $take))))))
        (func $run (canon lift (core func $main "run")))
        (instance $rule (export "init" (func $run)) (export "handle" (func $run)))
        (export "carpe:rule/rule@0.1.0" (instance $rule))"#;
    assert_eq!(refusal(&component(text)), "it loaded");
}

#[test]
fn a_damaged_cache_is_no_obstacle() {
    let folder = tempfile::tempdir().expect("folder");
    let options = || SandboxOptions {
        max_instances: 2,
        cache_dir: Some(folder.path().to_owned()),
        ..SandboxOptions::default()
    };
    let bytes = Guest::default().build();
    Sandbox::new(options()).expect("sandbox").load(&bytes).expect("loads");
    for path in files_below(folder.path()) {
        std::fs::write(path, b"damaged").expect("writable");
    }
    assert!(Sandbox::new(options()).expect("sandbox").load(&bytes).is_ok());
}

#[test]
fn compiled_components_are_kept_in_the_folder() {
    let folder = tempfile::tempdir().expect("folder");
    let options = || SandboxOptions {
        max_instances: 2,
        cache_dir: Some(folder.path().join("cache")),
        ..SandboxOptions::default()
    };
    let files = || {
        let found = files_below(folder.path());
        found.iter().filter(|path| path.extension().is_none()).count()
    };
    let bytes = Guest::default().build();
    Sandbox::new(options()).expect("sandbox").load(&bytes).expect("loads");
    assert_eq!(files(), 1);
    let component = Sandbox::new(options()).expect("sandbox").load(&bytes).expect("loads again");
    assert_eq!(files(), 1);
    component.instantiate("{}", &limits(), std::sync::Arc::new(Log::default())).expect("starts");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}
