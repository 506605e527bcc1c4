//! Which events have been seen: a fold over the journal's events.

use std::collections::{HashSet, VecDeque};

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

/// 128 bits of blake3 over `source` and `id`.
pub(crate) type EventKey = [u8; 16];

pub(crate) fn event_key(event: &Event) -> EventKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(event.source.len() as u64).to_le_bytes());
    hasher.update(event.source.as_bytes());
    hasher.update(event.id.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

#[derive(Debug)]
pub(crate) struct KnownIds {
    limits: KnownLimits,
    order: VecDeque<(Instant, EventKey)>,
    set: HashSet<EventKey>,
}

impl KnownIds {
    pub(crate) fn new(limits: KnownLimits) -> Self {
        KnownIds { limits, order: VecDeque::new(), set: HashSet::new() }
    }

    pub(crate) fn contains(&self, key: &EventKey) -> bool {
        self.set.contains(key)
    }

    /// Remembers an event that was stamped `now`, and forgets those past the limits.
    pub(crate) fn insert(&mut self, key: EventKey, now: Instant) {
        if !self.set.insert(key) {
            return;
        }
        self.order.push_back((now, key));
        while let Some(&(seen, old)) = self.order.front() {
            if self.order.len() <= self.limits.events && seen.saturating_add(self.limits.window_ms) >= now {
                break;
            }
            self.order.pop_front();
            self.set.remove(&old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> EventKey {
        [n; 16]
    }

    #[test]
    fn forgets_by_count_and_by_time() {
        let mut known = KnownIds::new(KnownLimits { events: 2, window_ms: 100 });
        known.insert(key(1), 0);
        known.insert(key(2), 10);
        assert!(known.contains(&key(1)) && known.contains(&key(2)));
        known.insert(key(3), 20);
        assert!(!known.contains(&key(1)), "a third pushes the first out");
        known.insert(key(4), 121);
        assert!(!known.contains(&key(3)), "101 ms are past the window");
        assert!(known.contains(&key(4)));
    }

    #[test]
    fn the_boundary_between_source_and_id_counts() {
        let one = Event::new("b", "a", "t");
        let other = Event::new("", "ab", "t");
        assert_ne!(event_key(&one), event_key(&other));
    }
}
