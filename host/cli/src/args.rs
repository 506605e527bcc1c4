//! The command line.

mod guardrails;
mod operators;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use carpe::Timeline;
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{LogFormat, PrintFormat};

pub(crate) use guardrails::{
    ConsentArgs, ConsentCommand, DecideArgs, HeldArgs, HeldCommand, ListHeldArgs, MomentArgs, MomentsArgs,
    MomentsCommand, MuteArgs, SayArgs, UnmuteArgs, WhatArgs, WhichMoments,
};
pub(crate) use operators::{
    BackupArgs, DeadLettersArgs, DeadLettersCommand, EraseArgs, KeyArgs, LetterArgs, LettersArgs,
    ListLettersArgs, ReplayArgs, StateArgs, StateCommand, VerifyArgs,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed, or what was looked at was refused
  2  the command line is wrong
  3  the configuration is wrong
  4  no host answers";

/// Runs rules in a sandbox: events in, moments and actions out.
#[derive(Debug, Parser)]
#[command(name = "carpe", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a host: watch a folder of plugins, take events, deliver actions
    Run(Box<RunArgs>),
    /// Say what a plugin is and needs, and whether a host would take it
    Check(CheckArgs),
    /// Make a folder with a rule to begin with: source, a test, a story and a README
    New(NewArgs),
    /// Build a plugin from a folder of source
    Build(BuildArgs),
    /// Compile plugins ahead, for a host with the same data folder: it then starts them at once
    Compile(CompileArgs),
    /// Measure a plugin: time and memory for its inputs, and how near it comes to its limits
    Bench(BenchArgs),
    /// Watch a rule's sources: build, test, and load it into a running host, after each change
    Dev(DevArgs),
    /// Tell a rule stories, and see whether what comes of them is what should
    Test(TestArgs),
    /// Send events to a running host
    Send(SendArgs),
    /// Show what a running host is doing
    Status(StatusArgs),
    /// What became of moments: how far each has come, when and why
    Moments(MomentsArgs),
    /// Actions that guardrails hold: what waits for whom, and until when; approve or refuse them
    Held(HeldArgs),
    /// What a person has said yes or no to
    Consent(ConsentArgs),
    /// Let nothing out of a rule, of a kind of moment or about a subject, for a while. `carpe status` lists what is muted
    Mute(MuteArgs),
    /// End that
    Unmute(UnmuteArgs),
    /// Inputs that a running host has set aside: why, and what is to become of them
    DeadLetters(DeadLettersArgs),
    /// What the rules of a running host remember: look at it, export, import, forget
    State(StateArgs),
    /// Have a running host forget somebody, or a key of a rule
    Erase(EraseArgs),
    /// Copy a data folder, also while a host uses it
    Backup(BackupArgs),
    /// Check a data folder: each checksum, and each state against what the journal comes to
    Verify(VerifyArgs),
    /// Compute all states and moments of a data folder again
    Replay(ReplayArgs),
    /// Print or check a configuration
    Config(ConfigArgs),
    /// Show it all: a host, a simulated city, and a plugin that is replaced while events flow
    Demo(DemoArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RunArgs {
    /// The configuration [default: carpe.toml, if there is one; else everything has its default]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The folder of plugins to watch [default: plugins]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugins: Option<PathBuf>,
    /// Where journal and states are kept [default: .carpe]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Which clock rules go by: `received`, or `event` for recorded streams
    #[arg(long, value_parser = timeline, value_name = "MODE")]
    pub(crate) timeline: Option<Timeline>,
    /// Threads that handle inputs [default: one for each core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Where events come in, e.g. 127.0.0.1:8480; port 0: any free one; `none`: nowhere
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_events: Option<String>,
    /// Where operators look, e.g. 127.0.0.1:8481
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_operators: Option<String>,
    /// Read these files of events (one CloudEvent in JSON a line; `-`: standard input) to their end,
    /// finish all that follows from them, and exit. Nothing listens
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub(crate) once: Vec<PathBuf>,
    /// With --once: report lines that are no events, and go on
    #[arg(long, requires = "once")]
    pub(crate) skip_bad_lines: bool,
    /// Print moments and actions as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
    /// What of moments is printed
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "json")]
    pub(crate) print: Option<PrintFormat>,
    /// What the log on standard error looks like
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// What is logged, e.g. `warn`, or `info,carpe::guest=debug`
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Components. What NAME.toml beside NAME.wasm says counts too
    #[arg(required = true, value_name = "FILE.wasm")]
    pub(crate) files: Vec<PathBuf>,
    /// The host's configuration: do its routes take each action of theirs? [default: carpe.toml, if there is one]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON, one line a file
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// The folder to make; the rule is called as it is
    pub(crate) folder: PathBuf,
    /// What the rule is written in
    #[arg(long, short, value_enum, default_value = "rust")]
    pub(crate) language: NewLanguage,
    /// The folder with the SDKs [default: `sdk` in the folder that this command was built in]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum NewLanguage {
    Rust,
    Javascript,
    Typescript,
    Python,
    Go,
    C,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    /// The rule's folder: with a Cargo.toml, package.json, pyproject.toml, go.mod, rule.toml (C, C++) or rule.wat; or a file of
    /// WebAssembly text
    pub(crate) folder: PathBuf,
    /// Where the component goes: a file, or a folder that exists [default: beside the folder of source]
    #[arg(long, short, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// Where tools keep what they make on the way, e.g. Cargo what it compiles
    #[arg(long, value_name = "FOLDER")]
    pub(crate) target_dir: Option<PathBuf>,
    /// Show only errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct TestArgs {
    /// A rule: its folder of source, which is built, or a component
    #[arg(value_name = "FOLDER|FILE.wasm")]
    pub(crate) rule: PathBuf,
    /// The stories: a folder with a folder for each [default: `scenarios` in the rule's folder]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) scenarios: Option<PathBuf>,
    /// Only stories whose name has this in it
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Where events are cut at random goes by this
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    /// Write what came of it to a file, as JUnit has it
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Where Cargo keeps what it compiles
    #[arg(long, value_name = "FOLDER")]
    pub(crate) target_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CompileArgs {
    /// Components [default: all of the folder of plugins]
    #[arg(value_name = "FILE.wasm")]
    pub(crate) files: Vec<PathBuf>,
    /// The host's configuration [default: carpe.toml, if there is one]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The host's folder of plugins [default: as the configuration says]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugins: Option<PathBuf>,
    /// The host's data folder [default: as the configuration says]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct BenchArgs {
    /// A rule: its folder of source, which is built, or a component
    #[arg(value_name = "FOLDER|FILE.wasm")]
    pub(crate) rule: PathBuf,
    /// Events that it is given, one CloudEvent in JSON a line; what NAME.toml beside NAME.wasm says counts then
    /// [default: those of its stories, with their configurations]
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// How many inputs are given at once
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,64,1000")]
    pub(crate) batches: Vec<NonZeroUsize>,
    /// How long each size is measured
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) milliseconds: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Where tools keep what they make on the way, e.g. Cargo what it compiles
    #[arg(long, value_name = "FOLDER")]
    pub(crate) target_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {
    /// The rule's folder of source
    pub(crate) folder: PathBuf,
    /// The folder of plugins of a running host, which the component is put into if its stories pass [default: beside the
    /// folder of source, as `carpe build` does]
    #[arg(long, short, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// Where tools keep what they make on the way
    #[arg(long, value_name = "FOLDER")]
    pub(crate) target_dir: Option<PathBuf>,
    /// Do it once, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// The host that is asked what it makes of it, if one runs
    #[command(flatten)]
    pub(crate) host: HostArgs,
}

/// Which host is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct HostArgs {
    /// The host's URL [default: what `addresses.json` in the data folder says]
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// The data folder of a host on this machine
    #[arg(long, value_name = "FOLDER", default_value = ".carpe")]
    pub(crate) data: PathBuf,
    /// A file that holds the host's token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// Events, one CloudEvent in JSON a line
    #[arg(default_value = "-", value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Events that are sent at once
    #[arg(long, value_name = "N", default_value = "500")]
    pub(crate) batch: NonZeroUsize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ConfigArgs {
    /// Print a configuration with every setting, its default and what it does
    #[arg(long)]
    pub(crate) print_default: bool,
    /// Say whether a file is a configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// The same seed gives the same city
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    /// How long events flow
    #[arg(long, value_name = "N", default_value = "15", value_parser = clap::value_parser!(u64).range(10..=3600))]
    pub(crate) seconds: u64,
    /// Only 10 seconds
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) fast: bool,
    /// Where the example plugins are, built [default: plugins, in the folder that this command was built into]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugins: Option<PathBuf>,
    /// Print the summary as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

fn timeline(text: &str) -> Result<Timeline, String> {
    [Timeline::Received, Timeline::Event]
        .into_iter()
        .find(|mode| mode.as_str() == text)
        .ok_or_else(|| "there are `received` and `event`".to_owned())
}

impl ValueEnum for PrintFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[PrintFormat::Text, PrintFormat::Json, PrintFormat::None]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            PrintFormat::Text => "text",
            PrintFormat::Json => "json",
            PrintFormat::None => "none",
        }))
    }
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[LogFormat::Text, LogFormat::Json]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        super::Args::command().debug_assert();
    }
}
