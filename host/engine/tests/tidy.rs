//! What the compiler does not check: which module may name what, and how files are laid out.

#![expect(clippy::expect_used, reason = "helpers of tests may panic as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each source file of the crate, by its path below `src/`, with its text.
fn sources() -> Vec<(String, String)> {
    fn visit(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                visit(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    visit(&root, &mut files);
    assert!(files.len() > 10, "the sources are where they were");
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().replace('\\', "/");
            (name, fs::read_to_string(&path).expect("readable"))
        })
        .collect()
}

/// Lines of code: comments may name anything.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_in(file: &str, module: &str) -> bool {
    file == format!("{module}.rs") || file.starts_with(&format!("{module}/"))
}

/// Files that match `what` outside of the modules that may.
fn trespassers(what: &[&str], modules: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in sources() {
        if modules.iter().any(|module| is_in(&file, module)) {
            continue;
        }
        for (number, line) in code(&text) {
            if what.iter().any(|word| line.contains(word)) {
                found.push(format!("{file}:{number}: {}", line.trim()));
            }
        }
    }
    found
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn only_the_sandbox_and_the_adapters_name_the_runtime() {
    assert_eq!(trespassers(&["wasmtime", "wasmparser"], &["sandbox", "contract/v0_1_0"]), nothing());
}

#[test]
fn only_the_contract_names_generated_bindings() {
    assert_eq!(trespassers(&["bindings::", "mod bindings", "bindgen!"], &["contract"]), nothing());
}

#[test]
fn only_the_sandbox_uses_the_contract() {
    assert_eq!(trespassers(&["contract::"], &["contract", "sandbox"]), nothing());
}

#[test]
fn a_binding_macro_lives_alone() {
    for (file, text) in sources() {
        if code(&text).any(|(_, line)| line.contains("bindgen!")) {
            assert!(text.lines().count() < 20, "{file} holds more than the macro");
        }
    }
}

#[test]
fn modules_stand_beside_their_folders() {
    let wrong: Vec<String> =
        sources().into_iter().map(|(file, _)| file).filter(|file| file.ends_with("mod.rs")).collect();
    assert_eq!(wrong, nothing());
}

#[test]
fn nothing_is_unsafe() {
    assert_eq!(trespassers(&["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"], &[]), nothing());
    let root =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("readable");
    assert!(root.contains("#![forbid(unsafe_code)]"));
}
