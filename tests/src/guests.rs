//! Builds the guests of `tests/guests`, and the rules of `plugins`, each once in a test run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use carpe::sandbox::SandboxOptions;

/// The guests that tests use: [`guest`] builds no other.
pub const GUESTS: [&str; 13] = [
    "conform",
    "conform-before",
    "conform-c",
    "conform-go",
    "conform-javascript",
    "conform-plain",
    "conform-python",
    "counter",
    "counter-migrating",
    "echo",
    "hostile",
    "ledger",
    "overheat",
];

/// The files that a rule's folder has one of.
pub const MANIFESTS: [&str; 6] =
    ["Cargo.toml", "go.mod", "package.json", "pyproject.toml", "rule.toml", "rule.wat"];

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent").to_owned()
}

/// Where Cargo keeps what it makes: also what the tests make that is worth keeping.
pub fn target() -> PathBuf {
    let given = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    given.unwrap_or_else(|| root().join("target"))
}

/// The component of a guest, by the name of its folder.
pub fn guest(name: &str) -> Arc<[u8]> {
    assert!(GUESTS.contains(&name), "add `{name}` to the list of guests");
    component(&format!("tests/guests/{name}"))
}

/// The component of a rule, by the folder of its source from the repository's root.
pub fn component(folder: &str) -> Arc<[u8]> {
    type Built = Arc<OnceLock<Arc<[u8]>>>;
    static BUILT: LazyLock<Mutex<BTreeMap<String, Built>>> = LazyLock::new(Mutex::default);
    let built = BUILT.lock().unwrap().entry(folder.to_owned()).or_default().clone();
    built
        .get_or_init(|| {
            // Other processes may build the same guest at the same time.
            let out = tempfile::tempdir().expect("a folder");
            let options = carpe_build::Options {
                out: Some(out.path().to_owned()),
                target_dir: Some(target().join("guests")),
                ..carpe_build::Options::default()
            };
            let component = carpe_build::build(&root().join(folder), &options).expect("the rule builds");
            std::fs::read(component).expect("readable").into()
        })
        .clone()
}

/// Few instances, and a cache of compiled components that all tests share: it goes by their content.
pub fn sandbox() -> SandboxOptions {
    SandboxOptions {
        max_instances: 200,
        cache_dir: Some(target().join("guests/compiled")),
        ..SandboxOptions::default()
    }
}
