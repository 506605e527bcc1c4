//! `carpe consent`: what a person has said yes or no to.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use carpe::CONSENTS_AT_ONCE;
use carpe_connect::ConsentJson;
use carpe_connect::sinks::printable;
use serde::Deserialize;
use serde_json::json;

use crate::args::{ConsentArgs, ConsentCommand, HostArgs, SayArgs};
use crate::client::{HostClient, Listener, block_on};
use crate::failure::{Explain, Failure, Kind};
use crate::output::{columns, counted, is_stdout, print, print_json};

const WORD_CHARACTERS: usize = 200;

/// So many are sent at once.
const TOGETHER: usize = 1_000;
const _: () = assert!(TOGETHER <= CONSENTS_AT_ONCE, "the host takes no more");

/// Lines that are wrong are named up to here.
const NAMED: usize = 20;

#[derive(Deserialize)]
struct Known {
    consents: Vec<ConsentJson>,
}

#[derive(Deserialize)]
struct Changed {
    changed: u64,
}

pub(crate) fn consent(args: &ConsentArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        ConsentCommand::Give(args) => say(args, true),
        ConsentCommand::Withdraw(args) => say(args, false),
        ConsentCommand::Show { subject, host, json } => show(subject, host, *json),
        ConsentCommand::Load { file, host, json } => load(file, host, *json),
    }
}

fn say(args: &SayArgs, given: bool) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let mut consent = ConsentJson::now(&args.subject, &args.purpose, given);
    consent.said.clone_from(&args.said);
    let Changed { changed } = block_on(host.change(&["consents"], &json!({ "consents": [consent] })))?;
    if args.json {
        print_json(&json!({ "changed": changed }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let word = if given { "yes" } else { "no" };
    let subject = printable(&args.subject, WORD_CHARACTERS);
    let purpose = printable(&args.purpose, WORD_CHARACTERS);
    print(&match changed {
        0 => format!("{subject} has said something else since, or the same: nothing has changed\n"),
        _ => format!("{subject} says {word} to {purpose}\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show(subject: &str, host: &HostArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let host = HostClient::new(host, Listener::Operators)?;
    let Known { consents } = block_on(host.show(&["consents"], &[("subject", subject)]))?;
    if as_json {
        consents.iter().try_for_each(print_json)?;
        return Ok(ExitCode::SUCCESS);
    }
    if consents.is_empty() {
        let subject = printable(subject, WORD_CHARACTERS);
        print(&format!("{subject} has said nothing: where a consent is needed, that is a no\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<[String; 3]> = consents
        .into_iter()
        .map(|consent| {
            let word = if consent.given { "yes" } else { "no" };
            let purpose = printable(&consent.purpose, WORD_CHARACTERS).to_string();
            [purpose, word.to_owned(), consent.said.unwrap_or_default()]
        })
        .collect();
    print(&columns(&rows))?;
    Ok(ExitCode::SUCCESS)
}

fn load(file: &Path, host: &HostArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let host = HostClient::new(host, Listener::Operators)?;
    let lines = read(file)?;
    let changed = block_on(async {
        let mut changed = 0;
        for part in lines.chunks(TOGETHER) {
            let Changed { changed: new } = host.change(&["consents"], &json!({ "consents": part })).await?;
            changed += new;
        }
        Ok(changed)
    })?;
    let count = lines.len() as u64;
    match as_json {
        true => print_json(&json!({ "lines": count, "changed": changed }))?,
        false => print(&format!("read: {}; {changed} of them said something new\n", counted(count, "line")))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// All lines, or what is wrong with some.
fn read(file: &Path) -> Result<Vec<ConsentJson>, Failure> {
    let (name, reader): (String, Box<dyn BufRead>) = match is_stdout(file) {
        true => ("standard input".to_owned(), Box::new(io::stdin().lock())),
        false => {
            let name = file.display().to_string();
            let opened = File::open(file).with_context(|| format!("cannot read {name}"));
            (name, Box::new(BufReader::new(opened.kind(Kind::Usage)?)))
        }
    };
    let (mut consents, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(reader.split(b'\n')) {
        let line = line.with_context(|| format!("cannot read {name}"))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        match ConsentJson::read_line(&line) {
            Ok(consent) => consents.push(ConsentJson::from(consent)),
            Err(reason) => wrong.push(format!("{name}:{number}: {reason}")),
        }
    }
    if wrong.is_empty() {
        return Ok(consents);
    }
    let more = wrong.len().saturating_sub(NAMED);
    wrong.truncate(NAMED);
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    Err(Failure::new(Kind::Failed, wrong.join("\n")).with_hint("nothing was taken in"))
}
