//! From a component's bytes to a version of a rule: compiled, checked, and tried.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::VersionRecord;
use crate::limits::Limits;
use crate::pipeline::filter::parse_filter;
use crate::pipeline::program::{CallFailure, Callee, FailureKind, InstanceBudget, Program, Version};
use crate::plugin::rule_log::RuleLog;
use crate::plugin::{Manifest, check_name};
use crate::rule::{Batch, Description, Effects, KeyedBy, Subscription};
use crate::sandbox::{CallError, Component, GuestLog, Instance as SandboxInstance, LoadError, Sandbox};
use crate::words::words;

/// How many subscriptions, moments or actions a rule may declare.
const MAX_DECLARED: usize = 256;

/// An instance that takes longer to start is made before the first event comes. Those of interpreters do.
const SLOW_START: Duration = Duration::from_millis(1);

/// Why a component does not become a rule's version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// It is no plugin, or may not be one.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It did not start, or `init` refused the configuration.
    #[error("its `init` {}", init_failed(.0))]
    Init(#[source] CallError),
    /// What it says of itself cannot be used.
    #[error("its description is not valid: {0}")]
    Description(String),
}

fn init_failed(error: &CallError) -> &'static str {
    match error {
        CallError::Rule(_) => {
            "refuses its configuration: that stands in the .toml file beside it, under [configuration]"
        }
        CallError::CpuTime { .. } | CallError::WallTime { .. } => {
            "takes too long: let it do less, or allow it more, as `init_cpu_ms` under [limits] in the .toml file beside it"
        }
        CallError::Memory { .. } => {
            "needs too much memory: let it take less, or allow it more, as `memory_bytes` under [limits] in the .toml \
             file beside it"
        }
        _ => "failed",
    }
}

/// Loads a component and tries it: a fresh instance is started, and says what it is.
///
/// # Errors
/// [`TrialError`].
pub(crate) fn load(
    sandbox: &Sandbox,
    bytes: &[u8],
    manifest: &Manifest,
    limits: &Limits,
    budget: &Arc<InstanceBudget>,
) -> Result<(String, Version), TrialError> {
    on_trial(sandbox.load(bytes)?, manifest, limits, budget)
}

/// Starts an instance of a component, which says what it is.
///
/// # Errors
/// [`TrialError`].
pub(crate) fn on_trial(
    component: Component,
    manifest: &Manifest,
    limits: &Limits,
    budget: &Arc<InstanceBudget>,
) -> Result<(String, Version), TrialError> {
    let configuration = manifest.configuration.as_str().to_owned();
    let limits = manifest.limits.over(limits);
    let log = RuleLog::new(manifest.name.as_deref().unwrap_or_default(), &limits);
    let begun = Instant::now();
    let (_, description) = component.instantiate(&configuration, &limits, log).map_err(TrialError::Init)?;
    let starts_slowly = begun.elapsed() >= SLOW_START;
    check_description(&description).map_err(TrialError::Description)?;
    let rule = manifest.name.clone().unwrap_or_else(|| description.name.clone());
    let hash = component.hash();
    let has_migration = component.has_migration();
    let log = RuleLog::new(&rule, &limits);
    let program =
        SandboxProgram { component, configuration: configuration.clone(), limits: limits.clone(), log };
    let program = Box::new(program);
    let budget = Arc::clone(budget);
    let mut version = Version::new(hash, configuration, description, limits, has_migration, program, budget)
        .map_err(TrialError::Description)?;
    version.starts_slowly = starts_slowly;
    Ok((rule, version))
}

/// Loads the version that the journal names, from the folder where components are kept. `patience`: by what its time
/// limits are multiplied.
pub(crate) fn recover_version(
    sandbox: &Sandbox,
    folder: &Path,
    rule: &str,
    record: &VersionRecord,
    patience: u64,
    budget: &Arc<InstanceBudget>,
) -> Result<Arc<Version>, String> {
    let hash = blake3::Hash::from_bytes(record.component);
    let path = folder.join(format!("{hash}.wasm"));
    let bytes = std::fs::read(&path).map_err(|error| {
        format!(
            "the component {hash} of rule `{rule}`, which the journal names, cannot be read from {}: {error}",
            path.display()
        )
    })?;
    let unreadable = |error: &dyn std::fmt::Display| {
        format!("what the journal says of a version of rule `{rule}` cannot be read: {error}")
    };
    let mut limits: Limits = serde_json::from_str(&record.limits).map_err(|error| unreadable(&error))?;
    for limit in [&mut limits.handle_cpu_ms, &mut limits.handle_wall_ms, &mut limits.init_cpu_ms] {
        *limit = limit.saturating_mul(patience);
    }
    let configuration =
        crate::plugin::Configuration::from_json(&record.configuration).map_err(|error| unreadable(&error))?;
    let manifest = Manifest { name: Some(rule.to_owned()), configuration, ..Manifest::default() };
    let (_, version) = load(sandbox, &bytes, &manifest, &limits, budget).map_err(|error| {
        format!("the component {hash} of rule `{rule}` cannot be loaded again: {}", words(&error))
    })?;
    Ok(Arc::new(version))
}

/// What the contract says of a description, and what this host can do so far.
pub(crate) fn check_description(description: &Description) -> Result<(), String> {
    check_name(&description.name)
        .map_err(|error| format!("the name `{}`: {error}", description.name.escape_debug()))?;
    semver::Version::parse(&description.version).map_err(|error| {
        format!(
            "the version `{}` is not a semantic version such as 1.0.0: {error}",
            description.version.escape_debug()
        )
    })?;
    for (what, count) in [
        ("subscriptions", description.subscriptions.len()),
        ("moments", description.moments.len()),
        ("actions", description.actions.len()),
    ] {
        if count > MAX_DECLARED {
            return Err(format!("it declares {count} {what}, more than {MAX_DECLARED}"));
        }
    }
    for (what, names) in [("moment", &description.moments), ("action", &description.actions)] {
        for name in names {
            if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
                return Err(format!(
                    "the {what} `{}` needs a name of 1 to 128 bytes without control characters",
                    name.escape_debug()
                ));
            }
        }
    }
    description.subscriptions.iter().enumerate().try_for_each(|(position, subscription)| {
        check_subscription(subscription)
            .map_err(|reason| format!("subscription {position} (from 0): {reason}"))
    })
}

fn check_subscription(subscription: &Subscription) -> Result<(), String> {
    let event_type = &subscription.event_type;
    let stem = event_type.strip_suffix('*').unwrap_or(event_type);
    if event_type.is_empty() || stem.contains('*') {
        return Err(format!(
            "the event type `{}` needs to be a CloudEvents `type`, or the beginning of one with one `*` at its end",
            event_type.escape_debug()
        ));
    }
    if let Some(filter) = &subscription.filter {
        parse_filter(filter)?;
    }
    let is_attribute = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && name != "data"
    };
    match &subscription.keyed_by {
        KeyedBy::Attribute(name) if !is_attribute(name) => {
            return Err(format!(
                "it is keyed by `{}`, which is no CloudEvents attribute name",
                name.escape_debug()
            ));
        }
        KeyedBy::Data(pointer) if !pointer.is_empty() && !pointer.starts_with('/') => {
            return Err(format!(
                "it is keyed by `{}`, which is no JSON Pointer: those begin with `/`",
                pointer.escape_debug()
            ));
        }
        _ => {}
    }
    match subscription.attributes.iter().find(|name| !is_attribute(name)) {
        Some(name) => {
            Err(format!("it asks for `{}`, which is no CloudEvents attribute name", name.escape_debug()))
        }
        None => Ok(()),
    }
}

/// A component and all that an instance of it needs.
struct SandboxProgram {
    component: Component,
    configuration: String,
    limits: Limits,
    log: Arc<RuleLog>,
}

impl Program for SandboxProgram {
    fn start(&self) -> Result<Box<dyn Callee>, CallFailure> {
        let log: Arc<dyn GuestLog> = self.log.clone();
        let started = self.component.instantiate(&self.configuration, &self.limits, log);
        let (instance, _) = started.map_err(call_failure)?;
        Ok(Box::new(SandboxCallee(instance)))
    }

    fn log_dropped(&self) -> u64 {
        self.log.lines_dropped()
    }
}

struct SandboxCallee(SandboxInstance);

impl Callee for SandboxCallee {
    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    fn handle(&mut self, batch: &Batch<'_>) -> Result<Effects, CallFailure> {
        self.0.handle(batch).map_err(call_failure)
    }

    fn migrate(&mut self, from: u32, key: &str, state: &[u8]) -> Result<Option<Vec<u8>>, CallFailure> {
        self.0.migrate(from, key, state).map_err(call_failure)
    }
}

fn call_failure(error: CallError) -> CallFailure {
    let kind = match &error {
        CallError::Rule(_) => FailureKind::Refused,
        CallError::CpuTime { .. } => FailureKind::CpuTime,
        CallError::WallTime { .. } | CallError::NoRoom(_) => FailureKind::Host,
        _ => FailureKind::Broken,
    };
    let backtrace = match &error {
        CallError::Trap(trap)
        | CallError::StackOverflow(trap)
        | CallError::Memory { trap, .. }
        | CallError::Table { trap, .. } => trap.backtrace.clone(),
        _ => Vec::new(),
    };
    CallFailure { kind, reason: error.to_string(), backtrace }
}

/// A component that is new to this host, for `carpe check`: what it is, and what it needs.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// What it says of itself.
    pub description: Description,
    /// The contract that it was written against.
    pub contract: String,
    /// blake3, in hexadecimal.
    pub hash: String,
    /// Bytes of the component.
    pub bytes: usize,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Whether it can bring older state along.
    pub migrates: bool,
    /// Bytes of linear memory after the start.
    pub memory_bytes: usize,
    /// How long checking and compiling took, in milliseconds; next to nothing if it was cached.
    pub load_ms: u64,
    /// How long it took to start, in milliseconds.
    pub start_ms: u64,
}

/// Loads a component as a host would, and says what it is.
///
/// # Errors
/// Why a host would refuse it.
pub fn inspect(sandbox: &Sandbox, bytes: &[u8], manifest: &Manifest) -> Result<Inspection, TrialError> {
    let begun = Instant::now();
    let component = sandbox.load(bytes)?;
    let loaded = begun.elapsed();
    let limits = manifest.limits.over(&Limits::default());
    let log = RuleLog::new(manifest.name.as_deref().unwrap_or_default(), &limits);
    let begun = Instant::now();
    let (instance, description) =
        component.instantiate(manifest.configuration.as_str(), &limits, log).map_err(TrialError::Init)?;
    let started = begun.elapsed();
    check_description(&description).map_err(TrialError::Description)?;
    let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Ok(Inspection {
        description,
        contract: component.contract_version().to_owned(),
        hash: blake3::Hash::from_bytes(component.hash()).to_string(),
        bytes: bytes.len(),
        imports: component.imports().to_vec(),
        exports: component.exports().to_vec(),
        migrates: component.has_migration(),
        memory_bytes: instance.memory_bytes(),
        load_ms: millis(loaded),
        start_ms: millis(started),
    })
}
