//! Runs the stories of `tests/scenarios` through the real host; their format is in the README there.

mod compare;
mod script;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use carpe::plugin::Configuration;
use carpe::{
    Answer, Data, Event, Host, Instant, Manifest, Moment, MomentAction, Moments, Route, SubmitError, Target,
    Timeline, format_instant, parse_instant,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::PATIENCE;
use crate::guests::{component, sandbox};
pub use compare::difference;
use script::ScriptedSink;

/// How many times one `advance to` may stop for timers: a rule that sets its timer anew each time never ends.
const MAX_STOPS: usize = 10_000;
const MAX_EVENT_BYTES: usize = 1 << 20;

/// A story: what comes in, and what must come of it.
pub struct Scenario {
    setup: Setup,
    steps: Vec<Step>,
    /// What must come of it, a line each.
    pub expected: Vec<Value>,
    at_once: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    rules: Vec<Rule>,
    #[serde(default, rename = "route")]
    routes: Vec<Route>,
    /// Moments are shown with their data.
    #[serde(default)]
    data: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    plugin: String,
    name: Option<String>,
    #[serde(default)]
    configuration: Configuration,
}

enum Step {
    Event(Event),
    Advance(Instant),
    Answer(Answered),
}

/// What became of the latest such action.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    rule: String,
    key: String,
    action: String,
    reference: String,
    status: AnswerStatus,
    answer: Option<Value>,
}

/// What the other side of a sink can bring about: that an action is withheld or expires is up to the host.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AnswerStatus {
    Delivered,
    Rejected,
    Failed,
}

impl Scenario {
    /// Reads a scenario from its folder. Panics, with the file and the line, if it is none.
    pub fn read(folder: &Path) -> Scenario {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let setup =
            carpe::plugin::parse_toml(&folder.join("scenario.toml"), text("scenario.toml").as_bytes());
        Scenario {
            setup: setup.unwrap_or_else(|error| panic!("{error}")),
            steps: lines(&folder.join("events.jsonl"), &text("events.jsonl"), Step::read),
            expected: lines(&folder.join("expected.jsonl"), &text("expected.jsonl"), |_, value| Ok(value)),
            at_once: false,
        }
    }

    /// The same story, told to another rule.
    #[must_use]
    pub fn of(mut self, plugin: &str) -> Scenario {
        self.setup.rules.iter_mut().for_each(|rule| plugin.clone_into(&mut rule.plugin));
        self
    }

    /// The same, with all events before the first other step given at once.
    #[must_use]
    pub fn at_once(mut self) -> Scenario {
        self.at_once = true;
        self
    }

    /// Tells the story to a host with so many worker threads. Returns what came of it.
    pub fn run(&self, threads: usize) -> Vec<Value> {
        let sink = Arc::new(ScriptedSink::default());
        let host = self.setup.start(threads, &sink);
        let mut told = Told {
            coming: host.moments(),
            moments: Vec::new(),
            letters: BTreeMap::new(),
            lines: Vec::new(),
            data: self.setup.data,
        };
        let mut steps = &self.steps[..];
        if self.at_once {
            let events = steps.iter().map_while(|step| match step {
                Step::Event(event) => Some(event.clone()),
                _ => None,
            });
            let events: Vec<Event> = events.collect();
            steps = &steps[events.len()..];
            host.submit_all(events).and_then(carpe::Receipt::wait).expect("a host that takes them");
            quiet(&host);
            told.listen(&host);
        }
        for step in steps {
            match step {
                Step::Event(event) => told.submit(&host, event),
                Step::Advance(to) => advance(&host, *to),
                Step::Answer(answered) => sink.answer(told.latest(answered).id, answered.answer()),
            }
            quiet(&host);
            told.listen(&host);
        }
        told.lines.extend(self.expected.iter().filter_map(|line| kept(&host, line)));
        sink.leave();
        told.lines
    }
}

/// Each line that is not empty. Panics with the place of one that is wrong.
fn lines<T>(path: &Path, text: &str, read: impl Fn(&str, Value) -> Result<T, String>) -> Vec<T> {
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line)| {
        let value = serde_json::from_str(line).map_err(|error| error.to_string());
        let step = value.and_then(|value| read(line, value));
        step.unwrap_or_else(|error| panic!("{}:{}: {error}", path.display(), number + 1))
    };
    numbered.map(read).collect()
}

impl Step {
    fn read(line: &str, value: Value) -> Result<Step, String> {
        if let Some(to) = value.get("advance to") {
            let to = to.as_str().and_then(parse_instant);
            return to
                .map(Step::Advance)
                .ok_or_else(|| "`advance to` needs an instant in RFC 3339".to_owned());
        }
        if let Some(answer) = value.get("answer") {
            let answer = Answered::deserialize(answer).map_err(|error| error.to_string())?;
            return Ok(Step::Answer(answer));
        }
        Event::from_json(line.as_bytes(), MAX_EVENT_BYTES).map(Step::Event).map_err(|error| error.to_string())
    }
}

impl Setup {
    fn start(&self, threads: usize, sink: &Arc<ScriptedSink>) -> Host {
        // A sink that says no once has failed: a story has no time for more tries.
        let mut builder = Host::builder()
            .timeline(Timeline::Event)
            .threads(threads)
            .sandbox(sandbox())
            .retries(Duration::ZERO, Duration::ZERO, 10 * PATIENCE);
        for rule in &self.rules {
            let mut manifest = Manifest::default();
            manifest.name.clone_from(&rule.name);
            manifest.configuration = rule.configuration.clone();
            let name = rule.name.as_ref().unwrap_or(&rule.plugin);
            builder = builder.plugin(name, component(&rule.plugin).to_vec(), manifest);
        }
        for route in &self.routes {
            if let Target::Sink(name) = &route.to {
                builder = builder.sink(name, Arc::clone(sink) as Arc<dyn carpe::Sink>);
            }
            builder = builder.route(route.clone());
        }
        builder.start().unwrap_or_else(|error| panic!("the host does not start: {error}"))
    }
}

/// Waits until all that was accepted is handled; actions may wait for an answer.
fn quiet(host: &Host) {
    if !host.checkpoint(PATIENCE) {
        let status = serde_json::to_string_pretty(&host.status()).unwrap_or_default();
        panic!("the host is not done after {PATIENCE:?}: {status}");
    }
}

/// Moves the timeline, and stops wherever a timer is due on the way: so it is for a host as time goes by.
fn advance(host: &Host, to: Instant) {
    for _ in 0..MAX_STOPS {
        let now = host.status().timeline.now;
        let due = timers(host).into_iter().filter(|&due| due > now && due <= to).min();
        host.advance(due.unwrap_or(to));
        if due.is_none() {
            return;
        }
        quiet(host);
    }
    panic!("timers came due {MAX_STOPS} times before {}", format_instant(to));
}

fn timers(host: &Host) -> Vec<Instant> {
    let rules = host.status().plugins.into_iter().filter_map(|plugin| plugin.rule);
    let keys = rules.flat_map(|rule| host.states(&rule));
    keys.flat_map(|key| key.timers).map(|(due, _)| due).collect()
}

/// What came of it so far.
struct Told {
    coming: Moments,
    moments: Vec<Arc<Moment>>,
    /// How many letters of each rule have been told of.
    letters: BTreeMap<String, usize>,
    lines: Vec<Value>,
    data: bool,
}

impl Told {
    fn submit(&mut self, host: &Host, event: &Event) {
        match host.submit(event.clone()).and_then(carpe::Receipt::wait) {
            Ok(_) => {}
            Err(SubmitError::Invalid { error, .. }) => {
                self.lines.push(json!({ "event": event.id, "refused": error.to_string() }));
            }
            Err(error) => panic!("event {}: {error}", event.id),
        }
    }

    fn latest(&self, answered: &Answered) -> &MomentAction {
        let of_key = |moment: &&Arc<Moment>| moment.rule == answered.rule && moment.key == answered.key;
        let is_meant = |action: &&MomentAction| {
            action.name == answered.action && action.reference.as_ref() == Some(&answered.reference)
        };
        let mut actions = self.moments.iter().rev().filter(of_key).flat_map(|moment| &moment.actions);
        actions.find(is_meant).unwrap_or_else(|| panic!("there is no action for {answered:?}"))
    }

    /// Moments come first, then what was set aside: an input that makes a moment is rarely set aside too.
    fn listen(&mut self, host: &Host) {
        while let Some(moment) = self.coming.try_recv().expect("a host that runs, and room for all moments") {
            let mut line = shown(&moment);
            if let Some(data) = moment.data.as_deref().filter(|_| self.data) {
                line["data"] = parsed(data);
            }
            self.lines.push(line);
            self.moments.push(moment);
        }
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for letter in host.dead_letters(usize::MAX) {
            let seen = seen.entry(letter.rule.clone()).or_default();
            *seen += 1;
            let known = self.letters.entry(letter.rule.clone()).or_default();
            if *seen > *known {
                *known = *seen;
                let line = json!({ "rule": letter.rule, "key": letter.key, "set aside": letter.reason });
                self.lines.push(line);
            }
        }
    }
}

impl Answered {
    fn answer(&self) -> Answer {
        let data = self.answer.as_ref().map_or(Data::Absent, |answer| Data::Json(answer.to_string()));
        match self.status {
            AnswerStatus::Delivered => Answer::Delivered(data),
            AnswerStatus::Rejected => Answer::Rejected("as the scenario has it".to_owned(), data),
            AnswerStatus::Failed => {
                Answer::Again { reason: "as the scenario has it".to_owned(), after: None }
            }
        }
    }
}

fn shown(moment: &Moment) -> Value {
    let mut line = json!({
        "rule": moment.rule,
        "key": moment.key,
        "moment": moment.kind,
        "why": moment.why,
        "time": format_instant(moment.time),
    });
    if let Some(subject) = &moment.subject {
        line["subject"] = json!(subject);
    }
    let actions = moment.actions.iter().map(|action| {
        let mut shown = json!({ "name": action.name, "data": parsed(&action.data) });
        if let Some(reference) = &action.reference {
            shown["reference"] = json!(reference);
        }
        shown
    });
    line["actions"] = actions.collect();
    line
}

/// What the host keeps of what a line with `state` or `timers` asks for.
fn kept(host: &Host, line: &Value) -> Option<Value> {
    let asked = |what: &str| line.get(what).is_some();
    if !asked("state") && !asked("timers") {
        return None;
    }
    let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
    let (rule, key) = (text("rule"), text("key"));
    let found = host.states(rule).into_iter().find(|known| known.key == key);
    let mut shown = json!({ "rule": rule, "key": key });
    if asked("state") {
        let state = found.as_ref().and_then(|known| known.state.as_deref());
        shown["state"] = state.map_or(Value::Null, |state| parsed(&String::from_utf8_lossy(state)));
    }
    if asked("timers") {
        let timers = found.map(|known| known.timers).unwrap_or_default();
        let timers: Map<String, Value> =
            timers.into_iter().map(|(due, name)| (name, json!(format_instant(due)))).collect();
        shown["timers"] = timers.into();
    }
    Some(shown)
}

/// JSON, or what is none as a text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}
