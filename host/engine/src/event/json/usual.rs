//! Reads events as most are written: in one pass, straight into their fields.
//!
//! Whatever is not as usual (an escape in an attribute, a member twice, a `null`, base64, an error) is left to the thorough
//! reader, which says what is wrong.

use super::super::admit::{RESERVED_PREFIX, RFC_3339_END, check_name, is_json};
use super::super::{DataRef, EventRef, STRUCT_BYTES, parse_instant};
use super::scan::Scan;

/// An event with more extensions is unusual: they are kept sorted, and each that comes moves those behind it.
pub(super) const FEW_EXTENSIONS: usize = 64;

/// The event, valid and as the thorough reader gives it; none: it is not as usual.
pub(in crate::event) fn read(text: &str, max_bytes: usize) -> Option<EventRef<'_>> {
    let mut scan = Scan::new(text);
    let event = read_event(&mut scan, max_bytes)?;
    scan.peek().is_none().then_some(event)
}

/// Takes the events of an array, at most so many, each as [`read`] gives it; none: one of them is not as usual, or not taken.
pub(in crate::event) fn read_batch<'a>(
    text: &'a str,
    max_bytes_each: usize,
    max_events: usize,
    take: &mut dyn FnMut(&EventRef<'a>) -> bool,
) -> Option<()> {
    let mut scan = Scan::new(text);
    scan.expect(b'[')?;
    for _ in 0..max_events {
        take(&read_event(&mut scan, max_bytes_each)?).then_some(())?;
        match scan.next()? {
            b',' => {}
            b']' => return scan.peek().is_none().then_some(()),
            _ => return None,
        }
    }
    None
}

fn read_event<'a>(scan: &mut Scan<'a>, max_bytes: usize) -> Option<EventRef<'a>> {
    let mut event = EventRef::empty();
    let (mut has_version, mut data) = (false, None);
    scan.expect(b'{')?;
    loop {
        let name = scan.plain_string()?;
        scan.expect(b':')?;
        let is_new = match name {
            "data" => data.replace(scan.value()?).is_none(),
            "specversion" => scan.plain_string()? == "1.0" && !std::mem::replace(&mut has_version, true),
            "id" => fill(&mut event.id, scan)?,
            "source" => fill(&mut event.source, scan)?,
            "type" => fill(&mut event.kind, scan)?,
            "subject" => fill_option(&mut event.subject, scan)?,
            "datacontenttype" => fill_option(&mut event.datacontenttype, scan)?,
            "dataschema" => fill_option(&mut event.dataschema, scan)?,
            "time" => {
                let time = parse_instant(scan.plain_string()?).filter(|time| *time < RFC_3339_END)?;
                event.time.replace(time).is_none()
            }
            "data_base64" => false,
            name => {
                check_name(name).ok().filter(|()| !name.starts_with(RESERVED_PREFIX))?;
                let mut value = "";
                let filled = fill(&mut value, scan)?;
                match event.extensions.binary_search_by(|(known, _)| known.cmp(&name)) {
                    Err(_) if event.extensions.len() >= FEW_EXTENSIONS => false,
                    Ok(_) => false,
                    Err(at) => {
                        event.extensions.insert(at, (name, value));
                        filled
                    }
                }
            }
        };
        match scan.next()? {
            _ if !is_new => return None,
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    match data {
        Some("null") => return None,
        Some(text) => event.data = DataRef::Json(text),
        None => {}
    }
    let whole = has_version && ![event.id, event.source, event.kind].iter().any(|text| text.is_empty());
    let fits = event.size() <= max_bytes.saturating_add(STRUCT_BYTES);
    (whole && fits && event.datacontenttype.is_none_or(is_json)).then_some(event)
}

/// Takes a text. `false`: there was one, or it is empty.
fn fill<'a>(field: &mut &'a str, scan: &mut Scan<'a>) -> Option<bool> {
    let is_new = field.is_empty();
    *field = scan.plain_string()?;
    Some(is_new && !field.is_empty())
}

fn fill_option<'a>(field: &mut Option<&'a str>, scan: &mut Scan<'a>) -> Option<bool> {
    let is_new = field.is_none();
    Some(fill(field.insert(""), scan)? && is_new)
}

#[cfg(test)]
mod tests {
    use serde::Deserializer as _;

    use super::super::super::Event;
    use super::*;

    const MAX_BYTES: usize = 1_000;

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
            r#""carpeext":"x""#,
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
            let batch = read_batch(&twice, MAX_BYTES, 2, &mut |event| {
                events.push(Event::from(event));
                true
            });
            let event = read(&text, MAX_BYTES).map(|event| Event::from(&event));
            assert_eq!(batch.and_then(|()| events.pop()), event, "{text}");
            assert_eq!(read_batch(&twice, MAX_BYTES, 1, &mut |_| true), None);
            assert_eq!(read_batch(&twice, MAX_BYTES, 2, &mut |_| false), None);
            if let Some(event) = event {
                read_quickly += 1;
                let bytes = event.size() - STRUCT_BYTES;
                assert!(read(&text, bytes).is_some() && read(&text, bytes - 1).is_none(), "{text}");
                assert_eq!(event.validate(bytes), Ok(()), "{text}");
                assert_eq!(Some(event), thoroughly(&text), "{text}");
            }
        }
        assert!(read_quickly > 1_000, "{read_quickly}");
    }
}
