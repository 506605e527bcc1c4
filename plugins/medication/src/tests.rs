use carpe_sdk::test::{Happened, RuleTest, START, event};

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

#[test]
fn one_taken_after_all_withdraws_the_reminder_once() {
    let mut test = medication();
    scheduled(&mut test, "a1", DUE);
    test.advance_to(DUE + 20 * MINUTE);
    assert_eq!(taken(&mut test, "a1").actions(), ["withdraw.reminder"]);
    assert_eq!(taken(&mut test, "a1").moments, []);
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
