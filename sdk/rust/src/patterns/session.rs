//! What happened without a long pause.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Version, milliseconds};
use crate::Instant;

/// A visit, a trip, a call: what happened with no pause of a set length in between, and not for longer than
/// another.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::patterns::{Limits, Session, Visit};
/// let limits = Limits { gap: Duration::from_secs(60), longest: Duration::from_secs(3_600) };
/// let mut visit = Session::default();
/// assert_eq!(visit.add(10_000, limits), Visit::Within);
/// assert_eq!(visit.add(50_000, limits), Visit::Within);
/// assert_eq!(visit.due(limits), Some(110_000));                          // set a timer to there
/// let ended = visit.end(110_000, limits).unwrap();
/// assert_eq!((ended.from, ended.until, ended.count), (10_000, 50_000, 2));
/// ```
///
/// **Out of order**: within the pause before the open session it begins earlier, as long as it is not too
/// long then. **Late**: what is before that, or in a session that has ended, is not counted, and said to be
/// [`Visit::Late`]; an ended session does not grow. **Repeated**: counted again. One of a time that is far
/// ahead ends the session: refuse it before.
///
/// Constant time; at most [`Session::MAX_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    #[serde(rename = "v")]
    version: Version<1>,
    /// Up to here all is over.
    after: Instant,
    open: Option<Span>,
}

/// A session: the times of its first and its last, and how many there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The earliest time.
    pub from: Instant,
    /// The latest time.
    pub until: Instant,
    /// How many there were.
    pub count: u64,
}

/// When a [`Session`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A pause of this length ends it.
    pub gap: Duration,
    /// It lasts no longer than this from its first to its last: the next begins another.
    pub longest: Duration,
}

/// What became of one that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// It is of the open session, or began one.
    Within,
    /// It began a session, and so ended this one.
    Ended(Span),
    /// It is before the open session, or in one that has ended: not counted.
    Late,
}

impl Session {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 128;

    /// Something happened at this time.
    pub fn add(&mut self, time: Instant, limits: Limits) -> Visit {
        if time < self.after {
            return Visit::Late;
        }
        let (gap, longest) = (milliseconds(limits.gap), milliseconds(limits.longest));
        let fresh = Span { from: time, until: time, count: 1 };
        let Some(open) = &mut self.open else {
            self.open = Some(fresh);
            return Visit::Within;
        };
        let (from, until) = (open.from.min(time), open.until.max(time));
        let is_near = time < open.until.saturating_add(gap) && open.from < time.saturating_add(gap);
        let is_within = (open.from..=open.until).contains(&time) || (is_near && until - from <= longest);
        if is_within {
            *open = Span { from, until, count: open.count.saturating_add(1) };
            return Visit::Within;
        }
        if time < open.from {
            return Visit::Late;
        }
        let ended = std::mem::replace(open, fresh);
        self.after = ended.until.saturating_add(1);
        Visit::Ended(ended)
    }

    /// Ends the open session if nothing of it can come any more by this instant.
    pub fn end(&mut self, now: Instant, limits: Limits) -> Option<Span> {
        self.due(limits).filter(|due| *due <= now)?;
        let ended = self.open.take()?;
        self.after = ended.until.saturating_add(1);
        Some(ended)
    }

    /// When the pause after the latest will be long enough: for the timer.
    pub fn due(&self, limits: Limits) -> Option<Instant> {
        self.open.map(|open| open.until.saturating_add(milliseconds(limits.gap)))
    }

    /// The open session.
    pub fn open(&self) -> Option<Span> {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    #[test]
    fn the_largest_fits() {
        let last = crate::INSTANT_LIMIT - 1;
        let open = Some(Span { from: last, until: last, count: u64::MAX });
        kept(Session { version: Version, after: last, open }, Session::MAX_BYTES);
    }

    proptest! {
        #[test]
        fn sessions_are_as_lists_of_all_have_them(
            times in prop::collection::vec((0_u64..300, prop::bool::weighted(0.2)), 0..60),
        ) {
            let limits = Limits { gap: Duration::from_millis(10), longest: Duration::from_millis(40) };
            let mut session = Session::default();
            // All times of the open session, and the latest of those that have ended.
            let (mut open, mut over): (Vec<u64>, Option<u64>) = (Vec::new(), None);
            let ended = |open: &Vec<u64>| {
                let (from, until) = (*open.iter().min().unwrap(), *open.iter().max().unwrap());
                Span { from, until, count: open.len() as u64 }
            };
            for (time, is_timer) in times {
                if is_timer {
                    let is_over = open.iter().all(|at| at + 10 <= time) && !open.is_empty();
                    prop_assert_eq!(session.end(time, limits), is_over.then(|| ended(&open)));
                    if is_over {
                        over = open.iter().max().copied();
                        open.clear();
                    }
                } else {
                    let told = session.add(time, limits);
                    let joins = |other: &u64| time.abs_diff(*other) < 10;
                    let is_short = open.iter().all(|at| at.abs_diff(time) <= 40);
                    let inside = open.iter().any(|at| *at <= time) && open.iter().any(|at| *at >= time);
                    if over.is_some_and(|over| time <= over) {
                        prop_assert_eq!(told, Visit::Late);
                    } else if open.is_empty() || inside || (open.iter().any(joins) && is_short) {
                        prop_assert_eq!(told, Visit::Within);
                        open.push(time);
                    } else if open.iter().all(|at| *at > time) {
                        prop_assert_eq!(told, Visit::Late);
                    } else {
                        prop_assert_eq!(told, Visit::Ended(ended(&open)));
                        over = open.iter().max().copied();
                        open = vec![time];
                    }
                }
                session = kept(session, Session::MAX_BYTES);
            }
        }
    }
}
