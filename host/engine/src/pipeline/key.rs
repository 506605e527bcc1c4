//! What an event is about: its key.

use serde_json::Value;

use super::keys::Key;
use crate::event::{DataRef, Fields};
use crate::journal::{Body, Decision, Given};
use crate::pipeline::program::Version;
use crate::rule::{KeyedBy, Subscription};

/// What comes of an event that is of the type that a subscription names.
pub(crate) enum Routed {
    /// It is given, for this key.
    To(Key),
    /// The filter does not let it pass.
    Filtered,
    /// Nor does this one: it cannot be evaluated for it.
    FilterFailed,
    /// It has no key.
    Keyless,
}

impl Version {
    pub(crate) fn route(&self, event: &Fields<'_>, subscription: u32) -> Routed {
        let Some(wanted) = self.description.subscriptions.get(subscription as usize) else {
            return Routed::Filtered;
        };
        match self.filters.test(subscription, event) {
            Some(true) => key_of(event, &wanted.keyed_by).map_or(Routed::Keyless, Routed::To),
            Some(false) => Routed::Filtered,
            None => Routed::FilterFailed,
        }
    }
}

/// What an entry that is for one rule alone is about: an outcome that it wants to hear of, an operator's change, a
/// dead letter that is given again. With the subscription, for an event.
pub(crate) fn own_key(body: &Body, version: Option<&Version>) -> Option<(Key, Option<u32>)> {
    match body {
        Body::Outcome(outcome) if outcome.reference.is_some() => Some((outcome.key.as_str().into(), None)),
        Body::KeyChange(change) => Some((change.key.as_str().into(), None)),
        Body::Decision { decision, .. } => {
            let Decision::GivenAgain { input, key, given } = &**decision else { return None };
            let Given::Event(event) = given else { return Some((key.as_str().into(), None)) };
            let event = event.fields();
            let version = version?;
            let fits = |(place, wanted): &(u32, &Subscription)| {
                wanted.takes(event.kind()) && version.filters.test(*place, &event) == Some(true)
            };
            let fitting = || (0u32..).zip(&version.description.subscriptions).filter(fits);
            // Another version may have other subscriptions.
            let same = fitting().find(|(place, _)| Some(*place) == input.subscription);
            let (place, wanted) = same.or_else(|| fitting().next())?;
            Some((key_of(&event, &wanted.keyed_by)?, Some(place)))
        }
        _ => None,
    }
}

/// The rule that an entry is for alone.
pub(crate) fn rule_of(body: &Body) -> Option<&String> {
    match body {
        Body::Outcome(outcome) => Some(&outcome.rule),
        Body::KeyChange(change) => Some(&change.rule),
        Body::Decision { rule, .. } if body.given_again().is_some() => Some(rule),
        _ => None,
    }
}

/// The key of an event; none: it has none, and is not given.
pub(crate) fn key_of(event: &Fields<'_>, keyed_by: &KeyedBy) -> Option<Key> {
    match keyed_by {
        KeyedBy::Nothing => Some(Key::default()),
        KeyedBy::Attribute(name) => event.attribute(name).map(Key::from),
        KeyedBy::Data(pointer) => match event.data() {
            DataRef::Json(text) => {
                let value: Value = serde_json::from_str(text).ok()?;
                match value.pointer(pointer)? {
                    Value::String(text) => Some(Key::from(text.as_str())),
                    Value::Number(number) => whole_number(number).map(Key::from),
                    _ => None,
                }
            }
            DataRef::Absent | DataRef::Binary(_) => None,
        },
    }
}

/// The decimal digits of a whole number: `1`, `1.0` and `1e0` are all `1`. None if it has a fraction,
/// or is a float too large for each whole number to have its own.
fn whole_number(number: &serde_json::Number) -> Option<String> {
    if number.is_u64() || number.is_i64() {
        return Some(number.to_string());
    }
    let float = number.as_f64()?;
    // Past 2^53 neighbouring whole numbers share a float: they would share a key.
    let exact = float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0;
    exact.then(|| format!("{}", float + 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, PackedEvent};

    fn key(data: &str, pointer: &str) -> Option<String> {
        let event = Event::new("1", "s", "t").with_json(data);
        key_of(&PackedEvent::from(event).fields(), &KeyedBy::Data(pointer.to_owned()))
            .map(|key| key.to_string())
    }

    #[test]
    fn by_json_pointer() {
        for (data, expected) in [
            (r#"{"order":{"id":"a/b"}}"#, Some("a/b")),
            (r#"{"order":{"id":1}}"#, Some("1")),
            (r#"{"order":{"id":1.0}}"#, Some("1")),
            (r#"{"order":{"id":1e0}}"#, Some("1")),
            (r#"{"order":{"id":-0.0}}"#, Some("0")),
            (r#"{"order":{"id":-7}}"#, Some("-7")),
            (r#"{"order":{"id":18446744073709551615}}"#, Some("18446744073709551615")),
            (r#"{"order":{"id":1.5}}"#, None),
            (r#"{"order":{"id":1e300}}"#, None),
            (r#"{"order":{"id":null}}"#, None),
            (r#"{"order":{"id":{}}}"#, None),
            (r#"{"order":{}}"#, None),
            ("not json", None),
        ] {
            assert_eq!(key(data, "/order/id").as_deref(), expected, "{data}");
        }
    }

    #[test]
    fn by_attribute_and_by_nothing() {
        let event = PackedEvent::from(Event::new("1", "s", "t").with_subject("x"));
        let event = event.fields();
        assert_eq!(key_of(&event, &KeyedBy::Attribute("subject".into())).as_deref(), Some("x"));
        assert_eq!(key_of(&event, &KeyedBy::Attribute("colour".into())), None);
        assert_eq!(key_of(&event, &KeyedBy::Nothing).as_deref(), Some(""));
    }
}
