//! Filters of subscriptions, in CloudEvents SQL: evaluated before an event is keyed, so that what a rule would only reject
//! costs no call of it.

use carpe_cesql::{Attributes, Expression, Value};

use crate::event::Fields;
use crate::rule::Subscription;

/// The filters of a version's subscriptions, in their order; empty, if none has one.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<Option<Expression>>);

impl Filters {
    pub(crate) fn of(subscriptions: &[Subscription]) -> Result<Self, String> {
        if subscriptions.iter().all(|subscription| subscription.filter.is_none()) {
            return Ok(Filters::default());
        }
        let filters = subscriptions.iter().map(|one| one.filter.as_deref().map(parse_filter).transpose());
        filters.collect::<Result<_, _>>().map(Filters)
    }

    /// Whether a subscription takes an event of its type; none: its filter cannot be evaluated for it, and so it does
    /// not.
    pub(crate) fn test(&self, subscription: u32, event: &Fields<'_>) -> Option<bool> {
        match self.0.get(subscription as usize) {
            Some(Some(filter)) => filter.test(event),
            Some(None) | None => Some(true),
        }
    }
}

/// A filter that can match, as far as can be known beforehand.
pub(crate) fn parse_filter(text: &str) -> Result<Expression, String> {
    let filter = Expression::parse(text)
        .map_err(|error| format!("its filter is not CloudEvents SQL: {error}, in `{}`", error.excerpt()))?;
    if let Some((name, arguments)) = filter.missing_function() {
        return Err(format!(
            "its filter calls `{name}` with {arguments} arguments: there is no such function in CloudEvents SQL"
        ));
    }
    if filter.attributes().contains(&"data") {
        return Err(
            "its filter names `data`, which CloudEvents SQL does not see: test for it in the rule".to_owned()
        );
    }
    Ok(filter)
}

/// A longer attribute is to a filter as one that is not there: what a filter costs is bounded by its length times this.
const ATTRIBUTE_BYTES: usize = 4_096;

/// Extensions are all strings: of what type they were is not kept.
impl Attributes for Fields<'_> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        Fields::attribute(self, name).filter(|value| value.len() <= ATTRIBUTE_BYTES).map(Value::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, PackedEvent};
    use crate::rule::KeyedBy;

    fn subscription(filter: Option<&str>) -> Subscription {
        Subscription {
            event_type: "*".to_owned(),
            filter: filter.map(str::to_owned),
            keyed_by: KeyedBy::Nothing,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn over_all_attributes() {
        let mut event = Event::new("7", "/s", "t").with_subject("press-1").with_time(0).with_json("{}");
        event.extensions = vec![
            ("flag".into(), "true".into()),
            ("fits".into(), "x".repeat(ATTRIBUTE_BYTES).into()),
            ("long".into(), "x".repeat(ATTRIBUTE_BYTES + 1).into()),
            ("sequence".into(), "10".into()),
        ];
        let event = PackedEvent::from(event);
        for (filter, passes) in [
            ("id = '7' AND source = '/s' AND type = 't' AND specversion = '1.0'", Some(true)),
            ("datacontenttype = 'application/json' AND NOT EXISTS dataschema", Some(true)),
            ("subject LIKE 'press-%' AND time LIKE '1970-01-01T00:00:00%Z'", Some(true)),
            ("flag", Some(true)),
            ("flag AND sequence > 9", Some(true)),
            ("sequence = 11", Some(false)),
            ("colour = 'red'", None),
            ("fits LIKE 'x%'", Some(true)),
            ("long LIKE 'x%'", None),
            ("NOT EXISTS colour OR colour = 'red'", Some(true)),
        ] {
            let filters = Filters::of(&[subscription(None), subscription(Some(filter))]).unwrap();
            assert_eq!(filters.test(1, &event.fields()), passes, "{filter}");
            assert_eq!(filters.test(0, &event.fields()), Some(true), "{filter}");
        }
    }

    #[test]
    fn one_that_cannot_match_is_refused_in_words() {
        for (filter, reason) in [
            (
                "type == 'x'",
                "its filter is not CloudEvents SQL: at byte 6 there is `=`, where a value is expected, in `type == 'x'`",
            ),
            (
                "FOO(type)",
                "its filter calls `FOO` with 1 arguments: there is no such function in CloudEvents SQL",
            ),
            (
                "EXISTS data",
                "its filter names `data`, which CloudEvents SQL does not see: test for it in the rule",
            ),
        ] {
            assert_eq!(Filters::of(&[subscription(Some(filter))]).unwrap_err(), reason);
        }
    }
}
