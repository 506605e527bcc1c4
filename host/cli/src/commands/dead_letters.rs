//! `carpe dead-letters`: inputs that were set aside, and why.

use std::fmt::Write;
use std::process::ExitCode;

use carpe::format_instant;
use carpe_connect::sinks::printable;
use serde::{Deserialize, Serialize};

use crate::args::DeadLettersArgs;
use crate::client::{HostClient, Listener, block_on};
use crate::failure::Failure;
use crate::output::{print, print_json};

const WORD_CHARACTERS: usize = 200;
const REASON_CHARACTERS: usize = 2_000;

#[derive(Serialize, Deserialize)]
struct Answer {
    dead_letters: Vec<DeadLetter>,
}

#[derive(Serialize, Deserialize)]
struct DeadLetter {
    rule: String,
    key: String,
    position: u64,
    timer: Option<String>,
    reason: String,
    backtrace: Vec<String>,
    now: u64,
}

pub(crate) fn dead_letters(args: &DeadLettersArgs) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let Answer { dead_letters } = block_on(host.show(&format!("/dead-letters?limit={}", args.limit)))?;
    if args.json {
        dead_letters.iter().try_for_each(print_json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for letter in &dead_letters {
        letter.describe(&mut text);
    }
    if dead_letters.is_empty() {
        text.push_str("no input is set aside\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

impl DeadLetter {
    fn describe(&self, text: &mut String) {
        let word = |word: &str| printable(word, WORD_CHARACTERS);
        let timer = self.timer.as_ref().map(|name| format!(", timer {}", word(name))).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} {} {} (entry {}{timer}): {}",
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
