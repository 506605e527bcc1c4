//! Builds the command `carpe`: Cargo tells tests only of the binaries of their own package.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::guests::root;

/// The command, built once in a test run, where the tests themselves were built and as they were.
pub fn carpe() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build_one("carpe", &[]))
}

/// The same with the faults in it that `CARPE_PLANT` turns on: see `planted.rs` in the engine.
pub fn carpe_with_planted_faults() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = build_one("carpe-planted", &["--features", "planted-faults"]);
        // Only the crates of the workspace are compiled twice. Both commands would have the same name there:
        // leave the one that people mean.
        build_one("carpe", &[]);
        built
    })
}

/// Builds the command, and gives it a name of its own.
fn build_one(name: &str, features: &[&str]) -> PathBuf {
    // Another build in between would replace it.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    // TARGET/debug/deps/main-1234, or TARGET/debug/crash
    let own = std::env::current_exe().expect("the test's own path");
    let beside = own.parent().expect("its folder");
    let of_profile =
        if beside.ends_with("deps") { beside.parent().expect("the profile's folder") } else { beside };
    let (target, profile) = (of_profile.parent().expect("the target folder"), of_profile.file_name());
    let profile = profile.and_then(|name| name.to_str()).filter(|&name| name != "debug").unwrap_or("dev");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "carpe-cli", "--profile", profile])
        .args(features)
        .arg("--target-dir")
        .arg(target)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{name} does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    // Under a name of its own: who builds another `carpe` there meanwhile replaces only theirs. A link, since a file
    // that somebody may still write to cannot be run.
    let link = own.with_extension(name);
    let _ = std::fs::remove_file(&link);
    std::fs::hard_link(of_profile.join("carpe"), &link).expect("a link to the command");
    link
}
