//! An npm package, and what is installed for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::BuildError;

/// What the SDK exports for whoever builds a rule with it.
const GUEST: &str = "src/guest.js";

/// A rule's package.
pub(super) struct Package {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: String,
    manifest: Manifest,
}

/// A program that a package brings along.
pub(super) struct Tool {
    /// A script for Node.
    pub(super) program: PathBuf,
    pub(super) version: String,
    /// Where tools of this `node_modules` keep what they can make again.
    pub(super) cache: PathBuf,
}

/// A package.json, as far as it matters here.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Manifest {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    main: Option<String>,
    carpe: Carpe,
    dependencies: BTreeMap<String, serde_json::Value>,
    dev_dependencies: BTreeMap<String, serde_json::Value>,
}

/// What it says for Carpe.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Carpe {
    /// The file that exports the rule, if it is not `main`.
    rule: Option<String>,
    /// Whether the rule brings states of earlier versions along.
    migrates: bool,
}

impl Package {
    pub(super) fn read(folder: &Path) -> Result<Self, BuildError> {
        let mut manifest = read_manifest(folder)?;
        let fault = |what: &str| fault(folder, what.to_owned());
        Ok(Package {
            folder: folder.to_owned(),
            name: manifest.name.take().ok_or_else(|| fault("has no `name`: it is the rule's"))?,
            version: manifest.version.take().ok_or_else(|| fault("has no `version`: it is the rule's"))?,
            description: manifest.description.take().unwrap_or_default(),
            manifest,
        })
    }

    pub(super) fn migrates(&self) -> bool {
        self.manifest.carpe.migrates
    }

    /// The file that exports the rule.
    pub(super) fn entry(&self) -> Result<PathBuf, BuildError> {
        let entry = self.manifest.carpe.rule.as_ref().or(self.manifest.main.as_ref());
        let entry = entry.ok_or_else(|| {
            self.fault(
                "does not say which file exports the rule: give it a `main`, e.g. \"src/rule.ts\"".to_owned(),
            )
        })?;
        let path = self.folder.join(entry);
        if path.is_file() {
            Ok(path)
        } else {
            Err(self.fault(format!("says that {entry} exports the rule: there is no such file")))
        }
    }

    /// The SDK's part that a component exports; none for a rule without the SDK.
    pub(super) fn guest(&self) -> Result<Option<PathBuf>, BuildError> {
        const SDK: &str = "carpe-sdk";
        match self.installed(SDK) {
            // As the bundler sees it, which follows links: otherwise it would be there twice.
            Some(folder) => {
                let path = folder.join(GUEST);
                fs::canonicalize(&path).map(Some).map_err(|source| BuildError::Io {
                    doing: "find the SDK",
                    path,
                    source,
                })
            }
            None if self.names(SDK) => Err(self.missing(SDK, "")),
            None => Ok(None),
        }
    }

    /// A program of the package of the same name.
    pub(super) fn tool(&self, name: &'static str) -> Result<Tool, BuildError> {
        let missing = || self.missing(name, "--save-dev");
        let package = self.installed(name).ok_or_else(missing)?;
        let modules = package.parent().ok_or_else(missing)?;
        // A link to the script. Node is told to run that, since only Unix can run the link.
        let program = fs::canonicalize(modules.join(".bin").join(name)).map_err(|_| missing())?;
        let version = read_manifest(&package)?.version.unwrap_or_default();
        Ok(Tool { program, version, cache: modules.join(".cache/carpe") })
    }

    pub(super) fn fault(&self, what: String) -> BuildError {
        fault(&self.folder, what)
    }

    /// As Node looks for it: in the folder's `node_modules`, and then its parents'.
    fn installed(&self, name: &str) -> Option<PathBuf> {
        let mut folders = self.folder.ancestors().map(|folder| folder.join("node_modules").join(name));
        folders.find(|folder| folder.join("package.json").is_file())
    }

    fn missing(&self, package: &'static str, how: &'static str) -> BuildError {
        BuildError::NoPackage { package, how, folder: self.folder.clone(), is_named: self.names(package) }
    }

    fn names(&self, package: &str) -> bool {
        self.manifest.dependencies.contains_key(package)
            || self.manifest.dev_dependencies.contains_key(package)
    }
}

fn read_manifest(folder: &Path) -> Result<Manifest, BuildError> {
    let path = folder.join("package.json");
    let text = fs::read_to_string(&path).map_err(|source| BuildError::Io {
        doing: "read the package",
        path: path.clone(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|error| fault(folder, format!("cannot be used: {error}")))
}

fn fault(folder: &Path, what: String) -> BuildError {
    BuildError::Package { path: folder.join("package.json"), what }
}
