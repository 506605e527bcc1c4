use carpe_sdk::test::{RuleTest, START, event};

use super::*;

fn tell(test: &mut RuleTest<Streetlights>, car: &str, near: bool) -> Vec<String> {
    let happened = test.send(event("lamp.car").subject("lamp-1").data(json!({"car": car, "near": near})));
    happened.actions().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_lamp_is_lit_while_any_car_is_near() {
    let mut test = RuleTest::<Streetlights>::new(json!({}));
    assert_eq!(tell(&mut test, "a", true), ["lamp.on"]);
    assert_eq!(tell(&mut test, "b", true), [""; 0]);
    assert_eq!(tell(&mut test, "a", false), [""; 0]);
    assert_eq!(tell(&mut test, "b", false), ["lamp.off"]);
    assert_eq!(test.keys(), 0);
}

#[test]
fn repeats_and_strays_switch_nothing() {
    let mut test = RuleTest::<Streetlights>::new(json!({}));
    assert_eq!(tell(&mut test, "ghost", false), [""; 0]);
    assert_eq!(tell(&mut test, "a", true), ["lamp.on"]);
    assert_eq!(tell(&mut test, "a", true), [""; 0]);
    assert_eq!(tell(&mut test, "ghost", false), [""; 0]);
    assert_eq!(tell(&mut test, "a", false), ["lamp.off"]);
    assert_eq!(tell(&mut test, "a", false), [""; 0]);
}

#[test]
fn switching_expires_a_second_after_the_fact() {
    let mut test = RuleTest::<Streetlights>::new(json!({}));
    test.advance_to(START + 60_000);
    let late =
        event("lamp.car").subject("lamp-1").time(START + 5_000).data(json!({"car": "a", "near": true}));
    assert_eq!(test.send(late).moments[0].expires, Some(START + 6_000));
}

#[test]
fn what_makes_no_sense_is_set_aside() {
    let mut test = RuleTest::<Streetlights>::new(json!({}));
    for data in
        ["{}", r#"{"car":"a"}"#, r#"{"car":1,"near":true}"#, r#"{"car":"a","near":"yes"}"#, "", "null"]
    {
        assert_eq!(test.send(event("lamp.car").subject("lamp-1").json(data)).failures.len(), 1, "{data}");
    }
    for (length, failures) in [(0, 1), (MAX_ID, 0), (MAX_ID + 1, 1)] {
        let data = json!({"car": "x".repeat(length), "near": false});
        let happened = test.send(event("lamp.car").subject("lamp-1").data(data));
        assert_eq!(happened.failures.len(), failures, "{length} bytes");
    }
    assert_eq!(test.keys(), 0);
}

#[test]
fn the_cars_near_a_lamp_are_bounded() {
    let mut test = RuleTest::<Streetlights>::new(json!({}));
    for car in 0..MAX_CARS {
        tell(&mut test, &car.to_string(), true);
    }
    let one_more = event("lamp.car").subject("lamp-1").data(json!({"car": "one-more", "near": true}));
    assert_eq!(test.send(one_more).failures.len(), 1);
    assert_eq!(tell(&mut test, "0", true), [""; 0]);
}
