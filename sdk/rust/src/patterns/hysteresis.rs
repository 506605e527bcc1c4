//! Whether a value is high, with two thresholds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Version, milliseconds};
use crate::Instant;

/// Whether a value is in a state, e.g. too high: it enters at one threshold and leaves at another, so that
/// one that wavers about a threshold does not flap; and it does either only once it has been beyond for a
/// least time, its dwell.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::patterns::{Hysteresis, Thresholds, Turn};
/// let hot = Thresholds { enter: 80.0, leave: 70.0, dwell: Duration::from_millis(100) };
/// let mut overheated = Hysteresis::default();
/// assert_eq!(overheated.of(85.0, 1_000, hot), None);                     // not for long enough yet
/// assert_eq!(overheated.of(84.0, 1_100, hot), Some(Turn::Entered));
/// assert_eq!(overheated.of(75.0, 1_200, hot), None);
/// assert!(overheated.is_in());
/// ```
///
/// Where `leave` is above `enter`, low values are in the state. With a dwell of 0 each value counts at once.
/// How long it was beyond is told by values alone, from the first to the latest one in a row: what lay
/// between, nobody knows.
///
/// **Late**, **repeated** and **out of order**: a value that is not later than the latest changes nothing.
/// One that is no number (NaN) is on neither side: it ends a dwell.
///
/// Constant time; at most [`Hysteresis::MAX_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hysteresis {
    #[serde(rename = "v")]
    version: Version<1>,
    is_in: bool,
    /// The latest value's time.
    latest: Instant,
    /// Since when values have pointed at the other state.
    since: Option<Instant>,
}

/// Where a [`Hysteresis`] turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// A value at this threshold or beyond enters.
    pub enter: f64,
    /// A value at this threshold or back from it leaves, unless it is at `enter` too.
    pub leave: f64,
    /// For how long it must have been there.
    pub dwell: Duration,
}

/// It changed sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is in the state now.
    Entered,
    /// It is out of it now.
    Left,
}

impl Hysteresis {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 80;

    /// Takes a value in. Says if the state is another now.
    pub fn of(&mut self, value: f64, time: Instant, thresholds: Thresholds) -> Option<Turn> {
        if time <= self.latest {
            return None;
        }
        self.latest = time;
        if !thresholds.is_beyond(value, self.is_in) {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(time);
        if time - since < milliseconds(thresholds.dwell) {
            return None;
        }
        self.since = None;
        self.is_in = !self.is_in;
        Some(if self.is_in { Turn::Entered } else { Turn::Left })
    }

    /// Nobody knows what the value was meanwhile, e.g. after a long silence: a dwell begins anew.
    pub fn interrupt(&mut self) {
        self.since = None;
    }

    /// Whether it is in the state.
    pub fn is_in(&self) -> bool {
        self.is_in
    }

    /// The latest value's time; 0 if there was none.
    pub fn latest(&self) -> Instant {
        self.latest
    }
}

impl Thresholds {
    /// Whether a value points at the other state.
    fn is_beyond(self, value: f64, is_in: bool) -> bool {
        let is_upward = self.enter >= self.leave;
        match (is_in, is_upward) {
            (false, true) => value >= self.enter,
            (false, false) => value <= self.enter,
            (true, true) => value <= self.leave && value < self.enter,
            (true, false) => value >= self.leave && value > self.enter,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    #[test]
    fn low_values_can_be_the_state() {
        let cold = Thresholds { enter: 2.0, leave: 5.0, dwell: Duration::ZERO };
        let mut state = Hysteresis::default();
        let turns: Vec<_> = [3.0, 2.0, 4.0, 5.0, f64::NAN, 1.0]
            .iter()
            .zip(1..)
            .map(|(value, time)| state.of(*value, time, cold))
            .collect();
        let (entered, left) = (Some(Turn::Entered), Some(Turn::Left));
        assert_eq!(turns, [None, entered, None, left, None, entered]);
    }

    #[test]
    fn a_dwell_that_is_interrupted_begins_anew() {
        let thresholds = Thresholds { enter: 1.0, leave: 0.0, dwell: Duration::from_millis(10) };
        let mut state = Hysteresis::default();
        state.of(1.0, 1, thresholds);
        state.interrupt();
        let turns = [11, 20, 21].map(|time| state.of(1.0, time, thresholds));
        assert_eq!(turns, [None, None, Some(Turn::Entered)]);
    }

    #[test]
    fn the_largest_fits() {
        let thresholds = Thresholds { enter: 1.0, leave: 0.0, dwell: Duration::from_secs(1) };
        let mut state = Hysteresis::default();
        state.of(1.0, crate::INSTANT_LIMIT - 1, thresholds);
        kept(state, Hysteresis::MAX_BYTES);
    }

    /// Plainly: it turns where, back to some value since it last turned, all are beyond and that is a dwell
    /// ago.
    fn model(values: &[(u64, f64)], thresholds: Thresholds) -> Vec<u64> {
        let dwell = milliseconds(thresholds.dwell);
        let (mut turns, mut first, mut is_in) = (Vec::new(), 0, false);
        for (at, (time, _)) in values.iter().enumerate() {
            let beyond = |value: f64| match is_in {
                true => value <= thresholds.leave && value < thresholds.enter,
                false => value >= thresholds.enter,
            };
            let held = (first..=at).any(|from| {
                values[from..=at].iter().all(|(_, value)| beyond(*value)) && time - values[from].0 >= dwell
            });
            if held {
                turns.push(*time);
                is_in = !is_in;
                first = at + 1;
            }
        }
        turns
    }

    proptest! {
        #[test]
        fn it_turns_where_a_list_of_all_says(
            values in prop::collection::vec((1_u64..100, 0_u8..5), 0..60),
            dwell in 0_u64..12,
            leave in 1_u8..=3,
        ) {
            let (leave, dwell) = (f64::from(leave), Duration::from_millis(dwell));
            let thresholds = Thresholds { enter: 3.0, leave, dwell };
            let (mut state, mut turns, mut in_order) = (Hysteresis::default(), Vec::new(), Vec::new());
            for (time, value) in values {
                let value = f64::from(value);
                if state.of(value, time, thresholds).is_some() {
                    turns.push(time);
                }
                state = kept(state, Hysteresis::MAX_BYTES);
                if in_order.last().is_none_or(|(latest, _)| time > *latest) {
                    in_order.push((time, value));
                }
            }
            prop_assert_eq!(turns, model(&in_order, thresholds));
        }
    }
}
