//! What operators do to a host that runs, and to a data folder.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Subcommand;

use super::HostArgs;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DeadLettersArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DeadLettersCommand>,
    #[command(flatten)]
    pub(crate) list: ListLettersArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List them (the same as without a word)
    List(ListLettersArgs),
    /// Show one, with its input
    Show(LetterArgs),
    /// Give them to their rules again, as new inputs: after the plugin was fixed
    Again(LettersArgs),
    /// Drop them
    Drop(LettersArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListLettersArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Only those of one rule
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// At most so many of each rule, the newest
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: usize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LetterArgs {
    /// What the list says of it
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LettersArgs {
    #[command(flatten)]
    pub(crate) which: WhichLetters,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON, one line each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichLetters {
    /// What the list says of them
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// All of one rule
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// All
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    pub(crate) command: Option<StateCommand>,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON, one line a rule
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// List the keys of a rule
    List {
        /// The rule
        rule: String,
        /// Only keys that come after this one
        #[arg(long, value_name = "KEY")]
        after: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100")]
        limit: NonZeroUsize,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON, one line a key
        #[arg(long)]
        json: bool,
    },
    /// Show what a rule remembers of a key
    Show(KeyArgs),
    /// Write all keys of a rule as lines of JSON. Those that change meanwhile may be written as they were or are
    Export {
        /// The rule
        rule: String,
        /// Where to [default: standard output]
        #[arg(long, short, default_value = "-", hide_default_value = true, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Have a rule remember what such lines say; keys that they do not name stay as they are
    Import {
        /// The rule
        rule: String,
        /// The lines; `-`: standard input
        file: PathBuf,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a rule forget keys, states and timers. What the journal holds of them stays: see `carpe erase`
    Forget {
        /// The rule
        rule: String,
        #[command(flatten)]
        which: WhichKeys,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// The rule
    pub(crate) rule: String,
    /// The key
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON, as `export` does
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichKeys {
    /// The keys
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EraseArgs {
    /// Everything about a subject, in all rules
    #[arg(long, value_name = "NAME", required_unless_present = "key", conflicts_with_all = ["rule", "key"])]
    pub(crate) subject: Option<String>,
    /// The rule whose key it is
    #[arg(long, value_name = "RULE", requires = "key")]
    pub(crate) rule: Option<String>,
    /// A key of one rule
    #[arg(long, value_name = "KEY", requires = "rule")]
    pub(crate) key: Option<String>,
    /// Now, and wait until it is done; else within the time that `[journal] erase_seconds` says
    #[arg(long)]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which data folder is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct DataArgs {
    /// The data folder
    #[arg(long, value_name = "FOLDER", default_value = ".carpe")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The copy: a folder that is not there yet
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Over how many threads the keys of a rule are spread; the result does not depend on it
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) threads: NonZeroUsize,
    /// Write each moment there, as `carpe run --json` prints it; `-`: standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) moments: Option<PathBuf>,
    /// Write each key there, as `carpe state export` does; `-`: standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) states: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
