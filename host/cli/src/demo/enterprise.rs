//! The enterprises that actions go to: each is a webhook receiver of its own, on a free port of this machine. They are as
//! enterprises are: sometimes busy, sometimes cut off, sometimes late, and sometimes they say no.

mod action;
mod customers;
mod desk;
mod manners;
mod orders;
mod post;
mod suppliers;
mod takers;
mod workshops;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context;
use base64::Engine;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::city::machines::Repairs;
use super::city::vending::Shelves;

pub(super) use action::{Action, Arrival};
pub(super) use desk::{Desk, Tally};
use manners::Manners;
pub(super) use orders::Ledger;
use orders::Reversible;
pub(super) use post::Post;
use suppliers::{SupplierBooks, Suppliers};
use takers::{Caretakers, Reminders, Takes, Told};
use workshops::Workshops;

/// What one does about the actions that it is sent. Each is shown to it once, however often it is delivered.
trait Trade: Send {
    fn take(&mut self, action: &Action, chance: &mut StdRng) -> Reply;
}

/// What it answers.
#[derive(Clone)]
enum Reply {
    Taken(Value),
    /// For good: the same would be refused again.
    Refused(Value),
}

/// One enterprise.
pub(super) struct Enterprise {
    /// What its sink is called.
    pub(super) name: &'static str,
    /// The rule whose actions go there.
    pub(super) rule: &'static str,
    /// Their names, or beginnings of names and `*`.
    pub(super) actions: &'static [&'static str],
    /// Whether what is said about one thing must come in order.
    pub(super) ordered: bool,
    pub(super) address: SocketAddr,
    desk: Desk,
}

/// All of them, and their books.
pub(super) struct Enterprises {
    pub(super) all: Vec<Enterprise>,
    /// Where actions end up that belong to none of them: nothing should.
    pub(super) lost_property: Enterprise,
    /// What requests are signed with.
    pub(super) secret: String,
    pub(super) books: Books,
    pub(super) post: Post,
}

/// The books that are compared when the day is over.
#[derive(Clone, Default)]
pub(super) struct Books {
    /// Cents that were charged, and not refunded.
    pub(super) payment: Ledger,
    /// Orders that were packed, and not cancelled.
    pub(super) grocer: Ledger,
    /// Orders that a courier brings.
    pub(super) courier: Ledger,
    /// Orders whose viewers have heard how they ended.
    pub(super) viewers: Told,
    pub(super) suppliers: SupplierBooks,
    /// Doses that nurses were reminded of.
    pub(super) reminders: Reminders,
}

impl Enterprises {
    /// Opens all of them. They run until the runtime ends.
    pub(super) async fn open(seed: u64, repairs: &Repairs, shelves: &Shelves) -> anyhow::Result<Enterprises> {
        let key: [u8; 32] = rand::random();
        let secret = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(key));
        let (books, post) = (Books::default(), Post::default());
        let mut all = Vec::new();
        for (number, sign) in signs(&books, &post, repairs, shelves).into_iter().enumerate() {
            let chance = StdRng::seed_from_u64(seed.rotate_left(16) ^ number as u64);
            all.push(sign.open(&secret, chance).await?);
        }
        let lost_property = Sign {
            name: "lost-property",
            rule: "",
            actions: &[],
            ordered: false,
            manners: Manners::USUAL,
            trade: Box::new(Takes { refuses: 0.0 }),
        };
        let lost_property = lost_property.open(&secret, StdRng::seed_from_u64(seed)).await?;
        Ok(Enterprises { all, lost_property, secret, books, post })
    }

    /// What the enterprise of this name was asked for.
    pub(super) fn arrivals(&self, name: &str) -> Vec<Arrival> {
        let named = self.all.iter().find(|one| one.name == name);
        named.map(|one| one.desk.arrivals()).unwrap_or_default()
    }

    /// What all desks saw.
    pub(super) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.all.iter().for_each(|one| sum.add(&one.desk.tally()));
        sum
    }

    /// How long actions took, in milliseconds, by rule.
    pub(super) fn latencies_ms(&self) -> BTreeMap<&'static str, Vec<f64>> {
        let mut rules = BTreeMap::<_, Vec<f64>>::new();
        for one in &self.all {
            rules.entry(one.rule).or_default().extend(one.desk.tally().latencies_ms);
        }
        rules
    }
}

impl Enterprise {
    pub(super) fn tally(&self) -> Tally {
        self.desk.tally()
    }

    /// What it was asked for, each once.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.desk.arrivals()
    }

    /// Whether it is the one for an action.
    pub(super) fn is_for(&self, action: &Action) -> bool {
        let matches = |name: &str| match name.strip_suffix('*') {
            Some(beginning) => action.name.starts_with(beginning),
            None => action.name == name,
        };
        action.rule == self.rule && self.actions.iter().any(|name| matches(name))
    }
}

/// What stands at the door.
struct Sign {
    name: &'static str,
    rule: &'static str,
    actions: &'static [&'static str],
    ordered: bool,
    manners: Manners,
    trade: Box<dyn Trade>,
}

impl Sign {
    async fn open(self, secret: &str, chance: StdRng) -> anyhow::Result<Enterprise> {
        let Sign { name, rule, actions, ordered, manners, trade } = self;
        let desk = Desk::new(secret, manners, trade, chance)?;
        let address = desk.open().await.with_context(|| format!("cannot open `{name}`"))?;
        Ok(Enterprise { name, rule, actions, ordered, address, desk })
    }
}

fn signs(books: &Books, post: &Post, repairs: &Repairs, shelves: &Shelves) -> Vec<Sign> {
    let usual = Manners::USUAL;
    let sign = |name, rule, actions, trade: Box<dyn Trade>| Sign {
        name,
        rule,
        actions,
        ordered: false,
        manners: usual,
        trade,
    };
    let takes = || Box::new(Takes { refuses: 0.0 });
    let does =
        |undo, declines, ledger: &Ledger| Box::new(Reversible { undo, declines, ledger: ledger.clone() });
    vec![
        Sign {
            ordered: true,
            manners: Manners::BRIEF,
            ..sign("lamps", "streetlights", &["lamp.on", "lamp.off"], takes())
        },
        sign("residents", "flood-alert", &["alert.residents", "stand-down.residents"], takes()),
        sign(
            "emergency-services",
            "flood-alert",
            &["alert.emergency-services", "stand-down.emergency-services"],
            takes(),
        ),
        sign("nursing", "medication", &["remind.*", "withdraw.*"], Box::new(books.reminders.clone())),
        Sign {
            ordered: true,
            ..sign("junctions", "traffic-lights", &["light.*"], Box::new(Takes { refuses: 0.1 }))
        },
        sign("drivers", "traffic-lights", &["notify.driver"], takes()),
        sign("operations", "traffic-lights", &["notify.operations"], takes()),
        sign("shops", "shop-nearby", &["offer.*"], takes()),
        sign("advertising", "viral-video", &["ad.*"], takes()),
        sign("workshops", "self-maintenance", &["workshop.*"], Box::new(Workshops::new(post, repairs))),
        sign("owners", "self-maintenance", &["owner.notify"], takes()),
        sign("phone-operator", "recipe-order", &["identity.*"], Box::new(customers::PhoneOperator)),
        sign("payment", "recipe-order", &["payment.*"], does("payment.refund", 0.08, &books.payment)),
        Sign {
            manners: Manners::SLUGGISH,
            ..sign("grocer", "recipe-order", &["grocer.*"], does("grocer.cancel", 0.1, &books.grocer))
        },
        sign("courier", "recipe-order", &["delivery.*"], does("delivery.cancel", 0.08, &books.courier)),
        sign("loyalty", "recipe-order", &["loyalty.*"], Box::new(Takes { refuses: 0.1 })),
        sign("support", "recipe-order", &["support.*"], takes()),
        sign("viewers", "recipe-order", &["viewer.notify"], Box::new(books.viewers.clone())),
        sign(
            "suppliers",
            "vending-machine",
            &["supplier.*"],
            Box::new(Suppliers::new(post, shelves, &books.suppliers)),
        ),
        sign(
            "caretakers",
            "vending-machine",
            &["people.tell", "service.call"],
            Box::new(Caretakers::new(post)),
        ),
    ]
}
