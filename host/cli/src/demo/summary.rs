//! What came of the demo.

mod guardrails;
mod rules;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::checks::Check;
use super::reload::{Refusal, Reload, short};
use crate::output::{counted, grouped};
pub(super) use guardrails::OfGuardrail;
pub(super) use rules::OfRule;

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
    pub(super) rules: Vec<OfRule>,
    pub(super) guardrails: Vec<OfGuardrail>,
    pub(super) enterprises: Calls,
    pub(super) reload: Reload,
    pub(super) refused: Refusal,
    pub(super) checks: Vec<Check>,
}

#[derive(Serialize)]
pub(super) struct Events {
    pub(super) sent: u64,
    pub(super) accepted: u64,
    /// Known, and not taken again.
    pub(super) repeated: u64,
    /// Later than what was known already.
    pub(super) late: u64,
    /// No events at all.
    pub(super) refused: u64,
    /// Why the last of these was refused.
    pub(super) reason: String,
    /// Valid, and without sense.
    pub(super) set_aside: u64,
}

/// How enterprises treated requests.
#[derive(Serialize)]
pub(super) struct Calls {
    pub(super) enterprises: usize,
    pub(super) requests: u64,
    pub(super) busy: u64,
    pub(super) cut: u64,
    pub(super) late: u64,
    pub(super) refused: u64,
    pub(super) repeated: u64,
}

impl Summary {
    pub(super) fn all_holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    pub(super) fn describe(&self) -> String {
        let Summary { events, enterprises, reload, refused, .. } = self;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\nevents       {} sent, {} accepted; {} repeated, {} late, {} set aside\n\
             no events    {} refused, the last: {}\n\
             enterprises  {} answered {}: {} busy, {} cut off, {} late, {} refused; {} came again\n\
             reload       {} replaced ({} by {}) in {:.2} s, while {} came in\n\
             refused      a bad version of {}: {}\n\
             start        {:.1} s, stop {:.1} s\n\n",
            grouped(events.sent),
            grouped(events.accepted),
            grouped(events.repeated),
            grouped(events.late),
            grouped(events.set_aside),
            counted(events.refused, "request"),
            events.reason,
            enterprises.enterprises,
            counted(enterprises.requests, "request"),
            grouped(enterprises.busy),
            grouped(enterprises.cut),
            grouped(enterprises.late),
            grouped(enterprises.refused),
            grouped(enterprises.repeated),
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
        text += &rules::table(&self.rules);
        text.push('\n');
        text += &guardrails::table(&self.guardrails);
        text.push('\n');
        for check in &self.checks {
            let _ = writeln!(text, "{} {}", if check.holds { "ok  " } else { "LOST" }, check.what);
        }
        text
    }
}
