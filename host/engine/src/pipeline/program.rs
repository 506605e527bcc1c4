//! What the pipeline asks of a loaded plugin. The sandbox's components answer it; tests answer with
//! plain functions, so that the pipeline is tried without WebAssembly too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::VersionRecord;
use crate::limits::Limits;
use crate::pipeline::filter::Filters;
use crate::rule::{Batch, Description, Effects};

/// Makes instances of one version of a rule.
pub(crate) trait Program: Send + Sync {
    /// A fresh instance, configured.
    fn start(&self) -> Result<Box<dyn Callee>, CallFailure>;

    /// Lines of its instances that were not logged, since there were too many.
    fn log_dropped(&self) -> u64 {
        0
    }
}

/// One instance of a rule.
pub(crate) trait Callee: Send {
    fn handle(&mut self, batch: &Batch<'_>) -> Result<Effects, CallFailure>;
    fn migrate(&mut self, from: u32, key: &str, state: &[u8]) -> Result<Option<Vec<u8>>, CallFailure>;
}

/// Why a call gave no effects.
#[derive(Clone, Debug)]
pub(crate) struct CallFailure {
    pub(crate) kind: FailureKind,
    /// For people.
    pub(crate) reason: String,
    /// The guest's functions, innermost first.
    pub(crate) backtrace: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The rule said no in words; the instance lives.
    Refused,
    /// It trapped, or broke a quota or a rule of the contract; the instance is not used again.
    Broken,
    /// It used more CPU time than it may; the instance is not used again.
    CpuTime,
    /// Not the rule's fault: the machine stood still, or has no room for an instance. Nothing is set aside.
    Host,
}

impl CallFailure {
    pub(crate) fn broken(reason: impl Into<String>) -> Self {
        CallFailure { kind: FailureKind::Broken, reason: reason.into(), backtrace: Vec::new() }
    }
}

/// One version of a rule: its program, its configuration, and a few instances that wait for work.
pub(crate) struct Version {
    pub(crate) record: VersionRecord,
    pub(crate) description: Description,
    pub(crate) filters: Filters,
    pub(crate) limits: Limits,
    pub(crate) has_migration: bool,
    program: Box<dyn Program>,
    idle: Mutex<Vec<Box<dyn Callee>>>,
    budget: Arc<InstanceBudget>,
}

/// How many idle instances all plugins of a host may keep together.
#[derive(Debug)]
pub(crate) struct InstanceBudget {
    idle: AtomicUsize,
    limit: usize,
}

impl InstanceBudget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(InstanceBudget { idle: AtomicUsize::new(0), limit })
    }
}

impl Version {
    /// # Errors
    /// A filter of its subscriptions is none.
    pub(crate) fn new(
        component: [u8; 32],
        configuration: String,
        description: Description,
        limits: Limits,
        has_migration: bool,
        program: Box<dyn Program>,
        budget: Arc<InstanceBudget>,
    ) -> Result<Self, String> {
        let filters = Filters::of(&description.subscriptions)?;
        // A struct of numbers: it always has a JSON text.
        let record = VersionRecord {
            component,
            configuration,
            limits: serde_json::to_string(&limits).unwrap_or_default(),
        };
        let idle = Mutex::default();
        Ok(Version { record, description, filters, limits, has_migration, program, idle, budget })
    }

    /// An idle instance, or a fresh one.
    pub(crate) fn take(&self) -> Result<Box<dyn Callee>, CallFailure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(instance) => {
                self.budget.idle.fetch_sub(1, Ordering::Relaxed);
                Ok(instance)
            }
            None => self.program.start(),
        }
    }

    pub(crate) fn fresh(&self) -> Result<Box<dyn Callee>, CallFailure> {
        self.program.start()
    }

    /// Keeps an instance for the next batch, unless the host keeps too many already: instances are
    /// disposable, a fresh one costs some 25 us.
    pub(crate) fn give_back(&self, instance: Box<dyn Callee>) {
        if self.budget.idle.fetch_add(1, Ordering::Relaxed) < self.budget.limit {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
        } else {
            self.budget.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn log_dropped(&self) -> u64 {
        self.program.log_dropped()
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        let idle = self.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.budget.idle.fetch_sub(idle.len(), Ordering::Relaxed);
    }
}
