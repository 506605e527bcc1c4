//! Tells each lamp when a car nears and leaves: keyed by car. Its action `lamp.car` is to be routed back into the
//! host, where `streetlights` is given it as an event, keyed by lamp. See README.md.

use std::collections::BTreeSet;

use carpe_sdk::prelude::*;

mod street;
#[cfg(test)]
mod tests;

use street::{Beam, Lamp, Point, Row};

/// How far a car's clock may be ahead.
const MAX_AHEAD_MS: u64 = 5_000;
/// Telling a lamp later than this after the fact that a car nears helps nobody.
const USEFUL_MS: u64 = 1_000;
/// Faster than any car: a position that would need it is an error of measurement.
const MAX_METRES_PER_SECOND: f64 = 120.0;
/// How far off two positions may be, whatever the time between them.
const NOISE_METRES: f64 = 20.0;
/// A position further out is an error of measurement: more than around the Earth.
const MAX_METRES: f64 = 5e7;
/// What a car's id takes at most, as `streetlights` takes it.
const MAX_ID: usize = 200;
/// A shorter movement is noise, and says nothing of the direction.
const LEAST_METRES: f64 = 0.5;

/// The rule, with the lamps worked out.
#[derive(Deserialize)]
#[serde(try_from = "Configuration")]
struct Cars {
    lamps: Vec<Lamp>,
    beam: Beam,
    gone_after: Duration,
}

/// The operator's configuration.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Configuration {
    /// Where the lamps stand: `{"id", "x", "y"}`, in metres.
    lamps: Vec<Lamp>,
    /// Lamps in a row: `{"prefix", "lamps", "spacing_metres"}`.
    row: Option<Row>,
    /// How far ahead of a car lamps are lit.
    ahead_metres: f64,
    /// How far behind it they stay lit.
    behind_metres: f64,
    /// How far from its line of movement a lamp may stand.
    aside_metres: f64,
    /// A car that says nothing for so long is gone.
    gone_after_seconds: u64,
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration {
            lamps: Vec::new(),
            row: None,
            ahead_metres: 100.0,
            behind_metres: 20.0,
            aside_metres: 15.0,
            gone_after_seconds: 10,
        }
    }
}

impl TryFrom<Configuration> for Cars {
    type Error = Error;

    fn try_from(from: Configuration) -> Result<Self> {
        for (field, value) in [
            ("ahead_metres", from.ahead_metres),
            ("behind_metres", from.behind_metres),
            ("aside_metres", from.aside_metres),
        ] {
            if value < 0.0 {
                return Err(Error::new(format!("`{field}` is {value}: it must not be negative")));
            }
        }
        if from.gone_after_seconds == 0 {
            return Err(Error::new("`gone_after_seconds` is 0: it must be above"));
        }
        Ok(Cars {
            lamps: street::lamps(&from.lamps, from.row.as_ref())?,
            beam: Beam {
                ahead_metres: from.ahead_metres,
                behind_metres: from.behind_metres,
                aside_metres: from.aside_metres,
            },
            gone_after: Duration::from_secs(from.gone_after_seconds),
        })
    }
}

/// What is remembered of a car; nothing, before it is first seen and when it is gone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Car {
    /// When and where it was last seen.
    seen: Option<(Instant, Point)>,
    /// Where it is heading: a vector of length 1.
    direction: Option<Point>,
    /// The lamps that were told it is near.
    lamps: BTreeSet<String>,
}

impl Rule for Cars {
    type State = Car;

    fn on_event(&self, event: &Event, car: &mut Car, out: &mut Output) -> Result<()> {
        if event.key().len() > MAX_ID {
            return Err(Error::new(format!("a car's id may have {MAX_ID} bytes, and no more")));
        }
        let here: Point = event.data()?;
        if here.x.abs() > MAX_METRES || here.y.abs() > MAX_METRES {
            return Err(Error::new(format!("car {} is said to be off the map", event.key())));
        }
        let time = event.time();
        if time > event.now().saturating_add(MAX_AHEAD_MS) {
            // Taken for the latest, it would make every true one late.
            return Err(Error::new(format!(
                "a position from the future: is the clock of car {} right?",
                event.key()
            )));
        }
        if let Some((before, there)) = car.seen {
            if time <= before {
                return Ok(()); // Late, or a repeat: the car has moved on.
            }
            let moved = here.minus(there);
            let metres = moved.length();
            if metres > NOISE_METRES + MAX_METRES_PER_SECOND * (time - before) as f64 / 1_000.0 {
                return Err(Error::new(format!(
                    "car {} is said to have jumped {metres:.0} metres",
                    event.key()
                )));
            }
            if metres >= LEAST_METRES {
                car.direction = Some(Point { x: moved.x / metres, y: moved.y / metres });
                car.seen = Some((time, here));
            } else {
                // Where it was is kept, so that a crawl adds up to a movement.
                car.seen = Some((time, there));
            }
        } else {
            car.seen = Some((time, here));
        }
        let needed = self.beam.lamps(&self.lamps, here, car.direction);
        for lamp in &needed {
            if !car.lamps.contains(*lamp) {
                out.moment("car.near")
                    .why(format!("car {} comes near lamp {lamp}", event.key()))
                    .subject(*lamp)
                    .expires_at(time.saturating_add(USEFUL_MS))
                    .action("lamp.car", json!({"car": event.key(), "near": true}));
            }
        }
        for lamp in car.lamps.iter().filter(|lamp| !needed.contains(lamp.as_str())) {
            leaves(event.key(), lamp, out);
        }
        car.lamps = needed.into_iter().map(str::to_owned).collect();
        out.timer("gone").after(self.gone_after);
        Ok(())
    }

    fn on_timer(&self, timer: &Timer, car: &mut Car, out: &mut Output) -> Result<()> {
        for lamp in &car.lamps {
            leaves(timer.key(), lamp, out);
        }
        *car = Car::default();
        Ok(())
    }
}

/// Without an expiry: a lamp that does not hear of it would stay lit for ever.
fn leaves(car: &str, lamp: &str, out: &mut Output) {
    out.moment("car.left")
        .why(format!("car {car} has left lamp {lamp}"))
        .subject(lamp)
        .action("lamp.car", json!({"car": car, "near": false}));
}

export_rule!(Cars, on("car.position").moment("car.near").moment("car.left").action("lamp.car"));
