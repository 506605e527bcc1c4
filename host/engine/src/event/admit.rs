//! What the host asks of an event before it takes it in.

use super::{Data, DataRef, Event, EventRef, Instant, Text, format_instant, parse_instant};

/// Extension attributes that begin with this are the host's own: from the outside they are refused, since
/// e.g. a hop count must not be forged.
pub(crate) const RESERVED_PREFIX: &str = "carpe";

/// RFC 3339 ends with the year 9999, far below 2^53 milliseconds.
pub(super) const RFC_3339_END: Instant = 253_402_300_800_000;

/// Why an event is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// The text is not JSON, or not an object (or array of objects) at all.
    #[error("this is not a CloudEvent in JSON: {reason}, at line {line}, column {column}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1; 0: at the line's start.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A context or extension attribute is at fault.
    #[error("attribute `{name}` {reason}")]
    Attribute {
        /// Its name, as it came, cut if it is long.
        name: String,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// The data is at fault.
    #[error("the data {reason}")]
    Data {
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// The event is too large.
    #[error("the event takes {bytes} bytes, but {limit} is the most: send less data, or a reference to it")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// A batch would have too many bytes.
    #[error("the batch would take more than {limit} bytes: send it in parts")]
    BatchFull {
        /// How many it may have.
        limit: usize,
    },
    /// A batch has too many events.
    #[error("the batch has more than {limit} events: send it in parts")]
    TooMany {
        /// How many it may have.
        limit: usize,
    },
}

impl AdmitError {
    /// The event's time lies further ahead of the timeline than `bound`, where event time is stamped.
    pub(crate) fn too_far_ahead(time: Instant, bound: Instant) -> Self {
        attribute(
            "time",
            format!(
                "is {}, but the timeline goes by event time and takes none past {}: one bad date would fire every timer",
                format_instant(time),
                format_instant(bound)
            ),
        )
    }
}

impl Event {
    /// Sets a context or extension attribute from its string form, as the binary mode of a protocol has
    /// it. `data` is no attribute: set [`Event::data`], or call [`Event::set_data`].
    ///
    /// # Errors
    /// If no attribute may have this name, or this one may not have this value.
    pub fn set_attribute(&mut self, name: &str, value: impl Into<Text>) -> Result<(), AdmitError> {
        let value = value.into();
        check_name(name)?;
        check_value(name, &value)?;
        match name {
            "specversion" if value == "1.0" => {}
            "specversion" => return Err(attribute(name, "has to be `1.0`")),
            "id" => self.id = value,
            "source" => self.source = value,
            "type" => self.kind = value,
            "subject" => self.subject = Some(value),
            "time" => self.time = Some(time_of(&value)?),
            "datacontenttype" => self.datacontenttype = Some(value),
            "dataschema" => self.dataschema = Some(value),
            "data" => return Err(attribute(name, "may not exist: the data goes into the body")),
            _ => match self.extensions.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
                Ok(at) => self.extensions[at].1 = value,
                Err(at) => self.extensions.insert(at, (name.into(), value)),
            },
        }
        Ok(())
    }

    /// Sets the data from its bytes: JSON if `datacontenttype`, which is to be set before, says so and it is
    /// UTF-8; else binary.
    pub fn set_data(&mut self, bytes: bytes::Bytes) {
        self.data = match std::str::from_utf8(&bytes) {
            Ok(text) if self.datacontenttype.as_deref().is_some_and(is_json) => Data::Json(text.to_owned()),
            _ => Data::Binary(bytes),
        };
    }

    /// Checks all that the host asks of an event from the outside: the specification's rules, a `time` from
    /// 1970 on, no extension that begins with `carpe`, and at most `max_bytes` for all attributes and
    /// the data together.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self, max_bytes: usize) -> Result<(), AdmitError> {
        EventRef::from(self).validate(max_bytes)
    }

    /// The same, for the host's own events: they may have the reserved extensions.
    pub(crate) fn validate_own(&self, max_bytes: usize) -> Result<(), AdmitError> {
        EventRef::from(self).validate_own(max_bytes)
    }
}

impl EventRef<'_> {
    /// See [`Event::validate`].
    pub(crate) fn validate(&self, max_bytes: usize) -> Result<(), AdmitError> {
        if let Some((name, _)) = self.extensions.iter().find(|(name, _)| name.starts_with(RESERVED_PREFIX)) {
            return Err(attribute(
                name,
                "is the host's own: leave it out, names that begin with `carpe` are reserved",
            ));
        }
        self.validate_own(max_bytes)
    }

    fn validate_own(&self, max_bytes: usize) -> Result<(), AdmitError> {
        // Without the constant that stands for the struct: an event whose text has `max_bytes` is within them.
        let bytes = self.size().saturating_sub(super::STRUCT_BYTES);
        if bytes > max_bytes {
            return Err(AdmitError::TooLarge { bytes, limit: max_bytes });
        }
        let required = [("id", self.id), ("source", self.source), ("type", self.kind)].into_iter();
        let optional = [
            ("subject", self.subject),
            ("datacontenttype", self.datacontenttype),
            ("dataschema", self.dataschema),
        ];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in required.chain(optional) {
            check_value(name, value)?;
        }
        for &(name, value) in &self.extensions {
            check_name(name)?;
            if is_context(name) || name == "data" {
                return Err(attribute(name, "is no extension: set the event's field"));
            }
            check_value(name, value)?;
        }
        if let Some(pair) = self.extensions.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(attribute(pair[1].0, "is there twice, or the extensions are not sorted by name"));
        }
        if let Some(time) = self.time {
            check_time(time)?;
        }
        match (self.data, self.datacontenttype) {
            (DataRef::Json(_), Some(media_type)) if !is_json(media_type) => {
                let reason = format!("is JSON, but `datacontenttype` says `{}`", cut(media_type));
                Err(AdmitError::Data { reason })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a media type is one of JSON: `application/json`, `text/json`, `application/cloudevents+json` ...
pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let subtype = essence.rsplit('/').next().unwrap_or_default();
    let ends = |ending: &str| {
        let start = subtype.len().checked_sub(ending.len());
        start.and_then(|start| subtype.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    essence.contains('/') && (subtype.eq_ignore_ascii_case("json") || ends("+json"))
}

pub(crate) fn is_context(name: &str) -> bool {
    const CONTEXT: [&str; 8] =
        ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];
    CONTEXT.contains(&name)
}

pub(crate) fn attribute(name: &str, reason: impl Into<String>) -> AdmitError {
    AdmitError::Attribute { name: cut(name), reason: reason.into() }
}

/// What an error repeats of what came: no flood, and nothing that could forge a line of a log.
fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push_str("...");
    }
    short
}

pub(crate) fn check_name(name: &str) -> Result<(), AdmitError> {
    if name.is_empty() {
        return Err(attribute(name, "has no name: it needs lower-case letters a-z and digits"));
    }
    match name.chars().find(|letter| !matches!(letter, 'a'..='z' | '0'..='9')) {
        Some(letter) => {
            let letter = letter.escape_debug();
            Err(attribute(
                name,
                format!("has `{letter}` in its name: only lower-case letters a-z and digits may be"),
            ))
        }
        None => Ok(()),
    }
}

fn check_value(name: &str, value: &str) -> Result<(), AdmitError> {
    if is_plain(value) && name != "datacontenttype" {
        return Ok(());
    }
    if value.is_empty() && is_context(name) {
        let required = matches!(name, "specversion" | "id" | "source" | "type");
        let advice = if required { "every event needs it" } else { "leave it out instead" };
        return Err(attribute(name, format!("is empty: {advice}")));
    }
    // The specification's string type: no control characters and none of Unicode's noncharacters.
    let forbidden = |letter: &char| {
        let code = u32::from(*letter);
        letter.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
    };
    if let Some((at, letter)) = value.char_indices().find(|(_, letter)| forbidden(letter)) {
        let code = u32::from(letter);
        return Err(attribute(
            name,
            format!("has the character U+{code:04X} at byte {at}, which no attribute may have"),
        ));
    }
    if name == "datacontenttype" && !value.contains('/') {
        return Err(attribute(name, "is not a media type, e.g. `application/json`"));
    }
    Ok(())
}

/// Whether a value is of printable ASCII, as most are: then there is no character to look for.
pub(crate) fn is_plain(value: &str) -> bool {
    // All of it, whatever is found: that is quicker than to look each time whether to go on.
    !value.is_empty() && value.bytes().fold(true, |plain, byte| plain & (0x20..0x7F).contains(&byte))
}

fn time_of(value: &str) -> Result<Instant, AdmitError> {
    let time = parse_instant(value).ok_or_else(|| {
        let reason =
            "is not a time in RFC 3339 from 1970 on (below 2^53 milliseconds), e.g. `2026-03-01T12:00:00Z`";
        attribute("time", format!("{reason}: `{}`", cut(value)))
    })?;
    check_time(time)?;
    Ok(time)
}

fn check_time(time: Instant) -> Result<(), AdmitError> {
    if time < RFC_3339_END {
        return Ok(());
    }
    Err(attribute("time", format!("is past the year 9999: {time} milliseconds since 1970")))
}
