//! Shows the moments that the host prints.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::output::print;

/// Of a kind that is frequent, after the first few only one now and then is shown.
const AT_FIRST: u64 = 2;
const PAUSE: Duration = Duration::from_millis(3_000);

#[derive(Clone)]
pub(super) struct Screen(Arc<Inner>);

struct Inner {
    begun: Instant,
    /// Show nothing, only count.
    silent: bool,
    colours: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
pub(super) struct Seen {
    /// Moments by kind.
    pub(super) moments: BTreeMap<String, u64>,
    /// When the first came.
    pub(super) first: Option<Duration>,
    /// When one was last shown, by kind.
    shown: BTreeMap<String, Instant>,
}

#[derive(Deserialize)]
struct Line {
    moment: Option<Moment>,
}

#[derive(Deserialize)]
struct Moment {
    kind: String,
    subject: String,
    why: String,
}

impl Screen {
    pub(super) fn new(silent: bool) -> Screen {
        let colours = std::io::stdout().is_terminal();
        Screen(Arc::new(Inner { begun: Instant::now(), silent, colours, seen: Mutex::default() }))
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the host prints, until it ends.
    pub(super) async fn follow(self, host: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(host).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(Line { moment: Some(moment) }) = serde_json::from_str(&line) else { continue };
            if self.counts(&moment) {
                self.show(&moment.kind, &moment.subject, &moment.why);
            }
        }
    }

    /// A line of the demo's own.
    pub(super) fn say(&self, text: &str) {
        self.line(&format!("{:5.1} s  {}", self.0.begun.elapsed().as_secs_f64(), self.painted("1", text)));
    }

    /// A line without a time.
    pub(super) fn line(&self, text: &str) {
        if !self.0.silent {
            // A terminal that is gone stops nothing.
            let _ = print(&format!("{text}\n"));
        }
    }

    pub(super) fn painted(&self, colour: &str, text: &str) -> String {
        if self.0.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Counts a moment; whether it is to be shown.
    fn counts(&self, moment: &Moment) -> bool {
        let mut seen = self.seen();
        let seen = &mut *seen;
        seen.first.get_or_insert(self.0.begun.elapsed());
        let count = seen.moments.entry(moment.kind.clone()).or_default();
        *count += 1;
        // What one rule tells another, and steps on the way.
        if moment.kind.starts_with("car.") || moment.kind == "order.step" {
            return false;
        }
        let is_rare = *count <= AT_FIRST;
        let is_due = seen.shown.get(&moment.kind).is_none_or(|last| last.elapsed() >= PAUSE);
        if is_rare || is_due {
            seen.shown.insert(moment.kind.clone(), Instant::now());
        }
        is_rare || is_due
    }

    fn show(&self, kind: &str, subject: &str, why: &str) {
        let colour = match kind {
            "flood.rising" | "order.failed" | "light.refused" | "vending.stopped" => "31",
            "flood.over" | "order.confirmed" | "service.booked" | "vending.received" => "32",
            "medication.missed" | "service.needed" => "35",
            "lamp.needed" | "light.priority" | "video.rising" | "shop.nearby" => "33",
            _ => "36",
        };
        let kind = self.painted(colour, &format!("{kind:21}"));
        let seconds = self.0.begun.elapsed().as_secs_f64();
        self.line(&format!("{seconds:5.1} s  {kind} {subject:16} {why}"));
    }
}
