//! What a moment and an action look like in one line.

use std::fmt::Write;

use carpe::{Data, Event, Instant, Moment, format_instant};
use carpe_connect::sinks::printable;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::config::PrintFormat;

const WORD_CHARACTERS: usize = 200;
const DATA_CHARACTERS: usize = 400;

/// `with_actions`: nothing else prints them.
pub(crate) fn moment_line(text: &mut String, moment: &Moment, format: PrintFormat, with_actions: bool) {
    if format == PrintFormat::Json {
        return json_line(text, &MomentLine { moment: MomentJson::of(moment, with_actions) });
    }
    let word = |word: &str| printable(word, WORD_CHARACTERS);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{} {} {}: {} [{}]",
        format_instant(moment.time),
        word(&moment.kind),
        word(moment.subject()),
        word(&moment.why),
        word(&moment.rule),
    );
    if with_actions {
        for (position, action) in moment.actions.iter().enumerate() {
            text.push_str(if position == 0 { " -> " } else { ", " });
            text.push_str(&word(&action.name));
        }
    }
    text.push('\n');
}

/// An action, below its moment.
pub(crate) fn action_line(text: &mut String, action: &Event, format: PrintFormat) {
    if format == PrintFormat::Json {
        let _ = writeln!(text, r#"{{"action":{}}}"#, action.to_json());
        return;
    }
    let subject = action.subject.as_deref().unwrap_or_default();
    let _ = write!(
        text,
        "  -> {} {}",
        printable(&action.kind, WORD_CHARACTERS),
        printable(subject, WORD_CHARACTERS)
    );
    if let Data::Json(data) = &action.data {
        let _ = write!(text, " {}", printable(data, DATA_CHARACTERS));
    }
    text.push('\n');
}

fn json_line(text: &mut String, line: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(line) {
        text.push_str(&line);
        text.push('\n');
    }
}

#[derive(Serialize)]
struct MomentLine<'a> {
    moment: MomentJson<'a>,
}

/// A moment for programs: instants in RFC 3339, data as what it is.
#[derive(Serialize)]
struct MomentJson<'a> {
    id: String,
    rule: &'a str,
    key: &'a str,
    kind: &'a str,
    why: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Json<'a>>,
    #[serde(serialize_with = "instant")]
    time: Instant,
    #[serde(serialize_with = "instant")]
    now: Instant,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    expires: Option<Instant>,
    position: u64,
    actions: Vec<ActionJson<'a>>,
}

#[derive(Serialize)]
struct ActionJson<'a> {
    id: String,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Json<'a>>,
}

impl<'a> MomentJson<'a> {
    fn of(moment: &'a Moment, with_actions: bool) -> Self {
        let actions = moment.actions.iter().map(|action| ActionJson {
            id: action.id.to_string(),
            name: &action.name,
            data: with_actions.then_some(Json(&action.data)),
        });
        MomentJson {
            id: moment.id.to_string(),
            rule: &moment.rule,
            key: &moment.key,
            kind: &moment.kind,
            why: &moment.why,
            subject: moment.subject(),
            data: moment.data.as_deref().map(Json),
            time: moment.time,
            now: moment.now,
            expires: moment.expires,
            position: moment.position,
            actions: actions.collect(),
        }
    }
}

/// JSON text; if it is none after all, the text as a string.
struct Json<'a>(&'a str);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A line end in it would make two lines of one.
        match serde_json::from_str::<&RawValue>(self.0) {
            Ok(value) if !self.0.contains('\n') => value.serialize(serializer),
            _ => match serde_json::from_str::<serde_json::Value>(self.0) {
                Ok(value) => value.serialize(serializer),
                Err(_) => serializer.serialize_str(self.0),
            },
        }
    }
}

fn instant<S: Serializer>(instant: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_instant(*instant))
}

fn optional_instant<S: Serializer>(instant: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    match instant {
        Some(given) => serializer.serialize_str(&format_instant(*given)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        serde_json::from_value(serde_json::json!({
            "id": "0000000000000000000000000000000a", "rule": "flood-alert", "key": "elbe-7", "kind": "flood.rising", "why": "up\n2 m", "subject": null,
            "data": "{\"cm\":\n512}", "time": 1_772_366_400_000_u64, "now": 1_772_366_400_001_u64,
            "expires": 1_772_370_000_000_u64, "position": 7, "hops": 0, "actions": [
                {"id": "00000000000000000000000000000001", "name": "alert.residents", "reference": null, "data": "{}"},
                {"id": "00000000000000000000000000000002", "name": "alert.mayor", "reference": null, "data": "{}"},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_moment_for_people_is_one_line() {
        let mut text = String::new();
        moment_line(&mut text, &moment(), PrintFormat::Text, true);
        moment_line(&mut text, &moment(), PrintFormat::Text, false);
        let said = "2026-03-01T12:00:00.000Z flood.rising elbe-7: up\\n2 m [flood-alert]";
        assert_eq!(text, format!("{said} -> alert.residents, alert.mayor\n{said}\n"));
    }

    #[test]
    fn a_moment_for_programs_is_one_line_of_json() {
        let mut text = String::new();
        moment_line(&mut text, &moment(), PrintFormat::Json, false);
        assert_eq!(text.matches('\n').count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["moment"]["id"], "0000000000000000000000000000000a");
        assert_eq!(line["moment"]["data"]["cm"], 512);
        assert_eq!(line["moment"]["expires"], "2026-03-01T13:00:00.000Z");
        assert_eq!(line["moment"]["actions"][1]["name"], "alert.mayor");
        assert!(line["moment"]["actions"][1].get("data").is_none());
    }

    #[test]
    fn an_action_is_one_line() {
        let action =
            Event::new("1", "/carpe", "alert.residents").with_subject("elbe-7").with_json("{\"cm\":1}");
        let mut text = String::new();
        action_line(&mut text, &action, PrintFormat::Text);
        action_line(&mut text, &action, PrintFormat::Json);
        let (people, programs) = text.split_once('\n').unwrap();
        assert_eq!(people, r#"  -> alert.residents elbe-7 {"cm":1}"#);
        let json: serde_json::Value = serde_json::from_str(programs).unwrap();
        assert_eq!(json["action"]["type"], "alert.residents");
    }
}
