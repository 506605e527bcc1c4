//! When tries are repeated, and when an action is given up on.

use std::time::Duration;

/// When tries are repeated, and when an action is given up on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) give_up_after: Duration,
    /// How long one try may take.
    pub(crate) timeout: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(60),
            give_up_after: Duration::from_secs(24 * 3600),
            timeout: Duration::from_secs(30),
        }
    }
}

/// A receiver that asks for more time than this is asked again all the same.
const LONGEST_AFTER: Duration = Duration::from_secs(3600);

impl Retry {
    /// How long to wait after so many failures, from 1 on: twice as long each time, and, so that many do not
    /// come back at once, between a half and the whole of that, as `salt` has it. Not less than the other
    /// side asked for.
    pub(super) fn pause(&self, failures: u32, salt: u8, after: Option<Duration>) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let whole = doubled.min(self.longest);
        let jittered = whole / 2 + whole / 512 * u32::from(salt);
        jittered.max(after.unwrap_or_default().min(LONGEST_AFTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_with_jitter() {
        let retry = Retry::default();
        let pause = |failures, salt| retry.pause(failures, salt, None).as_millis();
        assert_eq!((pause(1, 0), pause(2, 0), pause(3, 0)), (250, 500, 1_000));
        assert!((490..=500).contains(&pause(1, 255)), "{}", pause(1, 255));
        assert_eq!((pause(8, 0), pause(u32::MAX, 0)), (30_000, 30_000));
        let asked = |seconds| retry.pause(1, 0, Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!((asked(7), asked(100_000)), (7, 3_600));
    }
}
