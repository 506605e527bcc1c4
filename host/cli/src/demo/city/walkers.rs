//! People in a street with shops: some have consented to offers, some take that back, and one rides a bicycle.

use std::collections::BTreeMap;

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Now, TICK_MS};

const WALKERS: usize = 16;
const SHOPS: [(&str, &str, &str); 4] = [
    ("bakery", "Bakery Linde", "a roll on the house"),
    ("books", "Books & More", "a tenth off"),
    ("flowers", "Flowers by Rosa", "a tulip with every bunch"),
    ("tea", "The Tea House", "a cup to try"),
];
const FIRST_SHOP_METRES: f64 = 25.0;
const SHOP_SPACING_METRES: f64 = 35.0;
const STREET_METRES: f64 = 160.0;
const SAYS_EVERY_TICKS: u64 = 5;
const LATITUDE: f64 = 52.52;
const LONGITUDE: f64 = 13.405;
/// Of a degree of latitude, on the sphere that the rule measures on.
const METRES_PER_DEGREE: f64 = 111_195.0;

pub(super) struct Walkers {
    walkers: Vec<Walker>,
}

struct Walker {
    metres: f64,
    metres_per_second: f64,
    consent: Consent,
}

#[derive(Clone, Copy)]
enum Consent {
    Given,
    Refused,
    /// From this tick on.
    TakenBack(u64),
}

/// The day is short: people run, and may be shown the same offer again soon.
pub(in super::super) fn settings() -> String {
    let mut text =
        "[configuration]\nenter_m = 12\nleave_m = 18\nmax_m_per_s = 8\ncooldown_hours = 0.002\nshops = [\n"
            .to_owned();
    for (number, (id, name, offer)) in SHOPS.iter().enumerate() {
        let lat = latitude(FIRST_SHOP_METRES + SHOP_SPACING_METRES * number as f64);
        text += &format!(
            "    {{ id = \"{id}\", name = \"{name}\", lat = {lat:?}, lon = {LONGITUDE}, offer = \"{offer}\" }},\n"
        );
    }
    text + "]\n"
}

/// What the operator has on file, whatever somebody's app says: half of them have said yes to offers, a quarter no, and the
/// others nothing.
pub(in super::super) fn on_file() -> BTreeMap<String, bool> {
    let word = |number: usize| match number % 4 {
        0 | 2 => Some(true),
        1 => Some(false),
        _ => None,
    };
    (0..WALKERS).filter_map(|number| Some((name_of(number), word(number)?))).collect()
}

impl Walkers {
    pub(super) fn new(mut chance: StdRng) -> Walkers {
        let walkers = (0..WALKERS).map(|number| Walker {
            metres: chance.random_range(0.0..STREET_METRES),
            // The last one rides a bicycle.
            metres_per_second: if number + 1 == WALKERS { 12.0 } else { chance.random_range(3.5..6.0) },
            consent: match number {
                1 | 2 => Consent::Refused,
                3 | 4 => Consent::TakenBack(chance.random_range(40..120)),
                _ => Consent::Given,
            },
        });
        Walkers { walkers: walkers.collect() }
    }

    pub(super) fn tick(&mut self, now: Now, events: &mut Vec<Event>) {
        for (number, walker) in self.walkers.iter_mut().enumerate() {
            let step = walker.metres_per_second * TICK_MS as f64 / 1_000.0;
            if !(0.0..=STREET_METRES).contains(&(walker.metres + step)) {
                walker.metres_per_second = -walker.metres_per_second;
            } else {
                walker.metres += step;
            }
            if !(now.tick + number as u64).is_multiple_of(SAYS_EVERY_TICKS) {
                continue;
            }
            let consent = match walker.consent {
                Consent::Given => true,
                Consent::Refused => false,
                Consent::TakenBack(tick) => now.tick < tick,
            };
            let data = json!({ "lat": latitude(walker.metres), "lon": LONGITUDE, "accuracy_m": 3, "consent": consent });
            events.push(now.event("pedestrian.position", "/phones", &name_of(number), "", &data));
        }
    }
}

fn name_of(number: usize) -> String {
    format!("walker-{number}")
}

fn latitude(metres: f64) -> f64 {
    LATITUDE + metres / METRES_PER_DEGREE
}
