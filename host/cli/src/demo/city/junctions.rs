//! Vehicles with priority that approach junctions: most pass, one now and then is heard of no more.

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Now, TICK_MS, tenths};

const JUNCTIONS: u64 = 4;
/// One comes to each junction in so many ticks.
const EVERY_TICKS: u64 = 80;
/// A vehicle says so often where it is.
const SAYS_EVERY_TICKS: u64 = 5;
const FROM_METRES: f64 = 60.0;
const APPROACHES: [&str; 4] = ["north", "east", "south", "west"];

pub(super) struct Junctions {
    chance: StdRng,
    vehicles: Vec<Vehicle>,
}

struct Vehicle {
    name: String,
    junction: u64,
    approach: &'static str,
    metres: f64,
    kmh: f64,
    /// So far away it falls silent; none: it does not.
    lost_at_metres: Option<f64>,
}

/// The day of the demo is short, and so are its distances.
pub(in super::super) fn settings() -> String {
    "[configuration]\nlead_seconds = 2.0\nsilence_seconds = 2.0\n".to_owned()
}

impl Junctions {
    pub(super) fn new(chance: StdRng) -> Junctions {
        Junctions { chance, vehicles: Vec::new() }
    }

    pub(super) fn tick(&mut self, now: Now, events: &mut Vec<Event>) {
        for junction in 0..JUNCTIONS {
            if now.tick % EVERY_TICKS == junction * EVERY_TICKS / JUNCTIONS {
                self.dispatch(junction, now.tick);
            }
        }
        for vehicle in &mut self.vehicles {
            vehicle.metres -= vehicle.kmh / 3.6 * TICK_MS as f64 / 1_000.0;
            let (name, subject) = (&vehicle.name, format!("junction-{}", vehicle.junction));
            if vehicle.metres <= 0.0 {
                let data = json!({ "vehicle": name });
                events.push(now.event("vehicle.left", "/vehicles", &subject, name, &data));
            } else if now.tick.is_multiple_of(SAYS_EVERY_TICKS) {
                let data = json!({
                    "vehicle": name, "approach": vehicle.approach, "distance_m": tenths(vehicle.metres),
                    "speed_kmh": vehicle.kmh,
                });
                events.push(now.event("vehicle.approaching", "/vehicles", &subject, name, &data));
            }
        }
        self.vehicles.retain(|vehicle| {
            vehicle.metres > 0.0 && vehicle.lost_at_metres.is_none_or(|at| vehicle.metres > at)
        });
    }

    /// An ambulance, and at every other junction a fire engine that crosses its way.
    fn dispatch(&mut self, junction: u64, tick: u64) {
        let from = self.chance.random_range(0..APPROACHES.len());
        let kmh = tenths(self.chance.random_range(45.0..60.0));
        let lost_at_metres = self.chance.random_bool(0.15).then_some(10.0);
        let vehicle = |name: &str, turn: usize, metres: f64, lost_at_metres| Vehicle {
            name: format!("{name}-{junction}-{tick}"),
            junction,
            approach: APPROACHES[(from + turn) % APPROACHES.len()],
            metres,
            kmh,
            lost_at_metres,
        };
        self.vehicles.push(vehicle("ambulance", 0, FROM_METRES, lost_at_metres));
        if junction % 2 == 1 {
            self.vehicles.push(vehicle("fire-engine", 1, FROM_METRES + 10.0, None));
        }
    }
}
