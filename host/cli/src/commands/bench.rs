//! `carpe bench`: what a rule costs, and how near it comes to its limits.

mod measure;

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use carpe::plugin::Configuration;
use carpe::sandbox::{Sandbox, SandboxOptions};
use carpe::{Event, Limits, PackedEvent};
use carpe_scenario::Scenario;
use serde::Serialize;

use super::check::{manifest_of, read};
use super::test::{OWN, build, stories};
use crate::args::BenchArgs;
use crate::failure::Failure;
use crate::output::{bytes, columns, counted, grouped, print, print_json};
use measure::{Extremes, Measured, Tried};

const EVENT_BYTES: usize = 1 << 20;
/// All of them are held in memory.
const EVENTS: usize = 1_000_000;
/// From this share of a limit on, a figure is marked.
const NEAR_PERCENT: u64 = 50;

/// What a rule is configured with, and what it is then given: one stream, or several that have nothing to do with each other.
type Told = (Configuration, Vec<Vec<PackedEvent>>);

pub(crate) fn bench(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let options = SandboxOptions::default();
    let component: Arc<[u8]> = match args.rule.is_dir() {
        true => build(&args.rule, args.target_dir.as_deref())?,
        false => read(&args.rule, options.max_component_bytes as u64)?.into(),
    };
    let manifest =
        manifest_of(&component_path(&args.rule)?)?.map(|(_, manifest)| manifest).unwrap_or_default();
    let told = match &args.events {
        Some(events) => vec![(manifest.configuration.clone(), vec![events_of(events)?])],
        None => stories_of(args)?,
    };

    // Without a cache: how long it takes to compile is part of the answer.
    let sandbox = Sandbox::new(options).map_err(anyhow::Error::new)?;
    let begun = Instant::now();
    let loaded =
        sandbox.load(&component).with_context(|| format!("a host would refuse {}", args.rule.display()))?;
    let compiled = begun.elapsed();
    let limits = manifest.limits.over(&Limits::default());
    let tried = told
        .iter()
        .map(|(configuration, streams)| Tried::start(&loaded, configuration, &limits, streams))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let Some(first) = tried.iter().find(|tried| tried.inputs() > 0) else {
        return Err(anyhow!("of the events, the rule subscribes to none: give it others by --events").into());
    };
    let mut extremes = Extremes::default();
    let mut batches = Vec::new();
    for batch in &args.batches {
        let time = Duration::from_millis(args.milliseconds);
        batches.push(measure::measure(&tried, batch.get(), time, &mut extremes)?);
    }
    let report = Report {
        rule: first.description.name.clone(),
        version: first.description.version.clone(),
        component_bytes: component.len() as u64,
        compile_ms: u64::try_from(compiled.as_millis()).unwrap_or(u64::MAX),
        start_us: tried.iter().map(|tried| measure::micros(tried.took_to_start)).max().unwrap_or(0),
        inputs: tried.iter().map(Tried::inputs).sum(),
        batches,
        extremes,
    };
    match args.json {
        true => print_json(&report)?,
        false => print(&report.describe(&limits))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the component is, or where a folder of source is built to: what an operator sets lies beside it.
fn component_path(rule: &Path) -> anyhow::Result<PathBuf> {
    if !rule.is_dir() {
        return Ok(rule.to_owned());
    }
    // `.` has no name of its own, and a folder's name may have a dot in it.
    let folder = std::fs::canonicalize(rule).with_context(|| format!("cannot open {}", rule.display()))?;
    let mut path = folder.into_os_string();
    path.push(".wasm");
    Ok(path.into())
}

fn events_of(file: &Path) -> anyhow::Result<Vec<PackedEvent>> {
    let open = || format!("cannot read {}", file.display());
    let lines = std::io::BufReader::new(std::fs::File::open(file).with_context(open)?).lines();
    let mut events = Vec::new();
    for (line, number) in lines.zip(1..) {
        let line = line.with_context(open)?;
        if line.trim().is_empty() {
            continue;
        }
        if events.len() == EVENTS {
            bail!("{} has more than {} events: fewer will do", file.display(), grouped(EVENTS as u64));
        }
        let event = Event::from_json(line.as_bytes(), EVENT_BYTES);
        let event = event.with_context(|| format!("{}:{number}: it is no event", file.display()))?;
        events.push(event.into());
    }
    Ok(events)
}

/// All that stories give to the rule, with the configurations that they give it.
fn stories_of(args: &BenchArgs) -> anyhow::Result<Vec<Told>> {
    let found = stories(&args.rule, None, None)
        .context("without --events, a rule is measured with the events of its stories")?;
    let mut told: Vec<Told> = Vec::new();
    for (_, folder) in found {
        let story = Scenario::read(&folder)?;
        for configuration in story.configurations(OWN) {
            let stream: Vec<PackedEvent> = story.events().cloned().map(PackedEvent::from).collect();
            match told.iter_mut().find(|(known, _)| known == configuration) {
                Some((_, streams)) => streams.push(stream),
                None => told.push((configuration.clone(), vec![stream])),
            }
        }
    }
    Ok(told)
}

/// What came of it.
#[derive(Serialize)]
struct Report {
    rule: String,
    version: String,
    component_bytes: u64,
    compile_ms: u64,
    start_us: u64,
    inputs: usize,
    batches: Vec<Measured>,
    #[serde(flatten)]
    extremes: Extremes,
}

impl Report {
    fn describe(&self, limits: &Limits) -> String {
        let mut text = format!(
            "{} {}: {}, over and over\n{} of component; {} ms to compile, {} us to start\n\n",
            self.rule,
            self.version,
            counted(self.inputs as u64, "input"),
            bytes(self.component_bytes),
            grouped(self.compile_ms),
            grouped(self.start_us),
        );
        let mut rows = vec![["BATCH", "NS/INPUT", "INPUTS", "LONGEST CALL"].map(str::to_owned)];
        rows.extend(self.batches.iter().map(|measured| {
            let Measured { batch, ns_per_input, inputs, longest_us } = *measured;
            [
                grouped(batch as u64),
                grouped(ns_per_input),
                grouped(inputs),
                format!("{} us", grouped(longest_us)),
            ]
        }));
        text += &columns(&rows);
        text.push('\n');
        let most = &self.extremes;
        let mut rows = vec![["AT MOST", "", "LIMIT", "", "IN [limits]"].map(str::to_owned)];
        let mut row = |what: &str, found: u64, limit: u64, name: &str, shown: fn(u64) -> String| {
            let percent = found.saturating_mul(100).checked_div(limit).unwrap_or(100);
            let near = if percent >= NEAR_PERCENT { ", near it" } else { "" };
            rows.push([
                what.to_owned(),
                shown(found),
                shown(limit),
                format!("{percent} %{near}"),
                name.to_owned(),
            ]);
        };
        let longest = self.batches.iter().map(|measured| measured.longest_us).max().unwrap_or(0);
        let millis: fn(u64) -> String = |count| format!("{} ms", grouped(count));
        row("time of a start", self.start_us / 1_000, limits.init_cpu_ms, "init_cpu_ms", millis);
        row("time of a call", longest / 1_000, limits.handle_cpu_ms, "handle_cpu_ms", millis);
        row("memory", most.memory_bytes, limits.memory_bytes as u64, "memory_bytes", bytes);
        row("state of a key", most.state_bytes, limits.state_bytes as u64, "state_bytes", bytes);
        row("returned by a call", most.returned_bytes, limits.effects_bytes as u64, "effects_bytes", bytes);
        row(
            "moments of an input",
            most.moments,
            limits.moments_per_input as u64,
            "moments_per_input",
            grouped,
        );
        row(
            "actions of a moment",
            most.actions,
            limits.actions_per_moment as u64,
            "actions_per_moment",
            grouped,
        );
        row("timers of an input", most.timers, limits.timers_per_input as u64, "timers_per_input", grouped);
        text += &columns(&rows);
        if let Some(failed) = &most.first_failure {
            text += &format!("\n{} set aside, the first with: {failed}\n", counted(most.failures, "input"));
        }
        text
    }
}
