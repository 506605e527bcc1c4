//! A journal that is gone with the process.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Body, ENTRY_OVERHEAD_BYTES, Entry, Epoch, Journal, JournalError, Position, check_group};
use crate::event::Instant;

/// A [`Journal`] in memory, for those who want no files. Past its bound the oldest entries go, whether or
/// not somebody still wants to read them.
#[derive(Debug)]
pub struct MemoryJournal {
    max_bytes: u64,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    /// With their sizes.
    entries: VecDeque<(Arc<Entry>, u64)>,
    start: Position,
    bytes: u64,
    last: Option<(Instant, Epoch)>,
}

impl MemoryJournal {
    /// Holds up to about `max_bytes` of entries, and at least the last group.
    pub fn new(max_bytes: u64) -> Self {
        MemoryJournal { max_bytes, state: RwLock::default() }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryJournal {
    /// Holds up to 256 MiB.
    fn default() -> Self {
        MemoryJournal::new(256 << 20)
    }
}

impl State {
    fn end(&self) -> Position {
        self.start + self.entries.len() as u64
    }

    fn drop_oldest(&mut self) {
        if let Some((_, size)) = self.entries.pop_front() {
            self.bytes -= size;
            self.start += 1;
        }
    }

    fn offset_of(&self, from: Position) -> Result<usize, JournalError> {
        let offset = from.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        offset.filter(|&offset| offset <= self.entries.len()).ok_or_else(|| JournalError::OutOfRange {
            position: from,
            start: self.start,
            end: self.end(),
        })
    }
}

impl Journal for MemoryJournal {
    fn append(&self, group: &[Arc<Entry>]) -> Result<(), JournalError> {
        let mut state = self.state_mut();
        check_group(group, state.end(), state.last)?;
        for entry in group {
            let size = size(entry);
            state.bytes += size;
            state.entries.push_back((Arc::clone(entry), size));
        }
        state.last = group.last().map(|entry| (entry.instant, entry.epoch)).or(state.last);
        while state.bytes > self.max_bytes && state.entries.len() > group.len() {
            state.drop_oldest();
        }
        Ok(())
    }

    fn end(&self) -> Position {
        self.state().end()
    }

    fn start(&self) -> Position {
        self.state().start
    }

    fn last(&self) -> Option<(Instant, Epoch)> {
        self.state().last
    }

    fn read(&self, from: Position, max_bytes: usize) -> Result<Vec<Arc<Entry>>, JournalError> {
        let state = self.state();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (entry, size) in state.entries.range(state.offset_of(from)?..) {
            if !entries.is_empty() && bytes >= max_bytes as u64 {
                break;
            }
            entries.push(Arc::clone(entry));
            bytes += size;
        }
        Ok(entries)
    }

    fn at_or_after(&self, instant: Instant) -> Result<Option<(Position, Instant)>, JournalError> {
        let state = self.state();
        let at = state.entries.partition_point(|(entry, _)| entry.instant < instant);
        Ok(state.entries.get(at).map(|(entry, _)| (entry.position, entry.instant)))
    }

    fn visit_decisions(
        &self,
        from: Position,
        visit: &mut dyn FnMut(Arc<Entry>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        // Copied first: `visit` may take its time, or read.
        let decisions: Vec<Arc<Entry>> = {
            let state = self.state();
            let entries = state.entries.iter().map(|(entry, _)| entry);
            entries
                .filter(|entry| entry.position >= from)
                .filter(|entry| !matches!(entry.body, Body::Event(_) | Body::Tick))
                .map(Arc::clone)
                .collect()
        };
        decisions.into_iter().try_for_each(visit)
    }

    fn remove_before(&self, position: Position) -> Result<Position, JournalError> {
        let mut state = self.state_mut();
        while state.start < position && state.entries.len() > 1 {
            state.drop_oldest();
        }
        Ok(state.start)
    }

    fn erase(&self, before: Position, wanted: &dyn Fn(&Entry) -> bool) -> Result<u64, JournalError> {
        // Asked without the lock: `wanted` may take its time, or read.
        let kept: Vec<Arc<Entry>> = self.state().entries.iter().map(|(entry, _)| Arc::clone(entry)).collect();
        let doomed = kept
            .into_iter()
            .filter(|entry| entry.position < before && entry.body != Body::Erased && wanted(entry));
        let doomed: Vec<Position> = doomed.map(|entry| entry.position).collect();
        let mut guard = self.state_mut();
        let state = &mut *guard;
        let mut erased = 0;
        for position in doomed {
            let offset = state.offset_of(position).ok();
            let Some((entry, size)) = offset.and_then(|offset| state.entries.get_mut(offset)) else {
                continue;
            };
            *entry = super::erased(entry);
            state.bytes -= *size;
            *size = self::size(entry);
            state.bytes += *size;
            erased += 1;
        }
        Ok(erased)
    }

    fn size_bytes(&self) -> u64 {
        self.state().bytes
    }
}

fn size(entry: &Entry) -> u64 {
    let written = match &entry.body {
        Body::Event(event) => event.size(),
        // An entry that cannot be measured cannot be large: nothing but its own strings and lists is in it.
        body => postcard::serialize_with_flavor(body, postcard::ser_flavors::Size::default()).unwrap_or(0),
    };
    (ENTRY_OVERHEAD_BYTES + written) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_a_list(groups in testing::groups(40)) {
            let journal = MemoryJournal::default();
            let mut model = Vec::new();
            for group in testing::entries(&groups) {
                journal.append(&group).unwrap();
                model.extend(group);
            }
            testing::check(&journal, &model);
            let end = journal.end();
            let wanted = |entry: &Entry| entry.position % 3 == 1;
            let doomed = (0..end / 2).filter(|at| at % 3 == 1 && model[*at as usize].body != Body::Erased);
            prop_assert_eq!(journal.erase(end / 2, &wanted).unwrap(), doomed.count() as u64);
            prop_assert_eq!(journal.erase(end / 2, &wanted).unwrap(), 0);
            for entry in model.iter_mut().take(end as usize / 2).filter(|entry| wanted(entry)) {
                *entry = crate::journal::erased(entry);
            }
            testing::check(&journal, &model);
            let start = journal.remove_before(end / 3).unwrap();
            prop_assert_eq!(start, end / 3);
            testing::check_from(&journal, start, &model);
            prop_assert_eq!(journal.remove_before(end + 9).unwrap(), end.saturating_sub(1));
            prop_assert_eq!(journal.last(), model.last().map(|entry| (entry.instant, entry.epoch)));
        }
    }

    #[test]
    fn drops_the_oldest_past_its_bound() {
        let journal = MemoryJournal::new(20_000);
        for group in testing::entries(&vec![vec![(1, 7); 5]; 200]) {
            journal.append(&group).unwrap();
        }
        assert!(journal.start() > 0, "nothing was dropped");
        assert!(journal.size_bytes() <= 20_000);
        assert_eq!(journal.end(), 1000);
        assert_eq!(journal.read(journal.start(), usize::MAX).unwrap().len() as u64, 1000 - journal.start());
        let gone = journal.read(journal.start() - 1, 1);
        assert!(matches!(gone, Err(JournalError::OutOfRange { .. })), "{gone:?}");
    }
}
