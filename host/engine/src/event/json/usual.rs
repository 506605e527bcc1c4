//! Reads events as most are written: in one pass, straight into their fields.
//!
//! Whatever is not as usual (an escape in an attribute, a member twice, a `null`, base64, an error) is left to the thorough
//! reader, which says what is wrong.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::admit::{check_name, is_json, is_plain};
use super::super::{DataRef, EventRef, parse_instant};

/// The event, as the thorough reader gives it; none: it is not as usual.
pub(in crate::event) fn read(text: &str) -> Option<EventRef<'_>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let event = json.deserialize_map(Members).ok()?;
    json.end().ok()?;
    Some(event)
}

/// Takes the events of an array, at most so many, as the thorough reader gives them; none: one of them is not as usual, or not
/// taken.
pub(in crate::event) fn read_batch(
    text: &str,
    max_events: usize,
    take: &mut dyn FnMut(EventRef<'_>) -> bool,
) -> Option<()> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_seq(Batch { max_events, take }).ok()?;
    json.end().ok()
}

struct Batch<'a> {
    max_events: usize,
    take: &'a mut dyn FnMut(EventRef<'_>) -> bool,
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let mut count = 0;
        while let Some(event) = array.next_element_seed(Members)? {
            count += 1;
            if count > self.max_events || !(self.take)(event) {
                return Err(unusual());
            }
        }
        Ok(())
    }
}

struct Members;

impl<'de> DeserializeSeed<'de> for Members {
    type Value = EventRef<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<EventRef<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = EventRef<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EventRef<'de>, A::Error> {
        let mut event = EventRef::empty();
        let mut has_version = false;
        let mut data: Option<&RawValue> = None;
        while let Some(name) = map.next_key::<&str>()? {
            let new = match name {
                "data" => data.replace(map.next_value()?).is_none(),
                "specversion" => {
                    let version: &str = map.next_value()?;
                    version == "1.0" && !std::mem::replace(&mut has_version, true)
                }
                "id" => fill(&mut event.id, &mut map)?,
                "source" => fill(&mut event.source, &mut map)?,
                "type" => fill(&mut event.kind, &mut map)?,
                "subject" => fill_option(&mut event.subject, &mut map)?,
                "datacontenttype" => fill_option(&mut event.datacontenttype, &mut map)?,
                "dataschema" => fill_option(&mut event.dataschema, &mut map)?,
                "time" => match parse_instant(map.next_value()?) {
                    Some(time) => event.time.replace(time).is_none(),
                    None => false,
                },
                "data_base64" => false,
                name if check_name(name).is_ok() => {
                    let place = event.extensions.binary_search_by(|(known, _)| known.cmp(&name));
                    let mut value = "";
                    let filled = fill(&mut value, &mut map)?;
                    if let Err(at) = place {
                        event.extensions.insert(at, (name, value));
                    }
                    filled && place.is_err()
                }
                _ => false,
            };
            if !new {
                return Err(unusual());
            }
        }
        let whole = has_version && ![event.id, event.source, event.kind].iter().any(|text| text.is_empty());
        let is_json = event.datacontenttype.is_none_or(is_json);
        match data.map(RawValue::get) {
            _ if !whole => Err(unusual()),
            None => Ok(event),
            Some(text) if is_json && text != "null" => {
                event.data = DataRef::Json(text);
                Ok(event)
            }
            Some(_) => Err(unusual()),
        }
    }
}

/// Takes a value of plain characters. `false`: there was one, or it has others.
fn fill<'de, A: MapAccess<'de>>(field: &mut &'de str, map: &mut A) -> Result<bool, A::Error> {
    let value: &str = map.next_value()?;
    let fits = field.is_empty() && is_plain(value);
    *field = value;
    Ok(fits)
}

fn fill_option<'de, A: MapAccess<'de>>(field: &mut Option<&'de str>, map: &mut A) -> Result<bool, A::Error> {
    let is_new = field.is_none();
    Ok(fill(field.insert(""), map)? && is_new)
}

/// Nobody reads it: the other reader says what is wrong.
fn unusual<E: serde::de::Error>() -> E {
    E::custom("")
}

#[cfg(test)]
mod tests {
    use super::super::super::Event;
    use super::*;

    /// What the thorough reader gives.
    fn thoroughly(text: &str) -> Option<Event> {
        let mut json = serde_json::Deserializer::from_str(text);
        let members = json.deserialize_map(super::super::MembersVisitor).ok()?;
        json.end().ok()?;
        members.into_event().ok()
    }

    #[test]
    fn gives_what_the_thorough_reader_gives_or_nothing() {
        let members = [
            r#""specversion":"1.0""#,
            r#""specversion":"0.3""#,
            r#""id":"1""#,
            r#""id":"\u0031""#,
            r#""id":"""#,
            r#""id":1"#,
            r#""source":"/s""#,
            r#""type":"t""#,
            r#""type":null"#,
            r#""subject":"é""#,
            r#""subject":"x""#,
            r#""time":"2026-03-01T12:00:00.5Z""#,
            r#""time":"then""#,
            r#""datacontenttype":"text/plain""#,
            r#""datacontenttype":"application/json""#,
            r#""datacontenttype":"json""#,
            r#""dataschema":"urn:x""#,
            r#""ext":"x""#,
            r#""ext":true"#,
            r#""Ext":"x""#,
            r#""another":"y""#,
            r#""data":{"a":[1,"\n"]}"#,
            r#""data":"text""#,
            r#""data":null"#,
            r#""data":nul"#,
            r#""data_base64":"AA==""#,
        ];
        let mut read_quickly = 0;
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        for _ in 0..200_000 {
            let mut chosen = vec![];
            for (at, member) in members.iter().enumerate() {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                // What every event needs is there mostly, the rest now and then.
                let usual = [0, 2, 6, 7].contains(&at);
                if random % 16 < if usual { 15 } else { 2 } {
                    chosen.push(*member);
                }
            }
            let text = format!(" {{{}}} ", chosen.join(", "));
            let twice = format!("[{text},{text}]");
            let mut events = Vec::new();
            let batch = read_batch(&twice, 2, &mut |event| {
                events.push(Event::from(&event));
                true
            });
            let event = read(&text).map(|event| Event::from(&event));
            assert_eq!(batch.and_then(|()| events.pop()), event, "{text}");
            assert_eq!(read_batch(&twice, 1, &mut |_| true), None);
            assert_eq!(read_batch(&twice, 2, &mut |_| false), None);
            if let Some(event) = event.filter(|event| event.validate(1_000).is_ok()) {
                read_quickly += 1;
                assert_eq!(Some(event), thoroughly(&text), "{text}");
            }
        }
        assert!(read_quickly > 1_000, "{read_quickly}");
    }
}
