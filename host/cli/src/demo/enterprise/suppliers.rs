//! Suppliers of vending machines: they quote, come down a little, take orders or refuse them, and deliver; now and then
//! in two parts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::super::city::vending::{PERIOD_DAYS, Shelves};
use super::action::Action;
use super::{Post, Reply, Trade};

const DAY_MS: u64 = 86_400_000;
const DELIVERS_AFTER: Duration = Duration::from_millis(800);
const THE_REST_AFTER: Duration = Duration::from_millis(2_000);

/// Cents of the orders that were taken, by machine and the period in which they were made.
#[derive(Clone, Default)]
pub(in super::super) struct SupplierBooks(Arc<Mutex<BTreeMap<(String, u64), u64>>>);

pub(super) struct Suppliers {
    post: Post,
    shelves: Shelves,
    books: SupplierBooks,
}

type Lines = BTreeMap<String, u64>;

impl SupplierBooks {
    pub(in super::super) fn spent_cents(&self) -> BTreeMap<(String, u64), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn spend(&self, action: &Action) {
        let period = action.time / (PERIOD_DAYS * DAY_MS);
        let cents = action.data["cents"].as_u64().unwrap_or(u64::MAX);
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = books.entry((action.text("machine").to_owned(), period)).or_default();
        *spent = spent.saturating_add(cents);
    }
}

impl Suppliers {
    pub(super) fn new(post: &Post, shelves: &Shelves, books: &SupplierBooks) -> Suppliers {
        Suppliers { post: post.clone(), shelves: shelves.clone(), books: books.clone() }
    }

    fn deliver(&self, action: &Action, part: &str, lines: Lines, after: Duration) {
        let id = format!("{}-{part}", action.id);
        let (machine, order) = (action.text("machine").to_owned(), action.text("order").to_owned());
        let (shelves, filled, goods) = (self.shelves.clone(), machine.clone(), lines.clone());
        let write = move |now| {
            let data = json!({ "order": order, "lines": lines });
            let delivered = Event::new(id, "/suppliers", "vending.delivered").with_subject(machine);
            Some(delivered.with_time(now).with_json(data.to_string()))
        };
        // Sold only once the host knows of it: what the machine sells next comes later in the journal.
        self.post.leave(after, write, move || {
            goods.iter().for_each(|(product, units)| shelves.fill(&filled, product, *units));
        });
    }

    fn order(&self, action: &Action, chance: &mut StdRng) -> Reply {
        if chance.random_bool(0.1) {
            return Reply::Refused(json!({ "why": "sold meanwhile" }));
        }
        self.books.spend(action);
        let lines: Lines = serde_json::from_value(action.data["lines"].clone()).unwrap_or_default();
        let rest: Lines = lines.iter().map(|(product, units)| (product.clone(), units / 2)).collect();
        if chance.random_bool(0.15) && rest.values().any(|units| *units > 0) {
            let first = lines.iter().map(|(product, units)| (product.clone(), units - units / 2)).collect();
            self.deliver(action, "first", first, DELIVERS_AFTER);
            self.deliver(action, "rest", rest, THE_REST_AFTER);
        } else {
            self.deliver(action, "all", lines, DELIVERS_AFTER);
        }
        Reply::Taken(json!({}))
    }
}

impl Trade for Suppliers {
    fn take(&mut self, action: &Action, chance: &mut StdRng) -> Reply {
        match action.name.as_str() {
            "supplier.quote" => {
                let lines: BTreeMap<String, Value> =
                    serde_json::from_value(action.data["lines"].clone()).unwrap_or_default();
                let unit_cents: Lines =
                    lines.into_keys().map(|product| (product, chance.random_range(55..95))).collect();
                Reply::Taken(json!({ "unit_cents": unit_cents, "days": chance.random_range(1..4) }))
            }
            "supplier.negotiate" => Reply::Taken(json!({ "percent_off": chance.random_range(0..6) })),
            "supplier.order" => self.order(action, chance),
            _ => Reply::Taken(json!({})),
        }
    }
}
