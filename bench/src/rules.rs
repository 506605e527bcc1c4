//! The rules that are measured, built for WebAssembly.

use std::path::{Path, PathBuf};

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
