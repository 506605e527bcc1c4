use super::*;

fn city(seed: u64) -> City {
    City::new(seed, Repairs::default(), Shelves::default())
}

fn a_day(seed: u64) -> (City, Vec<Event>) {
    let mut city = city(seed);
    let mut events = Vec::new();
    for tick in 0..200 {
        events.extend(city.next(1_000_000 + tick * TICK_MS, false).events);
    }
    (city, events)
}

#[test]
fn the_same_seed_gives_the_same_city() {
    let (city, events) = a_day(7);
    let text = |events: &[Event]| events.iter().map(Event::to_json).collect::<Vec<_>>();
    assert_eq!(text(&a_day(7).1), text(&events));
    assert_ne!(text(&a_day(8).1), text(&events));
    assert!(city.rivers.rises > 0 && city.rivers.falls > 0);
    let readings = events.iter().filter(|event| &*event.kind == "gauge.level").count();
    assert_eq!(city.rivers.readings, readings as u64);
}

#[test]
fn each_rule_is_told_something_within_the_shortest_demo() {
    let mut city = city(3);
    let ticks = super::super::FAST_SECONDS * 1_000 / TICK_MS;
    let events: Vec<Event> =
        (0..ticks).flat_map(|tick| city.next(1_000_000 + tick * TICK_MS, false).events).collect();
    for kind in [
        "car.position",
        "gauge.level",
        "medication.scheduled",
        "medication.taken",
        "vehicle.approaching",
        "vehicle.left",
        "pedestrian.position",
        "video.mentioned",
        "machine.reading",
        "recipe.tapped",
        "vending.counted",
        "vending.sold",
    ] {
        assert!(events.iter().any(|event| &*event.kind == kind), "{kind}");
    }
    assert_eq!(city.absurd, 5, "of as many rules one each");
}

#[test]
fn no_event_is_a_repeat_and_all_are_valid() {
    let mut city = city(1);
    let mut known = std::collections::HashSet::new();
    let mut at = 1_000_000;
    while at < 1_030_000 || !city.is_done() {
        for event in city.next(at, at >= 1_030_000).events {
            event.validate(1 << 20).unwrap();
            assert!(known.insert((event.source.clone(), event.id.clone())), "{event}");
        }
        at += TICK_MS;
    }
}
