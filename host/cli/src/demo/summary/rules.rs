//! What came of each rule.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::super::checks::plugin;
use super::super::configuration::RULES;
use super::super::enterprise::Enterprises;
use crate::output::{columns, grouped};

#[derive(Serialize)]
pub(in super::super) struct OfRule {
    rule: &'static str,
    moments: u64,
    /// By outcome, as the host counts them.
    actions: BTreeMap<String, u64>,
    /// Actions whose moment had passed before they were taken: all expired ones, and some of the failed.
    missed: u64,
    /// Of its actions that enterprises took; none: what it says goes back into the host.
    latency: Option<Latency>,
}

/// From what happened, as the action says, to the action's arrival at the enterprise; with the time that it was held.
#[derive(Clone, Copy, Serialize)]
struct Latency {
    median_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl OfRule {
    /// All rules of the city, in its order.
    pub(in super::super) fn all(status: &Value, enterprises: &Enterprises) -> Vec<OfRule> {
        let mut latencies_ms = enterprises.latencies_ms();
        let missed_at = |rule: &str| {
            let names = enterprises.all.iter().filter(|one| one.rule == rule).map(|one| one.name);
            let sinks = status["sinks"].as_array().map(Vec::as_slice).unwrap_or_default();
            let sinks = names.filter_map(|name| sinks.iter().find(|sink| sink["name"] == name));
            sinks.filter_map(|sink| sink["missed"].as_u64()).sum::<u64>()
        };
        let of = |rule: &'static str| {
            let work = &plugin(status, rule)["work"];
            let actions: BTreeMap<String, u64> =
                serde_json::from_value(work["actions"].clone()).unwrap_or_default();
            // What goes back into the host goes to no sink: what expires there is missed as well.
            let has_sinks = enterprises.all.iter().any(|one| one.rule == rule);
            let expired = actions.get("expired").copied().unwrap_or_default();
            OfRule {
                rule,
                moments: work["moments"].as_u64().unwrap_or_default(),
                missed: if has_sinks { missed_at(rule) } else { expired },
                actions,
                latency: latencies_ms.remove(rule).and_then(Latency::of),
            }
        };
        RULES.iter().map(|rule| rule.name).map(of).collect()
    }
}

impl Latency {
    fn of(mut milliseconds: Vec<f64>) -> Option<Latency> {
        milliseconds.sort_by(f64::total_cmp);
        let last = *milliseconds.last()?;
        let at = |share: f64| {
            let position = (milliseconds.len() as f64 * share) as usize;
            milliseconds.get(position).copied().unwrap_or(last)
        };
        Some(Latency { median_ms: at(0.5), p99_ms: at(0.99), max_ms: last })
    }
}

/// For people.
pub(super) fn table(rules: &[OfRule]) -> String {
    const OUTCOMES: [&str; 5] = ["delivered", "rejected", "withheld", "failed", "expired"];
    let head = [
        "RULE",
        "MOMENTS",
        "DELIVERED",
        "REJECTED",
        "WITHHELD",
        "FAILED",
        "EXPIRED",
        "MISSED",
        "MEDIAN",
        "99 %",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for of in rules {
        let [delivered, rejected, withheld, failed, expired] =
            OUTCOMES.map(|outcome| grouped(of.actions.get(outcome).copied().unwrap_or_default()));
        let time = |part: fn(&Latency) -> f64| match &of.latency {
            Some(latency) => format!("{:.0} ms", part(latency)),
            None => "-".to_owned(),
        };
        rows.push([
            of.rule.to_owned(),
            grouped(of.moments),
            delivered,
            rejected,
            withheld,
            failed,
            expired,
            grouped(of.missed),
            time(|latency| latency.median_ms),
            time(|latency| latency.p99_ms),
        ]);
    }
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let latency = Latency::of((1..=100).rev().map(f64::from).collect()).unwrap();
        assert_eq!((latency.median_ms, latency.p99_ms, latency.max_ms), (51.0, 100.0, 100.0));
        assert!(Latency::of(Vec::new()).is_none());
    }
}
