//! Where the built examples are.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::configuration::RULES;
use crate::failure::{Failure, Kind};

/// The folder of all components of the city; or which are missing, and how they are built.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = match named {
        Some(folder) => folder.to_owned(),
        None => {
            let program = std::env::current_exe().context("cannot find this command")?;
            program.ancestors().nth(2).unwrap_or(Path::new("")).join("plugins")
        }
    };
    let missing: Vec<&str> = RULES
        .iter()
        .map(|rule| rule.name)
        .filter(|name| !folder.join(format!("{name}.wasm")).is_file())
        .collect();
    if missing.is_empty() {
        return Ok(folder);
    }
    let files = missing.iter().map(|name| format!("{name}.wasm")).collect::<Vec<_>>().join(", ");
    let what = format!("the city lacks plugins: {files} not in {}", folder.display());
    Err(Failure::new(Kind::Failed, what).with_hint(format!(
        "`make plugins` builds all of them; `carpe build plugins/{} --out {}` builds one; --plugins FOLDER says where they are",
        missing[0],
        folder.display()
    )))
}
