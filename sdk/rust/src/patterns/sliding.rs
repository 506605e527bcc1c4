//! How many in the last minutes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Version, milliseconds};
use crate::Instant;

/// Counts what happened in a window that slides along with the time, in `PANES` panes of one length.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::patterns::Sliding;
/// let minute = Duration::from_secs(60);
/// let mut views = Sliding::<60>::default();                 // an hour, by minutes
/// views.add(30_000, 5, minute);
/// views.add(3_500_000, 2, minute);
/// assert_eq!(views.count(3_599_999, minute), 7);
/// assert_eq!(views.count(3_600_000, minute), 2);            // the first minute has left the window
/// ```
///
/// **Exact to a pane**: nothing is counted that is `PANES` panes old or older, and all that is a pane younger
/// than that is. **Late** and **out of order**: counted in its own pane, wherever it still matters, so order
/// makes no difference. **Repeated**: counted again. One of a time that is far ahead empties the window:
/// refuse it before. If the operator changes the pane's length, counting begins anew.
///
/// Time in proportion to `PANES`, at most; 21 bytes a pane and 64, [`Sliding::MAX_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sliding<const PANES: usize> {
    #[serde(rename = "v")]
    version: Version<1>,
    pane_ms: u64,
    /// The number of the newest pane.
    newest: u64,
    /// What each has, the newest first; at most `PANES`, without those at the end that have nothing.
    panes: Vec<u64>,
}

impl<const PANES: usize> Sliding<PANES> {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 64 + 21 * PANES;

    /// Counts so many at this time. False: that has left the window already. A `pane` of less than a
    /// millisecond is one.
    pub fn add(&mut self, time: Instant, count: u64, pane: Duration) -> bool {
        let pane_ms = milliseconds(pane).max(1);
        if self.pane_ms != pane_ms {
            *self = Sliding { pane_ms, newest: time / pane_ms, ..Sliding::default() };
        }
        let number = time / pane_ms;
        if number > self.newest {
            let ahead = usize::try_from(number - self.newest).unwrap_or(usize::MAX).min(PANES);
            self.panes.splice(0..0, std::iter::repeat_n(0, ahead));
            self.newest = number;
        }
        let age = usize::try_from(self.newest - number).unwrap_or(usize::MAX);
        let is_within = age < PANES;
        if is_within && count > 0 {
            self.panes.resize(self.panes.len().max(age + 1), 0);
            if let Some(pane) = self.panes.get_mut(age) {
                *pane = pane.saturating_add(count);
            }
        }
        self.panes.truncate(PANES);
        while self.panes.last() == Some(&0) {
            self.panes.pop();
        }
        is_within
    }

    /// How many there are in the window that ends with the pane of this instant.
    pub fn count(&self, now: Instant, pane: Duration) -> u64 {
        let pane_ms = milliseconds(pane).max(1);
        if self.pane_ms != pane_ms {
            return 0;
        }
        let last = now / pane_ms;
        let within = |(age, _): &(u64, &u64)| {
            self.newest.checked_sub(*age).is_some_and(|number| number <= last && last - number < PANES as u64)
        };
        (0..).zip(&self.panes).filter(within).fold(0_u64, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// How many a second, in the window that ends with the pane of this instant: taken as if that were over.
    pub fn per_second(&self, now: Instant, pane: Duration) -> f64 {
        self.count(now, pane) as f64 * 1_000.0 / (milliseconds(pane).max(1) as f64 * PANES as f64)
    }

    /// Becomes its default if nothing is left in the window: for a timer, so that a key at rest takes no
    /// room.
    pub fn rest(&mut self, now: Instant, pane: Duration) {
        if self.count(now, pane) == 0 && now / milliseconds(pane).max(1) >= self.newest {
            *self = Sliding::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    const PANE: Duration = Duration::from_millis(10);
    const MAX_BYTES: usize = Sliding::<5>::MAX_BYTES;

    #[test]
    fn the_largest_fits() {
        let mut counted = Sliding::<5>::default();
        let last = crate::INSTANT_LIMIT - 1;
        for age in 0..9 {
            counted.add(last - age, u64::MAX, Duration::from_millis(1));
        }
        assert_eq!(counted.count(last, Duration::from_millis(1)), u64::MAX);
        assert_eq!(kept(counted, MAX_BYTES).panes.len(), 5);
    }

    #[test]
    fn it_comes_to_rest_and_begins_anew_with_another_pane() {
        let mut counted = Sliding::<5>::default();
        counted.add(100, 3, PANE);
        counted.rest(149, PANE);
        assert_eq!((counted.count(149, PANE), counted.per_second(149, PANE)), (3, 60.0));
        assert_eq!(counted.count(149, 2 * PANE), 0);
        counted.rest(150, PANE);
        assert_eq!(counted, Sliding::default());
        counted.add(100, 3, PANE);
        counted.add(100, 1, 2 * PANE);
        assert_eq!(counted.count(100, 2 * PANE), 1);
    }

    proptest! {
        #[test]
        fn counts_are_as_a_list_of_all_has_them(
            adds in prop::collection::vec((0_u64..300, 0_u64..4), 0..60),
            at in 0_u64..300,
        ) {
            let mut counted = Sliding::<5>::default();
            let mut all: Vec<(u64, u64)> = Vec::new();
            for (time, count) in adds {
                let newest = all.iter().map(|(time, _)| time / 10).max().unwrap_or(0).max(time / 10);
                prop_assert_eq!(counted.add(time, count, PANE), newest - time / 10 < 5);
                all.push((time, count));
                counted = kept(counted, MAX_BYTES);
                let now = at.max(newest * 10);
                let in_window = |time: u64| time / 10 <= now / 10 && now / 10 - time / 10 < 5;
                let expected: u64 =
                    all.iter().filter(|(time, _)| in_window(*time)).map(|(_, count)| count).sum();
                prop_assert_eq!(counted.count(now, PANE), expected);
            }
        }
    }
}
