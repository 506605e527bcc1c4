//! `carpe dead-letters`: inputs that were set aside: why, and what is to become of them.

use std::fmt::Write;
use std::process::ExitCode;

use carpe::format_instant;
use carpe_connect::sinks::printable;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::args::{DeadLettersArgs, DeadLettersCommand, LetterArgs, LettersArgs, ListLettersArgs};
use crate::client::{HostClient, Listener, block_on};
use crate::failure::{Failure, Kind};
use crate::output::{counted, print, print_json};

const WORD_CHARACTERS: usize = 200;
const REASON_CHARACTERS: usize = 2_000;
const INPUT_CHARACTERS: usize = 100_000;

/// More of a rule there never are.
const ALL: usize = 10_000;

#[derive(Deserialize)]
struct Answer {
    dead_letters: Vec<DeadLetter>,
}

#[derive(Serialize, Deserialize)]
struct DeadLetter {
    id: String,
    rule: String,
    key: String,
    position: u64,
    timer: Option<String>,
    reason: String,
    backtrace: Vec<String>,
    now: u64,
    /// Only where one is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<Box<RawValue>>,
}

/// What becomes of a dead letter.
#[derive(Clone, Copy)]
enum Verb {
    Again,
    Drop,
}

impl Verb {
    fn path(self) -> &'static str {
        match self {
            Verb::Again => "again",
            Verb::Drop => "drop",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Verb::Again => "given again, as new inputs",
            Verb::Drop => "dropped",
        }
    }
}

pub(crate) fn dead_letters(args: &DeadLettersArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        None => list(&args.list),
        Some(DeadLettersCommand::List(args)) => list(args),
        Some(DeadLettersCommand::Show(args)) => show(args),
        Some(DeadLettersCommand::Again(args)) => close(args, Verb::Again),
        Some(DeadLettersCommand::Drop(args)) => close(args, Verb::Drop),
    }
}

fn list(args: &ListLettersArgs) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let letters = block_on(letters(&host, args.rule.as_deref(), args.limit))?;
    if args.json {
        letters.iter().try_for_each(print_json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for letter in &letters {
        letter.describe(&mut text);
    }
    if letters.is_empty() {
        text.push_str("no input is set aside\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn letters(host: &HostClient, rule: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Failure> {
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(rule.map(|rule| ("rule", rule)));
    Ok(host.show::<Answer>(&["dead-letters"], &query).await?.dead_letters)
}

fn show(args: &LetterArgs) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let letter: DeadLetter = block_on(host.show(&["dead-letters", &args.id], &[]))?;
    if args.json {
        print_json(&letter)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    letter.describe(&mut text);
    text += &match &letter.input {
        Some(input) => format!("    input: {}\n", printable(input.get(), INPUT_CHARACTERS)),
        None => "    its input is not kept any more: it can only be dropped\n".to_owned(),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn close(args: &LettersArgs, verb: Verb) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let closed = block_on(async {
        let which = &args.which;
        let ids = match which.ids.as_slice() {
            [] => letters(&host, which.rule.as_deref(), ALL)
                .await?
                .into_iter()
                .map(|letter| letter.id)
                .collect(),
            ids => ids.to_vec(),
        };
        host.change_each(("dead-letters", verb.path()), &ids, &json!({}), args.json).await
    });
    let (done, refused) = closed?;
    if !args.json {
        print(&format!("{}: {}\n", verb.done(), counted(done, "dead letter")))?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { Kind::Failed.code() })
}

impl DeadLetter {
    fn describe(&self, text: &mut String) {
        let word = |word: &str| printable(word, WORD_CHARACTERS);
        let timer = self.timer.as_ref().map(|name| format!(", timer {}", word(name))).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} {} {} {} (entry {}{timer}): {}",
            word(&self.id),
            format_instant(self.now),
            word(&self.rule),
            word(&self.key),
            self.position,
            printable(&self.reason, REASON_CHARACTERS)
        );
        for frame in &self.backtrace {
            let _ = writeln!(text, "    in {}", word(frame));
        }
    }
}
