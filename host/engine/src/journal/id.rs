//! What names inputs, moments and actions: it stays the same over retries, crashes and replays.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::entry::{Epoch, Position};

/// A 128-bit hash that names an input: see [`InputId::of_entry`] and [`InputId::of_timer`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputId(pub [u8; 16]);

/// An action's idempotency key: see [`ActionId::new`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActionId(pub [u8; 16]);

/// A 128-bit hash that names a moment: see [`MomentId::new`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MomentId(pub [u8; 16]);

impl MomentId {
    /// Depends, like an action's key, neither on the batch nor on the version. `count` tells equal ones of one input
    /// apart.
    pub fn new(rule: &str, key: &str, input: InputId, kind: &str, count: u32) -> Self {
        MomentId(named("carpe moment 1", input, count, &[rule, key, kind]))
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(MomentId)
    }
}

impl InputId {
    /// The id of an event for a subscription, or (with none) of an outcome.
    pub fn of_entry(epoch: Epoch, position: Position, subscription: Option<u32>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("carpe input 1");
        hasher.update(&epoch.to_le_bytes());
        hasher.update(&position.to_le_bytes());
        hasher.update(&subscription.map_or(u64::MAX, u64::from).to_le_bytes());
        InputId(first_half(&hasher.finalize()))
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(InputId)
    }

    /// The id of a timer that the input `set_by` set.
    pub fn of_timer(set_by: InputId, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("carpe timer 1");
        hasher.update(&set_by.0);
        hasher.update(name.as_bytes());
        InputId(first_half(&hasher.finalize()))
    }
}

impl ActionId {
    /// Depends neither on the batch nor on the version: it stays the same over retries, crashes and
    /// replays. `count` tells equal ones of one input apart.
    pub fn new(rule: &str, key: &str, input: InputId, moment: &str, action: &str, count: u32) -> Self {
        ActionId(named("carpe action 1", input, count, &[rule, key, moment, action]))
    }

    /// The id that a copy of an action, for a further sink, has within the host. To that sink it goes under the action's own.
    pub(crate) fn copy_for(self, sink: &str) -> Self {
        ActionId(named("carpe copy 1", InputId(self.0), 0, &[sink]))
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(ActionId)
    }
}

fn named(context: &str, input: InputId, count: u32, parts: &[&str]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(&input.0);
    hasher.update(&count.to_le_bytes());
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    first_half(&hasher.finalize())
}

fn parse_hex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn first_half(hash: &blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Display for MomentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for MomentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Display for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}
