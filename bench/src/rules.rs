//! The rules that are measured, built for WebAssembly.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::Setup;

/// The component of a rule, by the folder of its source from the repository's root.
pub(crate) fn component(setup: &Setup, folder: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository")?;
    let out = setup.folder.join("components");
    std::fs::create_dir_all(&out)?;
    let options = carpe_build::Options {
        out: Some(out),
        target_dir: Some(setup.folder.join("guests")),
        ..carpe_build::Options::default()
    };
    Ok(carpe_build::build(&root.join(folder), &options)?)
}

/// A rule without components: the core module of a package of `bench/guests`.
pub(crate) fn module(setup: &Setup, package: &str) -> Result<PathBuf> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let target = setup.folder.join("guests");
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--target", TARGET, "--package", package, "--target-dir"])
        .arg(&target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/guests"))
        // Flags that a surrounding build was given are for that build's target.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .context("cannot run `cargo`")?;
    anyhow::ensure!(built.success(), "`{package}` does not build");
    Ok(target.join(TARGET).join("release").join(format!("{}.wasm", package.replace('-', "_"))))
}
