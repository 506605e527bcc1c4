//! The books of the enterprises: what they were asked for, under which idempotency key, and what they did about it.
//!
//! They go by key, as enterprises do: what comes again under a key has no second effect, and is answered as before. And
//! they go by order: what was undone is not done after that, for a request may overtake another.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::model::{Violation, Wrong};

/// A step of the rule `recipe-order`, and who takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The enterprise.
    pub name: &'static str,
    /// The action that asks for it.
    pub does: &'static str,
    /// The action that asks to undo it.
    pub undoes: Option<&'static str>,
}

/// All steps, in order.
pub const STEPS: [Step; 5] = [
    Step { name: "identity", does: "identity.verify", undoes: None },
    Step { name: "payment", does: "payment.charge", undoes: Some("payment.refund") },
    Step { name: "grocer", does: "grocer.order", undoes: Some("grocer.cancel") },
    Step { name: "delivery", does: "delivery.book", undoes: Some("delivery.cancel") },
    Step { name: "loyalty", does: "loyalty.credit", undoes: None },
];

/// Steps that an order cannot do without.
pub const REQUIRED: usize = 4;

/// What an action is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A step is to be taken.
    Does(usize),
    /// A step is to be undone.
    Undoes(usize),
    /// The viewer is told how it ended.
    Tells,
    /// Somebody is to see to what could not be undone.
    Opens,
    /// That is undone after all.
    Closes,
}

/// A fault that the model is to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The grocer does not know an idempotency key again.
    GrocerForgetsKeys,
    /// No enterprise knows that it has undone a step, when the step itself comes after that.
    UndoneIsDoneLater,
    /// The operator has routed refunds to a file.
    RefundsLeadNowhere,
}

/// What a viewer taps.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the rule's README says what they are")]
pub struct Tapped {
    pub viewer: String,
    pub recipe: String,
    pub servings: u64,
    pub cents: u64,
}

/// An action that came, signed as it should be.
#[derive(Clone, Debug)]
pub struct Request {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// Its idempotency key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub action: Action,
    /// The order that it is about.
    pub order: String,
    /// Its data.
    pub data: Value,
}

/// What all of them have written down.
#[derive(Default)]
pub struct Books {
    accounts: BTreeMap<String, Account>,
    fault: Option<Fault>,
    /// The order and action of each idempotency key.
    keys: BTreeMap<String, (String, String)>,
}

/// What was written down about one order.
pub struct Account {
    /// As it was tapped.
    pub tapped: Tapped,
    /// The host has accepted a tap.
    pub is_accepted: bool,
    /// What the enterprises did.
    pub steps: [Entry; STEPS.len()],
    /// What the viewer was told, by idempotency key: whether it is ordered, and why.
    pub told: BTreeMap<String, (bool, String)>,
    /// The steps that somebody is to see to, by idempotency key.
    pub opened: BTreeMap<String, String>,
    /// Idempotency keys under which that was taken back.
    pub closed: BTreeSet<String>,
    /// All that happened, with instants.
    pub story: Vec<(u64, String)>,
    /// What was found wrong when it came.
    pub violations: Vec<Violation>,
    /// The action that was asked for last.
    pub last: String,
    asked: BTreeMap<String, BTreeMap<String, Asked>>,
}

/// What was asked for under an idempotency key.
struct Asked {
    /// Which of the keys of its action it is.
    number: u64,
    requests: u64,
    data: Value,
}

/// What an enterprise has written down about an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What was said under each idempotency key.
    said: BTreeMap<String, bool>,
    /// How often it was done.
    pub times: u64,
    /// It is done, and not undone.
    pub is_held: bool,
    /// Undoing it was asked for: it is not done after that.
    is_closed: bool,
}

impl Action {
    /// What the action of this name is for.
    pub fn of(name: &str) -> Option<Action> {
        let step = |is: fn(&Step, &str) -> bool| STEPS.iter().position(|step| is(step, name));
        match name {
            "viewer.notify" => Some(Action::Tells),
            "support.open" => Some(Action::Opens),
            "support.close" => Some(Action::Closes),
            _ => step(|step, name| step.does == name)
                .map(Action::Does)
                .or_else(|| step(|step, name| step.undoes == Some(name)).map(Action::Undoes)),
        }
    }
}

impl Books {
    /// Empty books.
    pub fn new(fault: Option<Fault>) -> Books {
        Books { fault, ..Books::default() }
    }

    /// All orders.
    pub fn accounts(&self) -> &BTreeMap<String, Account> {
        &self.accounts
    }

    /// A viewer is about to tap it for the first time.
    pub fn offer(&mut self, order: &str, tapped: Tapped) {
        self.accounts.insert(order.to_owned(), Account::new(tapped));
    }

    /// Something happened to an order.
    pub fn note(&mut self, order: &str, at: u64, what: impl Into<String>) {
        if let Some(account) = self.accounts.get_mut(order) {
            account.story.push((at, what.into()));
        }
    }

    /// The host has accepted a tap.
    pub fn accepted(&mut self, order: &str) {
        if let Some(account) = self.accounts.get_mut(order) {
            account.is_accepted = true;
        }
    }

    /// A request is there, about which nothing is done yet. Returns which of the idempotency keys of its action it has,
    /// and how often it came under that, each from 1. `Err`: it is none of a viewer's orders.
    pub fn arrived(&mut self, request: &Request) -> Result<(u64, u64), String> {
        let Request { key, name, action, order, data, .. } = request;
        let account = self.accounts.get_mut(order);
        let account = account.ok_or_else(|| format!("{name} for {order}, which nobody has tapped"))?;
        let mut found = Vec::new();
        let whose = self.keys.entry(key.clone()).or_insert_with(|| (order.clone(), name.clone()));
        if *whose != (order.clone(), name.clone()) {
            found.push((Wrong::Twice, format!("{name} comes under the key of {} for {}", whose.1, whose.0)));
        }
        let expected = account.tapped.asks(*action, order, data);
        if *data != expected {
            found.push((Wrong::Misasked, format!("{name} says {data}, and not {expected}")));
        }
        if let Action::Does(step) = *action
            && account.steps[..step].iter().any(|before| before.times == 0)
        {
            found.push((Wrong::Misasked, format!("{name} is asked for before what comes before it is done")));
        }
        let keys = account.asked.entry(name.clone()).or_default();
        let number = keys.len() as u64 + 1;
        let is_new = !keys.contains_key(key);
        if is_new && number > 1 && !matches!(action, Action::Undoes(_) | Action::Opens | Action::Closes) {
            found.push((Wrong::Twice, format!("{name} comes under {number} idempotency keys")));
        }
        let asked =
            keys.entry(key.clone()).or_insert_with(|| Asked { number, requests: 0, data: data.clone() });
        asked.requests += 1;
        if asked.data != *data {
            found.push((
                Wrong::Misasked,
                format!("{name} says {data}, and under the same key {}", asked.data),
            ));
        }
        let place = (asked.number, asked.requests);
        account.last.clone_from(name);
        account.violations.extend(found.into_iter().map(|(wrong, what)| Violation { wrong, what }));
        Ok(place)
    }

    /// Whoever is asked takes it. Returns whether it does what it is asked.
    pub fn take(&mut self, request: &Request, declines: bool) -> bool {
        let Request { key, action, order, data, .. } = request;
        let fault = self.fault;
        let Some(account) = self.accounts.get_mut(order) else { return false };
        match *action {
            Action::Does(step) => {
                let forgets_keys = fault == Some(Fault::GrocerForgetsKeys) && STEPS[step].name == "grocer";
                let entry = &mut account.steps[step];
                if let Some(said) = entry.said.get(key).filter(|_| !forgets_keys) {
                    return *said;
                }
                let is_closed = entry.is_closed && fault != Some(Fault::UndoneIsDoneLater);
                let does = !declines && !is_closed;
                entry.said.insert(key.clone(), does);
                entry.times += u64::from(does);
                entry.is_held |= does;
                return does;
            }
            Action::Undoes(step) => {
                let entry = &mut account.steps[step];
                if entry.said.insert(key.clone(), true).is_none() {
                    entry.is_held = false;
                    entry.is_closed = true;
                }
            }
            Action::Tells => {
                let why = data["why"].as_str().unwrap_or_default();
                account.told.insert(key.clone(), (data["ordered"] == true, why.to_owned()));
            }
            Action::Opens => {
                let step = data["step"].as_str().unwrap_or_default();
                account.opened.insert(key.clone(), step.to_owned());
            }
            Action::Closes => {
                account.closed.insert(key.clone());
            }
        }
        true
    }

    /// Something in which progress shows: how many idempotency keys came, and how many were taken.
    pub fn progress(&self) -> (usize, usize) {
        let taken = self.accounts.values().map(|account| {
            let steps: usize = account.steps.iter().map(|entry| entry.said.len()).sum();
            steps + account.told.len() + account.opened.len() + account.closed.len()
        });
        (self.keys.len(), taken.sum())
    }

    /// How many requests came, and how many of them under an idempotency key that had come before.
    pub fn requests(&self) -> (u64, u64) {
        let asked = self.accounts.values().flat_map(|account| account.asked.values()).flatten();
        let all = asked.map(|(_, asked)| asked.requests).sum();
        (all, all - self.keys.len() as u64)
    }

    /// What viewers were told, and how many of them.
    pub fn whys(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (_, why) in self.accounts.values().flat_map(|account| account.told.values()) {
            *counts.entry(why.clone()).or_default() += 1;
        }
        counts
    }

    /// Orders under way: accepted, and the viewer has not heard how they ended. By the action that was asked for last.
    pub fn under_way(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for account in self.accounts.values().filter(|account| account.is_accepted && account.told.is_empty())
        {
            *counts.entry(account.last.clone()).or_default() += 1;
        }
        counts
    }
}

impl Account {
    /// Nothing has happened to it yet.
    pub fn new(tapped: Tapped) -> Account {
        Account {
            tapped,
            is_accepted: false,
            steps: Default::default(),
            told: BTreeMap::new(),
            opened: BTreeMap::new(),
            closed: BTreeSet::new(),
            story: Vec::new(),
            violations: Vec::new(),
            last: "nothing".to_owned(),
            asked: BTreeMap::new(),
        }
    }
}

impl Tapped {
    /// Who the viewer is to the others, as the phone operator says.
    pub fn customer(order: &str) -> String {
        format!("customer of {order}")
    }

    /// What an action's data must be. What only the rule can know is taken from the data itself.
    fn asks(&self, action: Action, order: &str, data: &Value) -> Value {
        let Tapped { viewer, recipe, servings, cents } = self;
        let customer = Tapped::customer(order);
        match action {
            Action::Does(0) => json!({"order": order, "viewer": viewer}),
            Action::Does(2) => json!({"order": order, "recipe": recipe, "servings": servings}),
            Action::Does(3) => json!({"order": order, "customer": customer}),
            Action::Does(_) => json!({"order": order, "customer": customer, "cents": cents}),
            Action::Undoes(_) | Action::Closes => json!({"order": order}),
            Action::Opens => json!({"order": order, "step": data["step"]}),
            Action::Tells => json!({
                "order": order, "viewer": viewer, "recipe": recipe, "ordered": data["ordered"], "why": data["why"],
            }),
        }
    }
}
