//! Why a command failed: in words for people, and as an exit code for scripts.

use std::fmt;
use std::process::ExitCode;

use carpe::backup::BackupError;
use carpe::journal::JournalError;
use carpe::replay::ReplayError;
use carpe::{CheckpointError, DataFolderError, StartError};

/// Whose turn it is to do something about it. The exit codes are listed in `carpe --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was asked for could not be done, or was refused.
    Failed,
    /// The command line asks for what makes no sense.
    Usage,
    /// The configuration is at fault.
    Config,
    /// No host answers.
    Unreachable,
}

impl Kind {
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Config => 3,
            Kind::Unreachable => 4,
        })
    }
}

/// An error at its end: nobody but a person handles it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) error: anyhow::Error,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure { kind, error: anyhow::Error::msg(message.into()), hint: None }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// What cannot be done with a data folder, with what may help. `in_use`: what to do where a host uses it.
    pub(crate) fn of_data(error: impl Into<anyhow::Error>, doing: &str, in_use: &str) -> Self {
        let error = error.into();
        let hint = error.chain().find_map(|cause| data_hint(cause, in_use));
        let failure = Failure::from(error.context(format!("cannot {doing}")));
        Failure { hint, ..failure }
    }

    /// The messages from the outermost to the first cause, each once.
    pub(crate) fn causes(&self) -> Vec<String> {
        causes(self.error.as_ref())
    }
}

const NEWER: &str = "nothing in the folder was changed; `carpe --version` says which version this is";
const RESTORE: &str = "keep the folder as it is, and go on from a backup: `carpe run --data BACKUP`; \
                       `carpe verify --data FOLDER` says what can be read of a folder";

fn data_hint(cause: &(dyn std::error::Error + 'static), in_use: &str) -> Option<String> {
    let folder = cause.downcast_ref().map(|error| match error {
        DataFolderError::InUse { .. } => Some(in_use),
        DataFolderError::Newer { .. } => Some(NEWER),
        DataFolderError::Damaged { .. } => Some(RESTORE),
        DataFolderError::Empty { .. } => Some("--data FOLDER says which one is meant"),
        _ => None,
    });
    let journal = || {
        cause.downcast_ref().map(|error| match error {
            JournalError::InUse { .. } => Some(in_use),
            JournalError::Newer { .. } => Some(NEWER),
            JournalError::Damaged { .. } => Some(RESTORE),
            _ => None,
        })
    };
    let checkpoints = || {
        cause.downcast_ref().map(|error| match error {
            CheckpointError::Damaged { .. } => Some(
                "the folder `checkpoints` in the data folder may be moved away: the next start of the host makes them \
                 again",
            ),
            _ => None,
        })
    };
    let no_base = || {
        matches!(cause.downcast_ref(), Some(StartError::NoBase { .. }))
            || matches!(cause.downcast_ref(), Some(ReplayError::NoBase { .. }))
            || matches!(cause.downcast_ref(), Some(BackupError::NoBase { .. }))
    };
    let hint = folder.or_else(journal).or_else(checkpoints).flatten();
    hint.or_else(|| no_base().then_some(RESTORE)).map(str::to_owned)
}

/// An error's messages from the outermost to the first cause. One that only repeats the end of the
/// message before it is left out.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for error in anyhow::Chain::new(error) {
        let message = error.to_string();
        if messages.last().is_none_or(|before| !before.ends_with(&message)) {
            messages.push(message);
        }
    }
    messages
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure { kind: Kind::Failed, error, hint: None }
    }
}

/// Causes, one a line.
pub(crate) fn listed(causes: &[String]) -> String {
    let lines = causes.iter().enumerate();
    lines
        .map(|(depth, cause)| format!("{}{cause}\n", if depth == 0 { "error: " } else { "  because: " }))
        .collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&listed(&self.causes()))?;
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Says what sort of failure an error is, and what may help.
pub(crate) trait Explain<T> {
    fn kind(self, kind: Kind) -> Result<T, Failure>;
    fn hint(self, hint: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Explain<T> for Result<T, E> {
    fn kind(self, kind: Kind) -> Result<T, Failure> {
        self.map_err(|error| Failure { kind, ..error.into() })
    }

    fn hint(self, hint: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| error.into().with_hint(hint))
    }
}
