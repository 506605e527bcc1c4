//! The host's clock: which instant each journal entry is stamped with.

use serde::{Deserialize, Serialize};

use crate::event::Instant;

/// Which instants are stamped onto journal entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timeline {
    /// The wall clock.
    #[default]
    Received,
    /// The highest event time so far: for recorded streams.
    Event,
}

impl Timeline {
    /// The word for it in configuration and journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Timeline::Received => "received",
            Timeline::Event => "event",
        }
    }
}

/// Further ahead of the timeline than this an event is refused, where event time is stamped: one bad
/// date would fire every timer.
pub(crate) const MAX_AHEAD_MS: u64 = 30 * 24 * 3600 * 1000;

/// Stamps entries: never before the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) mode: Timeline,
    pub(crate) last: Instant,
}

impl Stamp {
    /// The instant for an event; `Err` with the bound if it lies too far ahead.
    pub(crate) fn event(&self, time: Option<Instant>, wall: Instant) -> Result<Instant, Instant> {
        match (self.mode, time) {
            (Timeline::Received, _) => Ok(self.last.max(wall)),
            (Timeline::Event, None) => Ok(self.last),
            (Timeline::Event, Some(time)) if self.last > 0 && time > self.last + MAX_AHEAD_MS => {
                Err(self.last + MAX_AHEAD_MS)
            }
            (Timeline::Event, Some(time)) => Ok(self.last.max(time)),
        }
    }

    /// The instant for anything else.
    pub(crate) fn other(&self, wall: Instant) -> Instant {
        match self.mode {
            Timeline::Received => self.last.max(wall),
            Timeline::Event => self.last,
        }
    }
}

/// The wall clock in milliseconds. The only place where the engine reads it.
pub(crate) fn wall_clock() -> Instant {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_goes_back() {
        let stamp = Stamp { mode: Timeline::Received, last: 100 };
        assert_eq!(stamp.event(Some(5), 90), Ok(100));
        assert_eq!(stamp.other(101), 101);
    }

    #[test]
    fn event_time_leads_within_a_bound() {
        let stamp = Stamp { mode: Timeline::Event, last: 100 };
        assert_eq!(stamp.event(Some(50), 9_000), Ok(100));
        assert_eq!(stamp.event(Some(100 + MAX_AHEAD_MS), 0), Ok(100 + MAX_AHEAD_MS));
        assert_eq!(stamp.event(Some(101 + MAX_AHEAD_MS), 0), Err(100 + MAX_AHEAD_MS));
        assert_eq!(stamp.other(9_000), 100);
    }
}
