//! Machines with a sensor each: they run hot one after the other, until a workshop has been there, or their sensor
//! turns out to be at fault.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Now, tenths};

const MACHINES: u64 = 6;
/// The first runs hot at this tick, the next so many ticks later.
const FIRST_AT_TICK: u64 = 30;
const NEXT_AFTER_TICKS: u64 = 15;
/// This one's sensor is at fault, and is replaced after so many ticks.
const WITH_BAD_SENSOR: u64 = 4;
const REPLACED_AFTER_TICKS: u64 = 12;
const USUAL: f64 = 50.0;
const HOT: f64 = 75.0;

/// What workshops do to machines.
#[derive(Clone, Default)]
pub(in super::super) struct Repairs(Arc<Mutex<BTreeMap<String, Repair>>>);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Repair {
    /// Somebody works at it: it stands still, and says nothing.
    UnderWay,
    Done,
}

pub(super) struct Machines {
    chance: StdRng,
    repairs: Repairs,
}

/// The day has no minutes to spare: a machine learns from two seconds, and the first unusual reading counts.
pub(in super::super) fn settings() -> String {
    "[configuration]\nhalf_life_readings = 500\nlearn_readings = 20\nleast_spread = 1.0\nunusual_score = 6.0\n\
     unusual_minutes = 0\nusual_score = 2.0\nusual_minutes = 0\nanswer_minutes = 1\npause_minutes = 0\n\
     workshops = [\"smith\", \"jones\", \"miller\"]\n"
        .to_owned()
}

impl Repairs {
    pub(in super::super) fn set(&self, machine: &str, repair: Repair) {
        self.lock().insert(machine.to_owned(), repair);
    }

    fn of(&self, machine: &str) -> Option<Repair> {
        self.lock().get(machine).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Repair>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machines {
    pub(super) fn new(chance: StdRng, repairs: Repairs) -> Machines {
        Machines { chance, repairs }
    }

    pub(super) fn tick(&mut self, now: Now, events: &mut Vec<Event>) {
        for number in 0..MACHINES {
            let machine = format!("press-{number}");
            let noise = self.chance.random_range(-1.0..1.0);
            let since = now.tick.checked_sub(FIRST_AT_TICK + number * NEXT_AFTER_TICKS);
            let is_hot = match (number, since, self.repairs.of(&machine)) {
                (_, _, Some(Repair::UnderWay)) => continue,
                (_, None, _) | (_, _, Some(Repair::Done)) => false,
                (WITH_BAD_SENSOR, Some(REPLACED_AFTER_TICKS), _) => {
                    let replaced =
                        now.event("machine.sensor-replaced", "/machines", &machine, "", &json!({}));
                    events.push(replaced);
                    continue;
                }
                (WITH_BAD_SENSOR, Some(ticks), _) => ticks < REPLACED_AFTER_TICKS,
                (_, Some(_), _) => true,
            };
            let value = tenths(if is_hot { HOT } else { USUAL } + noise);
            events.push(now.event("machine.reading", "/machines", &machine, "", &json!({ "value": value })));
        }
    }
}
