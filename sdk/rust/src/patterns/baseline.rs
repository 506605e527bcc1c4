//! How far a value is from its own history.

use serde::{Deserialize, Serialize};

use super::Version;
use crate::Instant;

/// By how many spreads a value may move the history at most.
const MOST_SPREADS: f64 = 2.0;
/// 1.25 mean absolute deviations are a standard deviation, if things are normal.
const TO_STANDARD: f64 = 1.25;
/// A value beyond is none: differences of two must be finite.
const MOST: f64 = 1e300;
const HOUR_MS: u64 = 3_600_000;

/// What is usual of a value, learnt from itself: an exponentially weighted level and spread, which one value
/// can move by two spreads at most. So a burst hardly changes what is usual; but what goes on for long
/// becomes usual.
///
/// ```
/// # use carpe_sdk::patterns::{Baseline, Learning};
/// let learning = Learning { half_life: 1_000, values: 50, least_spread: 0.1 };
/// let mut usual = Baseline::default();
/// for time in 1..=100 {
///     usual.score(20.0 + (time % 3) as f64, time, learning);
/// }
/// assert!(usual.score(21.0, 101, learning).unwrap().spreads.abs() < 1.0);
/// assert!(usual.score(90.0, 102, learning).unwrap().spreads > 10.0);
/// assert!(usual.score(90.0, 103, learning).unwrap().usual < 22.0);
/// ```
///
/// While it learns it says nothing, and what it learns is not clipped: a burst then counts in full, until it is
/// forgotten. Where values have a gap, nothing is forgotten.
///
/// **Late**, **repeated** and **out of order**: a value that is not later than the latest is not scored, and
/// changes nothing. Nor does one that is not finite, or is beyond 1e300.
///
/// Constant time; at most [`Baseline::MAX_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    #[serde(rename = "v")]
    version: Version<1>,
    latest: Instant,
    values: u32,
    level: f64,
    spread: f64,
}

/// How a [`Baseline`] learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// After so many values one counts half.
    pub half_life: u32,
    /// So many values must be known before one is scored.
    pub values: u32,
    /// The spread is never taken to be smaller: what is no difference, in the value's own unit. Above 0.
    pub least_spread: f64,
}

/// How far a value is from what was usual before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// By how many spreads: negative below.
    pub spreads: f64,
    /// What was usual.
    pub usual: f64,
    /// What one spread was.
    pub spread: f64,
}

impl Baseline {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 136;

    /// Scores a value, and takes it in.
    pub fn score(&mut self, value: f64, time: Instant, learning: Learning) -> Option<Score> {
        if time <= self.latest || value.is_nan() || value.abs() > MOST {
            return None;
        }
        let known = self.values;
        self.latest = time;
        self.values = known.saturating_add(1);
        if known == 0 {
            self.level = value;
            return None;
        }
        let spread = self.spread.max(learning.least_spread).max(f64::MIN_POSITIVE);
        let surprise = value - self.level;
        let score = Score { spreads: (surprise / spread).clamp(-MOST, MOST), usual: self.level, spread };

        let forgotten = 1.0 - (-1.0 / f64::from(learning.half_life.max(1))).exp2();
        let weight = forgotten.max(1.0 / f64::from(self.values));
        let most = MOST_SPREADS * spread;
        // How far values are apart must be known before one can be too far.
        let is_learning = known < learning.values.max(2);
        let surprise = if is_learning { surprise } else { surprise.clamp(-most, most) };
        self.level += weight * surprise;
        self.spread += weight * (TO_STANDARD * surprise.abs() - self.spread);
        (known >= learning.values).then_some(score)
    }

    /// What is usual now, if anything is known.
    pub fn usual(&self) -> Option<f64> {
        (self.values > 0).then_some(self.level)
    }
}

/// A [`Baseline`] for each hour of the day: for what has a daily course.
///
/// Each hour learns by itself, so its numbers count the values of one hour of the day. Constant time; at most
/// [`Seasonal::MAX_BYTES`].
///
/// ```
/// # use carpe_sdk::patterns::{Learning, Seasonal};
/// # const HOUR: u64 = 3_600_000;
/// let learning = Learning { half_life: 100, values: 10, least_spread: 0.1 };
/// let mut usual = Seasonal::default();
/// for hour in 1..1_000 {
///     usual.score((hour % 24) as f64, hour * HOUR, 0, learning);        // the warmer, the later the day
/// }
/// let noon = 1_020 * HOUR;
/// assert!(usual.score(12.0, noon, 0, learning).unwrap().spreads.abs() < 1.0);
/// assert!(usual.score(23.0, noon + 1, 0, learning).unwrap().spreads > 10.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seasonal {
    #[serde(rename = "v")]
    version: Version<1>,
    /// From hour 0; as many as are needed.
    hours: Vec<Baseline>,
}

impl Seasonal {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 32 + 24 * (Baseline::MAX_BYTES + 1);

    /// Scores a value against those of the same hour of the day, and takes it in. The hours are those of UTC,
    /// moved by so many hours to the east.
    pub fn score(&mut self, value: f64, time: Instant, hours_east: i8, learning: Learning) -> Option<Score> {
        let hour = (i64::try_from(time / HOUR_MS).ok()? + i64::from(hours_east)).rem_euclid(24);
        let hour = usize::try_from(hour).ok()?;
        self.hours.resize(self.hours.len().max(hour + 1), Baseline::default());
        self.hours.get_mut(hour)?.score(value, time, learning)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    const LEARNING: Learning = Learning { half_life: 200, values: 30, least_spread: 0.01 };

    #[test]
    fn the_largest_fits_and_absurd_values_stay_finite() {
        let mut usual = Seasonal::default();
        for at in 0..24 {
            for (value, ago) in
                [(-1e300, 2), (1e300, 1), (f64::MAX, 0), (f64::NAN, 0), (-1.234_567_890_123_456_7e300, 0)]
            {
                let learning =
                    Learning { half_life: 0, values: 0, least_spread: 1.234_567_890_123_456_7e-290 };
                let time = (crate::INSTANT_LIMIT / HOUR_MS - at) * HOUR_MS - ago;
                let score = usual.score(value, time, 0, learning);
                assert!(score.is_none_or(|score| score.spreads.is_finite()), "{score:?}");
            }
        }
        assert_eq!(usual.hours.len(), 24);
        for hour in &usual.hours {
            kept(Baseline { values: u32::MAX, ..*hour }, Baseline::MAX_BYTES);
        }
        kept(usual, Seasonal::MAX_BYTES);
    }

    #[test]
    fn late_and_repeated_values_change_nothing() {
        let mut usual = Baseline::default();
        for time in 10..100 {
            usual.score((time % 5) as f64, time, LEARNING);
        }
        let before = usual;
        for time in [0, 50, 99] {
            assert_eq!(usual.score(7.0, time, LEARNING), None);
        }
        assert_eq!(usual, before);
    }

    fn median(mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    proptest! {
        /// Bursts, about a tenth of all, leave it near the median of all that is none.
        #[test]
        fn bursts_do_not_spoil_it(
            mut seed in 1_u64..,
            middle in -1e3..1e3_f64,
            scale in 0.1..100.0_f64,
            burst in 10.0..1e6_f64,
        ) {
            // Numbers that shrinking does not choose: chance is what is meant.
            let mut chance = || {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                (seed >> 11) as f64 / (1_u64 << 53) as f64
            };
            let mut usual = Baseline::default();
            let mut seen = Vec::new();
            for time in 1..500 {
                let value = middle + scale * (2.0 * chance() - 1.0);
                // None of the first, while all weigh alike.
                let bursts = chance() < 0.1 && time > 30;
                let score = if bursts {
                    usual.score(value + scale * burst, time, LEARNING)
                } else {
                    seen.push(value);
                    usual.score(value, time, LEARNING)
                };
                usual = kept(usual, Baseline::MAX_BYTES);
                if bursts && time > 100 {
                    prop_assert!(score.is_some_and(|score| score.spreads > 5.0), "{:?}", score);
                }
            }
            let middle = median(seen.clone());
            let deviation = median(seen.iter().map(|value| (value - middle).abs()).collect());
            prop_assert!((usual.level - middle).abs() < deviation, "{:?} {} {}", usual, middle, deviation);
            let spreads = usual.spread / deviation;
            prop_assert!((0.5..4.0).contains(&spreads), "{:?} {}", usual, deviation);
        }

        /// Each hour of the day is a baseline by itself.
        #[test]
        fn hours_share_nothing(
            values in prop::collection::vec((0_u64..5, 0.0..100.0_f64), 1..80),
            hours_east in -12..12_i8,
        ) {
            let (mut seasonal, mut hours) = (Seasonal::default(), vec![Baseline::default(); 24]);
            let (mut time, learning) = (50 * HOUR_MS, Learning { values: 2, ..LEARNING });
            for (passes, value) in values {
                time += passes * 7 * HOUR_MS / 2;
                let hour = (time / HOUR_MS + 24).checked_add_signed(hours_east.into()).unwrap() % 24;
                let expected = hours[hour as usize].score(value, time, learning);
                prop_assert_eq!(seasonal.score(value, time, hours_east, learning), expected);
                seasonal = kept(seasonal, Seasonal::MAX_BYTES);
            }
        }

        /// While it learns, the level is the mean.
        #[test]
        fn the_first_values_weigh_alike(values in prop::collection::vec(0.0..1.0_f64, 1..40)) {
            let learning = Learning { half_life: 1_000, values: 40, least_spread: 10.0 };
            let mut usual = Baseline::default();
            for (time, value) in (1..).zip(&values) {
                usual.score(*value, time, learning);
            }
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            prop_assert!((usual.level - mean).abs() < 1e-9);
        }
    }
}
