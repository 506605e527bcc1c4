//! How the table of a sink is read: what every sink may have stands beside what its kind has.
//!
//! Serde's `flatten` would do, but then nobody is told of a key that there is not.

use std::fmt;
use std::num::NonZeroUsize;

use carpe::{SinkOptions, WhenFull};
use serde::de::value::MapDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{SinkConfig, SinkKind};

/// What every sink may have, as it is written.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Options {
    max_waiting: Option<NonZeroUsize>,
    when_full: Option<WhenFull>,
    ordered: Option<bool>,
    breaker_failures: Option<u32>,
}

const OPTIONS: [&str; 4] = ["max_waiting", "when_full", "ordered", "breaker_failures"];

impl<'de> Deserialize<'de> for SinkConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Table)
    }
}

struct Table;

impl<'de> Visitor<'de> for Table {
    type Value = SinkConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table of a sink")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<SinkConfig, A::Error> {
        let (mut of_kind, mut of_all) = (Vec::new(), Vec::new());
        while let Some((key, value)) = table.next_entry::<String, Value>()? {
            if OPTIONS.contains(&key.as_str()) { &mut of_all } else { &mut of_kind }.push((key, value));
        }
        let options: Options = read(of_all).map_err(A::Error::custom)?;
        let kind: SinkKind = read(of_kind).map_err(|error| A::Error::custom(with_options(&error)))?;
        Ok(SinkConfig { kind, options: options.into() })
    }
}

fn read<'de, T: Deserialize<'de>>(entries: Vec<(String, Value)>) -> Result<T, serde_json::Error> {
    T::deserialize(MapDeserializer::new(entries.into_iter()))
}

/// Of a key that there is not the error lists those that there are: to those of the kind come those of all.
fn with_options(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let Some((unknown, known)) =
        text.strip_prefix("unknown field `").and_then(|rest| rest.split_once("`, expected "))
    else {
        return text;
    };
    let known = known.split('`').skip(1).step_by(2).chain(OPTIONS);
    let known: Vec<String> = known.map(|key| format!("`{key}`")).collect();
    format!("unknown field `{unknown}`, expected one of {}", known.join(", "))
}

impl From<Options> for SinkOptions {
    fn from(written: Options) -> Self {
        let mut options = SinkOptions::default();
        let Options { max_waiting, when_full, ordered, breaker_failures } = written;
        options.max_waiting = max_waiting.map_or(options.max_waiting, NonZeroUsize::get);
        options.when_full = when_full.unwrap_or(options.when_full);
        options.ordered = ordered.unwrap_or(options.ordered);
        options.breaker_failures = breaker_failures.unwrap_or(options.breaker_failures);
        options
    }
}
