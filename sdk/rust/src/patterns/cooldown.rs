//! Whether it is too soon to do it again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Version, milliseconds};
use crate::Instant;

/// A least time between two times that something is done.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::patterns::Cooldown;
/// let day = Duration::from_secs(86_400);
/// let mut offers = Cooldown::default();
/// assert!(offers.start(1_000, day));
/// assert!(!offers.start(86_400_999, day));
/// assert!(offers.start(86_401_000, day));
/// ```
///
/// Goes by *now*: **late**, **repeated** and **out of order** make no difference to it. A `now` before an
/// earlier one is within the cooldown.
///
/// Constant time; at most [`Cooldown::MAX_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooldown {
    #[serde(rename = "v")]
    version: Version<1>,
    /// When it is over.
    until: Instant,
}

impl Cooldown {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 48;

    /// Whether it may be done now. If so, it begins again, for this long.
    pub fn start(&mut self, now: Instant, length: Duration) -> bool {
        let is_over = self.is_over(now);
        if is_over {
            self.until = now.saturating_add(milliseconds(length));
        }
        is_over
    }

    /// Whether it may be done now.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// When it is over: for a timer that forgets, since by then the default says the same.
    pub fn until(&self) -> Instant {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    #[test]
    fn the_largest_fits() {
        let mut cooldown = Cooldown::default();
        assert!(cooldown.start(crate::INSTANT_LIMIT, Duration::MAX));
        assert!(!cooldown.start(crate::INSTANT_LIMIT, Duration::ZERO));
        kept(cooldown, Cooldown::MAX_BYTES);
    }

    proptest! {
        #[test]
        fn it_is_done_where_a_list_of_all_says(
            tries in prop::collection::vec((0_u64..100, 0_u64..20), 0..60),
        ) {
            let mut cooldown = Cooldown::default();
            let mut done: Vec<(u64, u64)> = Vec::new();
            for (now, length) in tries {
                let may = done.iter().all(|(at, length)| now >= at + length);
                prop_assert_eq!(cooldown.start(now, Duration::from_millis(length)), may);
                if may {
                    done.push((now, length));
                }
                cooldown = kept(cooldown, Cooldown::MAX_BYTES);
            }
        }
    }
}
