//! Carpe measured against its limits and its peers, on the machine that this runs on: `make bench`.
//!
//! Absolute figures are of one machine and one hour; the ratios are what counts. So each figure stands beside a
//! baseline that is measured in the same run, in turn with it, and medians are compared.
#![forbid(unsafe_code)]

mod breadth;
mod copies;
mod daemon;
mod depth;
mod handle;
mod idle;
mod intake;
mod languages;
mod latency;
mod machine;
mod peers;
mod pipeline;
mod posts;
mod process;
mod readings;
mod reload;
mod report;
mod rules;
mod times;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use report::Report;

#[derive(Parser)]
#[command(about = "Carpe measured against its limits and its peers.")]
struct Args {
    /// The command `carpe`, built for release.
    #[arg(long)]
    carpe: PathBuf,
    /// Where what is built and generated is kept from one run to the next.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Less of everything: a few minutes instead of an hour, and no peers that have to be installed.
    #[arg(long)]
    short: bool,
    /// Groups to run; none: all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How often each thing is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Write the report as JSON.
    #[arg(long, overrides_with = "json")]
    json: Option<PathBuf>,
    /// Write the report's table between the markers of this Markdown file.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Fail if a ratio is worse by more than a third than in this JSON report.
    #[arg(long)]
    against: Option<PathBuf>,
}

/// What all groups are given.
pub(crate) struct Setup {
    pub(crate) carpe: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) short: bool,
    pub(crate) runs: usize,
}

type Group = fn(&Setup, &mut Report) -> Result<()>;

/// The groups, in the order in which they run, and whether their ratios are compared with recorded ones.
const GROUPS: [(&str, Group, bool); 9] = [
    ("handle", handle::run, true),
    ("languages", languages::run, true),
    ("pipeline", pipeline::run, true),
    ("intake", intake::run, false),
    ("latency", latency::run, false),
    ("breadth", breadth::run, false),
    ("depth", depth::run, false),
    ("reload", reload::run, false),
    ("idle", idle::run, false),
];

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.folder)
        .with_context(|| format!("cannot make {}", args.folder.display()))?;
    let absolute =
        |path: &PathBuf| std::fs::canonicalize(path).with_context(|| format!("no {}", path.display()));
    let setup = Setup {
        carpe: absolute(&args.carpe)?,
        folder: absolute(&args.folder)?,
        short: args.short,
        runs: args.runs.max(1),
    };
    if let Some(unknown) = args.only.iter().find(|name| GROUPS.iter().all(|(group, ..)| group != name)) {
        let known: Vec<&str> = GROUPS.iter().map(|(group, ..)| *group).collect();
        anyhow::bail!("there is no group `{unknown}`: {}", known.join(", "));
    }
    let mut report = Report::new(machine::describe(&setup));
    let mut good = true;
    for (name, run, binds) in GROUPS {
        if !args.only.is_empty() && args.only.iter().all(|wanted| wanted != name) {
            continue;
        }
        let before = report.rows.len();
        if let Err(error) = run(&setup, &mut report) {
            good &= !binds && args.against.is_some();
            report.note(format!("the group `{name}` failed: {error:#}"));
        }
        // Where the machine decides as much as the code, nothing is compared with what was recorded on another day.
        report.rows[before..].iter_mut().for_each(|row| row.binding &= binds);
        if let Some(twice) = report.twice() {
            anyhow::bail!("in the group `{name}`: there are two rows `{twice}`");
        }
        // After each, since the next may take long.
        if let Some(path) = &args.json {
            report.write_json(path)?;
        }
        if let Some(path) = &args.markdown {
            report.write_markdown(path)?;
        }
    }
    print!("{}", report.table());
    if let Some(recorded) = &args.against {
        let worse = report.worse_than(&Report::read_json(recorded)?);
        for line in &worse {
            println!("worse by more than a third: {line}");
        }
        good &= worse.is_empty();
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
