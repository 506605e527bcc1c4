//! What a lane remembers of each key: state and timers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Instant, Text};
use crate::journal::{InputId, KeyImage, Position};

/// A key's name.
pub(crate) type Key = Text;

/// What a rule keeps for one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyState {
    pub(crate) state: Option<Box<[u8]>>,
    /// The `state-version` of the rule that returned `state`.
    pub(crate) state_version: u32,
    /// Sorted by due instant, then by name: the order in which they fire.
    pub(crate) timers: Vec<Timer>,
    /// How many timer inputs this key got before one entry, or right after it, and which entry that was; an entry
    /// that is for the key begins anew. So a key that is forgotten and comes back is as one that was never seen.
    pub(crate) fired: (Position, u32),
}

/// A timer that is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timer {
    pub(crate) due: Instant,
    pub(crate) name: Arc<str>,
    /// The id of the input that it will be.
    pub(crate) id: InputId,
    /// The entry before or at which it was set, and the `now` there: one that was due already is
    /// given right there.
    pub(crate) set_at: Position,
    pub(crate) set_now: Instant,
}

impl KeyState {
    /// What an operator's change, the input `id` at `position`, comes to.
    pub(crate) fn of_image(image: Option<&KeyImage>, id: InputId, position: Position, now: Instant) -> Self {
        let Some(image) = image else { return KeyState::default() };
        let mut state = KeyState {
            state: image.state.as_deref().map(Into::into),
            state_version: image.state_version,
            ..KeyState::default()
        };
        for (name, due) in &image.timers {
            let id = InputId::of_timer(id, name);
            let timer = Timer { due: *due, name: name.as_str().into(), id, set_at: position, set_now: now };
            state.change_timer(name, Some(timer));
        }
        state
    }

    /// Sets, moves (`Some`) or cancels (`None`) a timer.
    pub(crate) fn change_timer(&mut self, name: &str, timer: Option<Timer>) {
        self.timers.retain(|known| &*known.name != name);
        if let Some(timer) = timer {
            let place =
                self.timers.partition_point(|known| (known.due, &*known.name) < (timer.due, &*timer.name));
            self.timers.insert(place, timer);
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|timer| timer.due)
    }

    fn bytes(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.len())
    }

    /// Whether there is nothing to remember. How many timers fired counts only until the next entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.is_none() && self.timers.is_empty()
    }
}

/// The keys of a lane, the order in which their timers come due, and which changed since the last
/// checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    map: HashMap<Key, Held, KeyHasher>,
    due: BTreeSet<(Instant, Key)>,
    /// Those that are marked in the map, and those that went since; one that came back may be here twice.
    changed: Vec<Key>,
    /// Whether somebody asks for what changed.
    tracked: bool,
    timers: usize,
    bytes: usize,
}

/// Keys come from outside: the hash is under a secret.
pub(crate) type KeyHasher = ahash::RandomState;

#[derive(Debug)]
struct Held {
    state: KeyState,
    changed: bool,
}

impl Keys {
    /// No keys. `tracked`: what changes is remembered until it is taken.
    pub(crate) fn new(tracked: bool) -> Self {
        Keys { tracked, ..Keys::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&KeyState> {
        self.map.get(key).map(|held| &held.state)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn timers(&self) -> usize {
        self.timers
    }

    /// Bytes of all states.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a key from a checkpoint.
    pub(crate) fn load(&mut self, key: &Key, state: KeyState) {
        self.put(key, state, false);
    }

    /// Replaces what is remembered of a key.
    pub(crate) fn set(&mut self, key: &Key, state: KeyState) {
        self.put(key, state, self.tracked);
    }

    fn put(&mut self, key: &Key, state: KeyState, changed: bool) {
        let now_due = state.next_due();
        self.timers += state.timers.len();
        self.bytes += state.bytes();
        let (old, noted) = if state.is_empty() {
            self.map.remove(key).map_or((None, false), |held| (Some(held.state), held.changed))
        } else if let Some(held) = self.map.get_mut(key) {
            let noted = held.changed;
            held.changed |= changed;
            (Some(std::mem::replace(&mut held.state, state)), noted)
        } else {
            self.map.insert(key.clone(), Held { state, changed });
            (None, false)
        };
        if changed && !noted {
            self.changed.push(key.clone());
        }
        if let Some(due) = now_due {
            self.due.insert((due, key.clone()));
        }
        if let Some(old) = old {
            self.timers -= old.timers.len();
            self.bytes -= old.bytes();
            if let Some(due) = old.next_due().filter(|&due| Some(due) != now_due) {
                self.due.remove(&(due, key.clone()));
            }
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Keys with timers due at or before `until`, the earliest first, at most `limit`.
    pub(crate) fn due_keys(&self, until: Instant, limit: usize) -> Vec<Key> {
        self.due.iter().take_while(|(due, _)| *due <= until).take(limit).map(|(_, key)| key.clone()).collect()
    }

    /// What changed since this was last asked. A key with none: it is gone.
    pub(crate) fn take_changes(&mut self) -> Vec<(Key, Option<KeyState>)> {
        let mut changes = Vec::with_capacity(self.changed.len());
        for key in std::mem::take(&mut self.changed) {
            match self.map.get_mut(&key) {
                None => changes.push((key, None)),
                Some(held) if held.changed => {
                    held.changed = false;
                    changes.push((key, Some(held.state.clone())));
                }
                // It stood here twice.
                Some(_) => {}
            }
        }
        changes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &KeyState)> {
        self.map.iter().map(|(key, held)| (key, &held.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(name: &str, due: Instant) -> Timer {
        Timer { due, name: name.into(), id: InputId([0; 16]), set_at: 0, set_now: 0 }
    }

    #[test]
    fn timers_fire_by_due_instant_then_by_name() {
        let mut state = KeyState::default();
        for (name, due) in [("b", 5), ("a", 5), ("c", 1)] {
            state.change_timer(name, Some(timer(name, due)));
        }
        state.change_timer("c", Some(timer("c", 9)));
        let order: Vec<&str> = state.timers.iter().map(|timer| &*timer.name).collect();
        assert_eq!(order, ["a", "b", "c"]);
        state.change_timer("a", None);
        assert_eq!(state.next_due(), Some(5));
    }

    #[test]
    fn due_follows_every_change() {
        let mut keys = Keys::new(true);
        let key: Key = "k".into();
        let mut state = KeyState::default();
        state.change_timer("a", Some(timer("a", 5)));
        keys.set(&key, state.clone());
        assert_eq!((keys.next_due(), keys.timers(), keys.len()), (Some(5), 1, 1));
        state.change_timer("a", Some(timer("a", 7)));
        keys.set(&key, state.clone());
        assert_eq!(keys.due_keys(6, 10), Vec::<Key>::new());
        keys.set(&key, KeyState::default());
        assert_eq!((keys.next_due(), keys.timers(), keys.len()), (None, 0, 0));
        assert_eq!(keys.take_changes(), [(key.clone(), None)]);
        keys.set(&key, state.clone());
        keys.set(&key, KeyState::default());
        keys.set(&key, state.clone());
        let last = (key.clone(), Some(state));
        assert_eq!(keys.take_changes().last(), Some(&last));
        assert_eq!(keys.take_changes(), []);
        let last = (key.clone(), last.1.unwrap());
        keys.load(&last.0, last.1);
        assert_eq!(keys.take_changes(), [], "what is loaded is no change");
    }
}
