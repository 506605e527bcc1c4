//! Which rules an event is for: an index by type, so that a rule that does not subscribe costs nothing.

use std::collections::HashMap;

use crate::rule::Subscription;

/// A rule's slot in the router, and the subscription's position in its description.
pub(crate) type Match = (usize, u32);

#[derive(Debug, Default)]
pub(crate) struct SubscriptionIndex {
    exact: HashMap<String, Vec<Match>, ahash::RandomState>,
    /// Patterns with a trailing `*`, by what stands before it; their lengths beside, ascending.
    prefixes: HashMap<String, Vec<Match>, ahash::RandomState>,
    lengths: Vec<usize>,
}

impl SubscriptionIndex {
    pub(crate) fn insert(&mut self, slot: usize, subscriptions: &[Subscription]) {
        for (position, subscription) in (0u32..).zip(subscriptions) {
            let (map, name) = match subscription.event_type.strip_suffix('*') {
                Some(prefix) => (&mut self.prefixes, prefix),
                None => (&mut self.exact, subscription.event_type.as_str()),
            };
            map.entry(name.to_owned()).or_default().push((slot, position));
        }
        self.note_lengths();
    }

    pub(crate) fn remove(&mut self, slot: usize) {
        for map in [&mut self.exact, &mut self.prefixes] {
            map.retain(|_, matches| {
                matches.retain(|(owner, _)| *owner != slot);
                !matches.is_empty()
            });
        }
        self.note_lengths();
    }

    /// The subscriptions that an event of this type matches, by slot and then by position.
    pub(crate) fn matches(&self, event_type: &str, found: &mut Vec<Match>) {
        found.clear();
        if let Some(matches) = self.exact.get(event_type) {
            found.extend(matches);
        }
        for &length in self.lengths.iter().take_while(|&&length| length <= event_type.len()) {
            if let Some(matches) = event_type.get(..length).and_then(|prefix| self.prefixes.get(prefix)) {
                found.extend(matches);
            }
        }
        found.sort_unstable();
    }

    fn note_lengths(&mut self) {
        self.lengths = self.prefixes.keys().map(String::len).collect();
        self.lengths.sort_unstable();
        self.lengths.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::KeyedBy;

    fn subscription(event_type: &str) -> Subscription {
        Subscription {
            event_type: event_type.to_owned(),
            filter: None,
            keyed_by: KeyedBy::Nothing,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn exact_and_patterns() {
        let mut index = SubscriptionIndex::default();
        index.insert(0, &[subscription("a.b"), subscription("a.*"), subscription("*")]);
        index.insert(1, &[subscription("a.b")]);
        let mut found = Vec::new();
        index.matches("a.b", &mut found);
        assert_eq!(found, [(0, 0), (0, 1), (0, 2), (1, 0)]);
        index.matches("ä", &mut found);
        assert_eq!(found, [(0, 2)]);
        index.remove(0);
        index.matches("a.b", &mut found);
        assert_eq!(found, [(1, 0)]);
    }
}
