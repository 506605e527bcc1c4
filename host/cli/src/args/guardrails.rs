//! What operators ask of moments, and tell guardrails.

use std::path::PathBuf;

use carpe::Stage;
use clap::Subcommand;

use super::HostArgs;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct MomentsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<MomentsCommand>,
    #[command(flatten)]
    pub(crate) which: WhichMoments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MomentsCommand {
    /// List them (the same as without a word)
    List(WhichMoments),
    /// Show one, with all data
    Show(MomentArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct WhichMoments {
    /// Only those of one rule
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// Only those about a subject
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Option<String>,
    /// Only those that have come so far: detected, held, acting, done, withheld, rejected, failed or expired
    #[arg(long, value_name = "STAGE", value_parser = Stage::parse)]
    pub(crate) stage: Option<Stage>,
    /// At most so many, the last
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) from: MomentsFrom,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MomentArgs {
    /// What the list says of it, or what was printed as it occurred
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) from: MomentsFrom,
}

/// Who is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct MomentsFrom {
    /// Compute them again from the data folder: of a host that does not run, and also those that one keeps no more
    #[arg(long, conflicts_with_all = ["to", "token_file"])]
    pub(crate) replay: bool,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON, one line each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HeldArgs {
    #[command(subcommand)]
    pub(crate) command: Option<HeldCommand>,
    #[command(flatten)]
    pub(crate) list: ListHeldArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HeldCommand {
    /// List them (the same as without a word)
    List(ListHeldArgs),
    /// Let actions go that wait for a person
    Approve(DecideArgs),
    /// Stop them
    Refuse(DecideArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListHeldArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// At most so many, those that are let go first
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: usize,
    /// Print JSON, one line each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DecideArgs {
    /// What the list says of them
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Why, or by whom
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON, one line each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConsentArgs {
    #[command(subcommand)]
    pub(crate) command: ConsentCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConsentCommand {
    /// A person says yes
    Give(SayArgs),
    /// A person says no, or takes a yes back
    Withdraw(SayArgs),
    /// Show what a person has said
    Show {
        /// Who: the subject of moments
        subject: String,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON, one line each
        #[arg(long)]
        json: bool,
    },
    /// Take in a file of what people have said, one in JSON a line:
    /// {"subject": "anna", "purpose": "offers", "given": true, "said": "2026-03-01T12:00:00Z"}
    Load {
        /// The lines; `-`: standard input. Nothing of a file with a line that is wrong is taken in
        file: PathBuf,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct SayArgs {
    /// Who: the subject of moments
    pub(crate) subject: String,
    /// What for, as `[guardrail.NAME]` says
    pub(crate) purpose: String,
    /// When it was said, e.g. 2026-03-01T12:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT")]
    pub(crate) said: Option<String>,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is muted.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhatArgs {
    /// All that a rule wants
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// All of a kind of moment; `offer.*`: of all whose names begin so
    #[arg(long, value_name = "KIND")]
    pub(crate) moment: Option<String>,
    /// All about a subject
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MuteArgs {
    #[command(flatten)]
    pub(crate) what: WhatArgs,
    /// For how long, e.g. `90m`, `2h 30m` or `3d` [default: until it is ended]
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    pub(crate) seconds: Option<u64>,
    /// Why, or by whom
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UnmuteArgs {
    #[command(flatten)]
    pub(crate) what: WhatArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A day has 24 hours here.
fn seconds(text: &str) -> Result<u64, String> {
    let span: jiff::Span = text.parse().map_err(|_| "it must be a time such as `90m`, `2h 30m` or `3d`")?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
    let seconds = duration.map_err(|_| "say it in weeks, days, hours, minutes or seconds")?.as_secs();
    u64::try_from(seconds)
        .ok()
        .filter(|&seconds| seconds > 0)
        .ok_or_else(|| "it must be a second at least".to_owned())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read_as_people_write_them() {
        let read = [("90m", 5_400), ("2h 30m", 9_000), ("3d", 259_200), ("1 hour", 3_600), ("PT1H", 3_600)];
        for (text, expected) in read {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "soon", "5", "-1h", "0s", "1mo", "1h in the morning"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
