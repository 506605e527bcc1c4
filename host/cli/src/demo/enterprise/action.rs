//! An action as a webhook gets it.

use carpe::Instant;
use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Deserialize)]
pub(in super::super) struct Action {
    /// The idempotency key.
    pub(in super::super) id: String,
    #[serde(rename = "type")]
    pub(in super::super) name: String,
    /// The rule that wants it.
    #[serde(rename = "carperule", default)]
    pub(in super::super) rule: String,
    /// When what it is about happened.
    #[serde(deserialize_with = "instant")]
    pub(in super::super) time: Instant,
    #[serde(default)]
    pub(in super::super) data: Value,
}

/// An action that an enterprise was asked for, whatever it answered.
#[derive(Clone)]
pub(in super::super) struct Arrival {
    pub(in super::super) action: Action,
    /// When it first came.
    pub(in super::super) at: Instant,
}

impl Action {
    /// A text of its data; empty if there is none.
    pub(in super::super) fn text(&self, field: &str) -> &str {
        self.data[field].as_str().unwrap_or_default()
    }
}

fn instant<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
    let text = String::deserialize(deserializer)?;
    carpe::parse_instant(&text).ok_or_else(|| serde::de::Error::custom("not an instant"))
}
