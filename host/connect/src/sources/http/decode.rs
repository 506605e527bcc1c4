//! From a request to events: the CloudEvents HTTP protocol binding 1.0.
//!
//! We read the envelope ourselves: the CloudEvents crate (`cloudevents-sdk` 0.9) parses JSON data into a
//! tree and so loses what was sent (number formats, the order and repeats of members), and knows neither
//! our limits nor the index of a bad event. What it would save is this file and a serde struct.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::Bytes;
use carpe::{AdmitError, Event, EventBatch, EventRef};
use percent_encoding::percent_decode;

use crate::intake::Bounds;
use crate::media_type::is_json;
use crate::server::problem::Problem;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const ACCEPTED: &[&str] =
    &[STRUCTURED, BATCH, "any other, with the headers of CloudEvents' binary mode (ce-id ...)"];

/// How a request carries its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Attributes in `ce-` headers, data in the body.
    Binary,
    /// One event in JSON.
    Structured,
    /// An array of events in JSON.
    Batch,
}

impl Mode {
    /// The mode that the headers say.
    pub(super) fn of(headers: &HeaderMap) -> Result<Mode, Problem> {
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
            && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            return Err(Problem::media_type("a `content-encoding` is not understood", ACCEPTED)
                .hint("send it uncompressed"));
        }
        let given = content_type(headers)?;
        let (media_type, parameters) = given.split_once(';').unwrap_or((given, ""));
        let media_type = media_type.trim().to_ascii_lowercase();
        match media_type.as_str() {
            STRUCTURED => utf8(parameters).map(|()| Mode::Structured),
            BATCH if ce_headers(headers).next().is_some() => Err(Problem::bad_request(
                "a batch can't have `ce-` headers: its events carry their attributes themselves",
            )),
            BATCH => utf8(parameters).map(|()| Mode::Batch),
            other if other.starts_with("application/cloudevents") => {
                Err(Problem::media_type(format!("`{given}` is no format that is known here"), ACCEPTED))
            }
            _ if ce_headers(headers).next().is_some() => Ok(Mode::Binary),
            "" => Err(Problem::media_type("`content-type` is missing, and so are `ce-` headers", ACCEPTED)),
            _ => Err(Problem::media_type(
                format!("`{given}` without `ce-` headers is no CloudEvent"),
                ACCEPTED,
            )),
        }
    }

    /// How long a body may be.
    pub(super) fn body_limit(self, bounds: Bounds, batch_bytes: usize) -> usize {
        match self {
            Mode::Binary | Mode::Structured => bounds.event_bytes,
            Mode::Batch => batch_bytes.min(bounds.event_bytes.saturating_mul(bounds.batch_events)),
        }
    }

    /// What it carries, in words.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Mode::Binary => "an event's data",
            Mode::Structured => "an event",
            Mode::Batch => "a batch",
        }
    }

    /// The events of a request.
    pub(super) fn decode(
        self,
        headers: &HeaderMap,
        body: Bytes,
        bounds: Bounds,
    ) -> Result<EventBatch, Problem> {
        let mut batch = EventBatch::new(bounds.event_bytes);
        let taken = match self {
            Mode::Binary => batch.push(&binary(headers, body)?),
            Mode::Structured => batch.push_json(&body),
            Mode::Batch => {
                return EventBatch::from_json(&body, bounds.event_bytes, bounds.batch_events)
                    .map_err(|(index, error)| bad_event(&error).at(index));
            }
        };
        taken.map_err(|error| bad_event(&error))?;
        if let (Mode::Structured, Some(event)) = (self, batch.get(0)) {
            same_attributes(headers, &event)?;
        }
        Ok(batch)
    }
}

/// The binding allows the attributes of structured mode as headers too; if they differ, which of them is meant?
fn same_attributes(headers: &HeaderMap, event: &EventRef<'_>) -> Result<(), Problem> {
    for (name, value) in ce_headers(headers) {
        let given = header_text(name, value)?;
        let known = event.attribute(name);
        let same = match name {
            "time" => carpe::parse_instant(&given) == event.time,
            _ => known.as_deref() == Some(given.as_str()),
        };
        if !same {
            let detail =
                format!("two modes are mixed: header `ce-{name}` is not what the body has as `{name}`");
            return Err(Problem::bad_request(detail).hint("send the attributes in the body only"));
        }
    }
    Ok(())
}

fn binary(headers: &HeaderMap, body: Bytes) -> Result<Event, Problem> {
    let mut event = Event::new("", "", "");
    let mut version = None;
    for name in headers.keys().filter_map(ce_name) {
        let mut values = headers.get_all(format!("ce-{name}")).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Problem::bad_request(format!("header `ce-{name}` is given twice")));
        };
        let text = header_text(name, value)?;
        match name {
            "specversion" => version = Some(text),
            "datacontenttype" => {
                return Err(Problem::bad_request(
                    "in binary mode `datacontenttype` is the header `content-type`",
                ));
            }
            _ => event.set_attribute(name, text).map_err(|error| bad_event(&error))?,
        }
    }
    match version.as_deref() {
        Some("1.0") => {}
        Some(_) => {
            return Err(Problem::invalid_event(
                "header `ce-specversion` is not 1.0: other versions are not known",
            ));
        }
        None => return Err(Problem::invalid_event("header `ce-specversion` is missing: it has to be 1.0")),
    }
    for (name, value) in [("id", &event.id), ("source", &event.source), ("type", &event.kind)] {
        if value.is_empty() {
            return Err(Problem::invalid_event(format!(
                "header `ce-{name}` is missing or empty: every event needs it"
            )));
        }
    }
    let content_type = content_type(headers)?;
    if !content_type.is_empty() {
        let set = event.set_attribute("datacontenttype", content_type.to_owned());
        set.map_err(|error| bad_event(&error))?;
    }
    if is_json(content_type)
        && let Err(error) = std::str::from_utf8(&body)
    {
        let position = error.valid_up_to();
        return Err(Problem::invalid_event(format!(
            "the data is called JSON, but is not UTF-8 at byte {position}"
        )));
    }
    if !body.is_empty() {
        event.set_data(body);
    }
    Ok(event)
}

/// An event that the host doesn't take, as it is answered.
pub(super) fn bad_event(error: &AdmitError) -> Problem {
    match error {
        AdmitError::TooLarge { .. } | AdmitError::TooMany { .. } | AdmitError::BatchFull { .. } => {
            Problem::too_large(error.to_string())
        }
        _ => Problem::invalid_event(error.to_string()),
    }
}

fn utf8(parameters: &str) -> Result<(), Problem> {
    let charsets = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let foreign = charsets
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, charset)| charset.trim().trim_matches('"'))
        .find(|charset| !charset.eq_ignore_ascii_case("utf-8") && !charset.eq_ignore_ascii_case("us-ascii"));
    match foreign {
        Some(charset) => Err(Problem::media_type(format!("charset `{charset}` is not understood"), ACCEPTED)
            .hint("CloudEvents in JSON are UTF-8")),
        None => Ok(()),
    }
}

fn content_type(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    match (given.next().map(HeaderValue::to_str), given.next()) {
        (None, _) => Ok(""),
        (Some(Ok(text)), None) => Ok(text.trim()),
        (Some(Ok(_)), Some(_)) => Err(Problem::bad_request("`content-type` is given twice")),
        (Some(Err(_)), _) => Err(Problem::bad_request("`content-type` has characters that it can't have")),
    }
}

fn ce_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &HeaderValue)> {
    headers.iter().filter_map(|(name, value)| Some((ce_name(name)?, value)))
}

fn ce_name(name: &HeaderName) -> Option<&str> {
    // Header names are in lower case here, as CloudEvents' attribute names are.
    name.as_str().strip_prefix("ce-")
}

/// A header's text: an outer pair of quotes is taken off, then it is percent-decoded, once.
fn header_text(name: &str, value: &HeaderValue) -> Result<String, Problem> {
    let unquoted = unquote(value.as_bytes());
    match percent_decode(&unquoted).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => {
            Err(Problem::invalid_event(format!("header `ce-{name}` is not UTF-8 when percent-decoded")))
        }
    }
}

/// Older senders quote instead of percent-encoding (RFC 9110, 5.6.4).
fn unquote(value: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return value.into();
    };
    let mut text = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for &byte in inner {
        if byte == b'\\' && !escaped {
            escaped = true;
        } else {
            text.push(byte);
            escaped = false;
        }
    }
    text.into()
}
