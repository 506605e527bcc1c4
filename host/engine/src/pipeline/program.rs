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

    /// Bytes of memory that it holds between calls.
    fn memory_bytes(&self) -> usize {
        0
    }
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
    /// Whether starting an instance takes so long that an event should not wait for it.
    pub(crate) starts_slowly: bool,
    program: Box<dyn Program>,
    idle: Mutex<Vec<Box<dyn Callee>>>,
    budget: Arc<InstanceBudget>,
}

/// How many idle instances all plugins of a host may keep together, and how much memory they may hold.
#[derive(Debug)]
pub(crate) struct InstanceBudget {
    idle: AtomicUsize,
    bytes: AtomicUsize,
    limit: usize,
    limit_bytes: usize,
}

impl InstanceBudget {
    pub(crate) fn new(limit: usize, limit_bytes: usize) -> Arc<Self> {
        Arc::new(InstanceBudget { idle: AtomicUsize::new(0), bytes: AtomicUsize::new(0), limit, limit_bytes })
    }

    /// Makes room for an idle instance, if there is some.
    fn admit(&self, bytes: usize) -> bool {
        let idle = self.idle.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = idle < self.limit && held.saturating_add(bytes) <= self.limit_bytes;
        if !fits {
            self.release(1, bytes);
        }
        fits
    }

    fn release(&self, idle: usize, bytes: usize) {
        self.idle.fetch_sub(idle, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
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
        Ok(Version {
            record,
            description,
            filters,
            limits,
            has_migration,
            starts_slowly: false,
            program,
            idle: Mutex::default(),
            budget,
        })
    }

    /// An idle instance, or a fresh one.
    pub(crate) fn take(&self) -> Result<Box<dyn Callee>, CallFailure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(instance) => {
                self.budget.release(1, instance.memory_bytes());
                Ok(instance)
            }
            None => self.program.start(),
        }
    }

    pub(crate) fn fresh(&self) -> Result<Box<dyn Callee>, CallFailure> {
        self.program.start()
    }

    /// Keeps an instance for the next batch, unless the host keeps too many already, or too much in them: instances are
    /// disposable.
    pub(crate) fn give_back(&self, instance: Box<dyn Callee>) {
        if self.budget.admit(instance.memory_bytes()) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
        }
    }

    pub(crate) fn log_dropped(&self) -> u64 {
        self.program.log_dropped()
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        let idle = self.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.budget.release(idle.len(), idle.iter().map(|instance| instance.memory_bytes()).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::InstanceBudget;

    #[test]
    fn idle_instances_are_bounded_by_number_and_by_memory() {
        let budget = InstanceBudget::new(3, 100);
        assert!(budget.admit(60) && budget.admit(40), "as much as there is room for");
        assert!(!budget.admit(1), "no byte more");
        assert!(budget.admit(0) && !budget.admit(0), "and no instance more");
        budget.release(2, 60);
        assert!(!budget.admit(61) && budget.admit(60), "what is refused holds nothing");
    }
}
