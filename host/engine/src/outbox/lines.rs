//! For a sink that keeps order: of a key's actions only the first is on its way.

use std::collections::{BTreeMap, HashMap};

use crate::journal::{ActionId, Position};

/// Where an action stands in the journal's order, among those of its rule and key: the entry that made it occur,
/// and a count of what that entry caused.
pub(super) type Order = (Position, u64);

/// The actions of each rule and key that have no outcome yet.
#[derive(Default)]
pub(super) struct Lines(HashMap<String, HashMap<String, BTreeMap<Order, ActionId>>>);

impl Lines {
    /// An action joins its key's. `true`: it is the first.
    pub(super) fn join(&mut self, rule: &str, key: &str, order: Order, id: ActionId) -> bool {
        if !self.0.contains_key(rule) {
            self.0.insert(rule.to_owned(), HashMap::new());
        }
        let Some(keys) = self.0.get_mut(rule) else { return true };
        let line = keys.entry(key.to_owned()).or_default();
        line.insert(order, id);
        line.first_key_value().is_some_and(|(first, _)| *first == order)
    }

    /// An action has an outcome. Returns the one that is the first now, if it was that.
    pub(super) fn leave(&mut self, rule: &str, key: &str, order: Order) -> Option<ActionId> {
        let keys = self.0.get_mut(rule)?;
        let line = keys.get_mut(key)?;
        let was_first = line.first_key_value().is_some_and(|(first, _)| *first == order);
        line.remove(&order);
        let next = line.first_key_value().map(|(_, id)| *id);
        if next.is_none() {
            keys.remove(key);
            if keys.is_empty() {
                self.0.remove(rule);
            }
        }
        next.filter(|_| was_first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_of_a_key_goes_when_the_first_has_left() {
        let id = |n: u8| ActionId([n; 16]);
        let mut lines = Lines::default();
        assert!(lines.join("r", "a", (1, 0), id(1)));
        assert!(!lines.join("r", "a", (1, 1), id(2)));
        assert!(!lines.join("r", "a", (4, 0), id(3)));
        assert!(lines.join("r", "b", (2, 0), id(4)) && lines.join("s", "a", (2, 0), id(5)));
        assert_eq!(lines.leave("r", "a", (1, 1)), None, "it was not the first");
        assert_eq!(lines.leave("r", "a", (1, 0)), Some(id(3)));
        assert_eq!(lines.leave("r", "a", (4, 0)), None);
        assert_eq!((lines.leave("r", "b", (2, 0)), lines.leave("s", "a", (2, 0))), (None, None));
        assert!(lines.0.is_empty());
    }
}
