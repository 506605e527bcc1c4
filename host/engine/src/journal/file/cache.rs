//! Decoded groups that are likely to be read again, within a bound.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::{ENTRY_OVERHEAD_BYTES, Entry, Position};

/// A decoded group: its entries, each with about the bytes that it takes in memory.
pub(crate) struct Group {
    pub(crate) first: Position,
    pub(crate) entries: Vec<(Arc<Entry>, usize)>,
    bytes: usize,
}

impl Group {
    /// Of entries with the bytes that are written of each.
    pub(crate) fn new(first: Position, entries: impl Iterator<Item = (Arc<Entry>, usize)>) -> Self {
        let sized = |(entry, written)| (entry, ENTRY_OVERHEAD_BYTES + written);
        let entries: Vec<_> = entries.map(sized).collect();
        let bytes = entries.iter().map(|(_, bytes)| bytes).sum();
        Group { first, entries, bytes }
    }

    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries.iter().map(|(entry, _)| Arc::clone(entry)).collect()
    }

    fn end(&self) -> Position {
        self.first + self.entries.len() as u64
    }

    pub(crate) fn holds(&self, position: Position) -> bool {
        (self.first..self.end()).contains(&position)
    }
}

/// The last groups appended, so that whoever has caught up decodes nothing; and apart from them, so that
/// a reader that lags does not push them out, the last groups read.
pub(crate) struct Cache {
    appended: Mutex<Bounded>,
    read: Mutex<Bounded>,
}

struct Bounded {
    groups: VecDeque<Arc<Group>>,
    bytes: usize,
    limit: usize,
}

/// What was read is searched one by one.
const READ_GROUPS: usize = 64;

impl Cache {
    /// Each half holds up to `limit` bytes of entries.
    pub(crate) fn new(limit: usize) -> Self {
        let half = || Mutex::new(Bounded { groups: VecDeque::new(), bytes: 0, limit });
        Cache { appended: half(), read: half() }
    }

    pub(crate) fn appended(&self, group: Arc<Group>) {
        let mut half = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
        half.push(group, usize::MAX);
    }

    /// Holds a group that was read, if that was from what is there now: `current` is asked while nothing can be
    /// [forgotten](Cache::forget).
    pub(crate) fn read(&self, group: Arc<Group>, current: impl FnOnce() -> bool) {
        let mut half = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if current() {
            half.push(group, READ_GROUPS);
        }
    }

    /// Lets go of all groups that begin in `positions`.
    pub(crate) fn forget(&self, positions: &Range<Position>) {
        for half in [&self.appended, &self.read] {
            let mut half = half.lock().unwrap_or_else(PoisonError::into_inner);
            half.groups.retain(|group| !positions.contains(&group.first));
            half.bytes = half.groups.iter().map(|group| group.bytes).sum();
        }
    }

    pub(crate) fn find(&self, position: Position) -> Option<Arc<Group>> {
        {
            // In order of position.
            let half = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
            let after = half.groups.partition_point(|group| group.first <= position);
            let group = after.checked_sub(1).and_then(|at| half.groups.get(at));
            if let Some(group) = group.filter(|group| group.holds(position)) {
                return Some(Arc::clone(group));
            }
        }
        let half = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        half.groups.iter().rev().find(|group| group.holds(position)).map(Arc::clone)
    }
}

impl Bounded {
    fn push(&mut self, group: Arc<Group>, most: usize) {
        self.bytes += group.bytes;
        self.groups.push_back(group);
        while self.bytes > self.limit || self.groups.len() > most {
            let Some(oldest) = self.groups.pop_front() else { return };
            self.bytes -= oldest.bytes;
        }
    }
}
