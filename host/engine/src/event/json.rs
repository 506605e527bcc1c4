//! CloudEvents' JSON format: one event (structured mode), or an array of them (batch mode).

mod scan;
pub(super) mod usual;

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::admit::{attribute, check_name, is_context, is_json};
use super::{AdmitError, Data, Event};

impl Event {
    /// Reads one event of at most `max_bytes`, and validates it. JSON data keeps its bytes as they came.
    ///
    /// A member that is `null` counts as absent, `data` too. Extensions may be strings, booleans or
    /// 32-bit integers, and are kept as strings.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn from_json(text: &[u8], max_bytes: usize) -> Result<Event, AdmitError> {
        check_size(text.len(), max_bytes)?;
        let text = utf8(text)?;
        if let Some(event) = usual::read(text, max_bytes) {
            return Ok(Event::from(&event));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let members = json.deserialize_map(MembersVisitor).and_then(|members| json.end().map(|()| members));
        let event = members.map_err(|error| syntax(&error))?.into_event()?;
        event.validate(max_bytes)?;
        Ok(event)
    }

    /// Writes it in structured mode. [`Event::from_json`] reads the same event from it, if it is valid and
    /// the kind of its data agrees with `datacontenttype` as [`Event::set_data`] has it; white space around
    /// JSON data goes.
    pub fn to_json(&self) -> String {
        let mut text = String::with_capacity(self.size() + 128);
        text.push_str("{\"specversion\":\"1.0\"");
        for name in ["id", "source", "type", "subject", "time", "datacontenttype", "dataschema"] {
            if let Some(value) = self.attribute(name) {
                push_member(&mut text, name, &value);
            }
        }
        for (name, value) in &self.extensions {
            push_member(&mut text, name, value);
        }
        self.push_data(&mut text);
        text.push('}');
        text
    }

    fn push_data(&self, text: &mut String) {
        match &self.data {
            Data::Absent => {}
            Data::Json(json) => match json.trim_ascii() {
                // `null` would be read as absent.
                json if json != "null" && serde_json::from_str::<&RawValue>(json).is_ok() => {
                    text.push_str(",\"data\":");
                    text.push_str(json);
                }
                _ => push_member(text, "data_base64", &STANDARD.encode(json)),
            },
            Data::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(content) if self.datacontenttype.as_deref().is_some_and(is_text) => {
                    push_member(text, "data", content);
                }
                _ => push_member(text, "data_base64", &STANDARD.encode(bytes)),
            },
        }
    }
}

/// Reads an array, one event after the other, and says what is wrong: see [`super::EventBatch::from_json`].
pub(super) fn read_batch(
    text: &[u8],
    max_bytes_each: usize,
    max_events: usize,
    take: &mut dyn FnMut(Event) -> Result<(), AdmitError>,
) -> Result<(), (usize, AdmitError)> {
    let text = utf8(text).map_err(|error| (0, error))?;
    let (mut count, mut failure) = (0, None);
    let mut json = serde_json::Deserializer::from_str(text);
    let batch = BatchVisitor { count: &mut count, take, failure: &mut failure, max_bytes_each, max_events };
    let result = json.deserialize_seq(batch).and_then(|()| json.end());
    match (failure, result) {
        (Some(error), _) => Err((count, error)),
        (None, Err(error)) => Err((count, syntax(&error))),
        (None, Ok(())) => Ok(()),
    }
}

/// The text, if it has no more bytes than it may and is UTF-8.
pub(super) fn small_enough(text: &[u8], max_bytes: usize) -> Option<&str> {
    std::str::from_utf8(text).ok().filter(|text| text.len() <= max_bytes)
}

/// Whether data of this type is better read as a string than as base64.
fn is_text(media_type: &str) -> bool {
    media_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/")) && !is_json(media_type)
}

fn push_member(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = write!(text, ",{}:{}", Value::from(name), Value::from(value));
}

fn check_size(bytes: usize, limit: usize) -> Result<(), AdmitError> {
    if bytes > limit { Err(AdmitError::TooLarge { bytes, limit }) } else { Ok(()) }
}

fn utf8(text: &[u8]) -> Result<&str, AdmitError> {
    std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        AdmitError::Syntax {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + before.len() - line_start,
            reason: "it is not UTF-8".to_owned(),
        }
    })
}

fn syntax(error: &serde_json::Error) -> AdmitError {
    let (line, column) = (error.line(), error.column());
    let full = error.to_string();
    let reason = full.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&full);
    AdmitError::Syntax { line, column, reason: reason.to_owned() }
}

/// An object's members in order, each name once. Values are not looked into yet.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    fn into_event(mut self) -> Result<Event, AdmitError> {
        if self.0.len() > usual::FEW_EXTENSIONS {
            // In the order in which they are kept, or each would move those behind it.
            self.0.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
        let mut event = Event::new("", "", "");
        let (mut has_version, mut data, mut data_base64) = (false, None, None);
        for (name, raw) in self.0 {
            if raw.get() == "null" {
                continue;
            }
            match name.as_str() {
                "data" => data = Some(raw),
                "data_base64" => data_base64 = Some(raw),
                _ => {
                    check_name(&name)?;
                    has_version |= name == "specversion";
                    let value = attribute_value(&name, raw)?;
                    event.set_attribute(&name, value)?;
                }
            }
        }
        if !has_version {
            return Err(attribute("specversion", "is missing: it has to be `1.0`"));
        }
        for (name, value) in [("id", &event.id), ("source", &event.source), ("type", &event.kind)] {
            if value.is_empty() {
                return Err(attribute(name, "is missing: every event needs it"));
            }
        }
        match (data, data_base64) {
            (Some(_), Some(_)) => {
                let reason = "is there twice, as `data` and as `data_base64`: send one of them".to_owned();
                return Err(AdmitError::Data { reason });
            }
            (Some(raw), None) => event.data = data_of(raw, event.datacontenttype.as_deref())?,
            (None, Some(raw)) => {
                let bytes = string(raw).and_then(|text| STANDARD.decode(text).ok()).ok_or_else(|| {
                    AdmitError::Data {
                        reason: "in `data_base64` is not a string in base64 with padding".to_owned(),
                    }
                })?;
                event.set_data(bytes.into());
            }
            (None, None) => {}
        }
        Ok(event)
    }
}

/// With no type it is JSON, as the specification has it; what is not JSON comes as a string.
fn data_of(raw: &RawValue, media_type: Option<&str>) -> Result<Data, AdmitError> {
    if media_type.is_none_or(is_json) {
        return Ok(Data::Json(raw.get().to_owned()));
    }
    string(raw).map(|text| Data::Binary(text.into())).ok_or_else(|| AdmitError::Data {
        reason:
            "is not a string, but `datacontenttype` says that it is no JSON: send a string, or `data_base64`"
                .to_owned(),
    })
}

/// The canonical string form of an attribute's value.
fn attribute_value(name: &str, raw: &RawValue) -> Result<String, AdmitError> {
    let text = raw.get();
    if let Some(value) = string(raw) {
        return Ok(value);
    }
    if text.starts_with('"') {
        return Err(attribute(name, "has half of a surrogate pair in it, which is no character"));
    }
    if is_context(name) {
        return Err(attribute(name, "has to be a string"));
    }
    if text == "true" || text == "false" {
        return Ok(text.to_owned());
    }
    match text.parse::<i32>() {
        Ok(number) => Ok(number.to_string()),
        Err(_) => Err(attribute(name, "has to be a string, a boolean or an integer of 32 bits")),
    }
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an event's attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members: Vec<(String, &RawValue)> = Vec::with_capacity(12);
        let mut names = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(attribute(&name, "is there twice")));
            }
            members.push((name, map.next_value()?));
        }
        Ok(Members(members))
    }
}

struct BatchVisitor<'a> {
    count: &'a mut usize,
    take: &'a mut dyn FnMut(Event) -> Result<(), AdmitError>,
    /// Of the event behind the last good one.
    failure: &'a mut Option<AdmitError>,
    max_bytes_each: usize,
    max_events: usize,
}

impl<'de> Visitor<'de> for BatchVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        loop {
            // One past the limit is looked for, but not read.
            let full = *self.count >= self.max_events;
            let Some(raw) = array.next_element::<&RawValue>()? else { return Ok(()) };
            let event = if full {
                Err(AdmitError::TooMany { limit: self.max_events })
            } else {
                Event::from_json(raw.get().as_bytes(), self.max_bytes_each)
            };
            match event.and_then(&mut self.take) {
                Ok(()) => *self.count += 1,
                Err(error) => {
                    *self.failure = Some(error);
                    return Err(A::Error::custom("an event is not valid"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
