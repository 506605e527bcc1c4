//! Viewers who tap recipes, over HTTP. What was not acknowledged is sent again, with the same id; and by chance an order
//! is tapped once more, as another event, or what was acknowledged is sent once more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use super::books::{Books, Tapped};
use crate::crash::chance::Chance;
use crate::crash::load::{Posted, client, post};
use crate::crash::webhook::now;

/// Viewers who share a connection.
pub struct Viewers {
    name: u64,
    chance: Chance,
    client: Client,
    books: Arc<Mutex<Books>>,
    orders: u64,
    /// What is to be sent: the event's id, the order, and the event.
    unsent: VecDeque<(String, String, Value)>,
    /// Events that were acknowledged.
    pub taps: u64,
}

impl Viewers {
    /// Viewers whose orders have this number in them.
    pub fn new(name: u64, chance: Chance, books: Arc<Mutex<Books>>) -> Viewers {
        Viewers { name, chance, client: client(), books, orders: 0, unsent: VecDeque::new(), taps: 0 }
    }

    /// So many recipes more are to be tapped.
    pub fn add(&mut self, orders: u64) {
        for _ in 0..orders {
            self.orders += 1;
            let (order, chance) = (format!("o-{}-{}", self.name, self.orders), &mut self.chance);
            let tapped = Tapped {
                viewer: format!("v-{}", chance.below(1_000)),
                recipe: ["ramen", "shakshuka", "pelmeni"][usize::try_from(chance.below(3)).unwrap_or(0)]
                    .to_owned(),
                servings: 1 + chance.below(20),
                cents: 1 + chance.below(20_000),
            };
            let tap = tap(&order, 1, &tapped);
            self.books.lock().unwrap().offer(&order, tapped);
            self.unsent.push_back(tap);
        }
    }

    /// Taps until told to stop, or the host is gone.
    pub async fn run(&mut self, url: &str, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if !self.unsent.is_empty() && !self.send(url).await {
                return;
            }
            let pause = self.chance.below(50);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Taps what is left. `false`: the host is gone.
    pub async fn finish(&mut self, url: &str) -> bool {
        while !self.unsent.is_empty() {
            if !self.send(url).await {
                return false;
            }
        }
        true
    }

    /// Some of all orders are to be tapped once more.
    pub fn tap_some_again(&mut self) {
        for number in 1..=self.orders {
            if self.chance.percent(10) {
                let order = format!("o-{}-{number}", self.name);
                let tap = self.tap_again(&order, 3);
                self.unsent.push_back(tap);
            }
        }
    }

    /// Sends the next tap until it is acknowledged.
    async fn send(&mut self, url: &str) -> bool {
        let Some((id, order, event)) = self.unsent.front().cloned() else { return true };
        self.note(&order, format!("tap {id} is sent"));
        loop {
            match post(&self.client, url, vec![event.clone()]).await {
                Posted::Accepted => break,
                Posted::Busy => tokio::time::sleep(Duration::from_millis(20)).await,
                Posted::Gone => {
                    self.note(&order, format!("tap {id}: nobody knows whether it was accepted"));
                    return false;
                }
            }
        }
        self.note(&order, format!("tap {id} is accepted"));
        self.books.lock().unwrap().accepted(&order);
        self.taps += 1;
        self.unsent.pop_front();
        if id.ends_with(" 1") {
            let repeat = match self.chance.below(100) {
                0..15 => Some(self.tap_again(&order, 2)),
                15..20 => Some((format!("{id}, once more,"), order, event)),
                _ => None,
            };
            if let Some(repeat) = repeat {
                let place = self.chance.below(self.unsent.len() as u64 + 1);
                self.unsent.insert(usize::try_from(place).unwrap_or(0), repeat);
            }
        }
        true
    }

    fn tap_again(&self, order: &str, number: u64) -> (String, String, Value) {
        tap(order, number, &self.books.lock().unwrap().accounts()[order].tapped)
    }

    fn note(&self, order: &str, what: String) {
        self.books.lock().unwrap().note(order, now(), what);
    }
}

/// The so-and-so-many-eth tap of an order.
fn tap(order: &str, number: u64, tapped: &Tapped) -> (String, String, Value) {
    let Tapped { viewer, recipe, servings, cents } = tapped;
    let id = format!("{order} {number}");
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/orders", "type": "recipe.tapped", "subject": viewer,
        "data": {"order": order, "recipe": recipe, "servings": servings, "cents": cents},
    });
    (id, order.to_owned(), event)
}
