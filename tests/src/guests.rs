//! Builds the guests of `tests/guests`, each once in a test run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use carpe::sandbox::SandboxOptions;

/// The guests that tests use: [`guest`] builds no other.
pub const GUESTS: [&str; 4] = ["counter", "counter-migrating", "hostile", "overheat"];

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent").to_owned()
}

/// Where Cargo keeps what it makes: also what the tests make that is worth keeping.
fn target() -> PathBuf {
    let given = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    given.unwrap_or_else(|| root().join("target"))
}

/// The component of a guest, by the name of its folder.
pub fn guest(name: &str) -> Arc<[u8]> {
    type Built = Arc<OnceLock<Arc<[u8]>>>;
    static BUILT: LazyLock<Mutex<BTreeMap<String, Built>>> = LazyLock::new(Mutex::default);
    assert!(GUESTS.contains(&name), "add `{name}` to the list of guests");
    let built = BUILT.lock().unwrap().entry(name.to_owned()).or_default().clone();
    built
        .get_or_init(|| {
            // Other processes may build the same guest at the same time.
            let out = tempfile::tempdir().expect("a folder");
            let options = carpe_build::Options {
                out: Some(out.path().to_owned()),
                target_dir: Some(target().join("guests")),
                ..carpe_build::Options::default()
            };
            let folder = root().join("tests/guests").join(name);
            let component = carpe_build::build(&folder, &options).expect("the guest builds");
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
