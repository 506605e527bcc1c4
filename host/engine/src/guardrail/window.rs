//! What was counted in a period that slides: a sum that takes little room and is never too small.

use serde::{Deserialize, Serialize};

use crate::event::Instant;

/// So many instants are kept apart.
const MAX_ENTRIES: usize = 64;

/// Amounts and the instants that they were counted at, in order of those.
///
/// An amount counts from its instant until before a period later. Of at most 64 instants in a period the sum is exact.
/// Of more, the two nearest neighbours become one at the later instant, so that what was counted counts longer, and
/// never shorter.
///
/// Whoever lags may ask and count for an instant before the latest, where later amounts count as well: what has passed is
/// kept for one more period, as long as there is room, so that nothing is missing there either. The period should stay the
/// same: a longer one does not bring back what is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window(Vec<(Instant, u64)>);

impl Window {
    pub(crate) fn count(&mut self, at: Instant, amount: u64, period_ms: u64) {
        if amount == 0 {
            return;
        }
        self.0.retain(|(counted, _)| ends(*counted, period_ms).saturating_add(period_ms) > at);
        let place = self.0.partition_point(|(counted, _)| *counted < at);
        match self.0.get_mut(place) {
            Some((counted, sum)) if *counted == at => *sum = sum.saturating_add(amount),
            _ => self.0.insert(place, (at, amount)),
        }
        if self.0.len() > MAX_ENTRIES {
            self.make_room(at, period_ms);
        }
    }

    fn make_room(&mut self, at: Instant, period_ms: u64) {
        let nearest = match self.0.first() {
            Some((oldest, _)) if ends(*oldest, period_ms) <= at => 0,
            _ => {
                let gaps = self.0.windows(2).map(|pair| pair[1].0 - pair[0].0);
                let Some((nearest, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) else { return };
                let amount = self.0[nearest].1;
                let later = &mut self.0[nearest + 1].1;
                *later = later.saturating_add(amount);
                nearest
            }
        };
        self.0.remove(nearest);
    }

    /// What counts at an instant; at most [`u64::MAX`].
    pub(crate) fn sum(&self, now: Instant, period_ms: u64) -> u64 {
        self.counting(now, period_ms).fold(0, |sum, (_, amount)| sum.saturating_add(amount))
    }

    /// The first instant from `now` on at which `amount` more is within `at_most`, if nothing else is counted; none:
    /// never.
    pub(crate) fn free_at(&self, now: Instant, period_ms: u64, at_most: u64, amount: u64) -> Option<Instant> {
        let room = u128::from(at_most.checked_sub(amount)?);
        let mut sum: u128 = self.counting(now, period_ms).map(|(_, amount)| u128::from(amount)).sum();
        let mut free = now;
        for (at, amount) in self.counting(now, period_ms) {
            if sum <= room {
                break;
            }
            sum -= u128::from(amount);
            free = ends(at, period_ms);
        }
        Some(free)
    }

    /// Whether nothing counts any more.
    pub(crate) fn is_over(&self, now: Instant, period_ms: u64) -> bool {
        self.counting(now, period_ms).next().is_none()
    }

    fn counting(&self, now: Instant, period_ms: u64) -> impl Iterator<Item = (Instant, u64)> {
        let first = self.0.partition_point(|(at, _)| ends(*at, period_ms) <= now);
        self.0[first..].iter().copied()
    }
}

fn ends(at: Instant, period_ms: u64) -> Instant {
    at.saturating_add(period_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: u64 = 1_000;

    fn window(counted: &[(Instant, u64)]) -> Window {
        let mut window = Window::default();
        counted.iter().for_each(|(at, amount)| window.count(*at, *amount, PERIOD));
        window
    }

    /// What counts at an instant, by the definition.
    fn exact(counted: &[(Instant, u64)], now: Instant) -> u64 {
        counted.iter().filter(|(at, _)| at + PERIOD > now).map(|(_, amount)| amount).sum()
    }

    #[test]
    fn an_amount_counts_for_a_period() {
        let window = window(&[(100, 2), (400, 3), (100, 1), (50, 0)]);
        for (now, sum) in [(100, 6), (400, 6), (1_099, 6), (1_100, 3), (1_399, 3), (1_400, 0)] {
            assert_eq!(window.sum(now, PERIOD), sum, "{now}");
            assert_eq!(window.is_over(now, PERIOD), sum == 0, "{now}");
        }
        assert!(Window::default().is_over(0, PERIOD));
    }

    #[test]
    fn it_is_free_when_enough_has_passed() {
        let window = window(&[(100, 2), (400, 3)]);
        for (now, at_most, amount, free) in [
            (500, 6, 1, Some(500)),
            (500, 5, 1, Some(1_100)),
            (500, 4, 1, Some(1_100)),
            (500, 4, 2, Some(1_400)),
            (500, 4, 4, Some(1_400)),
            (500, 4, 5, None),
            (500, 0, 0, Some(1_400)),
            (1_100, 4, 1, Some(1_100)),
            (9_000, 4, 4, Some(9_000)),
        ] {
            assert_eq!(window.free_at(now, PERIOD, at_most, amount), free, "{now} {at_most} {amount}");
        }
        assert_eq!(Window::default().free_at(7, PERIOD, 1, 2), None);
    }

    #[test]
    fn past_its_room_the_nearest_are_merged_at_the_later_instant() {
        let mut counted: Vec<_> = (0..64).map(|place| (place * 10, 1)).collect();
        counted.push((633, 1));
        let window = window(&counted);
        assert_eq!(window.0.len(), MAX_ENTRIES);
        assert_eq!(window.0[62..], [(620, 1), (633, 2)]);
        assert_eq!(window.sum(1_630, PERIOD), 2);
    }

    #[test]
    fn what_has_passed_makes_room_first() {
        let mut counted: Vec<_> = (0..64).map(|place| (place, 1)).collect();
        counted.push((1_063, 1));
        let window = window(&counted);
        assert_eq!((window.0.len(), window.0[0]), (MAX_ENTRIES, (1, 1)));
    }

    #[test]
    fn whoever_lags_misses_nothing() {
        let mut window = window(&[(100, 1), (1_500, 1)]);
        assert_eq!(window.sum(900, PERIOD), 2);
        window.count(900, 1, PERIOD);
        assert_eq!(window.0, [(100, 1), (900, 1), (1_500, 1)]);
        window.count(2_100, 1, PERIOD);
        assert_eq!(window.0, [(900, 1), (1_500, 1), (2_100, 1)]);
    }

    #[test]
    fn sums_and_instants_do_not_overflow() {
        let mut window = window(&[(1, u64::MAX), (2, u64::MAX), (2, 1)]);
        assert_eq!(window.sum(3, PERIOD), u64::MAX);
        assert_eq!(window.free_at(3, PERIOD, u64::MAX, 1), Some(1_002));
        window.count(u64::MAX, 1, PERIOD);
        assert_eq!(window.sum(u64::MAX - 1, PERIOD), 1);
    }

    /// Pauses, how far each instant lags, and amounts.
    fn steps() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
        let pause = prop_oneof![4 => 0..8_u64, 2 => 0..50_u64, 1 => 0..1_500_u64];
        let lag = prop_oneof![3 => Just(0), 1 => 0..20_u64];
        prop::collection::vec((pause, lag, 0..5_u64), 0..400)
    }

    proptest! {
        #[test]
        fn it_is_never_less_than_what_was_counted(steps in steps()) {
            let (mut window, mut counted, mut latest) = (Window::default(), Vec::new(), 0);
            for (pause, lag, amount) in steps {
                latest += pause;
                let at = latest.saturating_sub(lag);
                window.count(at, amount, PERIOD);
                counted.push((at, amount));
                prop_assert!(window.0.len() <= MAX_ENTRIES);
                prop_assert!(window.0.is_sorted_by(|a, b| a.0 < b.0));
                let mut last = u64::MAX;
                for later in [0, 1, 10, 500, 999, 1_000, 3_000] {
                    let now = latest + later;
                    let sum = window.sum(now, PERIOD);
                    prop_assert!(sum >= exact(&counted, now) && sum <= last);
                    prop_assert_eq!(window.is_over(now, PERIOD), sum == 0);
                    last = sum;
                }
                prop_assert_eq!(last, 0);
            }
        }

        #[test]
        fn it_is_exact_for_so_many(steps in prop::collection::vec((0..60_u64, 0..20_u64, 0..5_u64), 0..=MAX_ENTRIES)) {
            let (mut window, mut counted, mut latest) = (Window::default(), Vec::new(), 0);
            for (pause, lag, amount) in steps {
                latest += pause;
                let at = latest.saturating_sub(lag);
                window.count(at, amount, PERIOD);
                counted.push((at, amount));
                // Also for one that lags by a period.
                for now in latest.saturating_sub(PERIOD)..latest + PERIOD {
                    prop_assert_eq!(window.sum(now, PERIOD), exact(&counted, now));
                }
            }
        }

        #[test]
        fn it_stays_exact_where_no_more_count_at_once(pauses in prop::collection::vec(16..60_u64, 0..400)) {
            let (mut window, mut counted, mut now) = (Window::default(), Vec::new(), 0);
            for pause in pauses {
                now += pause;
                window.count(now, 1, PERIOD);
                counted.push((now, 1));
                prop_assert_eq!(window.sum(now, PERIOD), exact(&counted, now));
                prop_assert_eq!(window.sum(now + 300, PERIOD), exact(&counted, now + 300));
            }
        }

        #[test]
        fn whoever_asks_first_stays_within_the_cap(steps in steps(), cap in 1..150_u64) {
            let (mut window, mut through, mut latest) = (Window::default(), Vec::new(), 0);
            for (pause, lag, amount) in steps {
                latest += pause;
                let now = latest.saturating_sub(lag);
                let fits = |now| window.sum(now, PERIOD) + amount <= cap;
                let free = window.free_at(now, PERIOD, cap, amount);
                prop_assert_eq!(free.is_none(), amount > cap);
                if let Some(free) = free {
                    prop_assert!(fits(free) && (free == now || !fits(free - 1)));
                }
                if free == Some(now) {
                    window.count(now, amount, PERIOD);
                    through.push((now, amount));
                }
            }
            for (end, _) in &through {
                let within = |(at, _): &&(Instant, u64)| at <= end && at + PERIOD > *end;
                let sum: u64 = through.iter().filter(within).map(|(_, amount)| amount).sum();
                prop_assert!(sum <= cap, "{} up to {}", sum, end);
            }
        }

        #[test]
        fn it_is_kept_as_it_is(steps in steps()) {
            let counted: Vec<_> = steps.into_iter().map(|(pause, lag, amount)| (pause + lag, amount)).collect();
            let window = window(&counted);
            let bytes = postcard::to_stdvec(&window).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Window>(&bytes).unwrap(), window);
        }
    }
}
