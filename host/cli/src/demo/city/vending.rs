//! Vending machines: they sell what they have, and one of them is out of order for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::Now;

const MACHINES: u64 = 6;
pub(in super::super) const PRODUCTS: [&str; 2] = ["cola", "water"];
const PRICE_CENTS: u64 = 150;
const CAPACITY: u64 = 30;
const AT_FIRST: u64 = 14;
/// From this one on they are counted only when they are nearly empty, one after the other, and then order much at once.
const COUNTED_LATE: u64 = 3;
const COUNTED_AT_TICK: u64 = 15;
const COUNTED_EVERY_TICKS: u64 = 10;
pub(in super::super) const BUDGET_CENTS: u64 = 9_000;
pub(in super::super) const PERIOD_DAYS: u64 = 30;
/// This one grows too warm from that tick on: one reading more than is allowed.
const WARM: u64 = 2;
const WARM_AT_TICK: u64 = 55;
const FAULTS_ALLOWED: u64 = 3;

/// What lies in the machines; suppliers fill it up.
#[derive(Clone, Default)]
pub(in super::super) struct Shelves(Arc<Mutex<BTreeMap<(String, String), u64>>>);

pub(super) struct Vending {
    chance: StdRng,
    shelves: Shelves,
}

/// It buys when ten are left, since suppliers come within seconds, and then as many as there is room for.
pub(in super::super) fn settings() -> String {
    let mut text = format!(
        "[configuration]\nsuppliers = [\"north\", \"south\", \"west\"]\nbudget_cents = {BUDGET_CENTS}\n\
         period_days = {PERIOD_DAYS}\nlead_days = 0\nsafety_days = 0\ncover_days = 60\nanswer_minutes = 1\n\
         faults_allowed = {FAULTS_ALLOWED}\n\n[configuration.products]\n"
    );
    for product in PRODUCTS {
        text += &format!(
            "{product} = {{ price_cents = {PRICE_CENTS}, capacity = {CAPACITY}, min_stock = 10, max_unit_cents = 90 }}\n"
        );
    }
    text
}

impl Shelves {
    /// Puts goods into a machine, as far as there is room.
    pub(in super::super) fn fill(&self, machine: &str, product: &str, units: u64) {
        let mut shelves = self.lock();
        let stock = shelves.entry((machine.to_owned(), product.to_owned())).or_default();
        *stock = (*stock + units).min(CAPACITY);
    }

    fn units(&self, machine: &str, product: &str) -> u64 {
        let stock = self.lock().get(&(machine.to_owned(), product.to_owned())).copied();
        stock.unwrap_or_default()
    }

    fn take_one(&self, machine: &str, product: &str) -> bool {
        let mut shelves = self.lock();
        let stock = shelves.get_mut(&(machine.to_owned(), product.to_owned()));
        let Some(stock) = stock.filter(|stock| **stock > 0) else { return false };
        *stock -= 1;
        true
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vending {
    pub(super) fn new(chance: StdRng, shelves: Shelves) -> Vending {
        Vending { chance, shelves }
    }

    pub(super) fn tick(&mut self, now: Now, events: &mut Vec<Event>) {
        for number in 0..MACHINES {
            let machine = format!("hall-{number}");
            if now.tick == 0 {
                PRODUCTS.iter().for_each(|product| self.shelves.fill(&machine, product, AT_FIRST));
            }
            let late = number.checked_sub(COUNTED_LATE);
            if now.tick == late.map_or(0, |place| COUNTED_AT_TICK + place * COUNTED_EVERY_TICKS) {
                let units = |product: &str| self.shelves.units(&machine, product).into();
                let stocks = PRODUCTS.map(|product| (product.to_owned(), units(product)));
                let data = json!({ "stocks": serde_json::Map::from_iter(stocks) });
                events.push(now.event("vending.counted", "/machines", &machine, "", &data));
                continue;
            }
            if number == WARM && (WARM_AT_TICK..=WARM_AT_TICK + FAULTS_ALLOWED).contains(&now.tick) {
                events.push(now.event(
                    "vending.measured",
                    "/machines",
                    &machine,
                    "",
                    &json!({ "celsius": 14.5 }),
                ));
            }
            let product = PRODUCTS[self.chance.random_range(0..PRODUCTS.len())];
            if self.chance.random_bool(0.8) && self.shelves.take_one(&machine, product) {
                let data = json!({ "product": product, "paid_cents": PRICE_CENTS });
                events.push(now.event("vending.sold", "/machines", &machine, product, &data));
            }
        }
    }
}
