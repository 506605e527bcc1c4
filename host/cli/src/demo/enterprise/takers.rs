//! Enterprises that take what they are told; some remember it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::action::Action;
use super::{Post, Reply, Trade};

/// Lamps, residents, drivers, shops: nothing more is to be said of them here.
pub(super) struct Takes {
    /// How often it refuses.
    pub(super) refuses: f64,
}

/// A set of names, shared with who compares the books.
#[derive(Clone, Default)]
pub(in super::super) struct Names(Arc<Mutex<BTreeSet<String>>>);

/// The nursing organisation: doses that it was reminded of.
#[derive(Clone, Default)]
pub(in super::super) struct Reminders(pub(in super::super) Names);

/// The app of the viewers: orders whose end it was told.
#[derive(Clone, Default)]
pub(in super::super) struct Told(pub(in super::super) Names);

/// Who sees to vending machines: a while after they are called they have been there.
pub(super) struct Caretakers {
    post: Post,
}

impl Names {
    pub(in super::super) fn all(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }
}

impl Caretakers {
    pub(super) fn new(post: &Post) -> Caretakers {
        Caretakers { post: post.clone() }
    }
}

fn taken() -> Reply {
    Reply::Taken(json!({}))
}

impl Trade for Takes {
    fn take(&mut self, _: &Action, chance: &mut StdRng) -> Reply {
        match chance.random_bool(self.refuses) {
            true => Reply::Refused(json!({ "why": "not at the moment" })),
            false => taken(),
        }
    }
}

impl Trade for Reminders {
    fn take(&mut self, action: &Action, _: &mut StdRng) -> Reply {
        if action.name == "remind.nursing" {
            self.0.add(action.text("dose"));
        }
        taken()
    }
}

impl Trade for Told {
    fn take(&mut self, action: &Action, _: &mut StdRng) -> Reply {
        self.0.add(action.text("order"));
        taken()
    }
}

impl Trade for Caretakers {
    fn take(&mut self, action: &Action, _: &mut StdRng) -> Reply {
        if action.name == "service.call" {
            let (id, machine) = (action.id.clone(), action.text("machine").to_owned());
            let write = move |now| {
                let serviced = Event::new(id, "/caretakers", "vending.serviced").with_subject(machine);
                Some(serviced.with_time(now))
            };
            self.post.leave(Duration::from_secs(2), write, || ());
        }
        taken()
    }
}
