//! Which events have been seen: a fold over the journal's events.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::event::{Fields, Instant};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventKey([u64; 2]);

/// What is looked up each time is small, so that it stays in the caches: for each event five bytes in a table, which say
/// where in the row of all it is; the row is only written at its end.
pub(crate) struct KnownIds {
    limits: KnownLimits,
    /// Oldest first.
    row: VecDeque<EventKey>,
    /// How many of them in turn are stamped with which instant.
    instants: VecDeque<(Instant, usize)>,
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
            row: VecDeque::with_capacity(room),
            instants: VecDeque::new(),
            first: 0,
            table: HashTable::with_capacity(room),
            secret: SipHasher13::new_with_keys(secret[0], secret[1]),
        }
    }

    pub(crate) fn key(&self, event: &Fields<'_>) -> EventKey {
        let mut hasher = self.secret;
        let (source, id) = event.source_and_id();
        hasher.write_u64(source.len() as u64);
        hasher.write(source);
        hasher.write(id);
        let hash = hasher.finish128();
        EventKey([hash.h1, hash.h2])
    }

    /// Remembers an event that is stamped `now`, which is not before the one before it. `false`: it is known already.
    pub(crate) fn insert(&mut self, key: EventKey, now: Instant) -> bool {
        let (row, first) = (&self.row, self.first);
        let known = |number: u32| row.get(number.wrapping_sub(first) as usize);
        let is_it = |&number: &u32| known(number) == Some(&key);
        match self.table.entry(key.hash(), is_it, |&number| known(number).map_or(0, EventKey::hash)) {
            Entry::Occupied(_) => return false,
            // It fits: there are never more than `MOST`, and one group.
            Entry::Vacant(place) => place.insert(first.wrapping_add(row.len() as u32)),
        };
        self.row.push_back(key);
        match self.instants.back_mut() {
            Some((instant, count)) if *instant == now => *count += 1,
            _ => self.instants.push_back((now, 1)),
        }
        true
    }

    /// Takes back the last so many that were new: they were not journaled after all.
    pub(crate) fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            let Some(key) = self.row.pop_back() else { return };
            self.remove(key, self.first.wrapping_add(self.row.len() as u32));
            if let Some((_, left)) = self.instants.back_mut() {
                *left -= 1;
            }
            self.instants.pop_back_if(|(_, left)| *left == 0);
        }
    }

    /// Forgets those past the limits.
    pub(crate) fn forget_old(&mut self) {
        let Some(&(now, _)) = self.instants.back() else { return };
        while let Some((instant, left)) = self.instants.front_mut() {
            if self.row.len() <= self.limits.events && instant.saturating_add(self.limits.window_ms) >= now {
                break;
            }
            *left -= 1;
            self.instants.pop_front_if(|(_, left)| *left == 0);
            let Some(key) = self.row.pop_front() else { break };
            self.remove(key, self.first);
            self.first = self.first.wrapping_add(1);
        }
    }

    fn remove(&mut self, key: EventKey, number: u32) {
        if let Ok(place) = self.table.find_entry(key.hash(), |known| *known == number) {
            place.remove();
        }
    }
}

impl EventKey {
    /// It is one already.
    fn hash(&self) -> u64 {
        self.0[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, PackedEvent};

    fn key(known: &KnownIds, id: &str, source: &str) -> EventKey {
        known.key(&PackedEvent::from(Event::new(id, source, "t")).fields())
    }

    #[test]
    fn forgets_by_count_and_by_time() {
        let mut known = KnownIds::new(KnownLimits { events: 2, window_ms: 100 });
        let mut insert = |id: &str, now| {
            let new = known.insert(key(&known, id, "/s"), now);
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
        let mut insert = |ids: [(&str, Instant); 3], back| {
            let new = ids.map(|(id, now)| known.insert(key(&known, id, "/s"), now));
            known.take_back(back);
            new
        };
        assert_eq!(insert([("1", 0), ("2", 0), ("3", 7)], 2), [true; 3]);
        assert_eq!(insert([("1", 1), ("2", 1), ("3", 2)], 2), [false, true, true]);
        assert_eq!(insert([("1", 3), ("2", 3), ("2", 3)], 0), [false, true, false]);
    }

    #[test]
    fn the_boundary_between_source_and_id_counts() {
        let known = KnownIds::new(KnownLimits::default());
        assert_ne!(key(&known, "b", "a"), key(&known, "", "ab"));
    }
}
