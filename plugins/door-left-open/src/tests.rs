use super::carpe::rule::types::{Data, Event, Keyed, Timer};
use super::*;

const CLOSED: u32 = 1;

fn input(key: u32, time: u64, payload: Payload) -> Input {
    Input { key, time, now: time, payload }
}

fn event(subscription: u32) -> Payload {
    Payload::Event(Event { subscription, attributes: Vec::new(), data: Data::Absent })
}

fn timer() -> Payload {
    Payload::Timer(Timer { name: TIMER.to_owned() })
}

fn door(name: &str, state: Option<&Open>) -> Keyed {
    let state = state.map(|open| serde_json::to_vec(open).unwrap());
    Keyed { name: name.to_owned(), state }
}

fn handled(keys: Vec<Keyed>, inputs: Vec<Input>) -> Effects {
    handle(&Configuration { after_seconds: 60 }, Batch { keys, inputs }).unwrap()
}

#[test]
fn a_door_that_is_opened_is_waited_for_and_one_that_is_closed_is_not() {
    let inputs = vec![
        input(0, 1_000, event(OPENED)),
        input(1, 2_000, event(OPENED)),
        input(1, 2_500, event(OPENED)),
        input(0, 3_000, event(CLOSED)),
    ];
    let effects = handled(vec![door("front", None), door("back", None)], inputs);
    let timers: Vec<_> = effects.timers.iter().map(|timer| (timer.cause, timer.at)).collect();
    assert_eq!(timers, [(0, Some(61_000)), (1, Some(62_000)), (3, None)]);
    // The front door is as it was: closed.
    let states: Vec<_> = effects.states.iter().map(|change| (change.key, change.state.as_deref())).collect();
    assert_eq!(states, [(1, Some(&br#"{"since":2000,"told":false}"#[..]))]);
    assert!(effects.moments.is_empty());
}

#[test]
fn it_is_told_once_and_taken_back() {
    let open = Open { since: 1_000, told: false };
    let inputs =
        vec![input(0, 61_000, timer()), input(0, 65_000, event(OPENED)), input(0, 91_500, event(CLOSED))];
    let effects = handled(vec![door("front", Some(&open))], inputs);
    let said: Vec<_> = effects.moments.iter().map(|moment| (&*moment.kind, &*moment.why)).collect();
    assert_eq!(
        said,
        [
            ("door.left-open", "it has stood open for 1 min"),
            ("door.closed-again", "it stood open for 1 min 30 s")
        ]
    );
    assert_eq!(effects.moments[0].actions[0].data, r#"{"door":"front"}"#);
    assert_eq!(effects.states[0].state, None);
}

#[test]
fn one_input_that_makes_no_sense_leaves_the_others() {
    let mut far = input(0, 200_000, event(OPENED));
    far.now = 1_000;
    let effects = handled(vec![door("front", None)], vec![far, input(0, 2_000, event(OPENED))]);
    assert_eq!(effects.failures.len(), 1);
    assert_eq!((effects.failures[0].input, effects.timers[0].cause), (0, 1));
}

#[test]
fn the_operator_is_told_what_is_wrong() {
    assert_eq!(configured("{}").unwrap().after_seconds, 300);
    let error = configured(r#"{"after_second": 7}"#).unwrap_err();
    assert!(error.contains("after_second"), "{error}");
    assert!(configured(r#"{"after_seconds": -1}"#).is_err());
}
