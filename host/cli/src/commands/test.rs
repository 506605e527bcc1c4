//! `carpe test`: stories told to a rule, in several ways that must make no difference to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use carpe::Manifest;
use carpe::plugin::inspect;
use carpe::rule::Description;
use carpe::sandbox::{Sandbox, SandboxOptions};
use carpe_scenario::Scenario;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::Value;

use crate::args::TestArgs;
use crate::failure::{Failure, causes, listed};
use crate::output::print;

/// What stands for the rule that is tried, in a story.
pub(super) const OWN: &str = ".";

pub(crate) fn test(args: &TestArgs) -> Result<ExitCode, Failure> {
    let failed = tell_all(args, None, None)?;
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Tells a rule its stories, and prints what came of them. `built`: the rule's component, if it is built already; `cache`:
/// where compiled components are kept, beyond this. Returns how many failed.
pub(super) fn tell_all(
    args: &TestArgs,
    built: Option<Arc<[u8]>>,
    cache: Option<PathBuf>,
) -> anyhow::Result<usize> {
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let known = built.map(|component| (OWN.to_owned(), component)).into_iter().collect();
    let mut rules = Rules { args, known };
    let own = rules.load(OWN)?;
    let stories = stories(&args.rule, args.scenarios.as_deref(), args.only.as_deref())?;
    let sandbox = SandboxOptions {
        // What is compiled once is used by all hosts that stories are told to.
        cache_dir: Some(cache.unwrap_or_else(|| scratch.path().join("compiled"))),
        ..SandboxOptions::default()
    };
    let mut suite = TestSuite::new("scenarios");
    let mut coverage = Coverage::default();
    let mut failed = 0;
    for (name, folder) in &stories {
        let begun = Instant::now();
        let wrong = match tell(folder, &mut rules, &sandbox, args.seed, &mut coverage) {
            Ok(wrong) => wrong,
            Err(error) => Some(listed(&causes(error.as_ref()))),
        };
        let took = begun.elapsed();
        let mut status = TestCaseStatus::success();
        match &wrong {
            None => print(&format!("ok      {name} ({} ms)\n", took.as_millis()))?,
            Some(wrong) => {
                failed += 1;
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_description(wrong.clone());
                print(&format!("FAILED  {name}\n{}", indented(wrong)))?;
            }
        }
        let mut case = TestCase::new(name.clone(), status);
        case.set_time(took);
        suite.add_test_case(case);
    }
    if let Some(file) = &args.junit {
        let mut report = Report::new("carpe test");
        report.add_test_suite(suite);
        let text = report.to_string().context("cannot write the report")?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let own_description = describe(&sandbox, &own, &coverage);
    if let Some(description) = own_description {
        print(&coverage.told(&description))?;
    }
    let stories = match stories.len() {
        1 => "1 story".to_owned(),
        count => format!("{count} stories"),
    };
    print(&format!("{stories}, {failed} failed\n"))?;
    Ok(failed)
}

/// A rule's stories, by their names.
pub(super) fn stories(
    rule: &Path,
    scenarios: Option<&Path>,
    only: Option<&str>,
) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let folder = match scenarios {
        Some(folder) => folder.to_owned(),
        None if rule.is_dir() => rule.join("scenarios"),
        None => rule.with_extension("").join("scenarios"),
    };
    let entries = std::fs::read_dir(&folder).with_context(|| {
        format!("there are no stories in {}: name their folder by --scenarios", folder.display())
    })?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.join("scenario.toml").is_file() && only.is_none_or(|only| name.contains(only)) {
            found.push((name, path));
        }
    }
    if found.is_empty() {
        bail!("there are no stories in {}: one is a folder with a `scenario.toml`", folder.display());
    }
    found.sort();
    Ok(found)
}

/// Components, by what stories call them.
struct Rules<'a> {
    args: &'a TestArgs,
    known: BTreeMap<String, Arc<[u8]>>,
}

impl Rules<'_> {
    fn load(&mut self, name: &str) -> anyhow::Result<Arc<[u8]>> {
        if let Some(known) = self.known.get(name) {
            return Ok(Arc::clone(known));
        }
        let path = match name {
            OWN => self.args.rule.clone(),
            // Another rule that is part of the story.
            name if self.args.rule.is_dir() => self.args.rule.join(name),
            name => self.args.rule.parent().unwrap_or(Path::new("")).join(name),
        };
        let component: Arc<[u8]> = match path.is_dir() {
            true => build(&path, self.args.target_dir.as_deref())?,
            false => std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?.into(),
        };
        self.known.insert(name.to_owned(), Arc::clone(&component));
        Ok(component)
    }
}

/// Builds a rule, and is silent if that goes well.
pub(super) fn build(folder: &Path, target_dir: Option<&Path>) -> anyhow::Result<Arc<[u8]>> {
    // Tools run in the folder of source: a relative path is meant from here.
    let target_dir = target_dir.map(std::path::absolute).transpose().context("cannot find --target-dir")?;
    let options = carpe_build::Options { out: None, target_dir, verbose: false };
    Ok(carpe_build::component(folder, &options)?.into())
}

/// Tells a story in all ways. Returns what is wrong, if something is.
fn tell(
    folder: &Path,
    rules: &mut Rules<'_>,
    sandbox: &SandboxOptions,
    seed: u64,
    coverage: &mut Coverage,
) -> anyhow::Result<Option<String>> {
    let story = Scenario::read(folder)?;
    for plugin in story.plugins() {
        rules.load(plugin)?;
    }
    let (told, wrong) = story.check(&|plugin| rules.known.get(plugin).cloned(), sandbox, seed)?;
    coverage.add(&story, &told);
    Ok(wrong.map(|wrong| wrong.to_string()))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("        {line}\n")).collect()
}

/// What the rule says that it is, if it starts with a configuration of the stories, or without one.
fn describe(sandbox: &SandboxOptions, component: &[u8], coverage: &Coverage) -> Option<Description> {
    let sandbox = Sandbox::new(sandbox.clone()).ok()?;
    let with = |configuration| {
        let mut manifest = Manifest::default();
        manifest.configuration = configuration;
        inspect(&sandbox, component, &manifest).ok()
    };
    let found = coverage.configurations.iter().cloned().find_map(with);
    found.or_else(|| with(Default::default())).map(|inspection| inspection.description)
}

/// What of a rule its stories have come past.
#[derive(Default)]
struct Coverage {
    types: BTreeSet<String>,
    moments: BTreeSet<String>,
    actions: BTreeSet<String>,
    configurations: Vec<carpe::plugin::Configuration>,
}

impl Coverage {
    fn add(&mut self, story: &Scenario, told: &[Value]) {
        self.types.extend(story.events().map(|event| event.kind.to_string()));
        self.configurations.extend(story.configurations(OWN).cloned());
        for line in told {
            let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
            self.moments.extend(text(line, "moment"));
            self.actions
                .extend(line["actions"].as_array().into_iter().flatten().filter_map(|one| text(one, "name")));
        }
    }

    fn told(&self, description: &Description) -> String {
        let given = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => self.types.iter().any(|kind| kind.starts_with(start)),
            None => self.types.contains(pattern),
        };
        let subscriptions = description.subscriptions.iter().map(|one| one.event_type.as_str());
        let mut text = String::new();
        let mut row = |what: &str, all: Vec<&str>, seen: &dyn Fn(&str) -> bool| {
            let missed: Vec<_> = all.iter().filter(|one| !seen(one)).map(|one| format!("`{one}`")).collect();
            let note =
                if missed.is_empty() { String::new() } else { format!("; never {}", missed.join(", ")) };
            let _ = writeln!(text, "covered {what} {} of {}{note}", all.len() - missed.len(), all.len());
        };
        row("subscriptions", subscriptions.collect(), &given);
        row("moments", description.moments.iter().map(String::as_str).collect(), &|one| {
            self.moments.contains(one)
        });
        row("actions", description.actions.iter().map(String::as_str).collect(), &|one| {
            self.actions.contains(one)
        });
        text
    }
}
