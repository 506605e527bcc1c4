//! How an enterprise treats who calls.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

/// How often, of all requests that it has not answered before.
#[derive(Clone, Copy)]
pub(super) struct Manners {
    /// `503`, and nothing is done.
    busy: f64,
    /// The connection ends before anything is done...
    cut: f64,
    /// ...or when all is done, and nobody hears of it.
    cut_after: f64,
    /// All is done, and it is said late.
    late: f64,
    late_ms: u64,
    /// From the first request on: when it is busy for all, and until when.
    outage: Option<(Duration, Duration)>,
}

/// What comes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    Busy,
    Cut,
    CutAfter,
    Late(Duration),
}

impl Manners {
    #[cfg(test)]
    pub(super) const PERFECT: Manners =
        Manners { busy: 0.0, cut: 0.0, cut_after: 0.0, late: 0.0, late_ms: 0, outage: None };
    pub(super) const USUAL: Manners =
        Manners { busy: 0.05, cut: 0.02, cut_after: 0.02, late: 0.05, late_ms: 400, outage: None };
    /// For what is worth something for a second only; and for longer than that nobody is there.
    pub(super) const BRIEF: Manners = Manners {
        busy: 0.02,
        late: 0.01,
        late_ms: 1_200,
        outage: Some((Duration::from_millis(4_000), Duration::from_millis(6_500))),
        ..Manners::USUAL
    };
    /// So late that the host has given up on the try, and asks again; and out for longer than an order waits.
    pub(super) const SLUGGISH: Manners = Manners {
        busy: 0.1,
        cut_after: 0.05,
        late: 0.1,
        late_ms: 2_200,
        outage: Some((Duration::from_millis(4_500), Duration::from_millis(7_500))),
        ..Manners::USUAL
    };

    /// `since`: how long ago the first request came.
    pub(super) fn mood(self, since: Duration, chance: &mut StdRng) -> Mood {
        if self.outage.is_some_and(|(from, until)| (from..until).contains(&since)) {
            return Mood::Busy;
        }
        let moods = [
            (self.busy, Mood::Busy),
            (self.cut, Mood::Cut),
            (self.cut_after, Mood::CutAfter),
            (self.late, Mood::Late(Duration::from_millis(self.late_ms))),
        ];
        let mut drawn: f64 = chance.random();
        for (share, mood) in moods {
            if drawn < share {
                return mood;
            }
            drawn -= share;
        }
        Mood::Well
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn each_mood_is_as_frequent_as_it_should_be() {
        let mut chance = StdRng::seed_from_u64(1);
        let manners = Manners { busy: 0.1, cut: 0.2, late: 0.3, late_ms: 5, ..Manners::PERFECT };
        let moods: Vec<Mood> = (0..10_000).map(|_| manners.mood(Duration::ZERO, &mut chance)).collect();
        let share = |mood| moods.iter().filter(|drawn| **drawn == mood).count() as f64 / 10_000.0;
        for (mood, expected) in [
            (Mood::Busy, 0.1),
            (Mood::Cut, 0.2),
            (Mood::CutAfter, 0.0),
            (Mood::Late(Duration::from_millis(5)), 0.3),
            (Mood::Well, 0.4),
        ] {
            assert!((share(mood) - expected).abs() < 0.02, "{mood:?}: {}", share(mood));
        }
    }

    #[test]
    fn in_an_outage_all_are_sent_away() {
        let mut chance = StdRng::seed_from_u64(1);
        let outage = Some((Duration::from_secs(1), Duration::from_secs(2)));
        let manners = Manners { outage, ..Manners::PERFECT };
        let mut at = |milliseconds| manners.mood(Duration::from_millis(milliseconds), &mut chance);
        assert_eq!(
            [at(999), at(1_000), at(1_999), at(2_000)],
            [Mood::Well, Mood::Busy, Mood::Busy, Mood::Well]
        );
    }
}
