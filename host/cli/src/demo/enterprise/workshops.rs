//! Workshops that service machines: some decline, and who accepts comes soon, unless they are cancelled before.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::super::city::machines::{Repair, Repairs};
use super::super::feed::now;
use super::action::Action;
use super::{Post, Reply, Trade};

/// The three of them share a door.
pub(super) struct Workshops {
    post: Post,
    repairs: Repairs,
    /// By machine and booking.
    booked: Arc<Mutex<BTreeSet<(String, u64)>>>,
}

impl Workshops {
    pub(super) fn new(post: &Post, repairs: &Repairs) -> Workshops {
        Workshops { post: post.clone(), repairs: repairs.clone(), booked: Arc::default() }
    }

    fn will_come(&self, id: &str, machine: &str, booking: u64, after: Duration) {
        let (booked, repairs) = (self.booked.clone(), self.repairs.clone());
        let (id, machine) = (id.to_owned(), machine.to_owned());
        let (repaired, repairs_after) = (machine.clone(), repairs.clone());
        let write = move |now| {
            let mut booked = booked.lock().unwrap_or_else(PoisonError::into_inner);
            if !booked.remove(&(machine.clone(), booking)) {
                return None;
            }
            repairs.set(&machine, Repair::UnderWay);
            let serviced = Event::new(id, "/workshops", "machine.serviced").with_subject(machine);
            Some(serviced.with_time(now))
        };
        self.post.leave(after, write, move || repairs_after.set(&repaired, Repair::Done));
    }
}

impl Trade for Workshops {
    fn take(&mut self, action: &Action, chance: &mut StdRng) -> Reply {
        let machine = action.text("machine");
        let booking = action.data["booking"].as_u64().unwrap_or_default();
        let mut booked = self.booked.lock().unwrap_or_else(PoisonError::into_inner);
        if action.name == "workshop.cancel" {
            booked.remove(&(machine.to_owned(), booking));
            return Reply::Taken(json!({}));
        }
        match chance.random_range(0..10) {
            0 | 1 => Reply::Taken(json!({ "accepted": false })),
            2 => Reply::Refused(json!({ "why": "we do not repair these" })),
            _ => {
                let after = Duration::from_millis(chance.random_range(1_000..2_500));
                booked.insert((machine.to_owned(), booking));
                drop(booked);
                self.will_come(&action.id, machine, booking, after);
                let appointment = now() + after.as_millis() as u64;
                Reply::Taken(json!({ "accepted": true, "appointment": appointment }))
            }
        }
    }
}
