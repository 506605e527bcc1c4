use carpe_sdk::test::{Happened, RuleTest, START, TestEvent, event};

use super::*;

/// Lamps 50 metres apart; lit from 100 metres ahead to 20 behind.
fn cars() -> RuleTest<Cars> {
    RuleTest::new(json!({"row": {"prefix": "l", "lamps": 20, "spacing_metres": 50}}))
}

fn at(second: u64, x: f64) -> TestEvent {
    event("car.position").subject("car-1").time(START + 1_000 * second).data(json!({"x": x, "y": 0}))
}

/// Which lamps are told what: `+l1 -l0`.
fn told(happened: &Happened) -> String {
    let mut told: Vec<String> = Vec::new();
    for moment in &happened.moments {
        let sign = if moment.actions[0].data["near"] == true { '+' } else { '-' };
        told.push(format!("{sign}{}", moment.subject.as_deref().unwrap_or("?")));
    }
    told.join(" ")
}

#[test]
fn lamps_ahead_are_told_and_those_behind() {
    let mut test = cars();
    assert_eq!(told(&test.send(at(0, 0.0))), "+l0");
    assert_eq!(told(&test.send(at(1, 10.0))), "+l1 +l2");
    assert_eq!(told(&test.send(at(2, 20.0))), "");
    assert_eq!(told(&test.send(at(3, 30.0))), "-l0");
    assert_eq!(told(&test.send(at(4, 50.0))), "+l3");
    assert_eq!(told(&test.send(at(5, 75.0))), "-l1");
}

#[test]
fn turning_back_lights_the_other_way() {
    let mut test = cars();
    test.send(at(0, 200.0));
    assert_eq!(told(&test.send(at(1, 210.0))), "+l5 +l6");
    assert_eq!(told(&test.send(at(2, 205.0))), "+l3 -l5 -l6");
}

#[test]
fn a_car_that_stands_keeps_its_lamps_and_one_that_is_gone_does_not() {
    let mut test = cars();
    test.send(at(0, 0.0));
    test.send(at(1, 10.0));
    for second in 2..60 {
        assert_eq!(told(&test.send(at(second, 10.0))), "");
    }
    assert_eq!(told(&test.advance(Duration::from_millis(9_999))), "");
    assert_eq!(told(&test.advance(Duration::from_millis(1))), "-l0 -l1 -l2");
    assert_eq!(test.keys(), 0);
}

#[test]
fn a_crawl_adds_up_to_a_direction() {
    let mut test = cars();
    for second in 0..10 {
        test.send(at(second, 100.0 + 0.2 * second as f64));
    }
    assert!(test.state("car-1").direction.is_some());
    assert!(test.state("car-1").lamps.contains("l4"));
}

#[test]
fn late_and_repeated_positions_change_nothing() {
    let mut test = cars();
    test.send(at(5, 100.0));
    test.send(at(6, 110.0));
    let before = test.state("car-1");
    assert_eq!(told(&test.send(at(4, 500.0))), "");
    assert_eq!(told(&test.send(at(6, 110.0))), "");
    assert_eq!(test.state("car-1"), before);
}

#[test]
fn nearing_expires_and_leaving_does_not() {
    let mut test = cars();
    let near = test.send(at(7, 0.0));
    assert_eq!(near.moments[0].expires, Some(START + 8_000));
    let gone = test.advance(Duration::from_secs(60));
    assert_eq!((told(&gone).as_str(), gone.moments[0].expires), ("-l0", None));
}

#[test]
fn absurd_positions_are_set_aside_and_change_nothing() {
    let mut test = cars();
    test.send(at(0, 0.0));
    let before = test.state("car-1");
    for data in [
        r#"{"x":1e300,"y":0}"#,
        r#"{"x":1e999,"y":0}"#,
        r#"{"x":5000,"y":0}"#,
        r#"{"x":0}"#,
        r#"{"x":"0","y":0}"#,
        r#"{"x":null,"y":0}"#,
        "{}",
        "",
    ] {
        let happened = test.send(event("car.position").subject("car-1").time(START + 1_000).json(data));
        assert_eq!((happened.moments.len(), happened.failures.len()), (0, 1), "{data}");
    }
    assert_eq!(test.state("car-1"), before);
    for (length, failures) in [(MAX_ID, 0), (MAX_ID + 1, 1)] {
        let far = event("car.position").subject("c".repeat(length)).data(json!({"x": 9000, "y": 0}));
        assert_eq!(test.send(far).failures.len(), failures, "{length} bytes");
    }
}

#[test]
fn a_senseless_configuration_is_refused() {
    let row = |lamps: usize| json!({"prefix": "l", "lamps": lamps, "spacing_metres": 50});
    let two = json!([{"id": "a", "x": 0, "y": 0}, {"id": "a", "x": 1, "y": 0}]);
    for (configuration, words) in [
        (json!({}), "no lamp"),
        (json!({"row": row(10_001)}), "too many"),
        (json!({"row": row(usize::MAX), "lamps": two.clone()}), "too many"),
        (json!({"row": {"prefix": "l", "lamps": 5, "spacing_metres": 0}}), "spacing_metres"),
        (json!({"lamps": two}), "same `id`"),
        (json!({"row": row(5), "ahead_metres": -1}), "ahead_metres"),
        (json!({"row": row(5), "gone_after_seconds": 0}), "gone_after_seconds"),
        (json!({"row": row(5), "ahead": 5}), "unknown field `ahead`"),
    ] {
        let error = RuleTest::<Cars>::try_new(configuration).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
}
