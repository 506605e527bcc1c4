//! A key in JSON, as operators export and import it: byte for byte.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use carpe::journal::KeyImage;
use carpe::{Instant, KeyInfo, format_instant, parse_instant};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A key of a rule in one line of JSON:
/// `{"key":"elbe-7","state_version":0,"timers":[{"name":"end","due":"2026-03-01T12:00:00.000Z"}],"state":{"cm":512}}`.
///
/// A state that is JSON in one line stands in `state` as it is; any other in `state_base64`. As a change, a key
/// whose `state` is `null`, and which has no timers, is forgotten.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyJson {
    /// The rule, where it is not known from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The key.
    pub key: String,
    /// The version of the state's format.
    #[serde(default)]
    pub state_version: u32,
    /// Timers that are set.
    #[serde(default)]
    pub timers: Vec<TimerJson>,
    /// The state's own text.
    #[serde(default, deserialize_with = "also_null", skip_serializing_if = "Option::is_none")]
    pub state: Option<Box<RawValue>>,
    /// Its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_base64: Option<String>,
}

/// A timer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TimerJson {
    /// Its name.
    pub name: String,
    /// When it is due, as RFC 3339; after the year 9999, milliseconds since 1970.
    #[serde(serialize_with = "write_due", deserialize_with = "read_due")]
    pub due: Instant,
}

/// Why something is no change of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyJsonError {
    /// It is about another rule.
    #[error("`{key}` is a key of the rule `{found}`, not of `{wanted}`")]
    Rule {
        /// The key.
        key: String,
        /// As it says.
        found: String,
        /// As was asked for.
        wanted: String,
    },
    /// There is no key.
    #[error("a key is empty")]
    NoKey,
    /// There are two states.
    #[error("`{key}` has a `state` and a `state_base64`: leave one out")]
    Both {
        /// The key.
        key: String,
    },
    /// There is nothing to remember, and no wish to forget.
    #[error("`{key}` has no `state`, no `state_base64` and no `timers`: to forget it, say `\"state\": null`")]
    Nothing {
        /// The key.
        key: String,
    },
    /// Not base64.
    #[error("the `state_base64` of `{key}` is no base64")]
    Base64 {
        /// The key.
        key: String,
        /// Why not.
        #[source]
        source: base64::DecodeError,
    },
}

impl KeyJson {
    /// What is remembered of a key.
    pub fn of(info: &KeyInfo) -> Self {
        let text = info.state.as_deref().and_then(in_one_line);
        let bytes = info.state.as_ref().filter(|_| text.is_none());
        let timer = |(due, name): &(Instant, String)| TimerJson { name: name.clone(), due: *due };
        KeyJson {
            rule: None,
            key: info.key.clone(),
            state_version: info.state_version,
            timers: info.timers.iter().map(timer).collect(),
            state: text,
            state_base64: bytes.map(|bytes| BASE64_STANDARD.encode(bytes)),
        }
    }

    /// The wish to have a key forgotten.
    pub fn forgotten(key: impl Into<String>) -> Self {
        KeyJson {
            rule: None,
            key: key.into(),
            state_version: 0,
            timers: Vec::new(),
            state: Some(RawValue::NULL.to_owned()),
            state_base64: None,
        }
    }

    /// As [`carpe::Host::change_keys`] takes it.
    ///
    /// # Errors
    /// [`KeyJsonError`].
    pub fn change(self, rule: &str) -> Result<(String, Option<KeyImage>), KeyJsonError> {
        let KeyJson { rule: found, key, state_version, timers, state, state_base64 } = self;
        if let Some(found) = found.filter(|found| found != rule) {
            return Err(KeyJsonError::Rule { key, found, wanted: rule.to_owned() });
        }
        if key.is_empty() {
            return Err(KeyJsonError::NoKey);
        }
        let state = match (state, state_base64) {
            (Some(_), Some(_)) => return Err(KeyJsonError::Both { key }),
            (Some(text), None) if text.get() == "null" => None,
            (Some(text), None) => Some(text.get().as_bytes().to_vec()),
            (None, Some(base64)) => match BASE64_STANDARD.decode(base64) {
                Ok(bytes) => Some(bytes),
                Err(source) => return Err(KeyJsonError::Base64 { key, source }),
            },
            (None, None) if timers.is_empty() => return Err(KeyJsonError::Nothing { key }),
            (None, None) => None,
        };
        if state.is_none() && timers.is_empty() {
            return Ok((key, None));
        }
        let timers = timers.into_iter().map(|timer| (timer.name, timer.due)).collect();
        let mut image = KeyImage::default();
        (image.state, image.state_version, image.timers) = (state, state_version, timers);
        Ok((key, Some(image)))
    }
}

/// The text of a state that can stand in a line of JSON as it is, and be found there again.
fn in_one_line(state: &[u8]) -> Option<Box<RawValue>> {
    let text: &RawValue = serde_json::from_slice(state).ok()?;
    let whole = text.get().len() == state.len() && !text.get().contains(['\n', '\r']);
    // `null` would be taken for no state.
    (whole && text.get() != "null").then(|| text.to_owned())
}

/// Tells `null` from what is left out.
fn also_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde has it so")]
fn write_due<S: Serializer>(due: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    let text = format_instant(*due);
    match parse_instant(&text) {
        Some(read) if read == *due => serializer.serialize_str(&text),
        _ => serializer.serialize_u64(*due),
    }
}

fn read_due<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Milliseconds(u64),
        Text(String),
    }
    let wrong = || serde::de::Error::custom("`due` is an instant such as \"2026-05-01T12:00:00Z\"");
    match Written::deserialize(deserializer).map_err(|_| wrong())? {
        Written::Milliseconds(due) => Ok(due),
        Written::Text(text) => parse_instant(&text).ok_or_else(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(state: Option<&[u8]>, timers: Vec<(String, Instant)>) -> String {
        let image = KeyImage { state: state.map(<[u8]>::to_vec), state_version: 3, timers };
        let text = |image: &KeyImage| {
            let key = KeyJson {
                rule: None,
                key: "a/ü".to_owned(),
                state_version: image.state_version,
                timers: image
                    .timers
                    .iter()
                    .map(|(name, due)| TimerJson { name: name.clone(), due: *due })
                    .collect(),
                state: image.state.as_deref().and_then(in_one_line),
                state_base64: None,
            };
            let bytes = image.state.as_ref().filter(|_| key.state.is_none());
            let key = KeyJson { state_base64: bytes.map(|bytes| BASE64_STANDARD.encode(bytes)), ..key };
            serde_json::to_string(&key).unwrap()
        };
        let line = text(&image);
        let read: KeyJson = serde_json::from_str(&line).unwrap();
        let expected = Some(image).filter(|image| image.state.is_some() || !image.timers.is_empty());
        assert_eq!(read.change("r").unwrap(), ("a/ü".to_owned(), expected), "{line}");
        assert!(!line.contains('\n'), "{line}");
        line
    }

    #[test]
    fn states_come_back_byte_for_byte() {
        for (state, has) in [
            (&b"{\"b\":1.0,\"a\":[ 1e400 ],\"b\":\"\\u00fc\"}"[..], "\"state\":{\"b\":1.0,\"a\":[ 1e400 ],"),
            (b"17", "\"state\":17"),
            (b"null", "\"state_base64\":"),
            (b"{\"a\":\n1}", "\"state_base64\":"),
            (b" 1", "\"state_base64\":"),
            (b"1 ", "\"state_base64\":"),
            (b"\xff\x00", "\"state_base64\":\"/wA=\""),
            (b"", "\"state_base64\":\"\""),
        ] {
            let line = line(Some(state), vec![]);
            assert!(line.contains(has), "{has} in {line}");
        }
        let far = carpe::INSTANT_LIMIT - 1;
        let line = line(None, vec![("a".to_owned(), 1_772_366_400_001), ("b".to_owned(), far)]);
        assert!(line.contains("2026-03-01T12:00:00.001Z") && line.contains(&far.to_string()), "{line}");
    }

    #[test]
    fn what_is_no_change_is_refused() {
        let change = |text: &str| match serde_json::from_str::<KeyJson>(text) {
            Ok(key) => key.change("r").map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(change(r#"{"key":"a","state":null}"#), Ok(("a".to_owned(), None)));
        for (text, says) in [
            (r#"{"key":"a"}"#, "to forget it, say `\"state\": null`"),
            (r#"{"key":"","state":1}"#, "a key is empty"),
            (r#"{"key":"a","rule":"q","state":1}"#, "`a` is a key of the rule `q`, not of `r`"),
            (r#"{"key":"a","state":1,"state_base64":"MQ=="}"#, "leave one out"),
            (r#"{"key":"a","state_base64":"?"}"#, "no base64"),
            (r#"{"key":"a","stat":1}"#, "unknown field `stat`"),
            (r#"{"key":"a","timers":[{"name":"t","due":"soon"}]}"#, "`due` is an instant such as"),
        ] {
            let error = change(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
