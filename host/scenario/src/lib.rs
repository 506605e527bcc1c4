//! Stories for rules: what comes in, and what must come of it. They are told to the real host.
//!
//! A story is a folder. `scenario.toml` says which rules there are and where actions go, `events.jsonl` what comes in, a step a
//! line, and `expected.jsonl` what must come of it. The crate's README describes them.
#![deny(missing_docs)]

mod check;
mod compare;
mod script;
mod tell;

use std::path::{Path, PathBuf};

use carpe::plugin::Configuration;
use carpe::{AdmitError, Event, Instant, Route, Target, parse_instant};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

pub use check::Wrong;
pub use compare::difference;
pub use tell::{Components, Cut, TellError, Telling};

const MAX_EVENT_BYTES: usize = 1 << 20;

/// What stands for the rule that is tried, where a story is told by its author.
const OWN: &str = ".";

/// A story: what comes in, and what must come of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    setup: Setup,
    steps: Vec<Step>,
    /// What must come of it, a line each.
    pub expected: Vec<Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    #[serde(default = "own")]
    rules: Vec<Rule>,
    #[serde(default, rename = "route")]
    routes: Vec<Route>,
    /// Moments are shown with their data.
    #[serde(default)]
    data: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default = "own_plugin")]
    plugin: String,
    name: Option<String>,
    #[serde(default)]
    configuration: Configuration,
}

fn own() -> Vec<Rule> {
    vec![Rule { plugin: own_plugin(), name: None, configuration: Configuration::default() }]
}

fn own_plugin() -> String {
    OWN.to_owned()
}

#[derive(Clone, Debug)]
enum Step {
    Event(Event),
    Advance(Instant),
    Answer(Answered),
    Load(Load),
}

/// A rule goes on with another component, another configuration, or both.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    rule: String,
    plugin: Option<String>,
    configuration: Option<Configuration>,
}

/// What became of the latest such action.
#[derive(Clone, Debug, Deserialize)]
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

/// Why a folder holds no story.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The set-up is wrong.
    #[error("{0}")]
    Setup(String),
    /// A line is wrong.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// Of which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A story that expects nothing would pass whatever happens.
    #[error("{path} expects nothing: write down what must come of it, a line each")]
    ExpectsNothing {
        /// The file.
        path: PathBuf,
    },
}

impl Scenario {
    /// Reads a story from its folder.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(folder: &Path) -> Result<Scenario, ScenarioError> {
        let text = |name: &str| {
            let path = folder.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok((path, text)),
                Err(source) => Err(ScenarioError::Read { path, source }),
            }
        };
        let (path, setup) = text("scenario.toml")?;
        let setup: Setup = carpe::plugin::parse_toml(&path, setup.as_bytes())
            .map_err(|error| ScenarioError::Setup(error.to_string()))?;
        let (path, steps) = text("events.jsonl")?;
        let steps = lines(&path, &steps, Step::read)?;
        let (path, expected) = text("expected.jsonl")?;
        let value = |line: &str| serde_json::from_str(line).map_err(|error| error.to_string());
        let expected: Vec<Value> = lines(&path, &expected, value)?;
        if expected.is_empty() {
            return Err(ScenarioError::ExpectsNothing { path });
        }
        Ok(Scenario { setup, steps, expected })
    }

    /// The plugins that it is told to, as it names them: `.` is the rule that is tried.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        let first = self.setup.rules.iter().map(|rule| rule.plugin.as_str());
        first.chain(self.loads().filter_map(|load| load.plugin.as_deref()))
    }

    /// The configurations that a plugin may be given, as often as they are there.
    pub fn configurations(&self, plugin: &str) -> impl Iterator<Item = &Configuration> {
        let first = self.setup.rules.iter().filter(move |rule| rule.plugin == plugin);
        let later = self.loads().filter(move |load| load.plugin.as_ref().is_none_or(|other| other == plugin));
        first.map(|rule| &rule.configuration).chain(later.filter_map(|load| load.configuration.as_ref()))
    }

    fn loads(&self) -> impl Iterator<Item = &Load> {
        self.steps.iter().filter_map(|step| match step {
            Step::Load(load) => Some(load),
            _ => None,
        })
    }

    /// Whether actions come back into the host as events: then it is of consequence how events are cut, since what comes back goes
    /// behind all that was handed in.
    pub fn comes_back(&self) -> bool {
        self.setup.routes.iter().any(|route| matches!(route.to, Target::Host { .. }))
    }

    /// The events that come in.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.steps.iter().filter_map(|step| match step {
            Step::Event(event) => Some(event),
            _ => None,
        })
    }
}

/// Each line that is not empty.
fn lines<T>(
    path: &Path,
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, ScenarioError> {
    let numbered = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let read = |(text, line): (&str, usize)| {
        read(text).map_err(|reason| ScenarioError::Line { path: path.to_owned(), line, reason })
    };
    numbered.map(read).collect()
}

/// What tells steps apart. An event is read by the host alone: its data may be what no reader makes a value of.
#[derive(Deserialize)]
struct Kind<'a> {
    specversion: Option<IgnoredAny>,
    #[serde(borrow, rename = "advance to")]
    advance_to: Option<&'a RawValue>,
    answer: Option<&'a RawValue>,
    load: Option<&'a RawValue>,
}

impl Step {
    fn read(line: &str) -> Result<Step, String> {
        let kind: Kind<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
        match kind {
            Kind { specversion: None, advance_to: Some(to), .. } => {
                let to = serde_json::from_str::<String>(to.get()).ok();
                let to = to.and_then(|to| parse_instant(&to));
                to.map(Step::Advance).ok_or_else(|| "`advance to` needs an instant in RFC 3339".to_owned())
            }
            Kind { specversion: None, answer: Some(answer), .. } => {
                let answer = serde_json::from_str(answer.get());
                answer.map(Step::Answer).map_err(|error| format!("`answer`: {error}"))
            }
            Kind { specversion: None, load: Some(load), .. } => {
                let load: Load =
                    serde_json::from_str(load.get()).map_err(|error| format!("`load`: {error}"))?;
                match (&load.plugin, &load.configuration) {
                    (None, None) => Err("`load` needs a `plugin`, a `configuration`, or both".to_owned()),
                    _ => Ok(Step::Load(load)),
                }
            }
            _ => {
                let event = Event::from_json(line.as_bytes(), MAX_EVENT_BYTES);
                event.map(Step::Event).map_err(|error: AdmitError| error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_whatever_its_attributes_and_data_are() {
        let event = |more: &str| {
            format!(r#"{{"specversion": "1.0", "id": "1", "source": "/s", "type": "t", {more}}}"#)
        };
        for more in [r#""load": "high", "answer": "yes""#, r#""data": [1e400, "\ud800"]"#] {
            let step = Step::read(&event(more));
            assert!(matches!(step, Ok(Step::Event(_))), "{more}: {step:?}");
        }
        assert!(matches!(Step::read(r#"{"advance to": "2026-01-01T00:00:00Z"}"#), Ok(Step::Advance(_))));
        for (wrong, says) in [
            (r#"{"load": "high"}"#, "`load`: "),
            (r#"{"answer": {}}"#, "`answer`: missing field `rule`"),
            (r#"{"advance to": "tomorrow"}"#, "`advance to` needs an instant in RFC 3339"),
            ("{}", "attribute `specversion` is missing"),
            ("{", "EOF"),
        ] {
            let said = Step::read(wrong).expect_err(wrong);
            assert!(said.contains(says), "{wrong}: {said}");
        }
    }
}
