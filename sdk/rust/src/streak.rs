//! A ready-made state.

use serde::{Deserialize, Serialize};

/// How many times in a row something has held: a [`crate::Rule::State`] that needs no code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Streak {
    length: u32,
}

impl Streak {
    /// Counts one more if it `holds`, else begins again at 0. Returns the length; it stops at `u32::MAX`.
    pub fn of(&mut self, holds: bool) -> u32 {
        self.length = if holds { self.length.saturating_add(1) } else { 0 };
        self.length
    }

    /// How many times in a row, so far.
    pub fn length(&self) -> u32 {
        self.length
    }
}
