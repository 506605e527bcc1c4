//! That something expected did not come.

use serde::{Deserialize, Serialize};

use super::Version;
use crate::Instant;

/// Something is expected by an instant: a dose, a heartbeat, an answer. If it has not come by then, that is
/// told, once.
///
/// ```
/// # use carpe_sdk::patterns::{Absence, Came};
/// let mut heartbeat = Absence::default();
/// heartbeat.expect(1_000);                            // set a timer to there
/// assert_eq!(heartbeat.came(), Came::InTime);          // cancel it
/// heartbeat.expect(2_000);
/// assert!(heartbeat.is_missed(2_000));                 // the timer came due: tell it
/// assert!(!heartbeat.is_missed(2_001));
/// assert_eq!(heartbeat.came(), Came::AfterAll);        // take it back
/// ```
///
/// Goes by *now*: what comes after it was told to be missing came **late**, whatever its own time says.
/// **Repeated**: the second is [`Came::Unexpected`], and so is one that comes before it is expected. Expected
/// anew, it is expected by the new instant alone.
///
/// Constant time; at most [`Absence::MAX_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    #[serde(rename = "v")]
    version: Version<1>,
    expected: Expected,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expected {
    #[default]
    Not,
    By(Instant),
    /// It was told to be missing.
    Missed,
}

/// How something came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was expected, and not yet missed.
    InTime,
    /// It had been told to be missing.
    AfterAll,
    /// It was not expected, or has come before.
    Unexpected,
}

impl Absence {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 48;

    /// Expects it by this instant.
    pub fn expect(&mut self, by: Instant) {
        self.expected = Expected::By(by);
    }

    /// It came: it is no longer expected.
    pub fn came(&mut self) -> Came {
        match std::mem::take(&mut self.expected) {
            Expected::Not => Came::Unexpected,
            Expected::By(_) => Came::InTime,
            Expected::Missed => Came::AfterAll,
        }
    }

    /// Whether it should have come by now and has not: true once.
    pub fn is_missed(&mut self, now: Instant) -> bool {
        let is_missed = self.due().is_some_and(|by| by <= now);
        if is_missed {
            self.expected = Expected::Missed;
        }
        is_missed
    }

    /// By when it is expected: for the timer.
    pub fn due(&self) -> Option<Instant> {
        match self.expected {
            Expected::By(by) => Some(by),
            Expected::Not | Expected::Missed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    #[test]
    fn the_largest_fits() {
        let mut absence = Absence::default();
        absence.expect(crate::INSTANT_LIMIT);
        kept(absence, Absence::MAX_BYTES);
    }

    #[derive(Clone, Copy, Debug)]
    enum Input {
        Expect(u64),
        Came,
        Timer,
    }

    fn input() -> impl Strategy<Value = Input> {
        prop_oneof![(1_u64..8).prop_map(Input::Expect), Just(Input::Came), Just(Input::Timer)]
    }

    proptest! {
        /// It is missed where the latest word of it is that it was expected, and by when is over.
        #[test]
        fn it_is_missed_where_a_list_of_all_says(inputs in prop::collection::vec(input(), 0..60)) {
            let mut absence = Absence::default();
            let mut words: Vec<(u64, &str)> = Vec::new();
            for (now, input) in (0..).zip(inputs) {
                let last = words.last().copied();
                match input {
                    Input::Expect(after) => {
                        absence.expect(now + after);
                        words.push((now + after, "expected"));
                    }
                    Input::Came => {
                        let came = match last {
                            Some((_, "expected")) => Came::InTime,
                            Some((_, "missed")) => Came::AfterAll,
                            _ => Came::Unexpected,
                        };
                        prop_assert_eq!(absence.came(), came);
                        words.push((now, "came"));
                    }
                    Input::Timer => {
                        let is_missed = last.is_some_and(|(by, word)| word == "expected" && by <= now);
                        prop_assert_eq!(absence.is_missed(now), is_missed);
                        if is_missed {
                            words.push((now, "missed"));
                        }
                    }
                }
                absence = kept(absence, Absence::MAX_BYTES);
            }
        }
    }
}
