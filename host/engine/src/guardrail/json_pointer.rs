//! JSON Pointers (RFC 6901), followed through a text without a tree of it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Where in JSON something stands: `/order/total`, by RFC 6901. An empty one names the whole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct JsonPointer {
    text: String,
    tokens: Vec<String>,
}

impl JsonPointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn parse(text: &str) -> Result<JsonPointer, String> {
        if !text.is_empty() && !text.starts_with('/') {
            let shown = text.escape_debug();
            return Err(format!("`{shown}` is no JSON Pointer: those begin with `/`, write `/{shown}`"));
        }
        let tokens = text.split('/').skip(1).map(unescape).collect::<Option<_>>().ok_or_else(|| {
            let shown = text.escape_debug();
            format!(
                "`{shown}` is no JSON Pointer: a `~` in a name is written `~0`, and a `/` is written `~1`"
            )
        })?;
        Ok(JsonPointer { text: text.to_owned(), tokens })
    }

    /// The JSON text of what stands there, as it came; none: nothing does. Of members of one name the last counts, as in
    /// other readers.
    pub(super) fn find<'a>(&self, json: &'a str) -> Result<Option<&'a str>, serde_json::Error> {
        let mut here: &'a RawValue = serde_json::from_str(json)?;
        for token in &self.tokens {
            match child(here.get(), token)? {
                Some(child) => here = child,
                None => return Ok(None),
            }
        }
        Ok(Some(here.get()))
    }
}

fn child<'a>(json: &'a str, token: &str) -> Result<Option<&'a RawValue>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    match json.as_bytes().first() {
        Some(b'{') => reader.deserialize_map(Child(token)),
        Some(b'[') => reader.deserialize_seq(Child(token)),
        _ => Ok(None),
    }
}

/// Reads the member, or the element, of this name, and skips the others.
struct Child<'t>(&'t str);

impl<'de> Visitor<'de> for Child<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(name)) = members.next_key()? {
            if name == self.0 {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let wanted = index(self.0);
        let mut at = 0;
        loop {
            if wanted == Some(at) {
                match elements.next_element()? {
                    None => return Ok(None),
                    element => found = element,
                }
            } else if elements.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }
}

/// A member's name; it allocates only where that has an escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// An index has no sign and no zero in front: RFC 6901, section 4.
fn index(token: &str) -> Option<usize> {
    let plain =
        token.bytes().all(|byte| byte.is_ascii_digit()) && (token.len() == 1 || !token.starts_with('0'));
    plain.then(|| token.parse().ok()).flatten()
}

impl TryFrom<String> for JsonPointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        JsonPointer::parse(&text)
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// None: a `~` that escapes nothing.
fn unescape(token: &str) -> Option<String> {
    let mut pieces = token.split('~');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (escape, rest) = piece.split_at_checked(1)?;
        name.push(match escape {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        name.push_str(rest);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn find<'a>(json: &'a str, pointer: &str) -> Option<&'a str> {
        JsonPointer::parse(pointer).unwrap().find(json).unwrap()
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let json = r#"{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8}"#;
        for (pointer, found) in [
            ("", Some(json)),
            ("/foo", Some(r#"["bar", "baz"]"#)),
            ("/foo/0", Some("\"bar\"")),
            ("/", Some("0")),
            ("/a~1b", Some("1")),
            ("/c%d", Some("2")),
            ("/e^f", Some("3")),
            ("/g|h", Some("4")),
            ("/i\\j", Some("5")),
            ("/k\"l", Some("6")),
            ("/ ", Some("7")),
            ("/m~0n", Some("8")),
            ("/foo/2", None),
            ("/foo/-", None),
            ("/foo/00", None),
            ("/foo/+0", None),
            ("/foo/", None),
            ("/foo/99999999999999999999", None),
            ("/foo/0/0", None),
        ] {
            assert_eq!(find(json, pointer), found, "{pointer}");
            assert_eq!(JsonPointer::parse(pointer).unwrap().to_string(), pointer);
        }
    }

    #[test]
    fn the_last_of_equal_members_counts() {
        assert_eq!(find(r#"{"a":{"b":1},"a":{"b":2}}"#, "/a/b"), Some("2"));
        assert_eq!(find(r#"{"a":{"b":1},"a":2}"#, "/a/b"), None);
    }

    #[test]
    fn what_is_no_pointer_says_what_to_write() {
        for (text, says) in
            [("total", "write `/total`"), ("/a~", "written `~0`"), ("/~2", "written `~0`"), ("/~é", "`~0`")]
        {
            let error = JsonPointer::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for json in ["", "{", "{\"a\":1", "{\"a\":01}", "[1,]", "1 2"] {
            assert!(JsonPointer::parse("/a").unwrap().find(json).is_err(), "{json}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a~/\"\\\\]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[01a~/\"]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_tree_has(value in values(), pointer in "(/([01a\"-]|~0|~1){0,2}){0,4}", pretty: bool) {
            let json = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let found = find(&json, &pointer).map(|found| serde_json::from_str::<Value>(found).unwrap());
            prop_assert_eq!(found.as_ref(), value.pointer(&pointer));
        }
    }
}
