//! CloudEvents 1.0 events, as the host holds them.

mod admit;
mod fields;
mod json;
mod packed;

pub use admit::AdmitError;
pub(crate) use fields::Fields;
pub(crate) use packed::Unpacked;
pub use packed::{DataRef, EventBatch, EventRef, PackedEvent};

/// A short text, as an event's attributes are: up to 24 bytes take no allocation. Dereferences to `str`.
pub type Text = compact_str::CompactString;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, below [`INSTANT_LIMIT`].
pub type Instant = u64;

/// Instants stay below 2^53, so that they are exact as a JavaScript number too.
pub const INSTANT_LIMIT: Instant = 1 << 53;

/// What [`Event::size`] counts for the struct itself.
const STRUCT_BYTES: usize = 64;

/// A CloudEvents 1.0 event.
///
/// The fields are the specification's context attributes (<https://github.com/cloudevents/spec>);
/// [`Event::validate`] holds what the host asks of them. An event that reached the journal is valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Unique together with `source`: a second event with both the same is a repeat.
    pub id: Text,
    /// Who made it: a URI reference, e.g. `/gauges/elbe-7`.
    pub source: Text,
    /// What sort of event it is, e.g. `gauge.level`. The attribute `type`.
    pub kind: Text,
    /// What it is about, e.g. a gauge's or a person's id.
    pub subject: Option<Text>,
    /// When it happened. Fractions of a millisecond are cut.
    pub time: Option<Instant>,
    /// The media type of `data`.
    pub datacontenttype: Option<Text>,
    /// A URI of the schema of `data`.
    pub dataschema: Option<Text>,
    /// Extension attributes by name, in their canonical string form, sorted by name.
    pub extensions: Vec<(Text, Text)>,
    /// The payload.
    pub data: Data,
}

/// The data of an event, or the answer of a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Data {
    /// There is none.
    #[default]
    Absent,
    /// JSON text, as it came: valid UTF-8, but not necessarily valid JSON.
    Json(String),
    /// Anything else.
    Binary(Bytes),
}

impl Data {
    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        match self {
            Data::Absent => 0,
            Data::Json(text) => text.len(),
            Data::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether it holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Event {
    /// An event with only what every event needs: `id`, `source` and `type`.
    pub fn new(id: impl Into<Text>, source: impl Into<Text>, kind: impl Into<Text>) -> Self {
        Event {
            id: id.into(),
            source: source.into(),
            kind: kind.into(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: Vec::new(),
            data: Data::Absent,
        }
    }

    /// The same event, about `subject`.
    pub fn with_subject(mut self, subject: impl Into<Text>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The same event, which happened at `time`.
    pub fn with_time(mut self, time: Instant) -> Self {
        self.time = Some(time);
        self
    }

    /// The same event, with JSON data.
    pub fn with_json(mut self, json: impl Into<String>) -> Self {
        self.datacontenttype = Some("application/json".into());
        self.data = Data::Json(json.into());
        self
    }

    /// The value of a context or extension attribute by its CloudEvents name, `time` in RFC 3339.
    pub fn attribute(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        use std::borrow::Cow;
        match name {
            "specversion" => Some(Cow::Borrowed("1.0")),
            "id" => Some(Cow::Borrowed(&self.id)),
            "source" => Some(Cow::Borrowed(&self.source)),
            "type" => Some(Cow::Borrowed(&self.kind)),
            "subject" => self.subject.as_deref().map(Cow::Borrowed),
            "datacontenttype" => self.datacontenttype.as_deref().map(Cow::Borrowed),
            "dataschema" => self.dataschema.as_deref().map(Cow::Borrowed),
            "time" => self.time.map(|time| Cow::Owned(format_instant(time))),
            _ => self.extension(name).map(Cow::Borrowed),
        }
    }

    /// The value of an extension attribute.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// About how many bytes it takes in memory and in the journal.
    pub fn size(&self) -> usize {
        let extensions: usize =
            self.extensions.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        STRUCT_BYTES
            + self.id.len()
            + self.source.len()
            + self.kind.len()
            + self.subject.as_ref().map_or(0, |text| text.len())
            + self.datacontenttype.as_ref().map_or(0, |text| text.len())
            + self.dataschema.as_ref().map_or(0, |text| text.len())
            + extensions
            + self.data.len()
    }
}

/// An instant in RFC 3339, in UTC, with milliseconds: `2026-03-01T12:00:00.000Z`.
pub fn format_instant(instant: Instant) -> String {
    match jiff::Timestamp::from_millisecond(i64::try_from(instant).unwrap_or(i64::MAX)) {
        Ok(timestamp) => format!("{timestamp:.3}"),
        Err(_) => format!("{instant} ms"),
    }
}

/// Parses RFC 3339, fractions of a millisecond cut. `None`: not a timestamp, or before 1970.
pub fn parse_instant(text: &str) -> Option<Instant> {
    utc_instant(text.as_bytes()).or_else(|| parse_any_instant(text))
}

/// `2026-03-01T12:00:00Z` and `2026-03-01T12:00:00.000Z`, the forms that most events have. `None`: see the other.
fn utc_instant(text: &[u8]) -> Option<Instant> {
    let (fraction, punctuation) = match text.len() {
        20 => (0, [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')].as_slice()),
        24 => (
            digits(text, 20..23)?,
            [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')].as_slice(),
        ),
        _ => return None,
    };
    let number = |range| digits(text, range);
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let plain = punctuation.iter().all(|&(at, sign)| text[at] == sign)
        && year >= 1970
        && (1..=12).contains(&month)
        // Later days depend on the month, and a second of 60 on the clock.
        && (1..=28).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !plain {
        return None;
    }
    // Days since 1970, in years that begin with March: <https://howardhinnant.github.io/date_algorithms.html>.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + fraction)
}

fn digits(text: &[u8], range: std::ops::Range<usize>) -> Option<u64> {
    text[range]
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

fn parse_any_instant(text: &str) -> Option<Instant> {
    // The parser also knows other forms, e.g. with the name of a time zone.
    let date_ends_with_t = matches!(text.as_bytes().get(10), Some(b'T' | b't'));
    let seconds_given = text.as_bytes().get(16) == Some(&b':');
    let of_rfc_3339 = text
        .bytes()
        .skip(11)
        .all(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.' | b'+' | b'-' | b'Z' | b'z'));
    if !(date_ends_with_t && seconds_given && of_rfc_3339) {
        return None;
    }
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    // Before 1970 milliseconds would round towards zero: the sign decides.
    if timestamp.as_nanosecond() < 0 {
        return None;
    }
    u64::try_from(timestamp.as_millisecond()).ok().filter(|&instant| instant < INSTANT_LIMIT)
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} from {}", self.kind, self.id, self.source)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_common_forms_are_read_as_any_other(millis in 0..253_402_300_800_000_u64, cut in 0..30_usize) {
            let text = format_instant(millis);
            prop_assert_eq!(parse_instant(&text), Some(millis));
            let whole = format!("{}Z", &text[..19]);
            prop_assert_eq!(parse_instant(&whole), Some(millis / 1_000 * 1_000));
            for text in [text, whole] {
                let end = cut.min(text.len());
                let broken = format!("{}x{}", &text[..end], text.get(end + 1..).unwrap_or(""));
                prop_assert_eq!(utc_instant(broken.as_bytes()), None);
                if let Some(quick) = utc_instant(text.as_bytes()) {
                    prop_assert_eq!(Some(quick), parse_any_instant(&text));
                }
            }
        }
    }
}
