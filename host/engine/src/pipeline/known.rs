//! Which events have been seen: a fold over the journal's events.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::event::{Event, Instant};

/// How long a repeat of an event is recognised: over the last `events`, or those of the last
/// `window_ms` by the timeline, whichever are fewer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownLimits {
    pub(crate) events: usize,
    pub(crate) window_ms: u64,
}

impl Default for KnownLimits {
    fn default() -> Self {
        KnownLimits { events: 1_000_000, window_ms: 10 * 60 * 1000 }
    }
}

/// 128 bits that stand for `source` and `id`: a hash under a secret of the process's own, so that nobody can look for two
/// events with the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EventKey([u8; 16]);

impl Hash for EventKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, ..] = self.halves();
        state.write_u64(first);
    }
}

impl EventKey {
    fn halves(self) -> [u64; 2] {
        let number = u128::from_le_bytes(self.0);
        [number as u64, (number >> 64) as u64]
    }
}

/// Of a key, which is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) struct KnownIds {
    limits: KnownLimits,
    order: VecDeque<(Instant, EventKey)>,
    set: HashSet<EventKey, BuildHasherDefault<AsItIs>>,
    secret: SipHasher13,
}

impl KnownIds {
    pub(crate) fn new(limits: KnownLimits) -> Self {
        // The standard library's secret: random for each process.
        let secret = [0_u64, 1].map(|half| RandomState::new().hash_one(half));
        KnownIds {
            limits,
            order: VecDeque::new(),
            set: HashSet::default(),
            secret: SipHasher13::new_with_keys(secret[0], secret[1]),
        }
    }

    /// Remembers an event that is stamped `now`. `false`: it is known already.
    pub(crate) fn insert(&mut self, event: &Event, now: Instant) -> bool {
        let key = self.key(event);
        let new = self.set.insert(key);
        if new {
            self.order.push_back((now, key));
        }
        new
    }

    /// Takes back the last so many that were new: they were not journaled after all.
    pub(crate) fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            let Some((_, key)) = self.order.pop_back() else { return };
            self.set.remove(&key);
        }
    }

    /// Forgets those past the limits, of which some may still be given back by [`KnownIds::take_back`] before.
    pub(crate) fn forget_old(&mut self) {
        let Some(&(now, _)) = self.order.back() else { return };
        while let Some(&(seen, old)) = self.order.front() {
            if self.order.len() <= self.limits.events && seen.saturating_add(self.limits.window_ms) >= now {
                break;
            }
            self.order.pop_front();
            self.set.remove(&old);
        }
    }

    fn key(&self, event: &Event) -> EventKey {
        let mut hasher = self.secret;
        hasher.write_u64(event.source.len() as u64);
        hasher.write(event.source.as_bytes());
        hasher.write(event.id.as_bytes());
        EventKey(hasher.finish128().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> Event {
        Event::new(id, "/s", "t")
    }

    #[test]
    fn forgets_by_count_and_by_time() {
        let mut known = KnownIds::new(KnownLimits { events: 2, window_ms: 100 });
        let mut insert = |id: &str, now| {
            let new = known.insert(&event(id), now);
            known.forget_old();
            new
        };
        assert!(insert("1", 0) && insert("2", 10));
        assert!(!insert("1", 10) && !insert("2", 10));
        assert!(insert("3", 20));
        assert!(insert("1", 20), "a third had pushed it out");
        assert!(insert("4", 121));
        assert!(insert("3", 121), "101 ms are past the window");
        assert!(!insert("4", 121));
    }

    #[test]
    fn what_is_taken_back_is_new_again() {
        let mut known = KnownIds::new(KnownLimits::default());
        assert!(known.insert(&event("1"), 0) && known.insert(&event("2"), 0) && known.insert(&event("3"), 0));
        known.take_back(2);
        assert!(
            !known.insert(&event("1"), 0) && known.insert(&event("2"), 0) && known.insert(&event("3"), 0)
        );
    }

    #[test]
    fn the_boundary_between_source_and_id_counts() {
        let known = KnownIds::new(KnownLimits::default());
        assert_ne!(known.key(&Event::new("b", "a", "t")), known.key(&Event::new("", "ab", "t")));
    }
}
