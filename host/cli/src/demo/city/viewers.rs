//! Viewers who tap recipes in videos, some of them twice.

use std::collections::BTreeSet;

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::Now;

const TAP_EVERY_TICKS: u64 = 4;
const RECIPES: [&str; 4] = ["ramen", "shakshuka", "pierogi", "dal"];
/// The phone operator does not know them.
pub(in super::super) const STRANGER: &str = "viewer-0";

pub(in super::super) struct Viewers {
    chance: StdRng,
    /// All orders that were tapped.
    pub(in super::super) orders: BTreeSet<String>,
}

/// Nobody waits for minutes: what is not answered within two seconds is undone.
pub(in super::super) fn settings() -> String {
    "[configuration]\nanswer_seconds = 2\nundo_seconds = 30\nundo_tries = 20\nundo_pause_seconds = 1\n"
        .to_owned()
}

impl Viewers {
    pub(super) fn new(chance: StdRng) -> Viewers {
        Viewers { chance, orders: BTreeSet::new() }
    }

    pub(super) fn tick(&mut self, now: Now, events: &mut Vec<Event>) {
        if now.tick % TAP_EVERY_TICKS != 2 {
            return;
        }
        let viewer = format!("viewer-{}", self.chance.random_range(0..20));
        let order = format!("order-{}", now.tick);
        let data = json!({
            "order": order,
            "recipe": RECIPES[self.chance.random_range(0..RECIPES.len())],
            "servings": self.chance.random_range(1..5),
            "cents": self.chance.random_range(800..4_000),
        });
        let taps = if self.chance.random_bool(0.2) { 2 } else { 1 };
        for tap in 0..taps {
            events.push(now.event(
                "recipe.tapped",
                "/apps/kitchen",
                &viewer,
                &format!("{order}-{tap}"),
                &data,
            ));
        }
        self.orders.insert(order);
    }
}
