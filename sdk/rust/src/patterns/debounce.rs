//! What a value is once it has stopped changing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Version, milliseconds};
use crate::Instant;

/// A value that counts only once it has stayed the same for a while: a switch that bounces, a status that
/// flickers.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::patterns::{Debounce, Debounced};
/// let quiet = Duration::from_millis(500);
/// let mut door = Debounce::<bool>::default();                          // closed
/// assert_eq!(door.see(true, 1_000, quiet), Debounced::Wait(1_500));     // set a timer to there
/// assert_eq!(door.see(false, 1_100, quiet), Debounced::Unchanged);
/// assert_eq!(door.settle(1_500), None);                                 // it had bounced
/// assert_eq!(door.see(true, 2_000, quiet), Debounced::Wait(2_500));
/// assert_eq!(door.settle(2_500), Some(&true));
/// ```
///
/// Goes by *now*, since what comes late has had its time on the way. A **repeated** value makes it wait no
/// longer: the time runs from the first. A value that is back at the settled one before it has settled was
/// none.
///
/// Constant time; at most [`Debounce::OTHER_BYTES`] and two values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debounce<T> {
    #[serde(rename = "v")]
    version: Version<1>,
    settled: T,
    /// A value that may be the next, and when it will have settled.
    pending: Option<(T, Instant)>,
}

/// What a value that was seen means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debounced {
    /// It is the settled one: a timer may be cancelled.
    Unchanged,
    /// It is another: call [`Debounce::settle`] by a timer at this instant.
    Wait(Instant),
}

impl<T: PartialEq> Debounce<T> {
    /// What it takes at most as JSON beside its two values.
    pub const OTHER_BYTES: usize = 64;

    /// Sees a value, and waits until it has been the same for this long.
    pub fn see(&mut self, value: T, now: Instant, quiet: Duration) -> Debounced {
        if value == self.settled {
            self.pending = None;
            return Debounced::Unchanged;
        }
        match &self.pending {
            Some((known, due)) if *known == value => Debounced::Wait(*due),
            _ => {
                let due = now.saturating_add(milliseconds(quiet));
                self.pending = Some((value, due));
                Debounced::Wait(due)
            }
        }
    }

    /// The new value, once, if one has settled by now.
    pub fn settle(&mut self, now: Instant) -> Option<&T> {
        let (value, _) = self.pending.take_if(|(_, due)| *due <= now)?;
        self.settled = value;
        Some(&self.settled)
    }

    /// The value that settled last.
    pub fn settled(&self) -> &T {
        &self.settled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    const QUIET: Duration = Duration::from_millis(10);
    const MAX_BYTES: usize = Debounce::<u64>::OTHER_BYTES + 2 * 20;

    #[test]
    fn the_largest_fits() {
        let mut seen = Debounce::<u64>::default();
        seen.see(u64::MAX, 0, QUIET);
        seen.settle(u64::MAX);
        seen.see(u64::MAX - 1, crate::INSTANT_LIMIT - 1, QUIET);
        kept(seen, MAX_BYTES);
    }

    proptest! {
        /// Instant by instant: a value has settled where it is all that was seen for so long.
        #[test]
        fn it_settles_where_a_list_of_all_says(
            mut seen in prop::collection::btree_map(0_u64..200, 0_u64..3, 0..40),
        ) {
            seen.insert(0, 0);
            let (mut state, mut settled) = (Debounce::<u64>::default(), 0);
            for now in 0..220 {
                let earlier: Vec<(u64, u64)> =
                    seen.range(..now).map(|(time, value)| (*time, *value)).collect();
                // The latest value, and since when nothing else was seen.
                if let Some((_, value)) = earlier.last() {
                    let run = earlier.iter().rev().take_while(|(_, other)| other == value).last();
                    let since = run.map_or(0, |(time, _)| *time);
                    let changed = *value != settled && now - since >= 10;
                    if changed {
                        settled = *value;
                    }
                    let told = state.settle(now).copied();
                    prop_assert_eq!(told, changed.then_some(*value), "at {}", now);
                }
                if let Some(value) = seen.get(&now) {
                    state.see(*value, now, QUIET);
                    state = kept(state, MAX_BYTES);
                }
                prop_assert_eq!(*state.settled(), settled);
            }
        }
    }
}
