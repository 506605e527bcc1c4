//! A gauge passes a level, or rises faster than it should: residents and emergency services are alerted once per
//! rise, and stood down when the water falls. See README.md.

use carpe_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// How many low readings are remembered per gauge.
const MAX_LOWS: usize = 32;
/// How far a gauge's clock may be ahead.
const MAX_AHEAD_MS: u64 = 60_000;
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
#[serde(default)]
struct Gauge {
    /// The latest reading's time.
    time: Instant,
    /// Readings within the time window that none later goes below, oldest first: the first is the lowest.
    lows: Vec<(Instant, f64)>,
    /// The highest reading since the alert that is on.
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
        if event.time() <= gauge.time {
            return Ok(()); // Late, or a repeat: the water has moved on.
        }
        let risen = self.risen(gauge, event.time(), cm);
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
                *gauge = Gauge { time: event.time(), lows: vec![(event.time(), cm)], peak_cm: None };
                out.moment("flood.over")
                    .why(format!("the water has fallen to {cm} cm, from {peak} cm"))
                    .action("stand-down.residents", json!({"gauge": event.key(), "cm": cm}))
                    .action("stand-down.emergency-services", json!({"gauge": event.key(), "cm": cm}));
            }
            Some(peak) => gauge.peak_cm = Some(peak.max(cm)),
        }
        Ok(())
    }
}

impl FloodAlert {
    /// Takes a reading in. Returns how far it stands above the lowest within the time window.
    fn risen(&self, gauge: &mut Gauge, time: Instant, cm: f64) -> f64 {
        let from = time.saturating_sub(self.within_seconds.saturating_mul(1_000));
        gauge.time = time;
        gauge.lows.retain(|&(at, low)| at >= from && low < cm);
        gauge.lows.push((time, cm));
        if gauge.lows.len() > MAX_LOWS {
            // The first is what a rise is measured from; of the others, one fewer makes little difference.
            gauge.lows.remove(1);
        }
        cm - gauge.lows[0].1
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
    on("gauge.level")
        .moment("flood.rising")
        .moment("flood.over")
        .action("alert.residents")
        .action("alert.emergency-services")
        .action("stand-down.residents")
        .action("stand-down.emergency-services")
);
