//! `carpe check`: what a plugin is and needs, and whether a host would take it.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use carpe::Manifest;
use carpe::plugin::{Inspection, inspect};
use carpe::rule::{KeyedBy, Subscription};
use carpe::sandbox::{Sandbox, SandboxOptions};
use serde::Serialize;

use crate::args::CheckArgs;
use crate::config::Config;
use crate::failure::{Failure, causes, listed};
use crate::output::{bytes, columns, print, print_json};

/// A manifest with more is none that anybody wrote.
const MANIFEST_BYTES: u64 = 1 << 20;

pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode, Failure> {
    // Without a cache: how long it takes to compile is part of the answer.
    let sandbox = Sandbox::new(SandboxOptions::default()).map_err(anyhow::Error::new)?;
    let config = Config::load(args.config.as_deref())?;
    let mut wrong = false;
    for file in &args.files {
        let checked = check_file(&sandbox, file, &config);
        wrong |= checked.as_ref().map_or(true, |plugin| !plugin.ways.is_empty());
        match (&checked, args.json) {
            (Ok(plugin), false) => {
                print(&plugin.describe())?;
                if !plugin.ways.is_empty() {
                    eprint!("{}: not all of its actions would go out\n{}", plugin.file, listed(&plugin.ways));
                }
            }
            (Err(error), false) => {
                eprint!("{}: a host would refuse it\n{}", file.display(), listed(&causes(error.as_ref())));
            }
            (Ok(plugin), true) => print_json(plugin)?,
            (Err(error), true) => print_json(&Refused {
                file: file.display().to_string(),
                accepted: false,
                reasons: causes(error.as_ref()),
            })?,
        }
    }
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn check_file(sandbox: &Sandbox, file: &Path, config: &Config) -> anyhow::Result<Checked> {
    let component = read(file, SandboxOptions::default().max_component_bytes as u64)?;
    let (manifest_file, manifest) = manifest_of(file)?.unzip();
    let inspection = inspect(sandbox, &component, manifest.as_ref().unwrap_or(&Manifest::default()))?;
    let routes = manifest.as_ref().map(|manifest| manifest.routes.as_slice()).unwrap_or_default();
    Ok(Checked {
        ways: config.ways_missing(&inspection.description.actions, routes),
        file: file.display().to_string(),
        accepted: true,
        rule: manifest
            .as_ref()
            .and_then(|manifest| manifest.name.clone())
            .unwrap_or_else(|| inspection.description.name.clone()),
        manifest: manifest_file.map(|file| file.display().to_string()),
        plugin: inspection,
    })
}

/// What stands beside a component, or beside the folder that it is built from.
pub(super) fn manifest_of(file: &Path) -> anyhow::Result<Option<(PathBuf, Manifest)>> {
    let path = file.with_extension("toml");
    match read(&path, MANIFEST_BYTES) {
        Ok(text) => {
            let manifest = Manifest::parse(&path, &text)?;
            Ok(Some((path, manifest)))
        }
        Err(error) if is_not_there(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The content of a file, up to a limit.
pub(super) fn read(file: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let open = || format!("cannot read {}", file.display());
    let opened = std::fs::File::open(file).with_context(open)?;
    let mut content = Vec::new();
    opened.take(limit + 1).read_to_end(&mut content).with_context(open)?;
    if content.len() as u64 > limit {
        bail!("{} is larger than {}, which is the limit", file.display(), bytes(limit));
    }
    Ok(content)
}

fn is_not_there(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

/// A plugin that a host would take.
#[derive(Serialize)]
struct Checked {
    file: String,
    accepted: bool,
    rule: String,
    manifest: Option<String>,
    /// What is wrong with the ways of its actions out of the host.
    #[serde(rename = "routes_wrong")]
    ways: Vec<String>,
    #[serde(flatten)]
    plugin: Inspection,
}

#[derive(Serialize)]
struct Refused {
    file: String,
    accepted: bool,
    reasons: Vec<String>,
}

impl Checked {
    fn describe(&self) -> String {
        let Inspection { description, contract, hash, imports, memory_bytes, load_ms, start_ms, .. } =
            &self.plugin;
        let list = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push([name.to_owned(), value]);
        row("rule", format!("{} {}: {}", self.rule, description.version, description.summary));
        row("contract", format!("carpe:rule@{contract}"));
        match description.subscriptions.as_slice() {
            [] => row("subscribes", "to nothing: it will never be called".to_owned()),
            subscriptions => subscriptions.iter().for_each(|one| row("subscribes", subscription(one))),
        }
        row("moments", list(&description.moments));
        row("actions", list(&description.actions));
        row("imports", list(imports));
        row(
            "settings",
            match (&self.manifest, &description.settings) {
                (Some(file), _) => format!("from {file}"),
                (None, Some(_)) => format!("none; its schema: `carpe check --json {}`", self.file),
                (None, None) => "none".to_owned(),
            },
        );
        row("state", {
            let migrates = if self.plugin.migrates { ", and it brings older state along" } else { "" };
            format!("version {}{migrates}", description.state_version)
        });
        row(
            "needs",
            format!(
                "{} of memory at the start; {load_ms} ms to compile, {start_ms} ms to start; the file has {}",
                bytes(*memory_bytes as u64),
                bytes(self.plugin.bytes as u64)
            ),
        );
        row("hash", hash.clone());
        format!("{}: a host would take it\n{}", self.file, indented(&columns(&rows)))
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn subscription(subscription: &Subscription) -> String {
    let key = match &subscription.keyed_by {
        KeyedBy::Attribute(name) => format!("keyed by {name}"),
        KeyedBy::Data(pointer) => format!("keyed by {pointer} of its data"),
        KeyedBy::Nothing => "all with one key".to_owned(),
    };
    let filter = subscription.filter.as_ref().map(|filter| format!(", where {filter}")).unwrap_or_default();
    format!("{}, {key}{filter}", subscription.event_type)
}
