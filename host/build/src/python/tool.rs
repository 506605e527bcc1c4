//! Finds componentize-py, and the SDK.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::BuildError;
use crate::environment::{looked, programs};

use super::manifest::Manifest;

/// What was tried; other versions may do.
const VERSION: &str = "0.25.1";

/// An installed componentize-py.
pub(super) struct Tool {
    path: PathBuf,
}

impl Tool {
    pub(super) fn find(folder: &Path) -> Result<Self, BuildError> {
        let found = programs(folder).map(|bin| bin.join("componentize-py")).find(|path| path.is_file());
        found.map(|path| Tool { path }).ok_or_else(|| BuildError::NoTool {
            tool: "componentize-py",
            looked: looked(folder),
            remedy: format!(
                "run `python3 -m venv .venv && .venv/bin/pip install componentize-py=={VERSION}` there or above"
            ),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        // Its own frames help no author; and what Python is told from outside is for another Python.
        for variable in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "PYTHONPATH", "PYTHONHOME"] {
            command.env_remove(variable);
        }
        command
    }

    /// Where its environment keeps packages.
    pub(super) fn site_packages(&self) -> Option<PathBuf> {
        let lib = self.path.parent()?.parent()?.join("lib");
        let mut found: Vec<PathBuf> = fs::read_dir(lib)
            .ok()?
            .flatten()
            .map(|entry| entry.path().join("site-packages"))
            .filter(|path| path.is_dir())
            .collect();
        found.sort();
        found.pop()
    }

    /// Which version it is, and, if they matter, those of all packages beside it.
    pub(super) fn identity(&self, with_packages: bool) -> String {
        let entries = self.site_packages().and_then(|path| fs::read_dir(path).ok());
        let mut names: Vec<OsString> = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| {
                let name = name.to_string_lossy();
                name.ends_with(".dist-info") && (with_packages || name.starts_with("componentize_py-"))
            })
            .collect();
        names.sort();
        format!("{names:?}")
    }
}

/// The folder that `carpe_sdk` lies in.
pub(super) fn find_sdk(folder: &Path, manifest: &Manifest, tool: &Tool) -> Result<PathBuf, BuildError> {
    let is_sdk = |path: &PathBuf| path.join("carpe_sdk/__init__.py").is_file();
    if let Some(named) = &manifest.sdk {
        let path = folder.join(named);
        return if is_sdk(&path) {
            Ok(path)
        } else {
            Err(manifest.error(format!(
                "`sdk = {named:?}` under `[tool.carpe]` should be the folder `sdk/python` of Carpe's repository: there \
                 is no `carpe_sdk` in {}",
                path.display()
            )))
        };
    }
    tool.site_packages().filter(is_sdk).ok_or_else(|| BuildError::NoTool {
        tool: "the package `carpe-sdk`",
        looked: format!("the environment of {}", tool.path().display()),
        remedy: "install it there with its pip (not as editable), or say where it lies: `sdk = \"../../sdk/python\"` \
                 under `[tool.carpe]` in pyproject.toml"
            .to_owned(),
    })
}
