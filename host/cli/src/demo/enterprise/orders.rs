//! Enterprises that do one thing for an order, and take it back when they are told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::action::Action;
use super::{Reply, Trade};

/// What holds, by order: cents where it is about money, else 1.
#[derive(Clone, Default)]
pub(in super::super) struct Ledger(Arc<Mutex<Entries>>);

#[derive(Clone, Default)]
pub(in super::super) struct Entries {
    pub(in super::super) held: BTreeMap<String, u64>,
    /// How many were done, and taken back, over the day.
    pub(in super::super) done: u64,
    pub(in super::super) undone: u64,
}

pub(super) struct Reversible {
    /// The action that takes back; every other does.
    pub(super) undo: &'static str,
    /// How often it declines.
    pub(super) declines: f64,
    pub(super) ledger: Ledger,
}

impl Ledger {
    pub(in super::super) fn entries(&self) -> Entries {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
impl Ledger {
    pub(in super::super) fn holding(orders: &[&str]) -> Ledger {
        let held = orders.iter().map(|order| ((*order).to_owned(), 1)).collect();
        Ledger(Arc::new(Mutex::new(Entries { held, ..Entries::default() })))
    }
}

impl Trade for Reversible {
    fn take(&mut self, action: &Action, chance: &mut StdRng) -> Reply {
        let mut entries = self.ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        let order = action.text("order");
        if action.name == self.undo {
            // Harmless where nothing was done.
            entries.undone += u64::from(entries.held.remove(order).is_some());
            return Reply::Taken(json!({ "accepted": true }));
        }
        let declined = json!({ "accepted": false });
        match chance.random_bool(self.declines) {
            // Both are a no: an answer that says so, and a refusal.
            true if chance.random_bool(0.5) => Reply::Taken(declined),
            true => Reply::Refused(declined),
            false => {
                let amount = action.data["cents"].as_u64().unwrap_or(1);
                entries.held.insert(order.to_owned(), amount);
                entries.done += 1;
                Reply::Taken(json!({ "accepted": true }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn what_is_taken_back_is_not_held_and_may_be_taken_back_twice() {
        let mut chance = StdRng::seed_from_u64(1);
        let ledger = Ledger::default();
        let mut payment = Reversible { undo: "payment.refund", declines: 0.0, ledger: ledger.clone() };
        let mut ask = |name: &str| {
            let action = json!({
                "id": "1", "type": name, "time": "2026-01-01T08:00:00Z", "data": { "order": "o-1", "cents": 900 }
            });
            payment.take(&serde_json::from_value(action).unwrap(), &mut chance);
            ledger.entries()
        };
        assert!(ask("payment.refund").held.is_empty());
        assert_eq!(ask("payment.charge").held["o-1"], 900);
        assert!(ask("payment.refund").held.is_empty());
        let entries = ask("payment.refund");
        assert_eq!((entries.done, entries.undone), (1, 1));
    }
}
