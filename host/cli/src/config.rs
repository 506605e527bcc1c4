//! `carpe.toml`: how an operator wants a host to run.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use carpe::guardrail::Kind as GuardrailKind;
use carpe::journal::Durability;
use carpe::sandbox::SandboxOptions;
use carpe::{Guardrail, HostBuilder, Limits, Retention, Route, Target, Timeline};
use carpe_connect::config::{ListenConfig, SinkConfig, SourceConfig};
use serde::Deserialize;

use crate::failure::{Explain, Failure, Kind};

/// Every setting, with its default and what it does.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// The file that is looked for when none is named.
const USUAL_FILE: &str = "carpe.toml";

/// Where actions go that no route takes, if the configuration has neither routes nor a default: each is printed. Routes,
/// and the default, can name it too.
pub(crate) const STDOUT: &str = "stdout";

/// What a guardrail is called stands in each of its verdicts.
const GUARDRAIL_NAME_BYTES: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) plugins: PathBuf,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) timeline: Timeline,
    pub(crate) listen: ListenConfig,
    #[serde(rename = "source")]
    pub(crate) sources: Vec<SourceConfig>,
    #[serde(rename = "sink")]
    pub(crate) sinks: BTreeMap<String, SinkConfig>,
    #[serde(rename = "route")]
    pub(crate) routes: Vec<Route>,
    pub(crate) default_sink: Option<String>,
    #[serde(rename = "guardrail")]
    pub(crate) guardrails: BTreeMap<String, Guardrail>,
    pub(crate) consent_file: Option<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) intake: IntakeConfig,
    pub(crate) retry: RetryConfig,
    pub(crate) sandbox: SandboxConfig,
    pub(crate) journal: JournalConfig,
    pub(crate) checkpoints: CheckpointConfig,
    pub(crate) moments: MomentsConfig,
    pub(crate) log: LogConfig,
    pub(crate) shutdown: ShutdownConfig,
    /// The folder that relative paths start from.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: ".carpe".into(),
            plugins: "plugins".into(),
            threads: None,
            timeline: Timeline::default(),
            listen: ListenConfig::default(),
            sources: Vec::new(),
            sinks: BTreeMap::new(),
            routes: Vec::new(),
            default_sink: None,
            guardrails: BTreeMap::new(),
            consent_file: None,
            limits: Limits::default(),
            intake: IntakeConfig::default(),
            retry: RetryConfig::default(),
            sandbox: SandboxConfig::default(),
            journal: JournalConfig::default(),
            checkpoints: CheckpointConfig::default(),
            moments: MomentsConfig::default(),
            log: LogConfig::default(),
            shutdown: ShutdownConfig::default(),
            folder: PathBuf::new(),
        }
    }
}

/// `[intake]`: what is taken in, and how much may wait.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IntakeConfig {
    max_event_bytes: usize,
    max_waiting_events: usize,
    max_waiting_bytes: usize,
    known_events: usize,
    known_seconds: u32,
}

impl Default for IntakeConfig {
    fn default() -> Self {
        IntakeConfig {
            max_event_bytes: 1 << 20,
            max_waiting_events: 65_536,
            max_waiting_bytes: 64 << 20,
            known_events: 1_000_000,
            known_seconds: 600,
        }
    }
}

/// `[retry]`: when a sink is tried again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetryConfig {
    first_ms: u64,
    give_up_seconds: u64,
    timeout_ms: u64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig { first_ms: 500, give_up_seconds: 24 * 3600, timeout_ms: 30_000 }
    }
}

/// `[sandbox]`: what bounds all plugins together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SandboxConfig {
    max_instances: u32,
    max_component_bytes: usize,
    compile_timeout_ms: u64,
    cache_bytes: u64,
    idle_bytes: usize,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        let SandboxOptions {
            max_instances,
            max_component_bytes,
            cache_bytes,
            compile_timeout,
            idle_bytes,
            ..
        } = SandboxOptions::default();
        let compile_timeout_ms = u64::try_from(compile_timeout.as_millis()).unwrap_or(u64::MAX);
        SandboxConfig { max_instances, max_component_bytes, compile_timeout_ms, cache_bytes, idle_bytes }
    }
}

impl SandboxConfig {
    pub(crate) fn options(&self) -> SandboxOptions {
        SandboxOptions {
            max_instances: self.max_instances,
            max_component_bytes: self.max_component_bytes,
            cache_bytes: self.cache_bytes,
            idle_bytes: self.idle_bytes,
            compile_timeout: Duration::from_millis(self.compile_timeout_ms),
            ..SandboxOptions::default()
        }
    }
}

/// `[journal]`: when events are acknowledged, and what is kept of the past.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JournalConfig {
    segment_bytes: u64,
    compress: bool,
    durability: Acknowledged,
    relaxed_ms: u64,
    keep_seconds: u64,
    keep_bytes: u64,
    wait_seconds: u64,
    wait_bytes: u64,
    erase_seconds: u64,
}

/// When events are acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Acknowledged {
    #[default]
    Durable,
    Relaxed,
}

impl Default for JournalConfig {
    fn default() -> Self {
        let day = 24 * 3600;
        JournalConfig {
            segment_bytes: 64 << 20,
            compress: true,
            durability: Acknowledged::Durable,
            relaxed_ms: 100,
            keep_seconds: 7 * day,
            keep_bytes: 8 << 30,
            wait_seconds: 14 * day,
            wait_bytes: 16 << 30,
            erase_seconds: day,
        }
    }
}

impl JournalConfig {
    fn durability(&self) -> Durability {
        match self.durability {
            Acknowledged::Durable => Durability::Durable,
            Acknowledged::Relaxed => Durability::Relaxed,
        }
    }

    fn retention(&self) -> Retention {
        let mut retention = Retention::default();
        retention.keep_for = Duration::from_secs(self.keep_seconds);
        retention.keep_bytes = self.keep_bytes;
        retention.wait_for = Duration::from_secs(self.wait_seconds);
        retention.wait_bytes = self.wait_bytes;
        retention.erase_within = Duration::from_secs(self.erase_seconds);
        retention
    }
}

/// `[checkpoints]`: so that a start is quick.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CheckpointConfig {
    every_ms: u64,
    recover_within_ms: u64,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        CheckpointConfig { every_ms: 30_000, recover_within_ms: 5_000 }
    }
}

/// `[moments]`: what is printed on standard output.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MomentsConfig {
    pub(crate) print: PrintFormat,
}

/// How moments, and actions that go to `stdout`, are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrintFormat {
    #[default]
    Text,
    Json,
    None,
}

/// `[log]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    pub(crate) format: LogFormat,
    pub(crate) filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// `[shutdown]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ShutdownConfig {
    pub(crate) drain_ms: u64,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        ShutdownConfig { drain_ms: 10_000 }
    }
}

impl Config {
    /// Reads the file named, or `carpe.toml` if there is one, or takes the defaults.
    pub(crate) fn load(file: Option<&Path>) -> Result<Config, Failure> {
        match file {
            Some(file) => Config::read(file),
            None if Path::new(USUAL_FILE).exists() => Config::read(Path::new(USUAL_FILE)),
            None => Ok(Config::default()),
        }
    }

    fn read(file: &Path) -> Result<Config, Failure> {
        let text = std::fs::read(file)
            .with_context(|| format!("cannot read the configuration {}", file.display()))
            .kind(Kind::Config)?;
        let parsed: Result<Config, _> = carpe::plugin::parse_toml(file, &text);
        let mut config = parsed
            .map_err(anyhow::Error::new)
            .kind(Kind::Config)
            .hint("`carpe config --print-default` shows every setting")?;
        config.check(file)?;
        config.start_paths_from(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// What the types cannot say.
    fn check(&self, file: &Path) -> Result<(), Failure> {
        let of_routes = self.routes.iter().filter_map(|route| match &route.to {
            Target::Sink(sink) => Some((format!("the route of `{}`", route.action), sink)),
            Target::Host { .. } => None,
        });
        let default = self.default_sink.iter().map(|sink| ("`default_sink`".to_owned(), sink));
        for (what, sink) in of_routes.chain(default) {
            if !self.has_sink(sink) {
                let message = format!("{what} leads to the sink `{sink}`, which there is not");
                return Err(self.no_sink(file, &message, sink));
            }
        }
        for (name, guardrail) in &self.guardrails {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.is_empty() || name.len() > GUARDRAIL_NAME_BYTES || !name.chars().all(is_plain) {
                let name = name.escape_debug();
                let message = format!("{}: `guardrail.\"{name}\"` is no name of a guardrail", file.display());
                return Err(Failure::new(Kind::Config, message).with_hint(format!(
                    "1 to {GUARDRAIL_NAME_BYTES} of the characters A-Z, a-z, 0-9, `-`, `_` and `.`"
                )));
            }
            let GuardrailKind::Rate(rate) = &guardrail.kind else { continue };
            if !self.has_sink(&rate.sink) {
                let sink = &rate.sink;
                let message = format!("`guardrail.{name}` is for the sink `{sink}`, which there is not");
                return Err(self.no_sink(file, &message, sink));
            }
        }
        Ok(())
    }

    pub(crate) fn has_sink(&self, name: &str) -> bool {
        name == STDOUT || self.sinks.contains_key(name)
    }

    /// What is wrong with the ways of a plugin's actions out of the host, given the routes of its manifest.
    pub(crate) fn ways_missing(&self, actions: &[String], own: &[Route]) -> Vec<String> {
        let mut wrong = Vec::new();
        for route in own {
            if let Target::Sink(sink) = &route.to
                && !self.has_sink(sink)
            {
                wrong.push(format!(
                    "its route of `{}` leads to the sink `{sink}`, which the configuration has not; there are: {}",
                    route.action,
                    self.sink_names()
                ));
            }
        }
        if self.default_sink.is_some() || self.prints_actions() {
            return wrong;
        }
        let routes = || own.iter().chain(&self.routes);
        for action in actions {
            // One with a filter takes some of them: which, only the running host knows.
            if !routes().any(|route| route.matches(action)) {
                wrong.push(format!(
                    "no route takes the action `{action}`: it would be withheld; add a `[[route]]` for it, or `default_sink`"
                ));
            }
        }
        wrong
    }

    fn no_sink(&self, file: &Path, message: &str, sink: &str) -> Failure {
        Failure::new(Kind::Config, format!("{}: {message}", file.display()))
            .with_hint(format!("add `[sink.{sink}]`; there are: {}", self.sink_names()))
    }

    pub(crate) fn sink_names(&self) -> String {
        let mut names: Vec<&str> = self.sinks.keys().map(String::as_str).collect();
        if !names.contains(&STDOUT) {
            names.push(STDOUT);
        }
        names.join(", ")
    }

    /// What stands in the file is meant from its folder; what comes on the command line, from where one is.
    fn start_paths_from(&mut self, folder: &Path) {
        self.folder = folder.to_owned();
        let paths = [&mut self.data, &mut self.plugins].into_iter();
        let files =
            [&mut self.listen.token_file, &mut self.listen.operators_token_file, &mut self.consent_file];
        for path in paths.chain(files.into_iter().flatten()) {
            *path = folder.join(&*path);
        }
    }

    /// Whether actions are printed since no route says anything else.
    pub(crate) fn prints_actions(&self) -> bool {
        self.routes.is_empty() && self.default_sink.is_none() && self.moments.print != PrintFormat::None
    }

    /// A host as the configuration has it, but for its sinks.
    pub(crate) fn builder(&self) -> HostBuilder {
        let IntakeConfig {
            max_event_bytes,
            max_waiting_events,
            max_waiting_bytes,
            known_events,
            known_seconds,
        } = self.intake;
        let RetryConfig { first_ms, give_up_seconds, timeout_ms } = self.retry;
        let mut builder = carpe::Host::builder()
            .data_dir(&self.data)
            .plugins_dir(&self.plugins)
            .timeline(self.timeline)
            .limits(self.limits.clone())
            .max_event_bytes(max_event_bytes)
            .intake_bounds(max_waiting_events, max_waiting_bytes)
            .known_ids(known_events, Duration::from_secs(known_seconds.into()))
            .retries(
                Duration::from_millis(first_ms),
                Duration::from_secs(give_up_seconds),
                Duration::from_millis(timeout_ms),
            )
            .sandbox(self.sandbox.options())
            .segments(self.journal.segment_bytes, self.journal.compress)
            .durability(self.journal.durability(), Duration::from_millis(self.journal.relaxed_ms))
            .retention(self.journal.retention())
            .checkpoint_every(Duration::from_millis(self.checkpoints.every_ms))
            .recover_within(Duration::from_millis(self.checkpoints.recover_within_ms));
        if let Some(threads) = self.threads {
            builder = builder.threads(threads.get());
        }
        for route in &self.routes {
            builder = builder.route(route.clone());
        }
        let printed = self.prints_actions().then_some(STDOUT);
        if let Some(sink) = self.default_sink.as_deref().or(printed) {
            builder = builder.default_route(Target::Sink(sink.to_owned()));
        }
        builder.guardrails(self.guardrails.clone())
    }
}

#[cfg(test)]
mod tests;
