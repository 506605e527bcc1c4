//! `carpe status`: what a running host is doing.

use std::collections::BTreeMap;
use std::process::ExitCode;

use carpe::format_instant;
use carpe_connect::sinks::printable;
use serde::Deserialize;
use serde_json::Value;

use crate::args::StatusArgs;
use crate::client::{HostClient, Listener, block_on};
use crate::failure::Failure;
use crate::output::{bytes, columns, counted, grouped, print, print_json};

const REASON_CHARACTERS: usize = 500;
const HASH_CHARACTERS: usize = 10;

/// What is shown of a host's status; there is more in it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Shown {
    version: String,
    ready: bool,
    not_ready_because: Vec<String>,
    timeline: Timeline,
    journal: Journal,
    intake: Intake,
    moments: u64,
    actions: BTreeMap<String, u64>,
    plugins: Vec<Plugin>,
    sinks: Vec<Sink>,
    stopped_sinks: BTreeMap<String, String>,
    dead_letters: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Timeline {
    mode: String,
    now: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Journal {
    end: u64,
    bytes: u64,
    failed: Option<String>,
    notes: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Intake {
    accepted: u64,
    repeated: u64,
    refused: u64,
    waiting_events: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Plugin {
    file: String,
    rule: Option<String>,
    state: String,
    reason: Option<String>,
    since: u64,
    version: Option<String>,
    hash: Option<String>,
    work: Option<Work>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Work {
    behind: u64,
    keys: u64,
    timers: u64,
    inputs: u64,
    moments: u64,
    dead_letters: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sink {
    name: String,
    waiting: u64,
    max_waiting: u64,
    delivered: u64,
    rejected: u64,
    failed: u64,
    expired: u64,
    missed: u64,
    set_aside: u64,
    retries: u64,
    last_error: Option<String>,
    breaker: Breaker,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Breaker {
    state: String,
    until: Option<u64>,
    failures: u64,
}

pub(crate) fn status(args: &StatusArgs) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    if args.json {
        print_json(&block_on(host.show::<Value>("/status"))?)?;
    } else {
        print(&block_on(host.show::<Shown>("/status"))?.describe())?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Shown {
    fn describe(&self) -> String {
        let mut text = match self.ready {
            true => format!("carpe {} is ready\n", self.version),
            false => format!("carpe {} is not ready: {}\n", self.version, self.not_ready_because.join("; ")),
        };
        let Intake { accepted, repeated, refused, waiting_events } = self.intake;
        let actions: Vec<_> = self.actions.iter().filter(|(_, count)| **count > 0).collect();
        let actions = match actions.as_slice() {
            [] => "none".to_owned(),
            some => some
                .iter()
                .map(|(outcome, count)| format!("{} {outcome}", grouped(**count)))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let rows = [
            (
                "events",
                format!(
                    "{} accepted, {} repeated, {} refused, {} waiting",
                    grouped(accepted),
                    grouped(repeated),
                    grouped(refused),
                    grouped(waiting_events)
                ),
            ),
            ("moments", grouped(self.moments)),
            ("actions", actions),
            ("set aside", counted(self.dead_letters, "input")),
            ("journal", format!("{} entries in {}", grouped(self.journal.end), bytes(self.journal.bytes))),
            ("timeline", format!("{}, at {}", self.timeline.mode, format_instant(self.timeline.now))),
        ];
        text += &columns(&rows.map(|(name, value)| [format!("  {name}"), value]));
        for problem in self.journal.failed.iter().chain(&self.journal.notes) {
            text += &format!("  journal: {}\n", printable(problem, REASON_CHARACTERS));
        }
        text.push('\n');
        text += &self.describe_plugins();
        text.push('\n');
        text += &self.describe_sinks();
        text
    }

    fn describe_plugins(&self) -> String {
        if self.plugins.is_empty() {
            return "no plugins\n".to_owned();
        }
        let head = [
            "PLUGIN", "RULE", "STATE", "SINCE", "VERSION", "HASH", "INPUTS", "MOMENTS", "BEHIND", "KEYS",
            "TIMERS", "ASIDE",
        ];
        let mut text = String::new();
        let mut rows = vec![head.map(str::to_owned)];
        for plugin in &self.plugins {
            let some = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            let count =
                |of: fn(&Work) -> u64| plugin.work.as_ref().map_or("-".to_owned(), |work| grouped(of(work)));
            rows.push([
                plugin.file.clone(),
                some(&plugin.rule),
                plugin.state.clone(),
                format_instant(plugin.since).chars().take(19).collect(),
                some(&plugin.version),
                some(&plugin.hash).chars().take(HASH_CHARACTERS).collect(),
                count(|work| work.inputs),
                count(|work| work.moments),
                count(|work| work.behind),
                count(|work| work.keys),
                count(|work| work.timers),
                count(|work| work.dead_letters),
            ]);
        }
        text += &columns(&rows);
        for plugin in &self.plugins {
            if let Some(reason) = &plugin.reason {
                text += &format!("{}: {}\n", plugin.file, printable(reason, REASON_CHARACTERS));
            }
        }
        text
    }

    fn describe_sinks(&self) -> String {
        let head = ["SINK", "WAITING", "DELIVERED", "REJECTED", "FAILED", "EXPIRED", "MISSED", "RETRIES"];
        let mut rows = vec![head.map(str::to_owned)];
        for sink in &self.sinks {
            let Sink { waiting, delivered, rejected, failed, expired, missed, retries, .. } = *sink;
            let counts = [waiting, delivered, rejected, failed, expired, missed, retries];
            let [waiting, delivered, rejected, failed, expired, missed, retries] = counts.map(grouped);
            rows.push([sink.name.clone(), waiting, delivered, rejected, failed, expired, missed, retries]);
        }
        let mut text = columns(&rows);
        for sink in &self.sinks {
            if let Some(why) = self.stopped_sinks.get(&sink.name) {
                text += &format!("{}: nothing is sent any more, {why}\n", sink.name);
            }
            if let Some(until) = sink.breaker.until.filter(|_| sink.breaker.state == "open") {
                text += &format!(
                    "{}: the circuit breaker is open after {} failed tries in a row, the next is not before {}\n",
                    sink.name,
                    grouped(sink.breaker.failures),
                    format_instant(until)
                );
            }
            if sink.waiting >= sink.max_waiting && sink.max_waiting > 0 {
                text +=
                    &format!("{}: as many actions wait as may, {}\n", sink.name, grouped(sink.max_waiting));
            }
            if sink.set_aside > 0 {
                text += &format!("{}: {} found no room\n", sink.name, counted(sink.set_aside, "action"));
            }
            if let Some(error) = &sink.last_error {
                text +=
                    &format!("{}: the last failure: {}\n", sink.name, printable(error, REASON_CHARACTERS));
            }
        }
        text
    }
}
