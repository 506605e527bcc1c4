use carpe_sdk::test::{Action, Happened, RuleTest, START, TestEvent, event};

use super::*;

const MINUTE: u64 = 60_000;

/// With short memories: 10 readings to learn from, and 3 minutes to be sure.
fn maintenance(more: &[(&str, u64)]) -> RuleTest<SelfMaintenance> {
    let mut configuration = json!({
        "half_life_readings": 100, "learn_readings": 10, "least_spread": 1,
        "unusual_score": 4, "unusual_minutes": 3, "usual_score": 2, "usual_minutes": 3,
        "workshops": ["smith", "jones"], "tries": 3, "answer_minutes": 30, "pause_minutes": 60,
    });
    for (field, value) in more {
        configuration[field] = json!(value);
    }
    RuleTest::new(configuration)
}

fn reading(minute: u64, value: f64) -> TestEvent {
    event("machine.reading").subject("press-1").time(START + minute * MINUTE).data(json!({"value": value}))
}

/// It has learnt what is usual, by minute 20, and is hot from there until a service is needed.
fn needed(test: &mut RuleTest<SelfMaintenance>) -> Happened {
    for minute in 0..20 {
        assert_eq!(test.send(reading(minute, 50.0 + (minute % 2) as f64)).kinds(), [""; 0]);
    }
    for minute in 20..23 {
        assert_eq!(test.send(reading(minute, 80.0)).kinds(), [""; 0]);
    }
    let happened = test.send(reading(23, 80.0));
    assert_eq!(happened.kinds(), ["service.needed"]);
    happened
}

fn asked(happened: &Happened) -> Action {
    happened.all_actions().next().unwrap().clone()
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_millis(minutes * MINUTE)
}

#[test]
fn it_books_before_it_fails_and_the_owner_hears_when() {
    let mut test = maintenance(&[]);
    let happened = needed(&mut test);
    assert_eq!(happened.moments[0].why, "it reads 80.0, 29.2 spreads from 50.8, which is usual");
    let book = asked(&happened);
    assert_eq!((book.name.as_str(), &book.data["workshop"]), ("workshop.book", &json!("smith")));
    assert_eq!(happened.moments[0].expires, Some(START + 53 * MINUTE));
    let at = START + 10_000 * MINUTE;
    let booked = test.answer(&book, Status::Delivered, Some(json!({"accepted": true, "appointment": at})));
    assert_eq!(booked.kinds(), ["service.booked"]);
    assert_eq!(asked(&booked).data["appointment"], at);
    // Once is enough.
    assert_eq!(test.answer(&book, Status::Delivered, None).kinds(), [""; 0]);
    assert_eq!(test.send(reading(24, 90.0)).kinds(), [""; 0]);
    assert_eq!(test.advance(minutes(500)).kinds(), [""; 0]);
}

#[test]
fn when_one_declines_the_next_is_asked_and_it_gives_up_visibly() {
    let mut test = maintenance(&[]);
    let mut book = asked(&needed(&mut test));
    let mut workshops = Vec::new();
    for _ in 0..2 {
        workshops.push(book.data["workshop"].clone());
        let declined = test.answer(&book, Status::Delivered, Some(json!({"accepted": false})));
        assert_eq!(declined.kinds(), [""; 0]);
        assert_eq!(test.advance(minutes(59)).kinds(), [""; 0]);
        let again = test.advance(minutes(1));
        assert_eq!(again.kinds(), ["service.rebooked"]);
        book = asked(&again);
    }
    workshops.push(book.data["workshop"].clone());
    assert_eq!(workshops, ["smith", "jones", "smith"]);
    let given_up = test.answer(&book, Status::Rejected, None);
    assert_eq!(given_up.kinds(), ["service.unbookable"]);
    assert_eq!(given_up.moments[0].why, "3 times a workshop was asked, at last smith: it declined");
    assert_eq!(test.advance(minutes(500)).kinds(), [""; 0]);
    assert_eq!(test.state("press-1").open, []);
}

#[test]
fn a_booking_that_is_withheld_is_none_and_the_next_is_asked() {
    let mut test = maintenance(&[("tries", 2)]);
    let first = asked(&needed(&mut test));
    assert_eq!(test.answer(&first, Status::Withheld, None).moments, []);
    assert_eq!((test.state("press-1").service, test.state("press-1").open), (Service::Pausing, vec![]));
    let second = asked(&test.advance(minutes(60)));
    let given_up = test.answer(&second, Status::Withheld, None);
    assert_eq!(given_up.kinds(), ["service.unbookable"]);
    assert!(given_up.moments[0].why.ends_with(": asking it was withheld"), "{}", given_up.moments[0].why);
}

#[test]
fn what_turns_out_to_be_wrong_is_cancelled() {
    let mut test = maintenance(&[]);
    let book = asked(&needed(&mut test));
    test.answer(&book, Status::Delivered, Some(json!({})));
    for minute in 24..27 {
        assert_eq!(test.send(reading(minute, 51.0)).kinds(), [""; 0]);
    }
    let cancelled = test.send(reading(27, 51.0));
    assert_eq!(cancelled.kinds(), ["service.cancelled"]);
    assert_eq!(cancelled.moments[0].why, "smith: its readings are usual again");
    let cancel = asked(&cancelled);
    // It is tried again until it is taken.
    assert_eq!(test.answer(&cancel, Status::Failed, None).kinds(), [""; 0]);
    let again = test.advance(minutes(1));
    assert_eq!(again.actions(), ["workshop.cancel"]);
    assert_eq!(test.answer(&asked(&again), Status::Delivered, None).kinds(), [""; 0]);
    assert_eq!((test.state("press-1").open, test.state("press-1").service), (Vec::new(), Service::NotNeeded));
}

#[test]
fn what_cannot_be_cancelled_is_said_to_be_unclear() {
    let mut test = maintenance(&[]);
    let book = asked(&needed(&mut test));
    test.answer(&book, Status::Delivered, None);
    let mut happened = test.send(event("machine.sensor-replaced").subject("press-1"));
    assert_eq!(happened.moments[0].why, "smith: the sensor was replaced");
    for pause in [1, 2, 4, 8] {
        assert_eq!(test.answer(&asked(&happened), Status::Rejected, None).kinds(), [""; 0]);
        happened = test.advance(minutes(pause));
        assert_eq!(happened.actions(), ["workshop.cancel"]);
    }
    assert_eq!(test.answer(&asked(&happened), Status::Rejected, None).kinds(), ["service.unclear"]);
    assert_eq!(test.state("press-1").open, []);
}

#[test]
fn one_that_does_not_answer_is_cancelled_and_a_late_yes_is_too() {
    let mut test = maintenance(&[]);
    let book = asked(&needed(&mut test));
    let late = test.advance(minutes(31));
    assert_eq!(late.actions(), ["workshop.cancel"]);
    test.answer(&asked(&late), Status::Delivered, None);
    let again = test.advance(minutes(60));
    assert_eq!(asked(&again).data["workshop"], "jones");
    // The first took it after all.
    let yes = test.answer(&book, Status::Delivered, Some(json!({"accepted": true})));
    assert_eq!(yes.actions(), ["workshop.cancel"]);
    assert_eq!(yes.moments[0].why, "smith: it answered too late");
    assert_eq!(test.answer(&asked(&again), Status::Delivered, None).kinds(), ["service.booked"]);
    assert_eq!(test.answer(&asked(&yes), Status::Delivered, None).kinds(), [""; 0]);
    assert_eq!(test.state("press-1").open.len(), 1);
}

#[test]
fn after_the_service_it_learns_anew_and_cancels_nothing() {
    let mut test = maintenance(&[]);
    let book = asked(&needed(&mut test));
    test.answer(&book, Status::Delivered, None);
    assert_eq!(test.send(event("machine.serviced").subject("press-1")).kinds(), [""; 0]);
    let machine = test.state("press-1");
    assert_eq!(
        (machine.service, machine.open, machine.usual),
        (Service::NotNeeded, Vec::new(), Baseline::default())
    );

    // Without a word of the service, its appointment tells.
    let mut test = maintenance(&[]);
    let book = asked(&needed(&mut test));
    test.answer(&book, Status::Delivered, Some(json!({"appointment": START + 25 * MINUTE})));
    for minute in 24..40 {
        assert_eq!(test.send(reading(minute, 51.0)).kinds(), [""; 0]);
    }
    assert_eq!(test.state("press-1").service, Service::NotNeeded);
}

#[test]
fn late_repeated_and_short_lived_readings_are_no_reason() {
    let mut test = maintenance(&[]);
    for minute in 0..20 {
        test.send(reading(minute, 50.0 + (minute % 2) as f64));
    }
    let before = test.state("press-1");
    for minute in [0, 5, 19, 19] {
        assert_eq!(test.send(reading(minute, 90.0)).kinds(), [""; 0]);
    }
    assert_eq!(test.state("press-1"), before);
    for minute in 20..40 {
        let value = if minute % 3 == 0 { 50.0 } else { 90.0 };
        assert_eq!(test.send(reading(minute, value)).kinds(), [""; 0]);
    }
}

#[test]
fn a_silence_is_no_reason() {
    let mut test = maintenance(&[("silence_minutes", 5)]);
    for minute in 0..20 {
        test.send(reading(minute, 50.0 + (minute % 2) as f64));
    }
    for minute in [20, 22, 28, 30] {
        assert_eq!(test.send(reading(minute, 90.0)).kinds(), [""; 0]);
    }
    assert_eq!(test.send(reading(31, 90.0)).kinds(), ["service.needed"]);
}

#[test]
fn absurd_readings_are_set_aside_and_change_nothing() {
    let mut test = maintenance(&[]);
    test.send(reading(0, 50.0));
    let before = test.state("press-1");
    for data in
        [r#"{"value":1e308}"#, r#"{"value":-101}"#, r#"{"value":1e999}"#, r#"{"value":"50"}"#, "{}", "[]", ""]
    {
        let happened = test.send(event("machine.reading").subject("press-1").time(START + MINUTE).json(data));
        assert_eq!((happened.moments.len(), happened.failures.len()), (0, 1), "{data}");
    }
    assert_eq!(test.state("press-1"), before);
}

#[test]
fn what_is_remembered_is_bounded() {
    // Nobody ever says what became of a booking.
    let mut test = maintenance(&[("tries", 10), ("pause_minutes", 0)]);
    needed(&mut test);
    test.advance(minutes(100_000));
    let mut kinds = Vec::new();
    for round in 0..4 {
        let start = 200_000 * (round + 1);
        test.send(event("machine.sensor-replaced").subject("press-1").time(START + (start - 1) * MINUTE));
        for minute in 0..24 {
            let value = if minute < 20 { 50.0 + (minute % 2) as f64 } else { 90.0 };
            test.send(reading(start + minute, value));
        }
        let happened = test.advance(minutes(100_000));
        kinds.extend(happened.kinds().iter().map(ToString::to_string));
    }
    let machine = test.state("press-1");
    assert_eq!(machine.open.len(), MAX_OPEN);
    assert_eq!(machine.service, Service::GivenUp);
    assert!(kinds.iter().any(|kind| kind == "service.unbookable"), "{kinds:?}");
}

#[test]
fn a_senseless_configuration_is_refused() {
    for (configuration, field) in [
        (json!({"least_spread": 0}), "least_spread"),
        (json!({"usual_score": 3}), "unusual_score"),
        (json!({"lowest": 2000}), "lowest"),
        (json!({"learn_readings": 0}), "learn_readings"),
        (json!({"tries": 0}), "tries"),
        (json!({"tries": 11}), "tries"),
        (json!({"workshops": []}), "workshops"),
        (json!({"workshops": [""]}), "workshops"),
        (json!({"patience": 1}), "patience"),
    ] {
        let error = RuleTest::<SelfMaintenance>::try_new(configuration).err().unwrap().to_string();
        assert!(error.contains(field), "{error}");
    }
    assert!(RuleTest::<SelfMaintenance>::try_new(json!({})).is_ok());
}
