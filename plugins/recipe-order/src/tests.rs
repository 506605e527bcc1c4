use carpe_sdk::test::{Action, Happened, RuleTest, START, TestEvent, event};

use super::*;

mod model;

const SECOND: u64 = 1_000;
/// What is done, when all goes well.
const ALL: [&str; 5] =
    ["identity.verify", "payment.charge", "grocer.order", "delivery.book", "loyalty.credit"];

/// Undoing is tried twice.
fn recipes() -> RuleTest<RecipeOrder> {
    RuleTest::new(json!({"undo_tries": 2}))
}

fn tap(order: &str) -> TestEvent {
    event("recipe.tapped")
        .subject("ada")
        .data(json!({"order": order, "recipe": "ramen", "servings": 2, "cents": 1850}))
}

/// The one action of what happened.
#[track_caller]
fn only(happened: &Happened) -> Action {
    assert_eq!((happened.actions().len(), happened.failures.len()), (1, 0), "{happened:?}");
    happened.all_actions().next().unwrap().clone()
}

/// It has come so far that this action was asked for.
fn asked_for(test: &mut RuleTest<RecipeOrder>, action: &str) -> Action {
    let mut asked = only(&test.send(tap("o-1")));
    while asked.name != action {
        let answer = (asked.name == "identity.verify").then(|| json!({"customer": "c-7"}));
        asked = only(&test.answer(&asked, Status::Delivered, answer));
    }
    asked
}

#[test]
fn five_enterprises_are_asked_in_order_and_the_viewer_hears_once() {
    let mut test = recipes();
    let last = asked_for(&mut test, "loyalty.credit");
    assert_eq!(last.data, json!({"order": "o-1", "customer": "c-7", "cents": 1850}));
    let ended = test.answer(&last, Status::Delivered, None);
    assert_eq!((ended.kinds(), ended.actions()), (vec!["order.confirmed"], vec!["viewer.notify"]));
    assert_eq!(ended.moments[0].subject.as_deref(), Some("ada"));
    // Whatever comes again.
    assert_eq!(test.answer(&last, Status::Failed, None), Happened::default());
    assert_eq!(test.send(tap("o-1")), Happened::default());
    test.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(test.keys(), 0);
}

#[test]
fn each_enterprise_is_told_what_it_needs_and_no_more() {
    let mut test = recipes();
    let mut asked = only(&test.send(tap("o-1")));
    assert_eq!(asked.data, json!({"order": "o-1", "viewer": "ada"}));
    for data in [
        json!({"order": "o-1", "customer": "c-7", "cents": 1850}),
        json!({"order": "o-1", "recipe": "ramen", "servings": 2}),
        json!({"order": "o-1", "customer": "c-7"}),
    ] {
        asked = only(&test.answer(&asked, Status::Delivered, Some(json!({"customer": "c-7"}))));
        assert_eq!(asked.data, data);
    }
}

#[test]
fn whoever_declines_what_was_done_is_undone_in_reverse() {
    for (at, declines) in ALL.iter().enumerate() {
        let mut test = recipes();
        let asked = asked_for(&mut test, declines);
        let mut happened = test.answer(&asked, Status::Delivered, Some(json!({"accepted": false})));
        let mut undone = Vec::new();
        while happened.actions() != ["viewer.notify"] {
            let undo = only(&happened);
            undone.push(undo.name.clone());
            happened = test.answer(&undo, Status::Delivered, None);
        }
        let expected = match at {
            0 | 1 | 4 => vec![],
            2 => vec!["payment.refund"],
            _ => vec!["grocer.cancel", "payment.refund"],
        };
        assert_eq!(undone, expected, "{declines}");
        let told = only(&happened);
        assert_eq!(told.data["ordered"], json!(at == 4), "without points it is an order too");
        let name = STEPS[at].0;
        let why = if at == 4 {
            "the ingredients are on their way".to_owned()
        } else {
            format!("nothing is ordered or charged: {name} has declined")
        };
        assert_eq!(told.data["why"], why);
    }
}

#[test]
fn what_is_withheld_is_not_done_and_the_viewer_hears_of_it() {
    let mut test = recipes();
    let grocer = asked_for(&mut test, "grocer.order");
    let refund = only(&test.answer(&grocer, Status::Withheld, None));
    assert_eq!(refund.name, "payment.refund");
    // Nor may what undoes be withheld: but if it is, it is tried again, and then somebody has to see to it.
    assert_eq!(test.answer(&refund, Status::Withheld, None), Happened::default());
    let again = only(&test.advance(Duration::from_secs(60)));
    let stuck = test.answer(&again, Status::Withheld, None);
    assert_eq!(stuck.kinds(), ["order.stuck", "order.failed"]);
    assert_eq!(stuck.moments[1].why, "somebody will see to what is left: grocer was withheld");
}

#[test]
fn who_does_not_answer_is_undone_too_and_again_if_the_answer_comes_late() {
    let mut test = recipes();
    let grocer = asked_for(&mut test, "grocer.order");
    assert_eq!(test.advance(Duration::from_secs(64)), Happened::default());
    let cancel = only(&test.advance(Duration::from_secs(1)));
    assert_eq!(cancel.name, "grocer.cancel");
    let refund = only(&test.answer(&cancel, Status::Delivered, None));
    let told = test.answer(&refund, Status::Delivered, None);
    assert_eq!(only(&told).data["why"], "nothing is ordered or charged: grocer has not answered in time");
    let again = only(&test.answer(&grocer, Status::Delivered, None));
    assert_eq!(again.name, "grocer.cancel");
    assert_ne!(again.reference, cancel.reference);
    assert_eq!(test.answer(&again, Status::Delivered, None), Happened::default());
}

#[test]
fn what_cannot_be_undone_is_seen_to_and_settled_when_it_is_after_all() {
    let mut test = recipes();
    let grocer = asked_for(&mut test, "grocer.order");
    let refund = only(&test.answer(&grocer, Status::Rejected, None));
    assert_eq!(test.answer(&refund, Status::Rejected, None), Happened::default());
    let again = only(&test.advance(Duration::from_secs(60)));
    let stuck = test.advance(Duration::from_secs(3_605));
    assert_eq!(stuck.kinds(), ["order.stuck", "order.failed"]);
    assert_eq!(stuck.actions(), ["support.open", "viewer.notify"]);
    let settled = test.answer(&again, Status::Delivered, None);
    assert_eq!((settled.kinds(), settled.actions()), (vec!["order.settled"], vec!["support.close"]));
}

#[test]
fn an_order_with_an_outcome_to_come_is_not_forgotten() {
    let mut test = recipes();
    let payment = asked_for(&mut test, "payment.charge");
    let refund = only(&test.advance(Duration::from_secs(65)));
    test.answer(&refund, Status::Delivered, None);
    test.advance(Duration::from_secs(100 * 86_400));
    assert_eq!(only(&test.answer(&payment, Status::Delivered, None)).name, "payment.refund");
    test.advance(Duration::from_secs(100 * 86_400));
    assert_eq!(test.keys(), 0);
}

#[test]
fn old_and_repeated_taps_order_nothing() {
    let mut test = recipes();
    test.advance(Duration::from_secs(1_000));
    assert_eq!(test.send(tap("o-1").time(START + 699 * SECOND)), Happened::default());
    assert_eq!(test.keys(), 0);
    assert_eq!(test.send(tap("o-1").time(START + 700 * SECOND)).actions(), ["identity.verify"]);
    assert_eq!(test.send(tap("o-1")), Happened::default());
    // Another's tap on the same order is a repeat too; another order is one.
    assert_eq!(test.send(tap("o-1").subject("bob")), Happened::default());
    assert_eq!(test.send(tap("o-2")).actions(), ["identity.verify"]);
}

#[test]
fn absurd_taps_are_set_aside_and_change_nothing() {
    let mut test = recipes();
    let long = "x".repeat(201);
    for data in [
        json!({"order": "o-1"}),
        json!({"order": "o-1", "recipe": "", "servings": 2, "cents": 1}),
        json!({"order": long, "recipe": "ramen", "servings": 2, "cents": 1}),
        json!({"order": "o-1", "recipe": long, "servings": 2, "cents": 1}),
        json!({"order": "o-1", "recipe": "ramen", "servings": 0, "cents": 1}),
        json!({"order": "o-1", "recipe": "ramen", "servings": 21, "cents": 1}),
        json!({"order": "o-1", "recipe": "ramen", "servings": 2.5, "cents": 1}),
        json!({"order": "o-1", "recipe": "ramen", "servings": 2, "cents": 0}),
        json!({"order": "o-1", "recipe": "ramen", "servings": 2, "cents": 20_001}),
        json!({"order": "o-1", "recipe": "ramen", "servings": 2, "cents": -5}),
    ] {
        let happened = test.send(event("recipe.tapped").subject("ada").data(data.clone()));
        assert_eq!((happened.moments.len(), happened.failures.len()), (0, 1), "{data}");
    }
    let nobody =
        event("recipe.tapped").data(json!({"order": "o-1", "recipe": "r", "servings": 1, "cents": 1}));
    assert_eq!(test.send(nobody).failures, ["the event has no attribute `subject`"]);
    assert_eq!(test.keys(), 0);
}

#[test]
fn a_senseless_configuration_is_refused() {
    for (configuration, field) in [
        (json!({"answer_seconds": 0}), "answer_seconds"),
        (json!({"undo_tries": 0}), "undo_tries"),
        (json!({"undo_tries": 51}), "undo_tries"),
        (json!({"remember_days": 0}), "remember_days"),
        (json!({"max_cents": 0}), "max_cents"),
        (json!({"patience": 1}), "patience"),
    ] {
        let error = RuleTest::<RecipeOrder>::try_new(configuration).err().unwrap().to_string();
        assert!(error.contains(field), "{error}");
    }
    assert!(RuleTest::<RecipeOrder>::try_new(json!({})).is_ok());
}
