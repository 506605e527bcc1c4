//! Quiet hours: by the local clock of a time zone.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use serde::Deserialize;

use crate::event::Instant;

const MINUTES_PER_DAY: u16 = 24 * 60;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A time of day, to the minute: `22:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Quoted")]
pub struct TimeOfDay {
    minutes: u16,
}

/// TOML has times of its own, without quotes, which JSON has not.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a time of day is written in quotes, as in \"22:00\"")]
enum Quoted {
    Text(String),
}

impl TryFrom<Quoted> for TimeOfDay {
    type Error = String;

    fn try_from(Quoted::Text(text): Quoted) -> Result<Self, String> {
        TimeOfDay::parse(&text)
    }
}

impl TimeOfDay {
    /// Reads `00:00` to `23:59`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<TimeOfDay, String> {
        let minutes = match text.as_bytes() {
            [h1 @ b'0'..=b'2', h2 @ b'0'..=b'9', b':', m1 @ b'0'..=b'5', m2 @ b'0'..=b'9'] => {
                let two = |tens: &u8, ones: &u8| u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
                Some(two(h1, h2) * 60 + two(m1, m2))
            }
            _ => None,
        };
        match minutes {
            Some(minutes) if minutes < MINUTES_PER_DAY => Ok(TimeOfDay { minutes }),
            _ => Err(format!(
                "`{}` is no time of day: write hours and minutes, from 00:00 to 23:59",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

/// The part of each day from one time of the local clock until before another; over midnight, if that is the
/// earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: TimeOfDay,
    to: TimeOfDay,
}

impl QuietHours {
    /// The hours from `from` until before `to`.
    ///
    /// # Errors
    /// What to do, if they are the same.
    pub fn new(from: TimeOfDay, to: TimeOfDay) -> Result<QuietHours, String> {
        if from == to {
            return Err(format!(
                "quiet hours from {from} to {to} are either none or all: give two times; to stop actions altogether, use a guardrail of the kind `mute`"
            ));
        }
        Ok(QuietHours { from, to })
    }

    /// Whether an instant lies in them by the clock of a time zone.
    pub(crate) fn is_quiet(&self, at: Instant, zone: &TimeZone) -> bool {
        self.left(local_ms(at, zone.offset_ms(at))).is_some()
    }

    /// The first instant from `at` on that does not.
    pub(crate) fn ends(&self, at: Instant, zone: &TimeZone) -> Instant {
        let mut now = at;
        while let Some(left) = self.left(local_ms(now, zone.offset_ms(now))) {
            let end = now.saturating_add(left);
            match zone.next_change(now) {
                // There the clock is set: it may be quiet no longer, or for longer, or again.
                Some(change) if change <= end => now = change,
                _ => return end,
            }
        }
        now
    }

    /// For how many milliseconds more the clock shows quiet hours, if it does at this time of the day.
    fn left(&self, local_ms: u64) -> Option<u64> {
        let [from, to] = [self.from, self.to].map(|time| u64::from(time.minutes) * MINUTE_MS);
        let since = (local_ms + DAY_MS - from) % DAY_MS;
        let long = (to + DAY_MS - from) % DAY_MS;
        long.checked_sub(since).filter(|left| *left > 0)
    }
}

/// What the clock shows, in milliseconds since the last midnight that it showed.
fn local_ms(at: Instant, offset_ms: u64) -> u64 {
    (at % DAY_MS + offset_ms) % DAY_MS
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// A time zone of the IANA database, as it stood when this program was built: the machine's own is never read, so the
/// same instants are quiet on every machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeZone(jiff::tz::TimeZone);

impl TimeZone {
    /// The time zone of a name such as `Europe/Vienna`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(name: &str) -> Result<TimeZone, String> {
        // Not `TimeZone::get`: it would read the machine's database if any other crate turned that feature on.
        let zone = TimeZoneDatabase::bundled().get(name).ok();
        // `Etc/Unknown` would be as good as UTC.
        zone.filter(|zone| !zone.is_unknown()).map(TimeZone).ok_or_else(|| {
            format!(
                "`{}` is no time zone that is known: write a name of the IANA database, such as Europe/Vienna",
                name.escape_debug()
            )
        })
    }
}

impl TimeZone {
    /// How far its clock is ahead of UTC, less whole days: so a clock that is behind is nearly a day ahead.
    fn offset_ms(&self, at: Instant) -> u64 {
        let seconds = i64::from(self.0.to_offset(timestamp(at)).seconds());
        seconds.rem_euclid(DAY_SECONDS).unsigned_abs() * 1_000
    }

    /// When its clock is set next, after an instant.
    fn next_change(&self, at: Instant) -> Option<Instant> {
        let changes = self.0.following(timestamp(at));
        changes.map(|change| change.timestamp().as_millisecond().unsigned_abs()).find(|change| *change > at)
    }
}

/// After the year 9999 clocks go on as they do at its end.
fn timestamp(at: Instant) -> Timestamp {
    i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::MAX)
}

impl TryFrom<String> for TimeZone {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        TimeZone::parse(&name)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

#[cfg(test)]
mod tests;
