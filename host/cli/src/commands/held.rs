//! `carpe held`: what guardrails hold, and a person's word about it.

use std::fmt::Write;
use std::process::ExitCode;

use carpe_connect::operators::HeldJson;
use carpe_connect::sinks::printable;
use serde::Deserialize;
use serde_json::json;

use crate::args::{DecideArgs, HeldArgs, HeldCommand, ListHeldArgs};
use crate::client::{HostClient, Listener, block_on};
use crate::failure::{Failure, Kind};
use crate::output::{counted, print, print_json};

const WORD_CHARACTERS: usize = 200;
const REASON_CHARACTERS: usize = 1_000;
const DATA_CHARACTERS: usize = 2_000;

#[derive(Deserialize)]
struct Answer {
    held: Vec<HeldJson>,
}

/// What a person says.
#[derive(Clone, Copy)]
enum Verb {
    Approve,
    Refuse,
}

impl Verb {
    fn path(self) -> &'static str {
        match self {
            Verb::Approve => "approve",
            Verb::Refuse => "refuse",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Verb::Approve => "approved",
            Verb::Refuse => "refused",
        }
    }
}

pub(crate) fn held(args: &HeldArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        None => list(&args.list),
        Some(HeldCommand::List(args)) => list(args),
        Some(HeldCommand::Approve(args)) => decide(args, Verb::Approve),
        Some(HeldCommand::Refuse(args)) => decide(args, Verb::Refuse),
    }
}

fn list(args: &ListHeldArgs) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let limit = args.limit.to_string();
    let held = block_on(host.show::<Answer>(&["held"], &[("limit", &limit)]))?.held;
    if args.json {
        held.iter().try_for_each(print_json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    held.iter().for_each(|held| describe(&mut text, held));
    if held.is_empty() {
        text.push_str("nothing is held\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(text: &mut String, held: &HeldJson) {
    let word = |word: &str| printable(word, WORD_CHARACTERS);
    let waits = if held.for_approval { "for a person, until" } else { "until" };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} {} {} {waits} {}: guardrail `{}`: {}",
        word(&held.id),
        word(&held.action),
        word(&held.subject),
        held.until,
        word(&held.guardrail),
        printable(&held.reason, REASON_CHARACTERS)
    );
    let why = printable(&held.why, REASON_CHARACTERS);
    let _ = writeln!(text, "    {} [{}]: {why}", word(&held.kind), word(&held.rule));
    if let Some(data) = &held.data {
        let _ = writeln!(text, "    {}", printable(data.get(), DATA_CHARACTERS));
    }
}

fn decide(args: &DecideArgs, verb: Verb) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let wish = json!({ "why": args.why });
    let (done, refused) = block_on(host.change_each(("held", verb.path()), &args.ids, &wish, args.json))?;
    if !args.json {
        print(&format!("{}: {}\n", verb.done(), counted(done, "action")))?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { Kind::Failed.code() })
}
