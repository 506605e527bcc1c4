//! `pyproject.toml`, as far as it matters here.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::BuildError;

use super::APP;

/// What a rule's package says of itself.
pub(super) struct Manifest {
    path: PathBuf,
    name: String,
    version: String,
    summary: String,
    /// The Python module that exports the rule.
    pub(super) module: String,
    /// Where the SDK lies, from the package's folder.
    pub(super) sdk: Option<PathBuf>,
    /// What it needs besides the SDK.
    pub(super) dependencies: Vec<String>,
    migrates: bool,
}

#[derive(Deserialize)]
struct PyProject {
    project: Option<Project>,
    #[serde(default)]
    tool: ToolTable,
}

#[derive(Deserialize)]
struct Project {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Default, Deserialize)]
struct ToolTable {
    #[serde(default)]
    carpe: CarpeTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CarpeTable {
    module: Option<String>,
    sdk: Option<PathBuf>,
    migrates: bool,
}

impl Manifest {
    pub(super) fn read(folder: &Path) -> Result<Self, BuildError> {
        let path = folder.join("pyproject.toml");
        let text = fs::read_to_string(&path).map_err(|source| BuildError::Io {
            doing: "read",
            path: path.clone(),
            source,
        })?;
        let error = |message: String| BuildError::Manifest { path: path.clone(), message };
        let PyProject { project, tool } =
            toml::from_str(&text).map_err(|problem| error(problem.to_string().trim_end().to_owned()))?;
        let project = project.ok_or_else(|| error("it has no table `[project]`".to_owned()))?;
        let missing = |field| error(format!("`[project]` has no `{field}`: every rule has one"));
        let name = project.name.ok_or_else(|| missing("name"))?;
        let version = project.version.ok_or_else(|| missing("version"))?;
        let module = tool.carpe.module.unwrap_or_else(|| name.replace(['-', '.'], "_"));
        if module.is_empty()
            || !module.chars().all(|character| character.is_alphanumeric() || character == '_')
        {
            return Err(error(format!(
                "`{module}` is no name of a module: say `module = \"...\"` under `[tool.carpe]`"
            )));
        }
        if module == APP || module == "plugin" {
            return Err(error(format!("the module cannot be called `{module}`: that name is taken")));
        }
        let is_other = |dependency: &String| !is_sdk(dependency);
        Ok(Manifest {
            dependencies: project.dependencies.into_iter().filter(is_other).collect(),
            name,
            version,
            summary: project.description,
            module,
            sdk: tool.carpe.sdk,
            migrates: tool.carpe.migrates,
            path,
        })
    }

    /// What is wrong with it.
    pub(super) fn error(&self, message: String) -> BuildError {
        BuildError::Manifest { path: self.path.clone(), message }
    }

    /// Which of the contract's worlds its component is of.
    pub(super) fn world(&self) -> &'static str {
        if self.migrates { "migrating-plugin" } else { "plugin" }
    }

    /// The module that componentize-py loads.
    pub(super) fn app(&self) -> String {
        let exports = if self.migrates { "Migration, Rule" } else { "Rule" };
        let migrates = if self.migrates { "True" } else { "False" };
        // A JSON string is a Python string too.
        let [module, name, version, summary] = [&self.module, &self.name, &self.version, &self.summary]
            .map(|text| serde_json::Value::from(text.as_str()).to_string());
        format!(
            "import importlib\n\
             from carpe_sdk import guest\n\
             from carpe_sdk.guest import {exports}\n\
             guest.load(lambda: importlib.import_module({module}), {name}, {version}, {summary}, {migrates})\n"
        )
    }
}

/// Is this requirement, e.g. `carpe-sdk>=0.1`, the SDK?
fn is_sdk(requirement: &str) -> bool {
    let name =
        requirement.split(|character: char| !(character.is_alphanumeric() || "-_.".contains(character)));
    name.into_iter().next().is_some_and(|name| name.to_lowercase().replace(['_', '.'], "-") == "carpe-sdk")
}
