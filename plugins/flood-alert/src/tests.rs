use carpe_sdk::test::{Happened, RuleTest, START, event};

use super::*;

const MINUTE: u64 = 60_000;

fn flood() -> RuleTest<FloodAlert> {
    RuleTest::new(json!({"alert_cm": 500, "rise_cm": 50, "within_seconds": 3600, "fall_cm": 20}))
}

fn read(test: &mut RuleTest<FloodAlert>, minute: u64, cm: f64) -> Happened {
    test.send(event("gauge.level").subject("elbe-7").time(START + minute * MINUTE).data(json!({"cm": cm})))
}

/// The kinds of all moments that these readings, 10 minutes apart, make.
fn kinds(readings: &[f64]) -> Vec<(usize, String)> {
    let mut test = flood();
    let mut kinds = Vec::new();
    for (at, cm) in readings.iter().enumerate() {
        for moment in read(&mut test, 10 * at as u64, *cm).moments {
            kinds.push((at, moment.kind));
        }
    }
    kinds
}

fn rising(at: usize) -> (usize, String) {
    (at, "flood.rising".to_owned())
}

fn over(at: usize) -> (usize, String) {
    (at, "flood.over".to_owned())
}

#[test]
fn passing_the_level_alerts_both_once() {
    let mut test = flood();
    assert_eq!(read(&mut test, 0, 480.0).moments, []);
    let happened = read(&mut test, 10, 505.0);
    assert_eq!(happened.actions(), ["alert.residents", "alert.emergency-services"]);
    assert_eq!(happened.moments[0].expires, Some(START + 70 * MINUTE));
    assert_eq!(read(&mut test, 20, 560.0).moments, []);
    assert_eq!(read(&mut test, 30, 499.0).moments, []);
    assert_eq!(read(&mut test, 40, 505.0).moments, []);
}

#[test]
fn a_fast_rise_alerts_below_the_level() {
    assert_eq!(kinds(&[200.0, 210.0, 230.0, 249.0, 250.0, 300.0, 400.0]), [rising(4)]);
}

#[test]
fn a_slow_rise_does_not() {
    let slow: Vec<f64> = (0..60).map(|at| 100.0 + 6.0 * f64::from(at)).collect();
    assert_eq!(kinds(&slow), []);
}

#[test]
fn it_stands_down_only_when_the_water_has_truly_fallen_and_then_may_alert_again() {
    assert_eq!(
        kinds(&[490.0, 501.0, 499.0, 501.0, 481.0, 480.0, 470.0, 499.0, 500.0, 300.0]),
        [rising(1), over(5), rising(8), over(9)]
    );
}

#[test]
fn after_a_fast_rise_it_stands_down_below_the_peak() {
    assert_eq!(kinds(&[200.0, 260.0, 300.0, 290.0, 281.0, 280.0, 285.0]), [rising(1), over(5)]);
}

#[test]
fn a_late_a_repeated_or_an_equal_reading_is_no_rise() {
    let mut test = flood();
    read(&mut test, 60, 300.0);
    let before = test.state("elbe-7");
    assert_eq!(read(&mut test, 50, 100.0).moments, []);
    assert_eq!(read(&mut test, 60, 900.0).moments, []);
    assert_eq!(test.state("elbe-7"), before);
    assert_eq!(read(&mut test, 61, 301.0).moments, []);
}

#[test]
fn absurd_readings_are_set_aside_and_change_nothing() {
    let mut test = flood();
    read(&mut test, 0, 300.0);
    let before = test.state("elbe-7");
    for data in [
        r#"{"cm":1e308}"#,
        r#"{"cm":-9999}"#,
        r#"{"cm":1e999}"#,
        r#"{"cm":NaN}"#,
        r#"{"cm":"300"}"#,
        r#"{"cm":null}"#,
        "{}",
        "[]",
        "",
    ] {
        let happened = test.send(event("gauge.level").subject("elbe-7").time(START + MINUTE).json(data));
        assert_eq!((happened.moments.len(), happened.failures.len()), (0, 1), "{data}");
    }
    assert_eq!(test.send(event("gauge.level").subject("elbe-7")).failures, ["the event's data is absent"]);
    assert_eq!(test.state("elbe-7"), before);
}

#[test]
fn gauges_share_nothing() {
    let mut test = flood();
    for gauge in ["a", "b"] {
        let happened = test.send(event("gauge.level").subject(gauge).data(json!({"cm": 600})));
        assert_eq!(happened.kinds(), ["flood.rising"]);
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut test = flood();
    for second in 0..2_000 {
        let data = json!({"cm": 100.0 + 0.01 * second as f64});
        test.send(event("gauge.level").subject("elbe-7").time(START + 1_000 * second).data(data));
    }
    let state = serde_json::to_string(&test.state("elbe-7")).unwrap();
    assert!(state.len() < SlidingMinimum::<PANES>::MAX_BYTES, "{} bytes", state.len());
    let after = event("gauge.level").subject("elbe-7").time(START + 2_000_000).data(json!({"cm": 150}));
    assert_eq!(test.send(after).moments[0].data["risen_cm"], 50.0);
}

#[test]
fn a_reading_of_a_clock_that_was_never_set_is_set_aside() {
    let mut test = flood();
    test.advance_to(START + 30 * 24 * 60 * MINUTE);
    let day = 24 * 60;
    let ancient = event("gauge.level").subject("elbe-7").time(0).data(json!({"cm": 900}));
    assert_eq!(
        test.send(ancient).failures,
        ["a reading of more than 20 years ago: is the clock of gauge elbe-7 right?"]
    );
    assert_eq!(test.keys(), 0);
    // What came late, but says something: when it was learnt of is when the alert is of use.
    assert_eq!(read(&mut test, 29 * day, 900.0).moments[0].expires, Some(test.now() + 60 * MINUTE));
}

#[test]
fn an_earlier_state_goes_along() {
    let rule: FloodAlert = serde_json::from_value(json!({})).unwrap();
    let calm =
        format!(r#"{{"time":{0},"lows":[[{START},100.0],[{0},130.0]],"peak_cm":null}}"#, START + MINUTE);
    let gauge = rule.migrate(1, "elbe-7", calm.as_bytes()).unwrap().unwrap();
    assert_eq!((gauge.levels.newest(), gauge.peak_cm), (START + MINUTE, None));
    assert_eq!(gauge.levels.lowest(START + MINUTE, Duration::from_secs(3_600)), Some(100.0));
    let alert = br#"{"time":7,"lows":[[7,600.0]],"peak_cm":612.5}"#;
    assert_eq!(rule.migrate(1, "elbe-7", alert).unwrap().unwrap().peak_cm, Some(612.5));
    assert!(rule.migrate(1, "elbe-7", b"?").is_err());
}

#[test]
fn a_senseless_configuration_is_refused() {
    for (configuration, field) in [
        (json!({"rise_cm": 0}), "rise_cm"),
        (json!({"fall_cm": -1}), "fall_cm"),
        (json!({"within_seconds": 0}), "within_seconds"),
        (json!({"alert_cm": 99999}), "alert_cm"),
        (json!({"alert_meters": 5}), "alert_meters"),
    ] {
        let error = RuleTest::<FloodAlert>::try_new(configuration).err().unwrap().to_string();
        assert!(error.contains(field), "{error}");
    }
    assert!(RuleTest::<FloodAlert>::try_new(json!({})).is_ok());
}
