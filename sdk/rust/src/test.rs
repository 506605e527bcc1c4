//! Runs a rule natively, without WebAssembly, in an ordinary unit test.
//!
//! The rule's code runs as it does under the host; around it stands a small host with one thread, a
//! timeline that only the test moves, and no sinks: the test answers actions itself. Each input is a batch of its
//! own, and each state is written and read again in between.
//!
//! ```
//! # use carpe_sdk::prelude::*;
//! # #[derive(Deserialize)] struct Overheat { max_celsius: f64 }
//! # impl Rule for Overheat {
//! #     type State = Streak;
//! #     fn on_event(&self, event: &Event, streak: &mut Streak, out: &mut Output) -> Result<()> {
//! #         if streak.of(event.number("/celsius")? > self.max_celsius) == 3 {
//! #             out.moment("machine.overheating").why("too hot three times in a row").action("notify.service", json!({}));
//! #         }
//! #         Ok(())
//! #     }
//! # }
//! # export_rule!(Overheat, on("machine.temperature").moment("machine.overheating").action("notify.service"));
//! use carpe_sdk::test::{RuleTest, event};
//!
//! let mut test = RuleTest::<Overheat>::new(json!({"max_celsius": 80}));
//! let reading = |celsius: f64| event("machine.temperature").subject("press-1").data(json!({"celsius": celsius}));
//! assert_eq!(test.send(reading(81.0)).kinds(), [""; 0]);
//! assert_eq!(test.send(reading(82.0)).kinds(), [""; 0]);
//! assert_eq!(test.send(reading(83.0)).actions(), ["notify.service"]);
//!
//! let broken = test.send(event("machine.temperature").subject("press-1").data(json!({})));
//! assert_eq!(broken.failures, ["the event's data has nothing at `/celsius`, where a number should be"]);
//! assert_eq!(test.state("press-1").length(), 3);
//! ```
//!
//! # Time
//! The timeline stands at [`START`] and moves to an event's time, if that is later, or to where the test
//! advances it. Timers that are due come first, in the host's order: by instant, then by name.
//!
//! # What it does not do
//! It evaluates no `filter`: it gives every event whose type and key fit.
#![expect(clippy::panic, reason = "a test is told by a panic that it is wrong")]

mod happened;
mod host;

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::about::Described;
use crate::contract::{Data, Instant, Payload, Status};
use crate::error::Result;
use crate::rule::Rule;
use crate::runner::Runner;
use crate::text::Text;
use host::Host;

pub use happened::{Action, Happened, Moment};

/// Where the timeline begins: 2026-01-01T00:00:00Z.
pub const START: Instant = 1_767_225_600_000;

/// A rule under test, with the states and timers of its keys.
pub struct RuleTest<R> {
    host: Host<R>,
}

/// An event for a test.
#[derive(Clone, Debug)]
#[must_use = "give it to `RuleTest::send`"]
pub struct TestEvent {
    attributes: Vec<(String, String)>,
    time: Option<Instant>,
    data: Data,
}

/// An event of this CloudEvents `type`, without subject, time and data.
pub fn event(kind: impl Into<String>) -> TestEvent {
    TestEvent { attributes: vec![("type".to_owned(), kind.into())], time: None, data: Data::Absent }
}

#[doc(hidden)]
pub fn exported<R: Rule + Described>() {}

impl TestEvent {
    /// What it is about.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.attribute("subject", subject)
    }

    /// Another CloudEvents attribute.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// When it happened. Otherwise: where the timeline stands when it is sent.
    pub fn time(mut self, instant: Instant) -> Self {
        self.time = Some(instant);
        self
    }

    /// Its data, as JSON.
    ///
    /// # Panics
    /// It cannot be written as JSON.
    #[track_caller]
    pub fn data(self, data: impl Serialize) -> Self {
        match serde_json::to_string(&data) {
            Ok(text) => self.json(text),
            Err(error) => panic!("the event's data cannot be written as JSON: {error}"),
        }
    }

    /// Its data as a JSON text, which need not be valid.
    pub fn json(mut self, text: impl Into<String>) -> Self {
        self.data = Data::Json(Text::Own(text.into()));
        self
    }

    /// Its data, not as JSON.
    pub fn binary(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.data = Data::Binary(bytes.into());
        self
    }
}

impl<R: Rule + Described> RuleTest<R> {
    /// Loads the rule.
    ///
    /// # Panics
    /// It refuses the configuration.
    #[track_caller]
    pub fn new(configuration: Value) -> Self {
        match Self::try_new(configuration) {
            Ok(test) => test,
            Err(error) => panic!("the rule refuses its configuration: {error}"),
        }
    }

    /// Loads the rule.
    ///
    /// # Errors
    /// What the operator would be told is wrong with the configuration.
    pub fn try_new(configuration: Value) -> Result<Self> {
        Ok(RuleTest { host: Host::new(Runner::new(&configuration.to_string())?, START) })
    }

    /// Gives it an event, once for each subscription that matches: after the timers due by then.
    ///
    /// # Panics
    /// No subscription matches, or the event lacks the key. As for all that give it something: the rule returned what
    /// the host would refuse.
    #[track_caller]
    pub fn send(&mut self, event: TestEvent) -> Happened {
        self.host.send(event)
    }

    /// Moves the timeline on, and gives the rule what comes due, each timer at its instant.
    #[track_caller]
    pub fn advance(&mut self, by: Duration) -> Happened {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.advance_to(self.now().saturating_add(by))
    }

    /// Moves the timeline on to an instant; one already past changes nothing.
    #[track_caller]
    pub fn advance_to(&mut self, instant: Instant) -> Happened {
        self.host.advance_to(instant)
    }

    /// Says what became of an action that was emitted with a reference, and what the other side answered.
    ///
    /// # Panics
    /// The action has no reference.
    #[track_caller]
    pub fn answer(&mut self, action: &Action, status: Status, answer: Option<Value>) -> Happened {
        let Some(reference) = action.reference.clone() else {
            panic!("action `{}` has no reference: no outcome of it is wanted", action.name)
        };
        let payload = Payload::Outcome {
            action: action.name.clone(),
            reference,
            status,
            answer: answer.map_or(Data::Absent, |answer| Data::Json(answer.to_string().into())),
            detail: String::new(),
        };
        self.host.give(Rc::from(action.key.as_str()), payload)
    }

    /// Where the timeline stands.
    pub fn now(&self) -> Instant {
        self.host.now
    }

    /// What is remembered of a key; the default, if nothing is.
    ///
    /// # Panics
    /// The state cannot be read.
    #[track_caller]
    pub fn state(&self, key: &str) -> R::State {
        match self.host.states.get(key).map(|bytes| serde_json::from_slice(bytes)) {
            None => R::State::default(),
            Some(Ok(state)) => state,
            Some(Err(error)) => panic!("the state of key `{key}` cannot be read: {error}"),
        }
    }

    /// How many keys have a state: those whose state is the default have none.
    pub fn keys(&self) -> usize {
        self.host.states.len()
    }

    /// When a timer of a key is due, if it is set.
    pub fn timer(&self, key: &str, name: &str) -> Option<Instant> {
        self.host.timers.get(&(Rc::from(key), name.to_owned())).copied()
    }
}
