//! `carpe replay`: states and moments, computed again from a data folder.

mod digest;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use carpe::Moment;
use carpe::replay::{Replayed, ReplayedRule};
use carpe_connect::operators::KeyJson;
use carpe_connect::sinks::printable;
use serde::Serialize;

use super::state::line;
use super::verify::{IN_USE, options};
use crate::args::ReplayArgs;
use crate::config::PrintFormat;
use crate::failure::{Failure, Kind};
use crate::line::moment_line;
use crate::output::{Lines, counted, grouped, is_stdout, print, print_json};
use digest::AnyOrder;

const REASON_CHARACTERS: usize = 300;
const HASH_CHARACTERS: usize = 16;
/// Inputs that are set aside are shown for people up to here.
const SHOWN: usize = 10;

#[derive(Serialize)]
struct Summary<'a> {
    from: u64,
    until: u64,
    erased: u64,
    rules: Vec<RuleSummary<'a>>,
}

/// What came of a rule. Two replays did the same if all of it is the same.
#[derive(Serialize)]
struct RuleSummary<'a> {
    rule: &'a str,
    components: &'a [String],
    inputs: u64,
    moments: u64,
    keys: u64,
    dead_letters: &'a [(u64, String)],
    undecided: &'a [(u64, String)],
    /// blake3 of the lines that `--states` writes.
    states_digest: String,
    /// Over the lines that `--moments` writes, in whatever order.
    moments_digest: String,
}

pub(crate) fn replay(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let data = &args.data.data;
    let to_stdout =
        [&args.moments, &args.states].into_iter().flatten().filter(|path| is_stdout(path)).count();
    if to_stdout == 2 {
        let message = "--moments and --states cannot both go to standard output";
        return Err(Failure::new(Kind::Usage, message));
    }
    let mut moments = args.moments.as_deref().map(Lines::create).transpose()?;
    let mut states = args.states.as_deref().map(Lines::create).transpose()?;
    let (replayed, digests) = compute(data, args.threads.get(), &mut moments)?;
    let mut summary =
        Summary { from: replayed.from, until: replayed.until, erased: replayed.erased, rules: Vec::new() };
    for rule in &replayed.rules {
        let states_digest = write_states(rule, &mut states)?;
        let moments_digest =
            digests.get(&rule.rule).map_or_else(|| AnyOrder::default().to_hex(), AnyOrder::to_hex);
        summary.rules.push(RuleSummary {
            rule: &rule.rule,
            components: &rule.components,
            inputs: rule.inputs,
            moments: rule.moments,
            keys: rule.keys.len() as u64,
            dead_letters: &rule.dead_letters,
            undecided: &rule.undecided,
            states_digest,
            moments_digest,
        });
    }
    for lines in [moments, states].into_iter().flatten() {
        lines.finish()?;
    }
    match (args.json, to_stdout) {
        (true, 0) => print_json(&summary)?,
        (false, 0) => print(&summary.describe())?,
        (true, _) => eprintln!("{}", serde_json::to_string(&summary).map_err(anyhow::Error::new)?),
        (false, _) => eprint!("{}", summary.describe()),
    }
    Ok(ExitCode::SUCCESS)
}

fn compute(
    data: &Path,
    threads: usize,
    lines: &mut Option<Lines>,
) -> Result<(Replayed, BTreeMap<String, AnyOrder>), Failure> {
    let mut digests: BTreeMap<String, AnyOrder> = BTreeMap::new();
    let (mut text, mut written) = (String::new(), Ok(()));
    let mut on_moment = |moment: &Moment| {
        text.clear();
        moment_line(&mut text, moment, PrintFormat::Json, true);
        digests.entry(moment.rule.clone()).or_default().add(text.as_bytes());
        if let (Some(lines), Ok(())) = (lines.as_mut(), &written) {
            written = lines.write(&text);
        }
    };
    let replayed = carpe::replay::replay(&options(data, threads), &mut on_moment);
    let doing = format!("replay {}", data.display());
    let replayed = replayed.map_err(|error| Failure::of_data(error, &doing, IN_USE))?;
    written?;
    Ok((replayed, digests))
}

/// Writes the keys of a rule, and says what their lines' hash is.
fn write_states(rule: &ReplayedRule, lines: &mut Option<Lines>) -> Result<String, Failure> {
    let mut hasher = blake3::Hasher::new();
    for key in &rule.keys {
        let mut json = KeyJson::of(key);
        json.rule = Some(rule.rule.clone());
        let text = line(&json)?;
        hasher.update(text.as_bytes());
        if let Some(lines) = lines {
            lines.write(&text)?;
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

impl Summary<'_> {
    fn describe(&self) -> String {
        let mut text =
            format!("computed again from position {} to {}", grouped(self.from), grouped(self.until));
        match self.erased {
            0 => text.push('\n'),
            erased => text += &format!("; {} erased entries are left out\n", grouped(erased)),
        }
        for rule in &self.rules {
            text += &rule.describe();
        }
        text
    }
}

impl RuleSummary<'_> {
    /// All that counts is in the first line, so that two replays are compared by it.
    fn describe(&self) -> String {
        let short = |hash: &str| hash.chars().take(HASH_CHARACTERS).collect::<String>();
        let components: Vec<String> = self.components.iter().map(|hash| short(hash)).collect();
        let mut text = format!(
            "{}: {}, {}, {}, {}, states {}, moments {}, components {}\n",
            self.rule,
            counted(self.inputs, "input"),
            counted(self.moments, "moment"),
            counted(self.keys, "key"),
            counted(self.dead_letters.len() as u64, "dead letter"),
            short(&self.states_digest),
            short(&self.moments_digest),
            components.join(" "),
        );
        for (what, inputs) in
            [("set aside", self.dead_letters), ("failed, but never decided", self.undecided)]
        {
            for (position, reason) in inputs.iter().take(SHOWN) {
                let reason = printable(reason, REASON_CHARACTERS);
                text += &format!("  {what}, at position {}: {reason}\n", grouped(*position));
            }
            if inputs.len() > SHOWN {
                text += &format!("  and {} more\n", grouped((inputs.len() - SHOWN) as u64));
            }
        }
        text
    }
}
