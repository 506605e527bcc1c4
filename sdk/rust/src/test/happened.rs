//! What came of what a test did.

use std::rc::Rc;

use serde_json::Value;

use crate::contract::{Instant, MomentEffect};

/// What came of what a test did, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Happened {
    /// Moments that occurred.
    pub moments: Vec<Moment>,
    /// Inputs that were set aside: what the rule said is wrong.
    pub failures: Vec<String>,
}

/// A moment that occurred.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Moment {
    /// The key of the input that made it occur.
    pub key: String,
    /// Its kind.
    pub kind: String,
    /// Why, for people.
    pub why: String,
    /// Whom it concerns, if not the key.
    pub subject: Option<String>,
    /// The facts of it; null if there are none.
    pub data: Value,
    /// When it occurred: the input's time.
    pub time: Instant,
    /// Until when its actions may be taken.
    pub expires: Option<Instant>,
    /// What to do about it.
    pub actions: Vec<Action>,
}

/// An action that was emitted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Action {
    /// The moment's key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its reference, if an outcome is wanted.
    pub reference: Option<String>,
    /// What the other side needs to know.
    pub data: Value,
}

impl Happened {
    /// The kinds of the moments.
    pub fn kinds(&self) -> Vec<&str> {
        self.moments.iter().map(|moment| moment.kind.as_str()).collect()
    }

    /// The names of all moments' actions.
    pub fn actions(&self) -> Vec<&str> {
        self.all_actions().map(|action| action.name.as_str()).collect()
    }

    /// All moments' actions.
    pub fn all_actions(&self) -> impl Iterator<Item = &Action> {
        self.moments.iter().flat_map(|moment| &moment.actions)
    }

    pub(super) fn add(&mut self, later: Happened) {
        self.moments.extend(later.moments);
        self.failures.extend(later.failures);
    }
}

impl Moment {
    pub(super) fn new(key: &Rc<str>, time: Instant, moment: MomentEffect) -> Self {
        let actions = moment.actions.into_iter().map(|action| Action {
            key: key.to_string(),
            name: action.name,
            reference: action.reference,
            data: parse(&action.data),
        });
        Moment {
            key: key.to_string(),
            actions: actions.collect(),
            kind: moment.kind,
            why: moment.why,
            subject: moment.subject,
            data: moment.data.as_deref().map_or(Value::Null, parse),
            time,
            expires: moment.expires,
        }
    }
}

/// What the SDK wrote as JSON it can read; if ever not, the test sees the text.
fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned()))
}
