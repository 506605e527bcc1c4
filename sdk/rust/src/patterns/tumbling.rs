//! How many, in windows one after the other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Version, milliseconds};
use crate::Instant;

/// Counts in windows of one length that follow each other; they begin at multiples of it since the Unix
/// epoch.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::patterns::{Tumbled, Tumbling};
/// let minute = Duration::from_secs(60);
/// let mut orders = Tumbling::default();
/// assert_eq!(orders.add(5_000, 1, minute), Tumbled::Counted);
/// assert_eq!(orders.add(59_999, 2, minute), Tumbled::Counted);
/// let Tumbled::Closed(window) = orders.add(60_000, 1, minute) else { panic!() };
/// assert_eq!((window.from, window.until, window.count), (0, 60_000, 3));
/// assert_eq!(orders.close(120_000, minute).map(|window| window.count), Some(1));
/// ```
///
/// **Exact** for what comes before its window is closed: by the first of a later window, or by
/// [`Tumbling::close`]. To wait for late ones, close by a timer at [`Tumbling::due`] and some more. **Late**,
/// for a window that is closed: not counted, and said to be [`Tumbled::Late`]. **Out of order** within a
/// window: no difference. **Repeated**: counted again. Windows without anything are none. One of a time that
/// is far ahead closes the window, and makes all until then late: refuse it before.
///
/// Constant time; at most [`Tumbling::MAX_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tumbling {
    #[serde(rename = "v")]
    version: Version<1>,
    /// Where the open window begins; if none is open, how far all are closed.
    from: Instant,
    /// More than 0 while a window is open.
    count: u64,
}

/// A window that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins.
    pub from: Instant,
    /// Where it ends: itself not within.
    pub until: Instant,
    /// How many were counted.
    pub count: u64,
}

/// What became of one that was to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tumbled {
    /// It was counted.
    Counted,
    /// It was counted, as the first of a later window: so this one is closed.
    Closed(Window),
    /// Its window is closed: it was not counted.
    Late,
}

impl Tumbling {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 64;

    /// Counts so many at this time. A `count` of 0 does nothing; a `length` of less than a millisecond is
    /// one.
    pub fn add(&mut self, time: Instant, count: u64, length: Duration) -> Tumbled {
        if time < self.from {
            return Tumbled::Late;
        }
        if count == 0 {
            return Tumbled::Counted;
        }
        let closed = self.close(time, length);
        if self.count == 0 {
            self.from = time - time % milliseconds(length).max(1);
        }
        self.count = self.count.saturating_add(count);
        closed.map_or(Tumbled::Counted, Tumbled::Closed)
    }

    /// Closes the open window if it ends by this instant.
    pub fn close(&mut self, now: Instant, length: Duration) -> Option<Window> {
        let until = self.due(length).filter(|until| *until <= now)?;
        let window = Window { from: self.from, until, count: self.count };
        (self.from, self.count) = (until, 0);
        Some(window)
    }

    /// Where the open window ends.
    pub fn due(&self, length: Duration) -> Option<Instant> {
        (self.count > 0).then(|| self.from.saturating_add(milliseconds(length).max(1)))
    }

    /// How many are counted in the open window.
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl Window {
    /// How many a second.
    pub fn per_second(&self) -> f64 {
        self.count as f64 * 1_000.0 / (self.until - self.from) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    const LENGTH: Duration = Duration::from_millis(10);

    #[test]
    fn a_timer_closes_and_what_is_late_is_said_to_be() {
        let mut counted = Tumbling::default();
        assert_eq!(counted.due(LENGTH), None);
        counted.add(13, 2, LENGTH);
        assert_eq!(counted.due(LENGTH), Some(20));
        assert_eq!(counted.close(19, LENGTH), None);
        let window = counted.close(20, LENGTH).unwrap();
        assert_eq!((window, window.per_second()), (Window { from: 10, until: 20, count: 2 }, 200.0));
        assert_eq!(counted.add(19, 1, LENGTH), Tumbled::Late);
        assert_eq!(counted.add(20, 1, LENGTH), Tumbled::Counted);
    }

    #[test]
    fn the_largest_fits() {
        let mut counted = Tumbling::default();
        for _ in 0..2 {
            counted.add(crate::INSTANT_LIMIT - 1, u64::MAX, Duration::from_millis(1));
        }
        kept(counted, Tumbling::MAX_BYTES);
    }

    proptest! {
        /// Each window has what came before a later one was begun.
        #[test]
        fn windows_are_as_a_list_of_all_has_them(
            times in prop::collection::vec((0_u64..200, 0_u64..4), 0..60),
        ) {
            let mut counted = Tumbling::default();
            let mut windows = BTreeMap::new();
            let mut model: BTreeMap<u64, u64> = BTreeMap::new();
            let mut latest = 0;
            for (time, count) in times {
                let told = counted.add(time, count, LENGTH);
                counted = kept(counted, Tumbling::MAX_BYTES);
                prop_assert_eq!(told == Tumbled::Late, time / 10 < latest);
                if let Tumbled::Closed(window) = told {
                    windows.insert(window.from / 10, window.count);
                }
                if time / 10 >= latest && count > 0 {
                    latest = time / 10;
                    *model.entry(latest).or_default() += count;
                }
            }
            windows.extend(counted.close(1_000, LENGTH).map(|window| (window.from / 10, window.count)));
            prop_assert_eq!(windows, model);
        }
    }
}
