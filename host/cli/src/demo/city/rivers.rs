//! Gauges in rivers that rise and fall. Now and then a reading comes late.

use std::f64::consts::TAU;

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Now, TICK_MS, tenths};

pub(in super::super) const GAUGES: usize = 16;
const ALERT_CM: f64 = 500.0;
const FALL_CM: f64 = 20.0;
/// One reading in so many ticks comes late, by so long; it says that all is well, and must change nothing.
const LATE_EVERY_TICKS: u64 = 30;
const LATE_MS: u64 = 2_000;

pub(in super::super) struct Rivers {
    chance: StdRng,
    gauges: Vec<Gauge>,
    /// Times that a river rose above the alert level, and fell below it again.
    pub(in super::super) rises: u64,
    pub(in super::super) falls: u64,
    /// All readings, the late ones too.
    pub(in super::super) readings: u64,
    /// Late ones.
    pub(in super::super) late: u64,
}

struct Gauge {
    middle_cm: f64,
    swing_cm: f64,
    period_seconds: f64,
    phase: f64,
    /// The highest level since the alert that is on.
    peak_cm: Option<f64>,
}

/// The level alone decides, so that the demo knows what is to be expected.
pub(in super::super) fn settings() -> String {
    format!("[configuration]\nalert_cm = {ALERT_CM:?}\nfall_cm = {FALL_CM:?}\nrise_cm = 1000.0\n")
}

impl Rivers {
    pub(super) fn new(mut chance: StdRng) -> Rivers {
        let gauges = (0..GAUGES).map(|_| Gauge {
            middle_cm: chance.random_range(380.0..460.0),
            swing_cm: chance.random_range(60.0..160.0),
            period_seconds: chance.random_range(6.0..14.0),
            phase: chance.random_range(0.0..1.0),
            peak_cm: None,
        });
        Rivers { gauges: gauges.collect(), chance, rises: 0, falls: 0, readings: 0, late: 0 }
    }

    pub(super) fn tick(&mut self, now: Now, events: &mut Vec<Event>) {
        let seconds = (now.tick * TICK_MS) as f64 / 1_000.0;
        for (number, gauge) in self.gauges.iter_mut().enumerate() {
            let ripple = self.chance.random_range(-1.5..1.5);
            let wave = (TAU * (seconds / gauge.period_seconds + gauge.phase)).sin();
            let cm = tenths(gauge.middle_cm + gauge.swing_cm * wave + ripple);
            match gauge.see(cm) {
                Some(true) => self.rises += 1,
                Some(false) => self.falls += 1,
                None => {}
            }
            self.readings += 1;
            events.push(now.event("gauge.level", "/rivers", &name(number), "", &json!({ "cm": cm })));
        }
        if now.tick % LATE_EVERY_TICKS == LATE_EVERY_TICKS - 1 {
            let late = Now { at: now.at - LATE_MS, ..now };
            let subject = name(self.chance.random_range(0..GAUGES));
            self.readings += 1;
            self.late += 1;
            events.push(late.event("gauge.level", "/rivers", &subject, "late", &json!({ "cm": 0.0 })));
        }
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

fn name(number: usize) -> String {
    format!("gauge-{number}")
}
