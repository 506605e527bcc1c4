//! That A was followed by B, and then not by C.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Version, milliseconds};
use crate::Instant;

/// Steps that follow each other within a time, and are then not followed by something: a sign-in from a new
/// place, then a changed password, and then no confirmation.
///
/// Each first step opens a match of its own, up to `OPEN` at a time. A later step takes one match on: of
/// those that wait for it, and for which it is in time, the one whose first step came in first.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::patterns::{AtBound, Pattern, Sequence};
/// let pattern = Pattern {
///     steps: 2,
///     within: Duration::from_secs(60),
///     then_not: Duration::from_secs(10),
///     at_bound: AtBound::DropOldest,
/// };
/// let mut taken_over = Sequence::<8>::default();
/// taken_over.step(0, 1_000, pattern);                    // A
/// taken_over.step(1, 5_000, pattern);                    // then B
/// assert_eq!(taken_over.due(pattern), Some(15_000));     // set a timer to there
/// let completed = taken_over.complete(15_000, pattern);  // and no C
/// assert_eq!((completed[0].from, completed[0].until), (1_000, 5_000));
/// ```
///
/// Steps are told apart and ordered by *time*; matches are completed and given up by *now*. **Late**: a step
/// counts as long as [`Sequence::complete`] has not given its match up; what would have prevented a match
/// that is completed changes nothing. **Out of order**: a step whose time is before that of the step before
/// it is not taken, whenever it comes; so a first step that comes after its second one is not matched.
/// **Repeated**: a first step opens another match, a later one takes another on, if there is one. A match
/// that finds no room, or has to make room, is counted in [`Sequence::lost`].
///
/// Time in proportion to `OPEN`; 41 bytes each and 64, [`Sequence::MAX_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence<const OPEN: usize> {
    #[serde(rename = "v")]
    version: Version<1>,
    /// In the order in which they were opened.
    open: Vec<Match>,
    lost: u64,
}

/// How many steps it has been taken, and the times of the first and the latest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Match(u8, Instant, Instant);

/// What a [`Sequence`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// How many steps there are: 1 or more.
    pub steps: u8,
    /// The last comes no later than this after the first.
    pub within: Duration,
    /// For how long after the last step nothing may come that prevents it; 0: it is complete with its last
    /// step.
    pub then_not: Duration,
    /// What becomes of a first step when as many matches are open as may be.
    pub at_bound: AtBound,
}

/// What to do when as many matches are open as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtBound {
    /// The one that was opened first makes room.
    DropOldest,
    /// The new one is not opened.
    RefuseNew,
}

/// All steps came, and nothing that prevents it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The time of the first step.
    pub from: Instant,
    /// The time of the last step.
    pub until: Instant,
}

impl<const OPEN: usize> Sequence<OPEN> {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = 64 + 41 * OPEN;

    /// A step came, counted from 0. Says if it completed a match: only where nothing may prevent one.
    pub fn step(&mut self, step: u8, time: Instant, pattern: Pattern) -> Option<Completed> {
        let at = if step == 0 {
            if self.open.len() >= OPEN {
                self.lost = self.lost.saturating_add(1);
                if pattern.at_bound == AtBound::RefuseNew || OPEN == 0 {
                    return None;
                }
                self.open.remove(0);
            }
            self.open.push(Match(0, time, time));
            self.open.len() - 1
        } else {
            let within = milliseconds(pattern.within);
            self.open.iter().position(|Match(taken, first, latest)| {
                *taken == step && step < pattern.steps && *latest <= time && time - first <= within
            })?
        };
        let Match(taken, first, latest) = self.open.get_mut(at)?;
        (*taken, *latest) = (step + 1, time);
        let completed = Completed { from: *first, until: time };
        let is_complete = step + 1 >= pattern.steps && pattern.then_not.is_zero();
        is_complete.then(|| {
            self.open.remove(at);
            completed
        })
    }

    /// What prevents it came: matches whose last step was no longer ago than that are given up. Returns how
    /// many.
    pub fn prevent(&mut self, time: Instant, pattern: Pattern) -> usize {
        let (before, then_not) = (self.open.len(), milliseconds(pattern.then_not));
        self.open.retain(|Match(taken, _, latest)| {
            *taken < pattern.steps || time < *latest || time - latest >= then_not
        });
        before - self.open.len()
    }

    /// Completes the matches that nothing can prevent any more, and gives up those that have run out of time.
    pub fn complete(&mut self, now: Instant, pattern: Pattern) -> Vec<Completed> {
        let mut completed = Vec::new();
        self.open.retain(|open| {
            let is_over = open.due(pattern) <= now;
            if is_over && open.0 >= pattern.steps {
                completed.push(Completed { from: open.1, until: open.2 });
            }
            !is_over
        });
        completed
    }

    /// When [`Sequence::complete`] has something to do: for the timer.
    pub fn due(&self, pattern: Pattern) -> Option<Instant> {
        self.open.iter().map(|open| open.due(pattern)).min()
    }

    /// How many matches are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// How many first steps found no room, or had to make room.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Match {
    fn due(self, pattern: Pattern) -> Instant {
        let Match(taken, first, latest) = self;
        if taken >= pattern.steps {
            latest.saturating_add(milliseconds(pattern.then_not))
        } else {
            // Something that comes right then is in time.
            first.saturating_add(milliseconds(pattern.within)).saturating_add(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    fn pattern(steps: u8, then_not: u64, at_bound: AtBound) -> Pattern {
        Pattern {
            steps,
            within: Duration::from_millis(20),
            then_not: Duration::from_millis(then_not),
            at_bound,
        }
    }

    #[test]
    fn the_largest_fits_and_what_is_lost_is_counted() {
        let last = crate::INSTANT_LIMIT - 1;
        for at_bound in [AtBound::DropOldest, AtBound::RefuseNew] {
            let pattern = pattern(200, 5, at_bound);
            let mut matches = Sequence::<4>::default();
            for ago in (0..6).rev() {
                matches.step(0, last - ago, pattern);
            }
            for step in 1..200 {
                for _ in 0..4 {
                    matches.step(step, last, pattern);
                }
            }
            assert_eq!((matches.open(), matches.lost()), (4, 2));
            let first = matches.open.iter().map(|open| last - open.1).max();
            assert_eq!(first, Some(if at_bound == AtBound::DropOldest { 3 } else { 5 }));
            matches.lost = u64::MAX;
            kept(matches, Sequence::<4>::MAX_BYTES);
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Input {
        Step(u8),
        Prevent,
        Timer,
    }

    fn inputs() -> impl Strategy<Value = Vec<(Input, u64, u64)>> {
        let input = prop_oneof![
            4 => (0_u8..3).prop_map(Input::Step),
            1 => Just(Input::Prevent),
            1 => Just(Input::Timer)
        ];
        prop::collection::vec((input, 0_u64..8, 0_u64..6), 0..80)
    }

    /// Plainly: each first step with the steps that it was given, out of a log of all.
    #[derive(Debug, Default)]
    struct Story {
        steps: Vec<u64>,
        ended: bool,
    }

    proptest! {
        #[test]
        fn matches_are_as_a_log_of_all_has_them(inputs in inputs(), then_not in 0_u64..10) {
            const STEPS: usize = 3;
            let pattern = pattern(3, then_not, AtBound::RefuseNew);
            let mut matches = Sequence::<100>::default();
            let mut stories: Vec<Story> = Vec::new();
            let mut now = 100;
            for (input, passes, late) in inputs {
                now += passes;
                let time = now - late;
                match input {
                    Input::Step(step) => {
                        let told = matches.step(step, time, pattern);
                        let taken = if step == 0 {
                            stories.push(Story { steps: vec![time], ended: false });
                            None
                        } else {
                            stories.iter_mut().find(|story| {
                                !story.ended
                                    && story.steps.len() == usize::from(step)
                                    && (story.steps[0]..=story.steps[0] + 20).contains(&time)
                                    && story.steps.iter().all(|earlier| *earlier <= time)
                            })
                        };
                        let completed = taken.and_then(|story| {
                            story.steps.push(time);
                            story.ended = story.steps.len() == STEPS && then_not == 0;
                            story.ended.then(|| Completed { from: story.steps[0], until: time })
                        });
                        prop_assert_eq!(told, completed);
                    }
                    Input::Prevent => {
                        let mut prevented = 0;
                        let waits = |story: &&mut Story| !story.ended && story.steps.len() == STEPS;
                        for story in stories.iter_mut().filter(waits) {
                            story.ended = (story.steps[2]..story.steps[2] + then_not).contains(&time);
                            prevented += usize::from(story.ended);
                        }
                        prop_assert_eq!(matches.prevent(time, pattern), prevented);
                    }
                    Input::Timer => {
                        let mut completed = Vec::new();
                        for story in stories.iter_mut().filter(|story| !story.ended) {
                            if story.steps.len() == STEPS && story.steps[2] + then_not <= now {
                                completed.push(Completed { from: story.steps[0], until: story.steps[2] });
                                story.ended = true;
                            } else if story.steps.len() < STEPS && story.steps[0] + 20 < now {
                                story.ended = true;
                            }
                        }
                        prop_assert_eq!(matches.complete(now, pattern), completed);
                    }
                }
                matches = kept(matches, Sequence::<100>::MAX_BYTES);
                prop_assert_eq!(matches.open(), stories.iter().filter(|story| !story.ended).count());
                let has_more = matches.due(pattern).is_some_and(|due| due <= now);
                prop_assert!(!matches!(input, Input::Timer) || !has_more);
            }
        }
    }
}
