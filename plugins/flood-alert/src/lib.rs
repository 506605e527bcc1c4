//! A gauge passes a level, or rises faster than it should: residents and emergency services are alerted once per
//! rise, and stood down when the water falls. See README.md.

use carpe_sdk::patterns::SlidingMinimum;
use carpe_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// To which part of the time window the lowest reading is exact.
const PANES: usize = 60;
/// How far a gauge's clock may be ahead.
const MAX_AHEAD_MS: u64 = 60_000;
/// A recorded river may be years old; a reading of longer ago is of a clock that was never set.
const MAX_BEHIND_MS: u64 = 20 * 365 * 86_400_000;
/// For how long an alert is worth giving.
const ALERT_LASTS: Duration = Duration::from_secs(3_600);

/// The operator's configuration.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FloodAlert {
    /// Alert when the water stands at this level or above.
    alert_cm: f64,
    /// Alert when it rose by this much...
    rise_cm: f64,
    /// ...within this time.
    within_seconds: u64,
    /// Stand down when it has fallen by this much below its peak, and below `alert_cm`.
    fall_cm: f64,
    /// A reading below is a broken gauge.
    lowest_cm: f64,
    /// A reading above is a broken gauge.
    highest_cm: f64,
}

impl Default for FloodAlert {
    fn default() -> Self {
        FloodAlert {
            alert_cm: 500.0,
            rise_cm: 50.0,
            within_seconds: 3_600,
            fall_cm: 20.0,
            lowest_cm: -500.0,
            highest_cm: 3_000.0,
        }
    }
}

/// What is remembered of a gauge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Gauge {
    /// Readings of this rise.
    levels: SlidingMinimum<PANES>,
    /// The highest reading since the alert that is on.
    peak_cm: Option<f64>,
}

/// What version 1 remembered.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Version1 {
    lows: Vec<(Instant, f64)>,
    peak_cm: Option<f64>,
}

impl Rule for FloodAlert {
    type State = Gauge;

    fn check(&self) -> Result<()> {
        for (field, value) in [("rise_cm", self.rise_cm), ("fall_cm", self.fall_cm)] {
            if value <= 0.0 {
                return Err(Error::new(format!("`{field}` is {value}: it must be above 0")));
            }
        }
        if self.within_seconds == 0 {
            return Err(Error::new("`within_seconds` is 0: it must be above"));
        }
        if !(self.lowest_cm < self.alert_cm && self.alert_cm <= self.highest_cm) {
            return Err(Error::new("`alert_cm` must lie between `lowest_cm` and `highest_cm`"));
        }
        Ok(())
    }

    fn on_event(&self, event: &Event, gauge: &mut Gauge, out: &mut Output) -> Result<()> {
        let cm = event.number("/cm")?;
        if !(self.lowest_cm..=self.highest_cm).contains(&cm) {
            return Err(Error::new(format!("{cm} cm at gauge {}: is it broken?", event.key())));
        }
        if event.time() > event.now().saturating_add(MAX_AHEAD_MS) {
            // Taken for the latest, it would make every true one late.
            return Err(Error::new(format!(
                "a reading from the future: is the clock of gauge {} right?",
                event.key()
            )));
        }
        if event.time().saturating_add(MAX_BEHIND_MS) < event.now() {
            return Err(Error::new(format!(
                "a reading of more than 20 years ago: is the clock of gauge {} right?",
                event.key()
            )));
        }
        if event.time() <= gauge.levels.newest() {
            return Ok(()); // Late, or a repeat: the water has moved on.
        }
        gauge.levels.add(cm, event.time(), self.within());
        let risen = cm - gauge.levels.lowest(event.time(), self.within()).unwrap_or(cm);
        match gauge.peak_cm {
            None if cm >= self.alert_cm => {
                gauge.peak_cm = Some(cm);
                let why = format!("the water stands at {cm} cm, and {} cm is the alert level", self.alert_cm);
                self.alert(event, cm, risen, why, out);
            }
            None if risen >= self.rise_cm => {
                gauge.peak_cm = Some(cm);
                let why = format!(
                    "the water rose {risen:.0} cm within {} minutes",
                    self.within_seconds.div_ceil(60)
                );
                self.alert(event, cm, risen, why, out);
            }
            None => {}
            Some(peak) if cm <= peak.min(self.alert_cm) - self.fall_cm => {
                // A new rise begins from here.
                *gauge = Gauge::default();
                gauge.levels.add(cm, event.time(), self.within());
                out.moment("flood.over")
                    .why(format!("the water has fallen to {cm} cm, from {peak} cm"))
                    .action("stand-down.residents", json!({"gauge": event.key(), "cm": cm}))
                    .action("stand-down.emergency-services", json!({"gauge": event.key(), "cm": cm}));
            }
            Some(peak) => gauge.peak_cm = Some(peak.max(cm)),
        }
        Ok(())
    }

    fn migrate(&self, _from_version: u32, _key: &str, state: &[u8]) -> Result<Option<Gauge>> {
        let Version1 { lows, peak_cm } = serde_json::from_slice(state)?;
        let mut gauge = Gauge { peak_cm, ..Gauge::default() };
        for (time, cm) in lows {
            gauge.levels.add(cm, time, self.within());
        }
        Ok(Some(gauge))
    }
}

impl FloodAlert {
    fn within(&self) -> Duration {
        Duration::from_secs(self.within_seconds)
    }

    fn alert(&self, event: &Event, cm: f64, risen: f64, why: String, out: &mut Output) {
        let data = json!({"gauge": event.key(), "cm": cm, "risen_cm": risen});
        out.moment("flood.rising")
            .why(why)
            .data(&data)
            .expires_in(ALERT_LASTS)
            .action("alert.residents", &data)
            .action("alert.emergency-services", &data);
    }
}

export_rule!(
    FloodAlert,
    migrates,
    on("gauge.level")
        .state_version(2)
        .moment("flood.rising")
        .moment("flood.over")
        .action("alert.residents")
        .action("alert.emergency-services")
        .action("stand-down.residents")
        .action("stand-down.emergency-services")
);
