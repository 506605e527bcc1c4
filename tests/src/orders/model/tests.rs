//! One order, and each way in which it can be wrong.

use serde_json::json;

use super::*;
use crate::orders::books::{Action, Books, Fault, Request, Tapped};

const ORDER: &str = "o-1";
const ALL: [&str; 5] =
    ["identity.verify", "payment.charge", "grocer.order", "delivery.book", "loyalty.credit"];

/// An order, its enterprises, and what the rule remembers of it in the end.
struct World {
    books: Books,
    remembered: Remembered,
}

fn tapped() -> Tapped {
    Tapped { viewer: "ada".to_owned(), recipe: "ramen".to_owned(), servings: 2, cents: 1_850 }
}

fn progress(fate: Fate) -> Progress {
    Progress { fate, answered: true }
}

fn world(phase: &str, fates: [Fate; 5], fault: Option<Fault>) -> World {
    let mut books = Books::new(fault);
    books.offer(ORDER, tapped());
    books.accepted(ORDER);
    let saga = Saga { phase: json!(phase), due: None, steps: fates.map(progress).into() };
    let state = Order { saga, told: true, stuck: false };
    let timers = vec![Timer { name: "forget".to_owned() }];
    World { books, remembered: Remembered { key: ORDER.to_owned(), timers, state } }
}

/// What is right to ask for.
fn request(name: &str, key: &str) -> Request {
    let customer = Tapped::customer(ORDER);
    let data = match name {
        "identity.verify" => json!({"order": ORDER, "viewer": "ada"}),
        "grocer.order" => json!({"order": ORDER, "recipe": "ramen", "servings": 2}),
        "delivery.book" => json!({"order": ORDER, "customer": customer}),
        "payment.charge" | "loyalty.credit" => json!({"order": ORDER, "customer": customer, "cents": 1_850}),
        "support.open" => json!({"order": ORDER, "step": "payment"}),
        _ => json!({"order": ORDER}),
    };
    let action = Action::of(name).expect("an action");
    Request { at: 0, key: key.to_owned(), name: name.to_owned(), action, order: ORDER.to_owned(), data }
}

impl World {
    /// All is ordered.
    fn ordered() -> World {
        let mut world = world("completed", [Fate::Taken; 5], None);
        ALL.iter().for_each(|name| assert!(world.ask(name, name)));
        world.tell("told", true);
        world
    }

    /// The grocer has declined, and the payment is refunded.
    fn undone(fault: Option<Fault>) -> World {
        let fates = [Fate::Undone, Fate::Undone, Fate::NotTaken, Fate::Open, Fate::Open];
        let mut world = world("undone", fates, fault);
        ALL[..2].iter().for_each(|name| assert!(world.ask(name, name)));
        let grocer = request("grocer.order", "grocer.order");
        world.books.arrived(&grocer).expect("known");
        assert!(!world.books.take(&grocer, true));
        world.ask("payment.refund", "refund");
        world.tell("told", false);
        world
    }

    /// The same, but for the payment, which could not be refunded.
    fn stuck() -> World {
        let fates = [Fate::Undone, Fate::GaveUp, Fate::NotTaken, Fate::Open, Fate::Open];
        let mut world = world("undone", fates, None);
        ALL[..2].iter().for_each(|name| assert!(world.ask(name, name)));
        world.books.arrived(&request("grocer.order", "grocer.order")).expect("known");
        world.ask("support.open", "opened");
        world.remembered.state.stuck = true;
        world.tell("told", false);
        world
    }

    fn ask(&mut self, name: &str, key: &str) -> bool {
        let request = request(name, key);
        self.books.arrived(&request).expect("known");
        self.books.take(&request, false)
    }

    fn tell(&mut self, key: &str, ordered: bool) {
        let data =
            json!({"order": ORDER, "viewer": "ada", "recipe": "ramen", "ordered": ordered, "why": "so"});
        let told = Request { data, ..request("viewer.notify", key) };
        self.books.arrived(&told).expect("known");
        self.books.take(&told, false);
    }

    /// In which ways it is wrong, each once.
    fn wrong(&self) -> Vec<Wrong> {
        let found = judge(&self.books.accounts()[ORDER], Some(&self.remembered));
        let mut wrong: Vec<Wrong> = found.into_iter().map(|violation| violation.wrong).collect();
        wrong.sort_unstable();
        wrong.dedup();
        wrong
    }

    fn but(mut self, change: impl FnOnce(&mut World)) -> Vec<Wrong> {
        change(&mut self);
        self.wrong()
    }
}

#[test]
fn what_is_right_is_right() {
    assert_eq!(World::ordered().wrong(), []);
    assert_eq!(World::undone(None).wrong(), []);
    assert_eq!(World::stuck().wrong(), []);
}

#[test]
fn what_comes_again_under_its_key_has_no_second_effect() {
    let again = |world: &mut World| {
        assert!(world.ask("grocer.order", "grocer.order"));
        world.tell("told", true);
    };
    assert_eq!(World::ordered().but(again), []);
    let account = |world: &World| world.books.accounts()[ORDER].steps[2].times;
    let mut world = World::ordered();
    again(&mut world);
    assert_eq!(account(&world), 1);
    // Also after it was undone; and who has declined declines.
    let late = |world: &mut World| {
        assert!(world.ask("payment.charge", "payment.charge"));
        assert!(!world.ask("grocer.order", "grocer.order"));
    };
    assert_eq!(World::undone(None).but(late), []);
}

#[test]
fn what_is_done_or_asked_for_twice_shows() {
    assert_eq!(World::ordered().but(|world| assert!(world.ask("grocer.order", "other"))), [Wrong::Twice]);
    assert_eq!(World::ordered().but(|world| assert!(world.ask("loyalty.credit", "other"))), [Wrong::Twice]);
    let crossed = |world: &mut World| {
        world.ask("delivery.book", "grocer.order");
    };
    assert_eq!(World::ordered().but(crossed), [Wrong::Twice]);
    let mut world = World::ordered();
    world.books = {
        let mut books = Books::new(Some(Fault::GrocerForgetsKeys));
        books.offer(ORDER, tapped());
        books.accepted(ORDER);
        books
    };
    ALL.iter().for_each(|name| assert!(world.ask(name, name)));
    world.tell("told", true);
    assert_eq!(world.wrong(), []);
    world.ask("grocer.order", "grocer.order");
    assert_eq!(world.wrong(), [Wrong::Twice]);
}

#[test]
fn a_charge_without_goods_or_refund_shows() {
    // The refund was never asked for.
    let mut charged = World::stuck();
    charged.remembered.state.stuck = false;
    charged.remembered.state.saga.steps[1] = progress(Fate::Undone);
    assert_eq!(charged.wrong(), [Wrong::HalfDone, Wrong::Misremembered]);
    // It comes before the charge.
    let late = |fault| {
        World::undone(fault).but(|world| {
            world.ask("payment.charge", "other");
        })
    };
    assert_eq!(late(None), [Wrong::Twice], "it is asked for twice, and done once");
    let found = late(Some(Fault::UndoneIsDoneLater));
    assert_eq!(found, [Wrong::Twice, Wrong::HalfDone, Wrong::Misremembered]);
    // The goods are missing.
    let cancelled = |world: &mut World| {
        world.ask("grocer.cancel", "cancel");
    };
    assert_eq!(World::ordered().but(cancelled), [Wrong::HalfDone, Wrong::Misremembered]);
}

#[test]
fn what_nobody_sees_to_shows() {
    let mut unseen = World::stuck();
    unseen.remembered.state.saga.steps[3] = progress(Fate::GaveUp);
    assert_eq!(unseen.wrong(), [Wrong::HalfDone], "nobody was told of the courier");
    let mut settled = World::stuck();
    settled.ask("payment.refund", "refund");
    settled.remembered.state.stuck = false;
    settled.remembered.state.saga.steps[1] = progress(Fate::Undone);
    assert_eq!(settled.wrong(), [Wrong::HalfDone], "nobody was told that it is settled");
    settled.ask("support.close", "closed");
    assert_eq!(settled.wrong(), []);
}

#[test]
fn an_order_without_an_end_shows() {
    let saga = |change: fn(&mut Saga)| World::ordered().but(|world| change(&mut world.remembered.state.saga));
    assert_eq!(saga(|saga| saga.due = Some(1)), [Wrong::Unended]);
    assert_eq!(saga(|saga| saga.steps[4].answered = false), [Wrong::Unended]);
    let undoing = |world: &mut World| world.remembered.state.saga.phase = json!({"undoing": 1});
    assert_eq!(World::undone(None).but(undoing), [Wrong::Unended]);
    let timers = |world: &mut World| world.remembered.timers.push(Timer { name: "steps".to_owned() });
    assert_eq!(World::ordered().but(timers), [Wrong::Unended]);
    assert_eq!(World::ordered().but(|world| world.remembered.timers.clear()), [Wrong::Unended]);
    let unknown = judge(&World::ordered().books.accounts()[ORDER], None);
    assert_eq!(unknown.iter().map(|found| found.wrong).collect::<Vec<_>>(), [Wrong::Unended]);
}

#[test]
fn a_viewer_who_hears_wrong_shows() {
    assert_eq!(World::ordered().but(|world| world.tell("other", true)), [Wrong::Twice, Wrong::Mistold]);
    let fates = [Fate::NotTaken, Fate::Open, Fate::Open, Fate::Open, Fate::Open];
    let mut unheard = world("undone", fates, None);
    assert_eq!(unheard.wrong(), [Wrong::Mistold]);
    unheard.tell("told", true);
    assert_eq!(unheard.wrong(), [Wrong::Mistold]);
}

#[test]
fn what_is_asked_for_wrongly_shows() {
    let early = |world: &mut World| {
        world.ask("delivery.book", "delivery.book");
    };
    assert_eq!(World::undone(None).but(early), [Wrong::HalfDone, Wrong::Misasked, Wrong::Misremembered]);
    let other = |world: &mut World| {
        let mut request = request("payment.charge", "payment.charge");
        request.data["cents"] = json!(1);
        world.books.arrived(&request).expect("known");
    };
    assert_eq!(World::ordered().but(other), [Wrong::Misasked]);
    let mut stranger = request("payment.charge", "payment.charge");
    stranger.order = "o-2".to_owned();
    assert!(World::ordered().books.arrived(&stranger).is_err());
}
