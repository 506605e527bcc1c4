//! A simulated city: cars in a street with lamps, gauges in rivers, patients with doses. The same seed gives the
//! same city, tick by tick; only the instants are those of the clock.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use carpe::{Event, Instant};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

/// How often everything in the city says something.
pub(super) const TICK_MS: u64 = 100;
pub(super) const CARS: usize = 12;
pub(super) const GAUGES: usize = 16;
pub(super) const PATIENTS: usize = 20;
pub(super) const LAMPS: usize = 60;
pub(super) const LAMP_SPACING_METRES: f64 = 40.0;
pub(super) const ALERT_CM: f64 = 500.0;
pub(super) const FALL_CM: f64 = 20.0;
/// After so long a dose that was due is missed.
pub(super) const GRACE_MS: u64 = 1_000;
/// A car that says nothing for so long is gone.
pub(super) const CAR_GONE_SECONDS: u64 = 2;

/// Ticks between two doses of a patient.
const DOSE_EVERY_TICKS: u64 = 40;
/// A dose is due so long after it is announced.
const DUE_IN_MS: u64 = 1_500;

/// What happens in one tick.
pub(super) struct Tick {
    pub(super) events: Vec<Event>,
    /// Doses that are announced.
    pub(super) scheduled: Vec<Dose>,
    /// Doses that are taken.
    pub(super) taken: Vec<Dose>,
}

/// A dose of a patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dose {
    pub(super) id: String,
    /// When it is missed, unless it was taken before.
    pub(super) deadline: Instant,
}

pub(super) struct City {
    random: StdRng,
    tick: u64,
    cars: Vec<Car>,
    gauges: Vec<Gauge>,
    /// Doses that will be taken, by the tick.
    pills: BTreeMap<u64, Vec<(usize, Dose)>>,
    /// Times that a river rose above the alert level, and fell below it again.
    pub(super) rises: u64,
    pub(super) falls: u64,
    pub(super) gauge_events: u64,
}

struct Car {
    x: f64,
    y: f64,
    metres_per_second: f64,
}

struct Gauge {
    middle_cm: f64,
    swing_cm: f64,
    period_seconds: f64,
    phase: f64,
    /// The highest level since the alert that is on.
    peak_cm: Option<f64>,
}

impl City {
    pub(super) fn new(seed: u64) -> City {
        let mut random = StdRng::seed_from_u64(seed);
        let street_metres = (LAMPS - 1) as f64 * LAMP_SPACING_METRES;
        let cars = (0..CARS).map(|_| {
            let speed = random.random_range(11.0..28.0);
            let eastward = random.random_bool(0.5);
            Car {
                x: random.random_range(0.0..street_metres),
                y: if eastward { -2.0 } else { 2.0 },
                metres_per_second: if eastward { speed } else { -speed },
            }
        });
        let cars = cars.collect();
        let gauges = (0..GAUGES).map(|_| Gauge {
            middle_cm: random.random_range(380.0..460.0),
            swing_cm: random.random_range(60.0..160.0),
            period_seconds: random.random_range(6.0..14.0),
            phase: random.random_range(0.0..1.0),
            peak_cm: None,
        });
        let gauges = gauges.collect();
        City { random, tick: 0, cars, gauges, pills: BTreeMap::new(), rises: 0, falls: 0, gauge_events: 0 }
    }

    /// What happens next, at `now`. When the day is over only doses are still taken.
    pub(super) fn next(&mut self, now: Instant, day_is_over: bool) -> Tick {
        let mut tick = Tick { events: Vec::new(), scheduled: Vec::new(), taken: Vec::new() };
        if !day_is_over {
            self.drive(now, &mut tick);
            self.gauge(now, &mut tick);
            self.schedule(now, &mut tick);
        }
        for (patient, dose) in self.pills.remove(&self.tick).unwrap_or_default() {
            let data = json!({ "dose": dose.id });
            tick.events.push(self.event(
                "medication.taken",
                "/homes/linden",
                &patient_name(patient),
                now,
                &data,
            ));
            tick.taken.push(dose);
        }
        self.tick += 1;
        tick
    }

    /// Whether doses are still to be taken.
    pub(super) fn is_done(&self) -> bool {
        self.pills.is_empty()
    }

    fn drive(&mut self, now: Instant, tick: &mut Tick) {
        for number in 0..self.cars.len() {
            let car = &mut self.cars[number];
            car.x += car.metres_per_second * TICK_MS as f64 / 1_000.0;
            let data = json!({ "x": tenths(car.x), "y": car.y });
            tick.events.push(self.event("car.position", "/cars", &format!("car-{number}"), now, &data));
        }
    }

    fn gauge(&mut self, now: Instant, tick: &mut Tick) {
        let seconds = (self.tick * TICK_MS) as f64 / 1_000.0;
        for number in 0..self.gauges.len() {
            let ripple = self.random.random_range(-1.5..1.5);
            let gauge = &mut self.gauges[number];
            let wave = (TAU * (seconds / gauge.period_seconds + gauge.phase)).sin();
            let cm = tenths(gauge.middle_cm + gauge.swing_cm * wave + ripple);
            match gauge.see(cm) {
                Some(true) => self.rises += 1,
                Some(false) => self.falls += 1,
                None => {}
            }
            self.gauge_events += 1;
            let data = json!({ "cm": cm });
            tick.events.push(self.event("gauge.level", "/rivers", &format!("gauge-{number}"), now, &data));
        }
    }

    fn schedule(&mut self, now: Instant, tick: &mut Tick) {
        for patient in 0..PATIENTS {
            let turn = self.tick + patient as u64 * DOSE_EVERY_TICKS / PATIENTS as u64;
            if !turn.is_multiple_of(DOSE_EVERY_TICKS) {
                continue;
            }
            let due = now + DUE_IN_MS;
            let id = format!("{}-{}", patient_name(patient), self.tick);
            let dose = Dose { id, deadline: due + GRACE_MS };
            let data = json!({ "dose": dose.id, "due": due });
            tick.events.push(self.event(
                "medication.scheduled",
                "/homes/linden",
                &patient_name(patient),
                now,
                &data,
            ));
            let taken_after_ms = match self.random.random_range(0..10) {
                // In time...
                0..=6 => Some(DUE_IN_MS + self.random.random_range(0..4) * TICK_MS),
                // ...late...
                7 => Some(DUE_IN_MS + GRACE_MS + 1_000),
                // ...or never.
                _ => None,
            };
            if let Some(after) = taken_after_ms {
                self.pills.entry(self.tick + after / TICK_MS).or_default().push((patient, dose.clone()));
            }
            tick.scheduled.push(dose);
        }
    }

    fn event(
        &self,
        kind: &str,
        source: &str,
        subject: &str,
        now: Instant,
        data: &serde_json::Value,
    ) -> Event {
        // A patient may take two doses in one tick.
        let dose = data["dose"].as_str().unwrap_or_default();
        Event::new(format!("{kind}-{subject}-{}-{dose}", self.tick), source, kind)
            .with_subject(subject)
            .with_time(now)
            .with_json(data.to_string())
    }
}

impl Gauge {
    /// `true`: the water has risen to the alert level; `false`: it has fallen again. As the rule has it, with the
    /// demo's settings.
    fn see(&mut self, cm: f64) -> Option<bool> {
        match self.peak_cm {
            None if cm >= ALERT_CM => {
                self.peak_cm = Some(cm);
                Some(true)
            }
            None => None,
            Some(peak) if cm <= peak.min(ALERT_CM) - FALL_CM => {
                self.peak_cm = None;
                Some(false)
            }
            Some(peak) => {
                self.peak_cm = Some(peak.max(cm));
                None
            }
        }
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn patient_name(number: usize) -> String {
    const NAMES: [&str; PATIENTS] = [
        "anna", "bert", "cleo", "dora", "emil", "fred", "gita", "hugo", "iris", "jonas", "kira", "leo",
        "mira", "nora", "omar", "paul", "rosa", "sara", "tom", "vera",
    ];
    NAMES[number % PATIENTS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_day(seed: u64) -> (City, Vec<String>) {
        let mut city = City::new(seed);
        let mut events = Vec::new();
        for tick in 0..200 {
            events.extend(city.next(1_000_000 + tick * TICK_MS, false).events.iter().map(Event::to_json));
        }
        (city, events)
    }

    #[test]
    fn the_same_seed_gives_the_same_city() {
        let (city, events) = a_day(7);
        assert_eq!(a_day(7).1, events);
        assert_ne!(a_day(8).1, events);
        assert!(city.rises > 0 && city.falls > 0);
        assert_eq!(city.gauge_events, 200 * GAUGES as u64);
    }

    #[test]
    fn no_event_is_a_repeat_and_all_are_valid() {
        let mut city = City::new(1);
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
}
