//! Builds the command `carpe`: Cargo tells tests only of the binaries of their own package.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::guests::root;

/// The command, built once in a test run, where the tests themselves were built and as they were.
pub(super) fn path() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> PathBuf {
    // TARGET/debug/deps/main-1234
    let test = std::env::current_exe().expect("the test's own path");
    let of_profile = test.ancestors().nth(2).expect("the profile's folder");
    let (target, profile) = (of_profile.parent().expect("the target folder"), of_profile.file_name());
    let profile = profile.and_then(|name| name.to_str()).filter(|&name| name != "debug").unwrap_or("dev");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "carpe-cli", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "carpe does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    // Under a name of its own: who builds another `carpe` there meanwhile replaces only theirs. A link, since a file
    // that somebody may still write to cannot be run.
    let own = test.with_extension("carpe");
    let _ = std::fs::remove_file(&own);
    std::fs::hard_link(of_profile.join("carpe"), &own).expect("a link to the command");
    own
}
