//! `carpe moments`: how far each has come, when and why.

use std::fmt::Write;
use std::process::ExitCode;

use carpe::MomentFilter;
use carpe_connect::operators::{ActionLifeJson, LifeJson};
use carpe_connect::sinks::printable;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::verify::{IN_USE, options};
use crate::args::{MomentArgs, MomentsArgs, MomentsCommand, WhichMoments};
use crate::client::{HostClient, Listener, block_on};
use crate::failure::{Failure, Kind};
use crate::output::{print, print_json};

const WORD_CHARACTERS: usize = 200;
const REASON_CHARACTERS: usize = 1_000;
const DATA_CHARACTERS: usize = 100_000;

#[derive(Deserialize)]
struct Answer {
    moments: Vec<LifeJson>,
}

pub(crate) fn moments(args: &MomentsArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        None => list(&args.which),
        Some(MomentsCommand::List(which)) => list(which),
        Some(MomentsCommand::Show(args)) => show(args),
    }
}

fn list(which: &WhichMoments) -> Result<ExitCode, Failure> {
    let lives = if which.from.replay {
        let mut filter = MomentFilter::default();
        filter.rule.clone_from(&which.rule);
        filter.subject.clone_from(&which.subject);
        filter.stage = which.stage;
        filter.limit = Some(which.limit);
        replayed(&which.from.host.data, &filter, false)?
    } else {
        let host = HostClient::new(&which.from.host, Listener::Operators)?;
        let limit = which.limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(which.rule.as_deref().map(|rule| ("rule", rule)));
        query.extend(which.subject.as_deref().map(|subject| ("subject", subject)));
        query.extend(which.stage.map(|stage| ("stage", stage.as_str())));
        block_on(host.show::<Answer>(&["moments"], &query))?.moments
    };
    if which.from.json {
        lives.iter().try_for_each(print_json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    lives.iter().for_each(|life| describe(&mut text, life));
    if lives.is_empty() {
        text.push_str("no moments\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn show(args: &MomentArgs) -> Result<ExitCode, Failure> {
    let life = if args.from.replay {
        let mut filter = MomentFilter::default();
        filter.id = Some(args.id.clone());
        let found = replayed(&args.from.host.data, &filter, true)?.pop();
        found.ok_or_else(|| Failure::new(Kind::Failed, format!("there is no moment `{}`", args.id)))?
    } else {
        let host = HostClient::new(&args.from.host, Listener::Operators)?;
        block_on(host.show::<LifeJson>(&["moments", &args.id], &[]))?
    };
    if args.from.json {
        print_json(&life)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    describe(&mut text, &life);
    describe_whole(&mut text, &life);
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn replayed(data: &std::path::Path, filter: &MomentFilter, whole: bool) -> Result<Vec<LifeJson>, Failure> {
    let lives = carpe::replay::lives(&options(data, 1), filter);
    let doing = format!("compute the moments of {} again", data.display());
    let lives = lives.map_err(|error| Failure::of_data(error, &doing, IN_USE))?;
    Ok(lives.iter().map(|life| LifeJson::of(life, whole)).collect())
}

fn word(word: &str) -> String {
    printable(word, WORD_CHARACTERS).to_string()
}

/// One line each: the moment, and how far each action has come.
fn describe(text: &mut String, life: &LifeJson) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} {} {} {} {}: {} [{}]",
        word(&life.id),
        life.now,
        word(&life.stage),
        word(&life.kind),
        word(&life.subject),
        printable(&life.why, REASON_CHARACTERS),
        word(&life.rule)
    );
    for action in &life.actions {
        let _ = writeln!(text, "  -> {} {}{}", word(&action.name), word(&action.stage), last_step(action));
    }
}

/// Since when, and why.
fn last_step(action: &ActionLifeJson) -> String {
    let Some(step) = action.steps.last() else { return String::new() };
    let until = step.until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
    let why = step.why.as_ref().map(|why| format!(": {}", printable(why, REASON_CHARACTERS)));
    format!(" at {}{until}{}", step.at, why.unwrap_or_default())
}

fn describe_whole(text: &mut String, life: &LifeJson) {
    let data = |data: &Option<Box<RawValue>>| {
        data.as_ref().map(|data| printable(data.get(), DATA_CHARACTERS).to_string())
    };
    let _ = writeln!(text, "\nkey      {}", word(&life.key));
    let _ = writeln!(text, "occurred {}", life.time);
    let _ = writeln!(text, "expires  {}", life.expires.as_deref().unwrap_or("never"));
    if let Some(facts) = data(&life.data) {
        let _ = writeln!(text, "facts    {facts}");
    }
    for action in &life.actions {
        let _ = writeln!(text, "\naction {}, {}", word(&action.name), word(&action.id));
        if let Some(data) = data(&action.data) {
            let _ = writeln!(text, "  data {data}");
        }
        for step in &action.steps {
            let until = step.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
            let why = step.why.as_ref().map(|why| format!(": {}", printable(why, REASON_CHARACTERS)));
            let _ = writeln!(text, "  {} {}{until}{}", step.at, word(&step.stage), why.unwrap_or_default());
        }
    }
}
