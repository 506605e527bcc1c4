//! Which events have been seen: a fold over the journal's events.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::event::{Event, Instant};

/// For so many events there is room from the start: for more it grows.
const ROOM_AT_FIRST: usize = 1 << 20;

/// More are not remembered, whatever the limits say: numbers have 32 bits.
const MOST: usize = 1 << 30;

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
type EventKey = u128;

/// What is looked up each time is small, so that it stays in the caches: for each event five bytes in a table, which say
/// where in the row of all it is; the row is only written at its end.
pub(crate) struct KnownIds {
    limits: KnownLimits,
    /// Oldest first.
    order: VecDeque<(Instant, EventKey)>,
    /// The number of the oldest, counted from the start; it may wrap around.
    first: u32,
    /// The numbers of all.
    table: HashTable<u32>,
    secret: SipHasher13,
}

impl KnownIds {
    pub(crate) fn new(limits: KnownLimits) -> Self {
        // The standard library's secret: random for each process.
        let secret = [0_u64, 1].map(|half| RandomState::new().hash_one(half));
        // To grow would cost more than all that is looked up; and what is not used yet takes hardly any memory.
        let room = limits.events.min(ROOM_AT_FIRST);
        KnownIds {
            limits: KnownLimits { events: limits.events.min(MOST), ..limits },
            order: VecDeque::with_capacity(room),
            first: 0,
            table: HashTable::with_capacity(room),
            secret: SipHasher13::new_with_keys(secret[0], secret[1]),
        }
    }

    /// Remembers an event that is stamped `now`. `false`: it is known already.
    pub(crate) fn insert(&mut self, event: &Event, now: Instant) -> bool {
        let key = self.key(event);
        let (order, first) = (&self.order, self.first);
        let known = |number: u32| order.get(number.wrapping_sub(first) as usize).map(|(_, key)| *key);
        let is_it = |&number: &u32| known(number) == Some(key);
        match self.table.entry(hash(key), is_it, |&number| known(number).map_or(0, hash)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                // It fits: there are never more than `MOST`, and one group.
                place.insert(first.wrapping_add(order.len() as u32));
                self.order.push_back((now, key));
                true
            }
        }
    }

    /// Takes back the last so many that were new: they were not journaled after all.
    pub(crate) fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            let Some((_, key)) = self.order.pop_back() else { return };
            self.remove(key, self.first.wrapping_add(self.order.len() as u32));
        }
    }

    /// Forgets those past the limits.
    pub(crate) fn forget_old(&mut self) {
        let Some(&(now, _)) = self.order.back() else { return };
        while let Some(&(seen, old)) = self.order.front() {
            if self.order.len() <= self.limits.events && seen.saturating_add(self.limits.window_ms) >= now {
                break;
            }
            self.order.pop_front();
            self.remove(old, self.first);
            self.first = self.first.wrapping_add(1);
        }
    }

    fn remove(&mut self, key: EventKey, number: u32) {
        if let Ok(place) = self.table.find_entry(hash(key), |known| *known == number) {
            place.remove();
        }
    }

    fn key(&self, event: &Event) -> EventKey {
        let mut hasher = self.secret;
        hasher.write_u64(event.source.len() as u64);
        hasher.write(event.source.as_bytes());
        hasher.write(event.id.as_bytes());
        hasher.finish128().as_u128()
    }
}

/// A key is a hash already.
fn hash(key: EventKey) -> u64 {
    key as u64
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
