//! A bound on what waits, and the rules that rest since there is no more room.

use std::collections::HashSet;

pub(super) struct Room {
    most: usize,
    /// Whether a rule that finds it full, or makes it so, is to rest.
    pauses: bool,
    waiting: usize,
    resting: HashSet<String>,
}

impl Room {
    pub(super) fn new(most: usize, pauses: bool) -> Self {
        Room { most: most.max(1), pauses, waiting: 0, resting: HashSet::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting >= self.most
    }

    /// Something of a rule's comes in, whether or not there is room: what a rule has returned counts.
    pub(super) fn enter(&mut self, rule: &str) {
        self.waiting += 1;
        if self.pauses && self.is_full() && !self.resting.contains(rule) {
            self.resting.insert(rule.to_owned());
        }
    }

    /// Something leaves. Below half of the bound all go on, so that they do so for more than one place.
    pub(super) fn leave(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting < self.most.div_ceil(2) {
            self.resting.clear();
        }
    }

    pub(super) fn holds_up(&self, rule: &str) -> bool {
        self.resting.contains(rule)
    }

    pub(super) fn holds_up_any(&self) -> bool {
        !self.resting.is_empty()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fills_it_rests_until_half_is_free() {
        let mut room = Room::new(4, true);
        (0..3).for_each(|_| room.enter("a"));
        assert!(!room.holds_up_any());
        room.enter("b");
        assert!(room.is_full() && room.holds_up("b") && !room.holds_up("a"));
        room.enter("a");
        assert!(room.holds_up("a"));
        (0..3).for_each(|_| room.leave());
        assert!(!room.is_full() && room.holds_up("a"), "not before half is free");
        room.leave();
        assert!(!room.holds_up_any());

        let mut one = Room::new(0, true);
        one.enter("a");
        assert!(one.holds_up("a"));
        one.leave();
        assert!(!one.holds_up("a"));
        let mut unhurried = Room::new(1, false);
        unhurried.enter("a");
        assert!(unhurried.is_full() && !unhurried.holds_up("a"));
    }
}
