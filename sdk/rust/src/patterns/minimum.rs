//! The lowest in the last minutes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Version, milliseconds};
use crate::Instant;

/// The lowest value in a window that slides along with the time. How far a value has risen within an hour is
/// what it stands above that. For the highest, give it the values negated.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::patterns::SlidingMinimum;
/// let hour = Duration::from_secs(3_600);
/// let mut levels = SlidingMinimum::<60>::default();          // an hour, to a minute
/// levels.add(3.5, 0, hour);
/// levels.add(4.0, 1_800_000, hour);
/// assert_eq!(levels.lowest(3_600_000, hour), Some(3.5));
/// assert_eq!(levels.lowest(3_600_001, hour), Some(4.0));     // the first has left the window
/// ```
///
/// **Exact to a pane**, the window's `PANES`th part: what it says is a value within the window, its ends
/// included, and none is lower there, but for values of the window's first pane if a lower one of the same
/// pane has just left it. So nothing is ever said to be lower than it was; and where values are at least a
/// pane apart, it is exact. **Late** and **out of order**: taken in at its own time, wherever it still matters.
/// **Repeated**: no difference. One of a time that is far ahead empties the window: refuse it before. A value
/// that is not finite changes nothing. If the operator changes the window, it goes on with what it has.
///
/// Time in proportion to `PANES`, at most; 44 bytes a pane and 104, [`SlidingMinimum::MAX_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlidingMinimum<const PANES: usize> {
    #[serde(rename = "v")]
    version: Version<1>,
    /// The newest value's time.
    newest: Instant,
    /// What none that is later goes below, the oldest and so the lowest first; at most one of a pane.
    lows: Vec<(Instant, f64)>,
}

impl<const PANES: usize> SlidingMinimum<PANES> {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 104 + 44 * PANES;

    /// Takes a value in. False: it has left the window already, or is not finite.
    pub fn add(&mut self, value: f64, time: Instant, window: Duration) -> bool {
        let from = self.newest.max(time).saturating_sub(milliseconds(window));
        if time < from || !value.is_finite() {
            return false;
        }
        self.newest = self.newest.max(time);
        self.lows.retain(|&(at, _)| at >= from);
        if self.lows.iter().all(|&(at, low)| at < time || low > value) {
            self.lows.retain(|&(at, low)| at > time || low < value);
            let place = self.lows.partition_point(|&(at, _)| at < time);
            self.lows.insert(place, (time, value));
        }
        // Of a pane the first is the lowest.
        let pane = milliseconds(window).div_ceil(PANES.max(1) as u64).max(1);
        self.lows.dedup_by_key(|&mut (at, _)| at / pane);
        true
    }

    /// The lowest value in the window that ends at this instant. What is later counts too.
    pub fn lowest(&self, now: Instant, window: Duration) -> Option<f64> {
        let from = now.saturating_sub(milliseconds(window));
        self.lows.iter().find(|&&(at, _)| at >= from).map(|&(_, low)| low)
    }

    /// The newest value's time; 0 if there was none.
    pub fn newest(&self) -> Instant {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    const WINDOW: Duration = Duration::from_millis(50);
    const MAX_BYTES: usize = SlidingMinimum::<5>::MAX_BYTES;

    /// The lowest of all from a time on.
    fn least(all: &[(u64, f64)], from: u64) -> Option<f64> {
        all.iter().filter(|(time, _)| *time >= from).map(|(_, value)| *value).reduce(f64::min)
    }

    #[test]
    fn the_largest_fits() {
        let mut lows = SlidingMinimum::<5>::default();
        // A pane begins there: so the window has a part of one more than it has panes.
        let last = crate::INSTANT_LIMIT - 2;
        for age in (0..=60).rev() {
            lows.add(-1.234_567_890_123_456_7e-300 * (age + 1) as f64, last - age, WINDOW);
        }
        assert_eq!(kept(lows, MAX_BYTES).lows.len(), 6);
    }

    #[test]
    fn what_is_no_number_or_has_left_changes_nothing() {
        let mut lows = SlidingMinimum::<5>::default();
        assert!(lows.add(7.0, 100, WINDOW));
        let before = lows.clone();
        for (value, time) in [(f64::NAN, 101), (f64::NEG_INFINITY, 101), (1.0, 49)] {
            assert!(!lows.add(value, time, WINDOW));
        }
        assert_eq!(lows, before);
        assert!(lows.add(1.0, 50, WINDOW));
        assert_eq!(
            (lows.newest(), lows.lowest(100, WINDOW), lows.lowest(101, WINDOW)),
            (100, Some(1.0), Some(7.0))
        );
        assert_eq!(lows.lowest(151, WINDOW), None);
    }

    #[test]
    fn it_goes_on_with_another_window_and_stays_bounded() {
        let mut lows = SlidingMinimum::<5>::default();
        let mut largest = 0;
        for time in 0..400 {
            // Ever longer windows: each pane of an earlier one is less than one of the next.
            let window = Duration::from_millis(5 + time);
            lows.add(time as f64, time, window);
            largest = largest.max(kept(lows.clone(), MAX_BYTES).lows.len());
            let lowest = lows.lowest(time, window).unwrap();
            assert!((time.saturating_sub(5 + time)..=time).contains(&(lowest as u64)));
        }
        assert!((5..=6).contains(&largest), "{largest}");
        lows.add(400.0, 400, Duration::from_millis(1));
        assert_eq!(lows.lowest(400, Duration::from_millis(1)), Some(400.0));
    }

    proptest! {
        #[test]
        fn it_is_as_a_list_of_all_has_it_to_a_pane(
            values in prop::collection::vec((0_u64..300, 0_u8..20), 1..60),
            later in 0_u64..80,
        ) {
            let (window, pane) = (50, 10);
            let mut lows = SlidingMinimum::<5>::default();
            let (mut all, mut newest): (Vec<(u64, f64)>, u64) = (Vec::new(), 0);
            for (time, value) in values {
                newest = newest.max(time);
                prop_assert_eq!(lows.add(f64::from(value), time, WINDOW), time + window >= newest);
                if time + window >= newest {
                    all.push((time, f64::from(value)));
                }
                lows = kept(lows, MAX_BYTES);
                prop_assert_eq!(lows.newest(), newest);
                let now = newest + later;
                let from = now.saturating_sub(window);
                // No lower than any within the window, and no higher than any a pane within it.
                match (lows.lowest(now, WINDOW), least(&all, from), least(&all, from + pane)) {
                    (Some(lowest), Some(least), within) => {
                        prop_assert!(lowest >= least && within.is_none_or(|within| lowest <= within));
                    }
                    (lowest, _, within) => prop_assert!(lowest.is_none() && within.is_none()),
                }
            }
        }

        #[test]
        fn where_values_are_a_pane_apart_it_is_exact_in_any_order(
            values in prop::collection::vec(0_u8..20, 30).prop_map(|values| (0_u64..).zip(values).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut lows = SlidingMinimum::<5>::default();
            let (mut all, mut newest): (Vec<(u64, f64)>, u64) = (Vec::new(), 0);
            for (tenth, value) in values {
                newest = newest.max(10 * tenth);
                lows.add(f64::from(value), 10 * tenth, WINDOW);
                all.push((10 * tenth, f64::from(value)));
                lows = kept(lows, MAX_BYTES);
                prop_assert_eq!(lows.lowest(newest, WINDOW), least(&all, newest.saturating_sub(50)));
            }
        }
    }
}
