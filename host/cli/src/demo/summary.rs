//! What came of the demo.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::output::{counted, grouped};

#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) seed: u64,
    pub(super) seconds: u64,
    /// From the start of the process to open listeners.
    pub(super) start_ms: u64,
    pub(super) stop_ms: u64,
    pub(super) events: Events,
    /// By kind.
    pub(super) moments: BTreeMap<String, u64>,
    /// By outcome, as the host counts them.
    pub(super) actions: BTreeMap<String, u64>,
    pub(super) latency: Latency,
    pub(super) reload: Reload,
    pub(super) refused: Refusal,
    pub(super) checks: Vec<Check>,
}

#[derive(Serialize)]
pub(super) struct Events {
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) repeated: u64,
}

/// From what happened to the arrival of the action at the webhook.
#[derive(Serialize)]
pub(super) struct Latency {
    pub(super) actions: usize,
    pub(super) median_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

/// A plugin that was replaced while events flowed.
#[derive(Clone, Default, Serialize)]
pub(super) struct Reload {
    pub(super) plugin: String,
    pub(super) from: String,
    pub(super) to: String,
    /// From the new file to its being active.
    pub(super) ms: u64,
    /// Events that were accepted meanwhile.
    pub(super) events_meanwhile: u64,
}

/// A bad version, and why the host did not take it.
#[derive(Clone, Default, Serialize)]
pub(super) struct Refusal {
    pub(super) plugin: String,
    pub(super) reason: String,
}

/// Something that must hold if nothing was lost.
#[derive(Serialize)]
pub(super) struct Check {
    pub(super) holds: bool,
    pub(super) what: String,
}

impl Latency {
    pub(super) fn of(mut milliseconds: Vec<f64>) -> Latency {
        milliseconds.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let position = (milliseconds.len() as f64 * share) as usize;
            milliseconds.get(position).or(milliseconds.last()).copied().unwrap_or_default()
        };
        Latency { actions: milliseconds.len(), median_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

impl Summary {
    pub(super) fn nothing_lost(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    pub(super) fn describe(&self) -> String {
        let Summary { events, latency, reload, refused, .. } = self;
        let list = |counts: &BTreeMap<String, u64>| {
            let some = counts.iter().filter(|(_, count)| **count > 0);
            some.map(|(name, count)| format!("{} {name}", grouped(*count))).collect::<Vec<_>>().join(", ")
        };
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\nevents    {} sent, {} accepted\n\
             moments   {}\n\
             actions   {}\n\
             latency   from what happened to the action at the webhook: median {:.0} ms, 99 % within {:.0} ms, \
             at most {:.0} ms ({})\n\
             reload    {} replaced ({} by {}) in {:.2} s, while {} came in\n\
             refused   a bad version of {}: {}\n\
             start     {:.1} s, stop {:.1} s\n\n",
            grouped(events.sent),
            grouped(events.accepted),
            list(&self.moments),
            list(&self.actions),
            latency.median_ms,
            latency.p99_ms,
            latency.max_ms,
            counted(latency.actions as u64, "action"),
            reload.plugin,
            short(&reload.from),
            short(&reload.to),
            reload.ms as f64 / 1_000.0,
            counted(reload.events_meanwhile, "event"),
            refused.plugin,
            refused.reason,
            self.start_ms as f64 / 1_000.0,
            self.stop_ms as f64 / 1_000.0,
        );
        for check in &self.checks {
            let _ = writeln!(text, "{} {}", if check.holds { "ok  " } else { "LOST" }, check.what);
        }
        text
    }
}

/// The beginning of a hash.
pub(super) fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let latency = Latency::of((1..=100).rev().map(f64::from).collect());
        assert_eq!((latency.median_ms, latency.p99_ms, latency.max_ms), (51.0, 100.0, 100.0));
        assert_eq!(Latency::of(Vec::new()).max_ms, 0.0);
    }
}
