//! Computing the journal again: the same fold as the pipeline's, without threads that wait for each other, sinks,
//! or a clock.
//!
//! A rule is a pure function and the journal holds whatever could not be computed again, so a rule's states, moments
//! and idempotency keys come out the same, whenever and however often: [`replay`] does it, [`verify`] compares.

mod fold;
mod lives;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::checkpoint::base::{self, Base};
use crate::checkpoint::rows::{Rows, Standing};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::data_folder::{DataFolder, DataFolderError};
use crate::host::KeyInfo;
use crate::journal::{Body, Erasure, FileJournal, FileJournalOptions, Journal, JournalError, Position};
use crate::moment::Moment;
use crate::pipeline::program::InstanceBudget;
use crate::recovery::{Recovered, recover};
use crate::sandbox::{Sandbox, SandboxError, SandboxOptions};
use fold::Fold;
pub use lives::lives;
pub use verify::{Difference, Verified, verify};

/// What is computed again, and how.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The data folder of a host. It is not changed, and may be in use.
    pub data_dir: PathBuf,
    /// Over how many threads each rule's keys are spread: the result does not depend on it.
    pub threads: usize,
    /// What bounds the sandbox. Without a cache folder, components are compiled anew.
    pub sandbox: SandboxOptions,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Replayed {
    /// Where it began: the oldest base, or the journal's beginning.
    pub from: Position,
    /// One past the last entry.
    pub until: Position,
    /// Entries on the way that were erased: what they had come to is left out.
    pub erased: u64,
    /// Each rule.
    pub rules: Vec<ReplayedRule>,
}

/// What came of a rule.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ReplayedRule {
    /// Its name.
    pub rule: String,
    /// blake3 of the components that decided, in hexadecimal, in the order in which they came.
    pub components: Vec<String>,
    /// Inputs that were handled.
    pub inputs: u64,
    /// Moments that occurred.
    pub moments: u64,
    /// All its keys, sorted.
    pub keys: Vec<KeyInfo>,
    /// Inputs that are set aside, by position and reason.
    pub dead_letters: Vec<(Position, String)>,
    /// Inputs that failed, though the journal does not say that they were set aside: the host was stopped before it
    /// could, or the rule is not a pure function.
    pub undecided: Vec<(Position, String)>,
}

/// Why a journal cannot be computed again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The data folder cannot be used.
    #[error("the data folder cannot be used")]
    DataFolder(#[from] DataFolderError),
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    /// A base, or the checkpoints, cannot be read.
    #[error("a base or the checkpoints cannot be read")]
    Checkpoint(#[from] CheckpointError),
    /// There is no base where the journal begins.
    #[error(
        "the journal begins at position {start}, and there is no base from which it can be computed again: restore a backup"
    )]
    NoBase {
        /// Where it begins.
        start: Position,
    },
    /// The sandbox cannot be set up.
    #[error("the sandbox cannot be set up")]
    Sandbox(#[from] SandboxError),
    /// A version of a rule cannot be loaded again.
    #[error("{0}")]
    Component(String),
    /// A rule cannot go on.
    #[error("the rule `{rule}` cannot be computed past position {position}: {reason}")]
    Rule {
        /// Which.
        rule: String,
        /// How far it came.
        position: Position,
        /// Why not.
        reason: String,
    },
}

/// Computes all rules again, from the oldest base to the journal's end. `on_moment` is given each moment, those of a
/// key in order.
///
/// # Errors
/// [`ReplayError`].
pub fn replay(options: &ReplayOptions, on_moment: &mut dyn FnMut(&Moment)) -> Result<Replayed, ReplayError> {
    let mut source = Source::open(options)?;
    let until = source.journal.end();
    let mut replayed = Replayed { from: source.from, until, erased: 0, rules: Vec::new() };
    for rule in source.rules() {
        let mut fold = source.fold(&rule)?;
        fold.run_to(until, on_moment)?;
        replayed.erased = replayed.erased.max(fold.erased);
        replayed.rules.push(fold.report());
    }
    Ok(replayed)
}

/// All that a fold needs: the journal, where it begins, and what was decided since.
pub(crate) struct Source<'a> {
    options: &'a ReplayOptions,
    folder: DataFolder,
    pub(crate) journal: Arc<dyn Journal>,
    sandbox: Sandbox,
    budget: Arc<InstanceBudget>,
    rows: Rows,
    decided: Recovered,
    /// All that were asked for since, done or not.
    pub(crate) erasures: Vec<(Position, Erasure)>,
    pub(crate) from: Position,
}

impl<'a> Source<'a> {
    pub(crate) fn open(options: &'a ReplayOptions) -> Result<Self, ReplayError> {
        let folder = DataFolder::look(&options.data_dir)?;
        let journal = FileJournal::open_read_only(&folder.journal, FileJournalOptions::default())?;
        let journal: Arc<dyn Journal> = Arc::new(journal);
        let bases = base::list(&folder.bases, false)?;
        let oldest = bases.iter().find(|base| base.position >= journal.start());
        let (rows, from) = match oldest {
            _ if journal.start() == 0 => (Rows::default(), 0),
            Some(base) => (base::load(&base.path)?, base.position),
            None => return Err(ReplayError::NoBase { start: journal.start() }),
        };
        let standing = rows.standing();
        let decided = recover(&*journal, &standing, &mut |_| {})?;
        let mut erasures = Vec::new();
        journal.visit_decisions(from, &mut |entry| {
            if let Body::ErasureAsked(erasure) = &entry.body {
                erasures.push((entry.position, Erasure::clone(erasure)));
            }
            Ok(())
        })?;
        let sandbox = Sandbox::new(options.sandbox.clone())?;
        let budget = InstanceBudget::new(64, options.sandbox.idle_bytes);
        Ok(Source { options, folder, journal, sandbox, budget, rows, decided, erasures, from })
    }

    /// Those of the base, and those that began since.
    pub(crate) fn rules(&self) -> Vec<String> {
        let mut rules: Vec<String> =
            self.rows.rules.keys().chain(self.decided.rules.keys()).cloned().collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// A rule as the base has it. It can be taken once.
    pub(crate) fn fold(&mut self, rule: &str) -> Result<Fold<'_>, ReplayError> {
        let checkpoint: Checkpoint = self.rows.rules.remove(rule).unwrap_or_default();
        let decided = self.decided.rules.remove(rule).unwrap_or_default();
        Fold::begin(self, rule, checkpoint, decided)
    }

    pub(crate) fn bases(&self) -> Result<Vec<Base>, CheckpointError> {
        base::list(&self.folder.bases, false)
    }

    pub(crate) fn checkpoints(&self) -> &Path {
        &self.folder.checkpoints
    }
}

impl Rows {
    fn standing(&self) -> Standing {
        let records =
            self.rules.iter().filter_map(|(rule, checkpoint)| Some((rule, checkpoint.record.clone()?)));
        let open = || self.rules.values().flat_map(|checkpoint| &checkpoint.open);
        Standing {
            host: self.host.clone(),
            rules: records.map(|(rule, record)| (rule.clone(), record)).collect(),
            guard: None,
            open: open().flat_map(|moment| &moment.actions).map(|action| action.id).collect(),
            open_from: open().map(|moment| moment.position).min(),
        }
    }
}
