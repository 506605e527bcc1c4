//! What no rule should have to write twice: small pure building blocks for a rule's state.
//!
//! | block | says |
//! |---|---|
//! | [`Tumbling`] | how many, in windows one after the other |
//! | [`Sliding`] | how many in the last minutes, and at what rate |
//! | [`SlidingMinimum`] | the lowest, or highest, in the last minutes |
//! | [`Streak`] | how many times in a row |
//! | [`Hysteresis`] | whether a value is high, with two thresholds and a least time |
//! | [`Debounce`] | what a value is once it has stopped changing |
//! | [`Cooldown`] | whether it is too soon to do it again |
//! | [`Sequence`] | that A was followed by B, and then not by C |
//! | [`Absence`] | that something expected did not come |
//! | [`Geofence`] | whether something is in a circle or polygon on the Earth |
//! | [`Baseline`], [`Seasonal`] | how far a value is from its own history, which bursts do not spoil |
//! | [`Session`] | what happened without a long pause |
//! | [`Saga`] | steps in order, and what was done is undone when one fails |
//!
//! What holds for all:
//! - A block is a field of [`Rule::State`](crate::Rule::State), or all of it. Its `Default` is what a new key
//!   has. What the operator configures is no part of it, and is passed in.
//! - It has no clock: instants are passed in. Where it says *time*, an input's time is meant, which may be
//!   out of order; where it says *now*, the timeline's, which is not. It sets no timer: where it needs one it
//!   says when, and the rule sets it.
//! - Its size is bounded: `MAX_BYTES` is more than its JSON ever takes.
//! - Its JSON has the version of its format, `"v"`. Another version's is refused, not taken for this one's.
//!   ([`Streak`] is older: a bare number.)
//! - The host drops an event that comes twice under one id. What a block does with one that is told twice
//!   under two, late, or out of order, is said there.

mod absence;
mod baseline;
mod cooldown;
mod debounce;
mod geofence;
mod hysteresis;
mod minimum;
mod saga;
mod sequence;
mod session;
mod sliding;
mod tumbling;
mod version;

pub use absence::{Absence, Came};
pub use baseline::{Baseline, Learning, Score, Seasonal};
pub use cooldown::Cooldown;
pub use debounce::{Debounce, Debounced};
pub use geofence::{Area, Geofence, Margin, Place, metres_between};
pub use hysteresis::{Hysteresis, Thresholds, Turn};
pub use minimum::SlidingMinimum;
pub use saga::{Command, Ended, Plan, Saga, Step};
pub use sequence::{AtBound, Completed, Pattern, Sequence};
pub use session::{Limits, Session, Span, Visit};
pub use sliding::Sliding;
pub use tumbling::{Tumbled, Tumbling, Window};
pub use version::Version;

pub use crate::streak::Streak;

/// A duration on the timeline.
fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod check {
    //! What all blocks are checked for.

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    /// Written and read again it is the same, and it is not larger than it says.
    #[track_caller]
    pub(super) fn kept<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
        block: T,
        max_bytes: usize,
    ) -> T {
        let json = serde_json::to_string(&block).unwrap();
        assert!(json.len() <= max_bytes, "{} bytes: {json}", json.len());
        assert!(json.contains("\"v\":"), "{json}");
        let again: T = serde_json::from_str(&json).unwrap();
        assert_eq!(again, block);
        again
    }
}
