//! An action as a webhook gets it.

use carpe::Instant;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Action {
    /// The idempotency key.
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) name: String,
    /// When what it is about happened.
    #[serde(deserialize_with = "instant")]
    pub(super) time: Instant,
    #[serde(default)]
    pub(super) data: Value,
}

impl Action {
    /// A text of its data; empty if there is none.
    pub(super) fn text(&self, field: &str) -> &str {
        self.data[field].as_str().unwrap_or_default()
    }
}

fn instant<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
    let text = String::deserialize(deserializer)?;
    carpe::parse_instant(&text).ok_or_else(|| serde::de::Error::custom("not an instant"))
}
