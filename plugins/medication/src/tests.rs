use carpe_sdk::test::{Action, Happened, RuleTest, START, event};

use super::*;

const MINUTE: u64 = 60_000;
const DUE: u64 = START + 60 * MINUTE;

fn medication() -> RuleTest<Medication> {
    RuleTest::new(json!({"grace_seconds": 600}))
}

fn scheduled(test: &mut RuleTest<Medication>, dose: &str, due: u64) -> Happened {
    test.send(event("medication.scheduled").subject("anna").data(json!({"dose": dose, "due": due})))
}

fn taken(test: &mut RuleTest<Medication>, dose: &str) -> Happened {
    test.send(event("medication.taken").subject("anna").data(json!({"dose": dose})))
}

#[test]
fn a_dose_that_is_not_taken_reminds_once_at_its_time_plus_grace() {
    let mut test = medication();
    scheduled(&mut test, "a1", DUE);
    assert_eq!(test.advance_to(DUE + 10 * MINUTE - 1).moments, []);
    let happened = test.advance_to(DUE + 10 * MINUTE);
    assert_eq!(happened.actions(), ["remind.nursing"]);
    assert_eq!(happened.moments[0].time, DUE + 10 * MINUTE);
    assert_eq!(
        happened.all_actions().next().unwrap().data,
        json!({"patient": "anna", "dose": "a1", "due": DUE})
    );
    test.answer(happened.all_actions().next().unwrap(), Status::Delivered, None);
    assert_eq!(test.advance(Duration::from_secs(30 * 86_400)).moments, []);
    assert_eq!(test.keys(), 0);
}

#[test]
fn a_dose_taken_in_time_reminds_nobody() {
    let mut test = medication();
    scheduled(&mut test, "a1", DUE);
    test.advance_to(DUE + 10 * MINUTE - 1);
    assert_eq!(taken(&mut test, "a1").moments, []);
    assert_eq!(test.advance(Duration::from_secs(30 * 86_400)).moments, []);
    assert_eq!(test.keys(), 0);
}

#[test]
fn another_dose_or_another_patient_does_not_count() {
    let mut test = medication();
    scheduled(&mut test, "a1", DUE);
    taken(&mut test, "a2");
    test.send(event("medication.taken").subject("bert").data(json!({"dose": "a1"})));
    assert_eq!(test.advance_to(DUE + 10 * MINUTE).kinds(), ["medication.missed"]);
}

#[test]
fn taken_may_come_before_scheduled() {
    let mut test = medication();
    taken(&mut test, "a1");
    scheduled(&mut test, "a1", DUE);
    assert_eq!(test.advance_to(DUE + DAY_MS).moments, []);
}

#[test]
fn a_repeat_of_the_schedule_asks_for_nothing_new() {
    let mut test = medication();
    scheduled(&mut test, "a1", DUE);
    scheduled(&mut test, "a1", DUE);
    taken(&mut test, "a1");
    scheduled(&mut test, "a1", DUE);
    assert_eq!(test.advance_to(DUE + 20 * MINUTE).moments, []);

    let mut test = medication();
    scheduled(&mut test, "a1", DUE);
    assert_eq!(test.advance_to(DUE + 20 * MINUTE).kinds(), ["medication.missed"]);
    scheduled(&mut test, "a1", DUE);
    assert_eq!(test.advance_to(DUE + 40 * MINUTE).moments, []);
}

#[test]
fn a_dose_can_be_moved() {
    let mut test = medication();
    scheduled(&mut test, "a1", DUE);
    scheduled(&mut test, "a1", DUE + 30 * MINUTE);
    assert_eq!(test.advance_to(DUE + 40 * MINUTE - 1).moments, []);
    assert_eq!(test.advance_to(DUE + 40 * MINUTE).kinds(), ["medication.missed"]);
}

/// A dose that is missed, and the reminder of it.
fn missed() -> (RuleTest<Medication>, Action) {
    let mut test = medication();
    scheduled(&mut test, "a1", DUE);
    let reminder = test.advance_to(DUE + 20 * MINUTE).all_actions().next().unwrap().clone();
    (test, reminder)
}

#[test]
fn one_taken_after_all_withdraws_the_reminder_once() {
    for status in [Status::Delivered, Status::Failed] {
        let (mut test, reminder) = missed();
        assert_eq!(test.answer(&reminder, status, None).moments, []);
        assert_eq!(taken(&mut test, "a1").actions(), ["withdraw.reminder"]);
        assert_eq!(taken(&mut test, "a1").moments, []);

        // Taken before it is known that somebody was reminded: withdrawn when it is.
        let (mut test, reminder) = missed();
        assert_eq!(taken(&mut test, "a1").moments, []);
        assert_eq!(test.advance(Duration::from_secs(3 * 86_400)).moments, []);
        assert_eq!(test.answer(&reminder, status, None).actions(), ["withdraw.reminder"]);
        assert_eq!(test.answer(&reminder, status, None).moments, []);
        test.advance(Duration::from_secs(3 * 86_400));
        assert_eq!(test.keys(), 0);
    }
}

#[test]
fn a_reminder_that_nobody_got_is_told_of_and_not_withdrawn() {
    for status in [Status::Withheld, Status::Rejected, Status::Expired] {
        let (mut test, reminder) = missed();
        let unheard = test.answer(&reminder, status, None);
        assert_eq!(
            (unheard.kinds(), unheard.actions()),
            (vec!["medication.unheard"], vec!["notify.operations"])
        );
        assert_eq!(test.state("anna").by_id["a1"].reminder, Some(Reminder::Unheard));
        let late = taken(&mut test, "a1");
        assert_eq!((late.kinds(), late.actions()), (vec!["medication.taken-late"], vec![]));

        let (mut test, reminder) = missed();
        taken(&mut test, "a1");
        let late = test.answer(&reminder, status, None);
        assert_eq!((late.kinds(), late.actions()), (vec!["medication.taken-late"], vec![]));
    }
}

#[test]
fn what_became_of_the_reminder_of_a_dose_that_was_moved_says_nothing() {
    let (mut test, reminder) = missed();
    scheduled(&mut test, "a1", DUE + 60 * MINUTE);
    assert_eq!(test.answer(&reminder, Status::Withheld, None).moments, []);
    assert_eq!(test.advance_to(DUE + 70 * MINUTE).kinds(), ["medication.missed"]);
}

#[test]
fn an_earlier_state_goes_along() {
    let rule: Medication = serde_json::from_value(json!({"grace_seconds": 600})).unwrap();
    let earlier =
        format!(r#"{{"a":{{"waiting":{{"due":{DUE}}}}},"b":"taken","c":{{"missed":{{"due":{DUE}}}}}}}"#);
    let mut doses = rule.migrate(1, "anna", earlier.as_bytes()).unwrap().unwrap().by_id;
    assert_eq!(doses["a"], rule.awaited(DUE));
    assert_eq!(doses["b"], Dose { taken: true, ..Dose::default() });
    let missed = doses.get_mut("c").unwrap();
    assert_eq!((missed.due, missed.reminder), (Some(DUE), Some(Reminder::Given)));
    assert_eq!(missed.coming.came(), Came::AfterAll);
    assert!(rule.migrate(1, "anna", b"?").is_err());
}

#[test]
fn a_schedule_that_comes_late_reminds_at_once_but_not_after_a_day() {
    let mut test = medication();
    test.advance_to(DUE + 20 * MINUTE);
    assert_eq!(scheduled(&mut test, "a1", DUE).kinds(), ["medication.missed"]);
    test.advance_to(DUE + DAY_MS + 1);
    assert_eq!(
        scheduled(&mut test, "a2", DUE).failures,
        ["dose a2 was due more than a day ago: too late for a reminder"]
    );
}

#[test]
fn the_time_may_be_text() {
    let mut test = medication();
    let data = json!({"dose": "a1", "due": "2026-01-01T02:00:00+01:00"});
    test.send(event("medication.scheduled").subject("anna").data(data));
    assert_eq!(test.timer("anna", "a1"), Some(DUE + 10 * MINUTE));
}

#[test]
fn absurd_events_are_set_aside_and_change_nothing() {
    let mut test = medication();
    scheduled(&mut test, "a1", DUE);
    let before = test.state("anna");
    for (kind, data) in [
        ("medication.scheduled", json!({"dose": "x"})),
        ("medication.scheduled", json!({"due": DUE})),
        ("medication.scheduled", json!({"dose": "x", "due": "tomorrow"})),
        ("medication.scheduled", json!({"dose": "x", "due": "1969-12-31T00:00:00Z"})),
        ("medication.scheduled", json!({"dose": "x", "due": -5})),
        ("medication.scheduled", json!({"dose": "x", "due": u64::MAX})),
        ("medication.scheduled", json!({"dose": "", "due": DUE})),
        ("medication.scheduled", json!({"dose": "x".repeat(300), "due": DUE})),
        ("medication.taken", json!({"dose": 7})),
        ("medication.taken", json!([])),
    ] {
        let happened = test.send(event(kind).subject("anna").data(&data));
        assert_eq!((happened.moments.len(), happened.failures.len()), (0, 1), "{data}");
    }
    assert_eq!(test.state("anna"), before);
}

#[test]
fn the_books_are_bounded() {
    let mut test = medication();
    for dose in 0..MAX_DOSES {
        assert_eq!(scheduled(&mut test, &dose.to_string(), DUE).failures, [""; 0]);
    }
    assert_eq!(scheduled(&mut test, "one-more", DUE).failures.len(), 1);
    assert_eq!(test.advance_to(DUE + DAY_MS).moments.len(), MAX_DOSES);
}

#[test]
fn a_senseless_configuration_is_refused() {
    assert!(RuleTest::<Medication>::try_new(json!({"grace_seconds": 999_999})).is_err());
    assert!(RuleTest::<Medication>::try_new(json!({"grace_minutes": 5})).is_err());
}
