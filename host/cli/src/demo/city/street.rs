//! Cars in a street with lamps.

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Now, TICK_MS, tenths};

pub(in super::super) const CARS: usize = 16;
pub(in super::super) const LAMPS: usize = 60;
const LAMP_SPACING_METRES: f64 = 40.0;
const STREET_METRES: f64 = (LAMPS - 1) as f64 * LAMP_SPACING_METRES;

pub(super) struct Street {
    cars: Vec<Car>,
}

struct Car {
    x: f64,
    y: f64,
    metres_per_second: f64,
}

/// What the rule is told of this street.
pub(in super::super) fn settings() -> String {
    format!(
        "[configuration]\n\
         row = {{ prefix = \"lamp-\", lamps = {LAMPS}, spacing_metres = {LAMP_SPACING_METRES:?} }}\n\
         ahead_metres = 60.0\n\
         gone_after_seconds = 2\n\n\
         # What it finds out is for `streetlights`: an event, keyed by lamp.\n\
         [[route]]\n\
         action = \"lamp.car\"\n\
         host = true\n"
    )
}

impl Street {
    pub(super) fn new(mut chance: StdRng) -> Street {
        let cars = (0..CARS).map(|_| {
            let speed = chance.random_range(11.0..28.0);
            let eastward = chance.random_bool(0.5);
            Car {
                x: chance.random_range(0.0..STREET_METRES),
                y: if eastward { -2.0 } else { 2.0 },
                metres_per_second: if eastward { speed } else { -speed },
            }
        });
        Street { cars: cars.collect() }
    }

    pub(super) fn tick(&mut self, now: Now, events: &mut Vec<Event>) {
        for (number, car) in self.cars.iter_mut().enumerate() {
            let step = car.metres_per_second * TICK_MS as f64 / 1_000.0;
            if (0.0..=STREET_METRES).contains(&(car.x + step)) {
                car.x += step;
            } else {
                // It turns where the street ends, and comes back on the other side.
                car.metres_per_second = -car.metres_per_second;
                car.y = -car.y;
            }
            let data = json!({ "x": tenths(car.x), "y": car.y });
            events.push(now.event("car.position", "/cars", &format!("car-{number}"), "", &data));
        }
    }
}
