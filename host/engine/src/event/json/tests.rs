use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::event::{EventBatch, Instant, PackedEvent, parse_instant};

const LIMIT: usize = 100_000;

fn read(text: &str) -> Result<Event, AdmitError> {
    Event::from_json(text.as_bytes(), LIMIT)
}

/// An event with these members more than it needs.
fn with(members: &str) -> Result<Event, AdmitError> {
    read(&format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t",{members}}}"#))
}

#[test]
fn reads_all_that_the_format_has() {
    let event = read(
        r#" { "type": "gauge.level", "source": "/gauges/elbe", "id": "7", "specversion": "1.0",
              "subject": "elbe", "time": "2026-03-01T13:00:00.1239+01:00", "dataschema": "urn:x",
              "zone": "n", "count": -3, "urgent": true, "gone": null,
              "datacontenttype": "application/vnd.level+json; charset=utf-8",
              "data": {"level":  1.50, "big": 1e999} } "#,
    )
    .unwrap();
    assert_eq!(event.kind, "gauge.level");
    assert_eq!(event.time, parse_instant("2026-03-01T12:00:00.123Z"));
    let extensions = [("count", "-3"), ("urgent", "true"), ("zone", "n")];
    assert_eq!(event.extensions, extensions.map(|(name, value)| (name.into(), value.into())));
    assert_eq!(event.data, Data::Json(r#"{"level":  1.50, "big": 1e999}"#.to_owned()), "as it came");
}

#[test]
fn data_is_what_its_type_says() {
    let cases = [
        (r#""data": "x""#, Data::Json("\"x\"".to_owned())),
        (r#""data": null"#, Data::Absent),
        (r#""data": false"#, Data::Json("false".to_owned())),
        (
            r#""data": "<a/>", "datacontenttype": "application/xml""#,
            Data::Binary(Bytes::from_static(b"<a/>")),
        ),
        (r#""data": "", "datacontenttype": "text/plain""#, Data::Binary(Bytes::new())),
        (r#""data_base64": "AP8=""#, Data::Binary(Bytes::from_static(&[0, 255]))),
        (r#""data_base64": "MQ==", "datacontenttype": "text/json""#, Data::Json("1".to_owned())),
        (
            r#""data_base64": "/w==", "datacontenttype": "text/json""#,
            Data::Binary(Bytes::from_static(&[255])),
        ),
    ];
    for (members, data) in cases {
        assert_eq!(with(members).unwrap().data, data, "{members}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let cases = [
        (r#""id2": [1]"#, "attribute `id2` has to be a string, a boolean or an integer of 32 bits"),
        (r#""n": 2147483648"#, "attribute `n` has to be a string, a boolean or an integer of 32 bits"),
        (r#""n": 1.0"#, "attribute `n` has to be a string, a boolean or an integer of 32 bits"),
        (r#""subject": 1"#, "attribute `subject` has to be a string"),
        (r#""subject": """#, "attribute `subject` is empty: leave it out instead"),
        (
            r#""userId": "1""#,
            "attribute `userId` has `I` in its name: only lower-case letters a-z and digits may be",
        ),
        (
            r#""a\nb": "1""#,
            "attribute `a\\nb` has `\\n` in its name: only lower-case letters a-z and digits may be",
        ),
        (r#""": "1""#, "attribute `` has no name: it needs lower-case letters a-z and digits"),
        (
            r#""a": "x\u0007""#,
            "attribute `a` has the character U+0007 at byte 1, which no attribute may have",
        ),
        (r#""a": "\uffff""#, "attribute `a` has the character U+FFFF at byte 0, which no attribute may have"),
        (r#""a": "\ud800""#, "attribute `a` has half of a surrogate pair in it, which is no character"),
        (
            r#""datacontenttype": "json""#,
            "attribute `datacontenttype` is not a media type, e.g. `application/json`",
        ),
        (
            r#""carpehop": "0""#,
            "attribute `carpehop` is the host's own: leave it out, names that begin with `carpe` are reserved",
        ),
        (
            r#""time": "1969-12-31T23:59:59.999Z""#,
            "attribute `time` is not a time in RFC 3339 from 1970 on (below 2^53 milliseconds), \
             e.g. `2026-03-01T12:00:00Z`: `1969-12-31T23:59:59.999Z`",
        ),
        (
            r#""data": 1, "data_base64": """#,
            "the data is there twice, as `data` and as `data_base64`: send one of them",
        ),
        (r#""data_base64": "A""#, "the data in `data_base64` is not a string in base64 with padding"),
        (
            r#""data": {}, "datacontenttype": "text/xml""#,
            "the data is not a string, but `datacontenttype` says that it is no JSON: send a string, or `data_base64`",
        ),
    ];
    for (members, expected) in cases {
        assert_eq!(with(members).unwrap_err().to_string(), expected, "{members}");
    }
    for time in
        ["2026-03-01", "2026-03-01T12:00Z", "2026-03-01T12:00:00", "2026-03-01T12:00:00Z[UTC]", "1e9", "T"]
    {
        assert!(with(&format!(r#""time": "{time}""#)).is_err(), "{time}");
    }
    let whole = [
        ("[]", "invalid type: sequence, expected an object with an event's attributes, at line 1"),
        ("{\n \"id\": \"1\",\n}", "trailing comma, at line 3, column 1"),
        ("{} {}", "trailing characters, at line 1, column 4"),
        ("", "EOF while parsing a value, at line 1, column 0"),
        ("{\"id\":\"1\",\"id\":\"1\"}", "attribute `id` is there twice, at line 1"),
        ("{}", "attribute `specversion` is missing: it has to be `1.0`"),
        (r#"{"specversion":"0.3"}"#, "attribute `specversion` has to be `1.0`"),
        (
            r#"{"specversion":"1.0","id":"1","source":"s"}"#,
            "attribute `type` is missing: every event needs it",
        ),
        (r#"{"specversion":"1.0","id":"","source":"s"}"#, "attribute `id` is empty: every event needs it"),
    ];
    for (text, expected) in whole {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = Event::from_json(b"{\n\"id\": \"\xff\"}", LIMIT).unwrap_err();
    assert_eq!(error, AdmitError::Syntax { line: 2, column: 8, reason: "it is not UTF-8".to_owned() });
}

#[test]
fn the_size_limit_is_exact() {
    let text = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":12345}"#;
    let event = Event::from_json(text.as_bytes(), text.len()).unwrap();
    let error = Event::from_json(text.as_bytes(), text.len() - 1).unwrap_err();
    assert_eq!(error, AdmitError::TooLarge { bytes: text.len(), limit: text.len() - 1 });
    assert!(event.validate(text.len()).is_ok());
    assert!(matches!(event.validate(4), Err(AdmitError::TooLarge { .. })));
}

#[test]
fn a_batch_names_its_first_bad_event() {
    let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    let batch =
        |events: &[&str]| EventBatch::from_json(format!("[{}]", events.join(",\n")).as_bytes(), 100, 3);
    assert!(batch(&[]).unwrap().is_empty());
    assert_eq!(batch(&[good, good, good]).unwrap().len(), 3);
    let failed = |events: &[&str]| {
        let (index, error) = batch(events).unwrap_err();
        (index, error.to_string())
    };
    assert_eq!(
        failed(&[good, "{}", "{"]),
        (1, "attribute `specversion` is missing: it has to be `1.0`".to_owned())
    );
    assert_eq!(failed(&[good; 4]), (3, "the batch has more than 3 events: send it in parts".to_owned()));
    assert_eq!(failed(&[good, "7"]).0, 1);
    let (index, error) = failed(&[good, "{"]);
    assert!(index == 1 && error.contains("line 2"), "{index} {error}");
    assert!(matches!(
        batch(&[good, &good.replace('t', &"t".repeat(100))]),
        Err((1, AdmitError::TooLarge { .. }))
    ));
    assert!(EventBatch::from_json(good.as_bytes(), 100, 3).is_err());
}

#[test]
fn nesting_and_numbers_do_no_harm() {
    let deep = "[".repeat(500_000);
    for text in [deep.clone(), format!("{{\"data\":{deep}"), "{\"a\":".repeat(200_000)] {
        assert!(Event::from_json(text.as_bytes(), 1 << 30).is_err());
        assert!(EventBatch::from_json(text.as_bytes(), 1 << 30, 10).is_err());
    }
    let number = "9".repeat(50_000);
    assert!(with(&format!("\"n\": {number}")).is_err());
    assert!(with(&format!("\"data\": {number}")).is_ok());
    assert!(with("\"n\": 1e999999999").is_err());
}

#[test]
fn reserved_names_are_the_hosts_own() {
    let mut event = Event::new("1", "/carpe", "t");
    event.set_attribute("carpehop", "1".to_owned()).unwrap();
    assert!(event.validate(LIMIT).is_err());
    event.validate_own(LIMIT).unwrap();
}

#[test]
fn validate_checks_what_a_program_made() {
    let good = Event::new("1", "/s", "t");
    good.validate(LIMIT).unwrap();
    let mut cases =
        vec![Event::new("", "/s", "t"), good.clone().with_subject(""), good.clone().with_time(1 << 52)];
    for extensions in
        [vec![("b", ""), ("a", "")], vec![("a", ""), ("a", "")], vec![("id", "2")], vec![("A", "2")]]
    {
        let extensions = extensions.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        cases.push(Event { extensions, ..good.clone() });
    }
    let json = good.clone().with_json("{}");
    cases.push(Event { datacontenttype: Some("text/plain".into()), ..json });
    for event in cases {
        assert!(event.validate(LIMIT).is_err(), "{event:?}");
    }
}

fn words() -> impl Strategy<Value = String> {
    let any = prop::collection::vec(any::<char>(), 0..12).prop_map(|letters| letters.into_iter().collect());
    // Mostly what an attribute may be.
    prop_oneof![30 => "\\PC{1,12}", 1 => any]
}

fn data() -> impl Strategy<Value = (Option<String>, Data)> {
    let json_type = prop_oneof![Just("application/json"), Just("TEXT/JSON"), Just("a/b+json; charset=utf-8")];
    let other_type = prop_oneof![Just("text/plain"), Just("application/octet-stream"), Just("x/y")];
    let json = || {
        prop_oneof![
            words().prop_map(|word| Value::from(word).to_string()),
            prop::collection::vec(any::<i64>(), 0..4).prop_map(|list| format!("{list:?}")),
            Just("{\"a\": {\"b\":1.0e400 }}".to_owned()),
        ]
    };
    let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Data::Binary(bytes.into()));
    prop_oneof![
        prop::option::of(words()).prop_map(|word| (word.map(|word| format!("a/{word}")), Data::Absent)),
        json().prop_map(|text| (None, Data::Json(text))),
        (json_type.clone(), json())
            .prop_map(|(media_type, text)| (Some(media_type.to_owned()), Data::Json(text))),
        // Not JSON, though it says so.
        (
            json_type,
            prop_oneof![words().prop_filter("trimmed", |text| text.trim() == text), Just("null".to_owned())]
        )
            .prop_map(|(media_type, text)| (Some(media_type.to_owned()), Data::Json(text))),
        bytes().prop_map(|bytes| (None, bytes)),
        (other_type.clone(), bytes()).prop_map(|(media_type, bytes)| (Some(media_type.to_owned()), bytes)),
        (other_type, words())
            .prop_map(|(media_type, text)| (Some(media_type.to_owned()), Data::Binary(text.into()))),
    ]
}

prop_compose! {
    fn events()(
        (id, source, kind) in (words(), words(), words()),
        subject in prop::option::of(words()),
        time in prop::option::of(0..253_402_207_200_000 as Instant),
        dataschema in prop::option::of(words()),
        extensions in prop::collection::btree_map("[a-z0-9]{1,8}", words(), 0..4),
        (datacontenttype, data) in data(),
    ) -> Event {
        Event {
            id: id.into(), source: source.into(), kind: kind.into(), subject: subject.map(Into::into), time,
            datacontenttype: datacontenttype.map(Into::into), dataschema: dataschema.map(Into::into),
            extensions: extensions.into_iter().map(|(name, value)| (name.into(), value.into())).collect(), data,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(event in events()) {
        let json = event.to_json();
        serde_json::from_str::<serde_json::Map<String, Value>>(&json.replace("1.0e400", "1")).unwrap();
        match event.validate(LIMIT) {
            Ok(()) => prop_assert_eq!(read(&json), Ok(event)),
            Err(_) => prop_assert!(read(&json).is_err() || event.extensions.iter().any(|(name, _)| name == "data"), "{}", json),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}\",:0-9a-z\\\\. ]{0,60}") {
        let _ = Event::from_json(&bytes, LIMIT);
        let _ = Event::from_json(text.as_bytes(), LIMIT);
        let _ = EventBatch::from_json(text.as_bytes(), LIMIT, 3);
        let _ = parse_instant(&text);
    }

    #[test]
    fn an_event_is_packed_as_the_journal_writes_it(event in events()) {
        let packed = PackedEvent::from(&event);
        prop_assert_eq!(packed.written(), postcard::to_stdvec(&event).unwrap());
        prop_assert_eq!(packed.to_event(), event);
    }

    #[test]
    fn a_text_within_the_limit_makes_an_event_within_it(event in events()) {
        let json = event.to_json();
        if let Ok(read) = Event::from_json(json.as_bytes(), json.len()) {
            prop_assert!(read.validate(json.len()).is_ok());
        }
    }
}

#[test]
fn many_extensions_come_in_any_order() {
    let event = |names: &mut dyn Iterator<Item = u32>| {
        let extensions: String = names.map(|name| format!(r#","x{name}":"y""#)).collect();
        let text = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{extensions}}}"#);
        Event::from_json(text.as_bytes(), 1 << 20).unwrap()
    };
    for count in [63, 64, 65, 20_000] {
        let forward = event(&mut (0..count));
        assert_eq!(forward.extensions.len(), count as usize);
        assert!(forward.extensions.is_sorted());
        assert_eq!(event(&mut (0..count).rev()), forward);
    }
}
