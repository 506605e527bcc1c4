//! Tells a story to a host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use carpe::sandbox::SandboxOptions;
use carpe::{
    Answer, Data, Event, Host, Instant, Manifest, Moment, MomentAction, Moments, Receipt, StartError,
    SubmitError, Target, Timeline, format_instant,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::script::ScriptedSink;
use crate::{AnswerStatus, Answered, Load, Rule, Scenario, Setup, Step};

/// Gives the component of a plugin that a story names.
pub type Components<'a> = &'a dyn Fn(&str) -> Option<Arc<[u8]>>;

/// How many times one `advance to` may stop for timers: a rule that sets its timer anew each time never ends.
const MAX_STOPS: usize = 10_000;

/// Events that are handed in together at most, by chance.
const MOST_AT_RANDOM: usize = 7;

/// How long the host may take for a step.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How a story is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Telling {
    /// Worker threads of the host.
    pub threads: usize,
    /// How the events that follow each other are handed in.
    pub cut: Cut,
    /// Each batch goes to an instance that was never called before.
    pub fresh: bool,
    /// What components run in.
    pub sandbox: SandboxOptions,
}

impl Default for Telling {
    fn default() -> Self {
        Telling { threads: 1, cut: Cut::OneByOne, fresh: false, sandbox: SandboxOptions::default() }
    }
}

/// How events that follow each other are handed in. To a rule it must make no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Each alone, when all that the one before led to is done.
    OneByOne,
    /// All at once.
    Whole,
    /// In pieces, by a seed.
    Random(u64),
}

/// Why a story could not be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TellError {
    /// A plugin that it names is not there.
    #[error("the story names the plugin `{0}`, which is not there")]
    NoPlugin(String),
    /// The host does not start: a plugin or its configuration is refused, say.
    #[error("the host does not start")]
    Start(#[from] Box<StartError>),
    /// The host does not take an event that is valid.
    #[error("event {id} is not taken")]
    Submit {
        /// Its id.
        id: String,
        /// Why not.
        #[source]
        source: SubmitError,
    },
    /// A step does not end.
    #[error("the host is not done after {} s: does a rule call for itself for ever?", PATIENCE.as_secs())]
    NotDone,
    /// There is no such rule to load anew.
    #[error("there is no rule `{rule}` to load: the story has {known}")]
    NoRule {
        /// What was named.
        rule: String,
        /// The rules that there are.
        known: String,
    },
    /// A plugin or configuration that is loaded on the way is refused.
    #[error("the rule `{rule}` cannot go on with what is loaded: {reason}")]
    Load {
        /// Which.
        rule: String,
        /// Why.
        reason: String,
    },
    /// There is no such action to answer.
    #[error("there is no action `{action}` with reference `{reference}` of key `{key}` to answer")]
    NoAction {
        /// The action.
        action: String,
        /// Its reference.
        reference: String,
        /// Its key.
        key: String,
    },
    /// The action that is to be answered did not go out.
    #[error(
        "the action `{action}` with reference `{reference}` did not go out: is there a route to a sink for it?"
    )]
    NotSent {
        /// The action.
        action: String,
        /// Its reference.
        reference: String,
    },
}

impl Scenario {
    /// Tells it. `component` gives the component of a plugin that it names. Returns what came of it: lines as expected ones are
    /// written, those of one rule and key in order.
    ///
    /// # Errors
    /// [`TellError`].
    pub fn tell(&self, component: Components<'_>, telling: &Telling) -> Result<Vec<Value>, TellError> {
        let sink = Arc::new(ScriptedSink::default());
        let host = self.setup.start(component, telling, &sink)?;
        let told = self.tell_to(&host, component, telling, &sink);
        // A reply holds on to its host.
        sink.leave();
        told
    }

    fn tell_to(
        &self,
        host: &Host,
        component: Components<'_>,
        telling: &Telling,
        sink: &ScriptedSink,
    ) -> Result<Vec<Value>, TellError> {
        let mut rules = self.setup.rules.clone();
        let mut told = Told {
            coming: host.moments(),
            moments: Vec::new(),
            letters: BTreeMap::new(),
            lines: Vec::new(),
            data: self.setup.data,
        };
        let mut sizes = Sizes::new(telling.cut);
        let mut steps = &self.steps[..];
        while let Some(step) = steps.first() {
            let mut done = 1;
            match step {
                Step::Event(_) => {
                    let events = steps.iter().map_while(|step| match step {
                        Step::Event(event) => Some(event.clone()),
                        _ => None,
                    });
                    let events: Vec<Event> = events.take(sizes.next()).collect();
                    done = events.len();
                    told.submit(host, &events)?;
                }
                Step::Advance(to) => advance(host, *to)?,
                Step::Load(load) => self.setup.load(host, component, &mut rules, load)?,
                Step::Answer(answered) => {
                    if !sink.answer(told.latest(answered)?.id, answered.answer()) {
                        let Answered { action, reference, .. } = answered.clone();
                        return Err(TellError::NotSent { action, reference });
                    }
                }
            }
            quiet(host)?;
            told.listen(host);
            steps = &steps[done..];
        }
        // In the order of what they come from, however it was handed in.
        told.lines.sort_by_key(|(place, _)| *place);
        let mut lines: Vec<Value> = told.lines.into_iter().map(|(_, line)| line).collect();
        lines.extend(self.expected.iter().filter_map(|line| kept(host, line)));
        Ok(lines)
    }
}

/// How many events are handed in together.
enum Sizes {
    Always(usize),
    Random(Box<StdRng>),
}

impl Sizes {
    fn new(cut: Cut) -> Self {
        match cut {
            Cut::OneByOne => Sizes::Always(1),
            Cut::Whole => Sizes::Always(usize::MAX),
            Cut::Random(seed) => Sizes::Random(Box::new(StdRng::seed_from_u64(seed))),
        }
    }

    fn next(&mut self) -> usize {
        match self {
            Sizes::Always(size) => *size,
            Sizes::Random(random) => random.random_range(1..=MOST_AT_RANDOM),
        }
    }
}

impl Setup {
    fn start(
        &self,
        component: Components<'_>,
        telling: &Telling,
        sink: &Arc<ScriptedSink>,
    ) -> Result<Host, TellError> {
        let mut sandbox = telling.sandbox.clone();
        if telling.fresh {
            sandbox.idle_instances = 0;
        }
        // A sink that says no once has failed: a story has no time for more tries.
        let mut builder = Host::builder()
            .timeline(Timeline::Event)
            .threads(telling.threads)
            .sandbox(sandbox)
            .retries(Duration::ZERO, Duration::ZERO, 10 * PATIENCE);
        for rule in &self.rules {
            builder = builder.plugin(rule.file(), rule.component(component)?.to_vec(), rule.manifest());
        }
        for route in &self.routes {
            if let Target::Sink(name) = &route.to {
                builder = builder.sink(name, Arc::clone(sink) as Arc<dyn carpe::Sink>);
            }
            builder = builder.route(route.clone());
        }
        builder.start().map_err(|error| TellError::Start(Box::new(error)))
    }

    /// Has a rule go on with something else, as when its file is replaced. `rules` are what runs.
    fn load(
        &self,
        host: &Host,
        component: Components<'_>,
        rules: &mut [Rule],
        load: &Load,
    ) -> Result<(), TellError> {
        let running = host.status().plugins;
        let file = running.iter().find(|plugin| plugin.rule.as_ref() == Some(&load.rule));
        // A rule keeps its place, and the name that stands for its file.
        let place = file.and_then(|plugin| self.rules.iter().position(|rule| rule.file() == plugin.file));
        let Some(place) = place else {
            let known = running.iter().filter_map(|plugin| plugin.rule.as_ref());
            let known: Vec<String> = known.map(|rule| format!("`{rule}`")).collect();
            return Err(TellError::NoRule { rule: load.rule.clone(), known: known.join(", ") });
        };
        let rule = &mut rules[place];
        if let Some(plugin) = &load.plugin {
            rule.plugin.clone_from(plugin);
        }
        if let Some(configuration) = &load.configuration {
            rule.configuration = configuration.clone();
        }
        host.load_plugin(self.rules[place].file(), rule.component(component)?, rule.manifest())
            .map_err(|error| TellError::Load { rule: load.rule.clone(), reason: error.to_string() })
    }
}

impl Rule {
    /// What stands for the name of its file.
    fn file(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.plugin)
    }

    fn component(&self, component: Components<'_>) -> Result<Arc<[u8]>, TellError> {
        component(&self.plugin).ok_or_else(|| TellError::NoPlugin(self.plugin.clone()))
    }

    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::default();
        manifest.name.clone_from(&self.name);
        manifest.configuration = self.configuration.clone();
        manifest
    }
}

/// Waits until all that was accepted is handled, and each action is on its way; it may wait there for an answer.
fn quiet(host: &Host) -> Result<(), TellError> {
    // What did not go out before the next step could expire by it, or not, as the threads have it.
    let is_sent = || host.status().sinks.iter().all(|sink| sink.waiting == sink.in_flight);
    let deadline = std::time::Instant::now() + PATIENCE;
    while host.checkpoint(PATIENCE) {
        if is_sent() {
            return Ok(());
        }
        while !is_sent() {
            if std::time::Instant::now() > deadline {
                return Err(TellError::NotDone);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Err(TellError::NotDone)
}

/// Moves the timeline, and stops wherever a timer is due on the way: so it is for a host as time goes by.
fn advance(host: &Host, to: Instant) -> Result<(), TellError> {
    for _ in 0..MAX_STOPS {
        let now = host.status().timeline.now;
        let due = timers(host).into_iter().filter(|&due| due > now && due <= to).min();
        host.advance(due.unwrap_or(to));
        if due.is_none() {
            return Ok(());
        }
        quiet(host)?;
    }
    Err(TellError::NotDone)
}

fn timers(host: &Host) -> Vec<Instant> {
    let rules = host.status().plugins.into_iter().filter_map(|plugin| plugin.rule);
    let keys = rules.flat_map(|rule| host.states(&rule));
    keys.flat_map(|key| key.timers).map(|(due, _)| due).collect()
}

/// What a line comes from: an entry of the journal; of that, moments come before what is set aside.
type Place = (u64, bool);

/// What came of it so far.
struct Told {
    coming: Moments,
    moments: Vec<Arc<Moment>>,
    /// How many letters of each rule have been told of.
    letters: BTreeMap<String, usize>,
    lines: Vec<(Place, Value)>,
    data: bool,
}

impl Told {
    /// Hands events in, and goes on behind one that is refused: it would refuse the others.
    fn submit(&mut self, host: &Host, events: &[Event]) -> Result<(), TellError> {
        let mut rest = events;
        while !rest.is_empty() {
            match host.submit_all(rest.to_vec()).and_then(Receipt::wait) {
                Ok(_) => return Ok(()),
                Err(SubmitError::Invalid { index, error }) if index < rest.len() => {
                    let id = &rest[index].id;
                    self.lines.push(((0, false), json!({ "event": id, "refused": error.to_string() })));
                    self.submit(host, &rest[..index])?;
                    rest = &rest[index + 1..];
                }
                Err(source) => return Err(TellError::Submit { id: rest[0].id.to_string(), source }),
            }
        }
        Ok(())
    }

    fn latest(&self, answered: &Answered) -> Result<&MomentAction, TellError> {
        let of_key = |moment: &&Arc<Moment>| moment.rule == answered.rule && moment.key == answered.key;
        let is_meant = |action: &&MomentAction| {
            action.name == answered.action && action.reference.as_ref() == Some(&answered.reference)
        };
        let mut actions = self.moments.iter().rev().filter(of_key).flat_map(|moment| &moment.actions);
        actions.find(is_meant).ok_or_else(|| {
            let Answered { action, reference, key, .. } = answered.clone();
            TellError::NoAction { action, reference, key }
        })
    }

    fn listen(&mut self, host: &Host) {
        // None is missed: there is room for more than a step makes, and the host runs.
        while let Ok(Some(moment)) = self.coming.try_recv() {
            let mut line = shown(&moment);
            if let Some(data) = moment.data.as_deref().filter(|_| self.data) {
                line["data"] = parsed(data);
            }
            self.lines.push(((moment.position, false), line));
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
                self.lines.push(((letter.position, true), line));
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
