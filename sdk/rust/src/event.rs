//! What a rule is given: events, timers and outcomes.

use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::about::Subscription;
use crate::contract::{Data, Instant, Status};
use crate::error::{Error, Result};
use crate::pointer;
use crate::text::Text;

/// Something that happened, about one key.
#[derive(Debug)]
pub struct Event {
    pub(crate) origin: Origin,
    pub(crate) subscription: usize,
    pub(crate) subscriptions: Rc<[Subscription]>,
    pub(crate) attributes: Vec<Option<Text>>,
    pub(crate) data: Data,
}

/// A timer that came due.
#[derive(Debug)]
pub struct Timer {
    pub(crate) origin: Origin,
    pub(crate) name: String,
}

/// What became of an action.
#[derive(Debug)]
pub struct Outcome {
    pub(crate) origin: Origin,
    pub(crate) action: String,
    pub(crate) reference: String,
    pub(crate) status: Status,
    pub(crate) answer: Data,
    pub(crate) detail: String,
}

/// What all inputs have.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) key: Text,
    pub(crate) time: Instant,
    pub(crate) now: Instant,
}

impl Event {
    /// What it is about, e.g. the machine's id: see the subscription's key.
    pub fn key(&self) -> &str {
        &self.origin.key
    }

    /// When it happened. May be earlier than that of an event before it.
    pub fn time(&self) -> Instant {
        self.origin.time
    }

    /// Where the timeline stands: never earlier than for an input before it. Timers and expiry go by it.
    pub fn now(&self) -> Instant {
        self.origin.now
    }

    /// Its CloudEvents `type`.
    pub fn kind(&self) -> &str {
        let subscription = &self.subscriptions[self.subscription];
        // A pattern asks for the attribute; see `Subscription::new`.
        match self.attribute("type") {
            Ok(kind) => kind,
            Err(_) => &subscription.event_type,
        }
    }

    /// Which subscription matched, counted from 0 in the order of the `on`s.
    pub fn subscription(&self) -> usize {
        self.subscription
    }

    /// The value of a CloudEvents attribute that the subscription asks for.
    ///
    /// # Errors
    /// The event has no such attribute, or the subscription doesn't ask for it.
    pub fn attribute(&self, name: &str) -> Result<&str> {
        let asked = &self.subscriptions[self.subscription].attributes;
        let Some(position) = asked.iter().position(|attribute| attribute == name) else {
            return Err(Error::new(format!(
                "attribute `{name}` is not asked for: add `.attribute(\"{name}\")` to the rule's description"
            )));
        };
        match self.attributes.get(position) {
            Some(Some(value)) => Ok(value),
            _ => Err(Error::new(format!("the event has no attribute `{name}`"))),
        }
    }

    /// Its JSON data, as a type. Reads the whole of it: keep the result.
    ///
    /// # Errors
    /// There is no JSON data, or it is not of that type: names what is wrong and where.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T> {
        self.data.parse("the event's data")
    }

    /// A number in its JSON data. Always finite.
    ///
    /// This and its likes take a JSON Pointer, e.g. `/engine/celsius`, and read the data once per call: for more
    /// than a few fields [`Event::data`] is quicker.
    ///
    /// # Errors
    /// There is no JSON data, nothing at the pointer, or no number.
    pub fn number(&self, pointer: &str) -> Result<f64> {
        self.at(pointer, "a number")
    }

    /// A whole number in its JSON data.
    ///
    /// # Errors
    /// As for [`Event::number`].
    pub fn integer(&self, pointer: &str) -> Result<i64> {
        self.at(pointer, "a whole number")
    }

    /// A string in its JSON data.
    ///
    /// # Errors
    /// As for [`Event::number`].
    pub fn string(&self, pointer: &str) -> Result<String> {
        self.at(pointer, "a string")
    }

    /// A truth value in its JSON data.
    ///
    /// # Errors
    /// As for [`Event::number`].
    pub fn bool(&self, pointer: &str) -> Result<bool> {
        self.at(pointer, "true or false")
    }

    /// Whatever stands at a JSON Pointer; `None` if nothing does, or null.
    ///
    /// # Errors
    /// There is no JSON data.
    pub fn value(&self, pointer: &str) -> Result<Option<Value>> {
        match self.data.find(pointer)? {
            None | Some("null") => Ok(None),
            Some(text) => Ok(Some(serde_json::from_str(text)?)),
        }
    }

    /// Its data, if there is any and it is not JSON.
    pub fn binary(&self) -> Option<&[u8]> {
        match &self.data {
            Data::Binary(bytes) => Some(bytes),
            Data::Absent | Data::Json(_) => None,
        }
    }

    fn at<T: DeserializeOwned>(&self, pointer: &str, wanted: &str) -> Result<T> {
        let Some(text) = self.data.find(pointer)? else {
            return Err(Error::new(format!(
                "the event's data has nothing at `{pointer}`, where {wanted} should be"
            )));
        };
        serde_json::from_str(text).map_err(|_| {
            let found: String = text.chars().take(40).collect();
            Error::new(format!("the event's data has {found} at `{pointer}`, where {wanted} should be"))
        })
    }
}

impl Timer {
    /// As the rule named it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key that it was set for.
    pub fn key(&self) -> &str {
        &self.origin.key
    }

    /// The instant that it was set to.
    pub fn time(&self) -> Instant {
        self.origin.time
    }

    /// Where the timeline stands: not before [`Timer::time`]. To repeat, count from here: that skips what was missed.
    pub fn now(&self) -> Instant {
        self.origin.now
    }
}

impl Outcome {
    /// The action's name.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The reference that the rule gave the action.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// What became of it.
    pub fn status(&self) -> Status {
        self.status
    }

    /// For people: why it was not taken. May be empty.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What the other side answered, as a type: e.g. the body of a webhook's response.
    ///
    /// # Errors
    /// It answered nothing, or something else.
    pub fn answer<T: DeserializeOwned>(&self) -> Result<T> {
        self.answer.parse("the answer")
    }

    /// The key that the action was about.
    pub fn key(&self) -> &str {
        &self.origin.key
    }

    /// When it was known.
    pub fn time(&self) -> Instant {
        self.origin.time
    }

    /// Where the timeline stands.
    pub fn now(&self) -> Instant {
        self.origin.now
    }
}

impl Data {
    fn parse<T: DeserializeOwned>(&self, whose: &str) -> Result<T> {
        serde_json::from_str(self.json(whose)?).map_err(|error| Error::new(format!("{whose}: {error}")))
    }

    fn find(&self, pointer: &str) -> Result<Option<&str>> {
        let whose = "the event's data";
        pointer::find(self.json(whose)?, pointer)
            .map_err(|error| Error::new(format!("{whose} is not valid JSON: {error}")))
    }

    fn json(&self, whose: &str) -> Result<&str> {
        match self {
            Data::Json(text) => Ok(text),
            Data::Absent => Err(Error::new(format!("{whose} is absent"))),
            Data::Binary(_) => Err(Error::new(format!("{whose} is not JSON"))),
        }
    }
}
