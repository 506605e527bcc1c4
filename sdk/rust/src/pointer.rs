//! Finds one value in a JSON text without building the others.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The text of what stands at a JSON Pointer (RFC 6901). `None`: nothing. Of a name that comes twice the last
/// counts, as in a parsed document. The whole text is read, so an error anywhere in it is found.
pub(crate) fn find<'t>(json: &'t str, pointer: &str) -> Result<Option<&'t str>, serde_json::Error> {
    let Some(path) = pointer.strip_prefix('/') else {
        let value = serde_json::from_str::<&RawValue>(json)?;
        return Ok(pointer.is_empty().then_some(value.get()));
    };
    let mut text = json;
    for name in path.split('/') {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let child = deserializer.deserialize_any(Child { name: &unescaped(name) })?;
        // Of the whole text this finds what follows it; of a part there is nothing to be found.
        deserializer.end()?;
        match child {
            Some(child) => text = child.get(),
            None => return Ok(None),
        }
    }
    Ok(Some(text))
}

fn unescaped(name: &str) -> Cow<'_, str> {
    if name.contains('~') { name.replace("~1", "/").replace("~0", "~").into() } else { name.into() }
}

/// Reads a value and keeps of it the part with this name, or index in a list.
struct Child<'n> {
    name: &'n str,
}

impl<'de> Visitor<'de> for Child<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(Is { name: self.name })? {
            if wanted {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        // RFC 6901: no leading zeros, no sign.
        let index = self.name.parse::<usize>().ok().filter(|index| index.to_string() == self.name);
        let mut found = None;
        let mut at = 0;
        while let Some(element) = list.next_element::<&RawValue>()? {
            if Some(at) == index {
                found = Some(element);
            }
            at += 1;
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Reads a name: is it this one?
struct Is<'n> {
    name: &'n str,
}

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn finds_what_a_parsed_document_has() {
        let json = r#" {"a":{"b":[1,{"c":"x"},3.5]},"a/b":2,"~":null,"":0,"t":true,"d":1,"d":2,"\u0065":5} "#;
        let parsed: serde_json::Value = serde_json::from_str(json).unwrap();
        for pointer in [
            "", "/a", "/a/b/0", "/a/b/1/c", "/a/b/2", "/a/b/3", "/a/b/01", "/a~1b", "/~0", "/", "/t/x", "/d",
            "/e", "a", "/zz", "/d/0",
        ] {
            let found = find(json, pointer).unwrap().map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(found.as_ref(), parsed.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn an_error_anywhere_is_found() {
        for json in ["", "{", r#"{"a":1,}"#, r#"{"a":1} x"#, r#"{"a":1,"b":nul}"#] {
            assert!(find(json, "/a").is_err(), "{json}");
        }
    }
}
