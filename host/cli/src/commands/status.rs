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
    recovery: Recovery,
    kept: Kept,
    intake: Intake,
    moments: u64,
    actions: BTreeMap<String, u64>,
    plugins: Vec<Plugin>,
    sinks: Vec<Sink>,
    stopped_sinks: BTreeMap<String, String>,
    dead_letters: u64,
    guardrails: Guardrails,
    consent_file: Option<ConsentFile>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Guardrails {
    guardrails: Vec<Guardrail>,
    held: u64,
    max_held: u64,
    consents: u64,
    mutes: Vec<Muted>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Guardrail {
    name: String,
    kind: String,
    held: u64,
    withheld: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Muted {
    sort: String,
    name: String,
    until: Option<u64>,
    why: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConsentFile {
    path: String,
    bad_lines: u64,
    errors: Vec<String>,
    failed: Option<String>,
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
    start: u64,
    end: u64,
    bytes: u64,
    failed: Option<String>,
    notes: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Recovery {
    from: String,
    rules: u64,
    keys: u64,
    entries: u64,
    load_ms: u64,
    caught_up_ms: Option<u64>,
    next_ms: u64,
    target_ms: u64,
    checkpoints_failed: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kept {
    bases: u64,
    base_position: u64,
    lagging: Vec<String>,
    erasures: Vec<u64>,
    failed: Option<String>,
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
    loading: Option<String>,
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
    left_behind: u64,
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
        print_json(&block_on(host.show::<Value>(&["status"], &[]))?)?;
    } else {
        print(&block_on(host.show::<Shown>(&["status"], &[]))?.describe())?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Journal {
    fn describe(&self) -> String {
        let Journal { start, end, bytes: size, .. } = *self;
        let from = if start > 0 { format!(" (from position {})", grouped(start)) } else { String::new() };
        format!("{} entries{from} in {}", grouped(end.saturating_sub(start)), bytes(size))
    }
}

impl Kept {
    fn describe(&self) -> String {
        match self.bases {
            0 => "no base yet: all of the journal".to_owned(),
            bases => {
                format!("{}, the newest at position {}", counted(bases, "base"), grouped(self.base_position))
            }
        }
    }
}

impl Recovery {
    /// From what the host started, how long it took, and how long the next start would take.
    fn describe(&self) -> String {
        let mut text = format!("from {}", self.from);
        if self.rules > 0 {
            text += &format!(
                ": {} and {} in {} ms, {} entries to read again",
                counted(self.rules, "rule"),
                counted(self.keys, "key"),
                grouped(self.load_ms),
                grouped(self.entries)
            );
            text += &match self.caught_up_ms {
                Some(caught_up) => format!(", caught up after {} ms", grouped(caught_up)),
                None => ", not caught up yet".to_owned(),
            };
        }
        if self.target_ms > 0 {
            let (next, target) = (grouped(self.next_ms), grouped(self.target_ms));
            text += &format!("; after a crash now the next would take {next} ms of {target}");
        }
        text
    }
}

impl Guardrails {
    fn describe(&self) -> String {
        let mut text = String::new();
        if !self.guardrails.is_empty() {
            let head = ["GUARDRAIL", "KIND", "HELD", "WITHHELD"];
            let mut rows = vec![head.map(str::to_owned)];
            rows.extend(self.guardrails.iter().map(|Guardrail { name, kind, held, withheld }| {
                [name.clone(), kind.clone(), grouped(*held), grouped(*withheld)]
            }));
            text += &format!("\n{}", columns(&rows));
            let consents = match self.consents {
                1 => "1 yes or no is known".to_owned(),
                consents => format!("{} yeses and noes are known", grouped(consents)),
            };
            text += &format!("held now: {}; {consents}\n", counted(self.held, "action"));
        }
        if self.held > 0 && self.held >= self.max_held {
            text += "as many actions are held as may: more are withheld until some of them go\n";
        }
        for Muted { sort, name, until, why } in &self.mutes {
            let name = match sort.as_str() {
                "subject" => format!("whose hash is {name}"),
                _ => printable(name, REASON_CHARACTERS).to_string(),
            };
            let until = match until {
                Some(until) => format!("until {}", format_instant(*until)),
                None => "until `carpe unmute`".to_owned(),
            };
            let why = match why.as_str() {
                "" => String::new(),
                why => format!(": {}", printable(why, REASON_CHARACTERS)),
            };
            text += &format!("muted: the {sort} {name}, {until}{why}\n");
        }
        text
    }
}

impl ConsentFile {
    fn problems(&self) -> impl Iterator<Item = String> {
        let reason = |text: &String| printable(text, REASON_CHARACTERS).to_string();
        let failed = self.failed.as_ref().map(|failed| {
            format!("consents: {} cannot be read: {}; what it said before holds", self.path, reason(failed))
        });
        let bad = (self.bad_lines > 0).then(|| {
            let first = self.errors.first().map(reason).unwrap_or_default();
            let lines = counted(self.bad_lines, "line");
            format!("consents: {lines} of {} left out, since they are wrong: {first}", self.path)
        });
        failed.into_iter().chain(bad)
    }
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
            ("journal", self.journal.describe()),
            ("kept", self.kept.describe()),
            ("start", self.recovery.describe()),
            ("timeline", format!("{}, at {}", self.timeline.mode, format_instant(self.timeline.now))),
        ];
        text += &columns(&rows.map(|(name, value)| [format!("  {name}"), value]));
        for problem in self.problems() {
            text += &format!("  {problem}\n");
        }
        text.push('\n');
        text += &self.describe_plugins();
        text.push('\n');
        text += &self.describe_sinks();
        text += &self.guardrails.describe();
        text
    }

    /// What an operator should know, or do something about.
    fn problems(&self) -> Vec<String> {
        let reason = |text: &String| printable(text, REASON_CHARACTERS);
        let mut problems = Vec::new();
        problems.extend(self.journal.failed.as_ref().map(|failed| {
            format!(
                "journal: no events are taken, since it cannot be written: {}; the host tries again by itself (is there \
                 room on the disk?)",
                reason(failed)
            )
        }));
        problems.extend(self.recovery.checkpoints_failed.as_ref().map(|failed| {
            format!(
                "checkpoints: they cannot be written: {}; nothing is lost, but each minute makes the next start longer",
                reason(failed)
            )
        }));
        problems.extend(self.kept.failed.as_ref().map(|failed| {
            let what = "what is old, or is to be forgotten, could not be removed";
            format!("kept: {what}: {}; the host tries again by itself", reason(failed))
        }));
        problems.extend(self.kept.lagging.iter().map(|rule| {
            format!("kept: the rule {rule} lags: past `wait_seconds` or `wait_bytes` of `[journal]` it is left behind")
        }));
        if !self.kept.erasures.is_empty() {
            let positions: Vec<String> = self.kept.erasures.iter().copied().map(grouped).collect();
            problems.push(format!("erasures: not done yet, asked for at position {}", positions.join(", ")));
        }
        problems.extend(self.consent_file.iter().flat_map(ConsentFile::problems));
        problems.extend(self.journal.notes.iter().map(|note| format!("at the start: {}", reason(note))));
        problems
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
            if let Some(loading) = &plugin.loading {
                text += &format!("{}: {loading}\n", plugin.file);
            }
            let left_behind = plugin.work.as_ref().map_or(0, |work| work.left_behind);
            if left_behind > 0 {
                text += &format!(
                    "{}: left behind: it lagged too far, and {} journal entries were never given to it\n",
                    plugin.file,
                    grouped(left_behind)
                );
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
