//! Lights a lamp while a car is near, and not longer: keyed by lamp, told by `streetlights-cars` which cars near and
//! leave. See README.md.

use std::collections::BTreeSet;

use carpe_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// How many cars can be near one lamp.
const MAX_CARS: usize = 500;
/// What a car's id takes at most.
const MAX_ID: usize = 200;
/// Switching a lamp later than this after the fact helps nobody.
const USEFUL_MS: u64 = 1_000;

/// The operator's configuration: there is nothing to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Streetlights {}

/// The cars that are near the lamp: it is lit while there is one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Lamp {
    cars: BTreeSet<String>,
}

#[derive(Deserialize)]
struct CarNearby {
    car: String,
    near: bool,
}

impl Rule for Streetlights {
    type State = Lamp;

    fn on_event(&self, event: &Event, lamp: &mut Lamp, out: &mut Output) -> Result<()> {
        let CarNearby { car, near } = event.data()?;
        if car.is_empty() || car.len() > MAX_ID {
            return Err(Error::new(format!("`car` must be an id of 1 to {MAX_ID} bytes")));
        }
        let was_lit = !lamp.cars.is_empty();
        if !near {
            lamp.cars.remove(&car);
        } else if lamp.cars.len() < MAX_CARS || lamp.cars.contains(&car) {
            lamp.cars.insert(car.clone());
        } else {
            return Err(Error::new(format!(
                "{MAX_CARS} cars are near lamp {}: no room for {car}",
                event.key()
            )));
        }
        let expires = event.time().saturating_add(USEFUL_MS);
        match (was_lit, !lamp.cars.is_empty()) {
            (false, true) => {
                out.moment("lamp.needed")
                    .why(format!("car {car} comes near"))
                    .expires_at(expires)
                    .action("lamp.on", json!({"lamp": event.key()}));
            }
            (true, false) => {
                out.moment("lamp.unneeded")
                    .why(format!("car {car} was the last one near"))
                    .expires_at(expires)
                    .action("lamp.off", json!({"lamp": event.key()}));
            }
            _ => {}
        }
        Ok(())
    }
}

export_rule!(
    Streetlights,
    on("lamp.car").moment("lamp.needed").moment("lamp.unneeded").action("lamp.on").action("lamp.off")
);
