//! What a checkpoint holds, as rows of a key and a value. The store and the bases hold the same rows.
//!
//! ```text
//! h                                the host's record
//! m  rule                          a rule's record
//! k  rule  key                     a key's state and timers
//! a  rule  id of an action         the moment of an open action, with that action alone
//! d  rule  position  input's id    a dead letter
//! g  rule  position  input's id    what is given again of it
//! ```
//!
//! And those of the guardrails: see [`guardrail::rows`](crate::guardrail::rows).
//!
//! A rule's name stands after its length, so that no rule's rows lie among another's.

use std::collections::{BTreeMap, HashMap};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{CheckpointError, damaged};
use crate::event::Instant;
use crate::guardrail::rows::{POSITION, SORTS};
use crate::journal::{ActionId, Erasure, Given, InputRef, Position, VersionRecord};
use crate::moment::Moment;
use crate::pipeline::keys::{Key, KeyState};
use crate::pipeline::lane::DeadLetter;

/// The format of the values. Others are refused.
const FORMAT: u8 = 2;

pub(crate) const HOST: &[u8] = b"h";

/// What the journal says before a position, apart from what rules compute from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostRecord {
    /// The first position that is not in it.
    pub(crate) position: Position,
    /// How far each source has been read.
    pub(crate) cursors: BTreeMap<String, String>,
    /// Erasures that were asked for, where and when, and are not done.
    pub(crate) erasures: Vec<(Position, Instant, Erasure)>,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleRecord {
    /// The first position that is not in the checkpoint.
    pub(crate) position: Position,
    /// None: the rule was unloaded.
    pub(crate) version: Option<VersionRecord>,
    /// Decisions about its dead letters may stand from here on that are not in the checkpoint.
    pub(crate) letters_from: Position,
}

/// What a checkpoint of a rule holds.
#[derive(Debug, Default)]
pub(crate) struct Checkpoint {
    pub(crate) record: Option<RuleRecord>,
    pub(crate) keys: Vec<(Key, KeyState)>,
    pub(crate) open: Vec<Moment>,
    pub(crate) letters: Vec<DeadLetter>,
}

/// All rows of a store or a base, in memory.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) host: HostRecord,
    pub(crate) rules: BTreeMap<String, Checkpoint>,
}

impl Rows {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        if key == HOST {
            self.host = decode("the host's record", value)?;
            return Ok(());
        }
        if is_of_guardrails(key) {
            return Ok(());
        }
        let place = Place::read(key)?;
        if !self.rules.contains_key(place.rule) {
            self.rules.insert(place.rule.to_owned(), Checkpoint::default());
        }
        match self.rules.get_mut(place.rule) {
            Some(checkpoint) => checkpoint.add(&place, value),
            None => Ok(()),
        }
    }
}

/// Guardrails are no rules, and nothing that a rule computes.
fn is_of_guardrails(key: &[u8]) -> bool {
    key == POSITION || key.first().is_some_and(|sort| SORTS.contains(sort))
}

impl Checkpoint {
    pub(crate) fn add(&mut self, place: &Place<'_>, value: &[u8]) -> Result<(), CheckpointError> {
        match place.sort {
            b'm' => self.record = Some(decode(place.rule, value)?),
            b'k' => {
                let key = Key::from(String::from_utf8_lossy(place.name));
                self.keys.push((key, decode(place.rule, value)?));
            }
            b'a' => self.open.push(open_action(place.rule, value)?),
            b'd' => self.letters.push(decode(place.rule, value)?),
            b'g' => {}
            other => return Err(damaged(place.rule, format!("a row of the unknown sort {other}"))),
        }
        Ok(())
    }
}

/// A row's key, taken apart.
pub(crate) struct Place<'a> {
    pub(crate) sort: u8,
    pub(crate) rule: &'a str,
    pub(crate) name: &'a [u8],
}

impl<'a> Place<'a> {
    pub(crate) fn read(key: &'a [u8]) -> Result<Self, CheckpointError> {
        let parts = || {
            let (&sort, rest) = key.split_first()?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (rule, name) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            Some(Place { sort, rule: std::str::from_utf8(rule).ok()?, name })
        };
        parts().ok_or_else(|| damaged("a row's key", "it names no rule"))
    }
}

/// The key of a row of a rule.
pub(crate) fn place(sort: u8, rule: &str, name: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(3 + rule.len() + name.len());
    place.push(sort);
    // Names of rules have at most 128 bytes.
    place.extend_from_slice(&u16::try_from(rule.len()).unwrap_or(u16::MAX).to_be_bytes());
    place.extend_from_slice(rule.as_bytes());
    place.extend_from_slice(name);
    place
}

/// The name of a dead letter's rows.
pub(crate) fn letter_name(input: &InputRef) -> Vec<u8> {
    let mut name = input.position.to_be_bytes().to_vec();
    name.extend_from_slice(&input.id.0);
    name
}

pub(crate) fn encode<T: Serialize>(of: &str, value: &T) -> Result<Vec<u8>, CheckpointError> {
    postcard::to_extend(value, vec![FORMAT]).map_err(|error| damaged(of, error))
}

pub(crate) fn decode<T: DeserializeOwned>(of: &str, bytes: &[u8]) -> Result<T, CheckpointError> {
    decode_first(of, bytes).map(|(value, _)| value)
}

/// A value, and what follows it.
fn decode_first<'a, T: DeserializeOwned>(
    of: &str,
    bytes: &'a [u8],
) -> Result<(T, &'a [u8]), CheckpointError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::take_from_bytes(rest).map_err(|error| damaged(of, error)),
        Some((format, _)) => Err(damaged(of, format!("format {format}, this version reads {FORMAT}"))),
        None => Err(damaged(of, "an empty record")),
    }
}

/// The row of an open action: its moment with that action alone, then what its own form has no room for.
pub(crate) fn open_row(rule: &str, moment: &Moment) -> Result<Vec<u8>, CheckpointError> {
    encode(rule, &(moment, moment.id, moment.actions.first().and_then(|action| action.copy.as_ref())))
}

fn open_action(rule: &str, value: &[u8]) -> Result<Moment, CheckpointError> {
    let (mut moment, rest): (Moment, _) = decode_first(rule, value)?;
    // The first that were written end here.
    if !rest.is_empty() {
        let (id, copy) = postcard::from_bytes(rest).map_err(|error| damaged(rule, error))?;
        moment.id = id;
        moment.actions.iter_mut().for_each(|action| action.copy.clone_from(&copy));
    }
    Ok(moment)
}

/// What a dead letter's row for giving it again holds.
pub(crate) fn given(rule: &str, value: &[u8]) -> Result<Given, CheckpointError> {
    decode(rule, value)
}

/// What checkpoints say of where rules stand.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) host: HostRecord,
    pub(crate) rules: HashMap<String, RuleRecord>,
    /// Up to where guardrails have taken the journal in; none: it was not written yet.
    pub(crate) guard: Option<Position>,
    /// Actions that are open in them, and the first position that one of them comes from.
    pub(crate) open: std::collections::HashSet<ActionId>,
    pub(crate) open_from: Option<Position>,
}

impl Standing {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        if key == HOST {
            self.host = decode("the host's record", value)?;
            return Ok(());
        }
        if key == POSITION {
            self.guard = Some(decode("the guardrails' position", value)?);
            return Ok(());
        }
        let place = Place::read(key)?;
        match place.sort {
            b'm' => {
                self.rules.insert(place.rule.to_owned(), decode(place.rule, value)?);
            }
            b'a' => {
                let moment = open_action(place.rule, value)?;
                self.open.extend(moment.actions.iter().map(|action| action.id));
                self.open_from =
                    Some(self.open_from.map_or(moment.position, |from| from.min(moment.position)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Up to where guardrails have taken the journal in. Before there were any there was nothing to take in.
    pub(crate) fn guard_position(&self) -> Position {
        self.guard.unwrap_or(self.host.position)
    }

    /// The first position from which something has to be read again.
    pub(crate) fn reads_from(&self) -> Position {
        let rules = self.rules.values().map(|record| record.position.min(record.letters_from));
        let first = rules.chain(self.open_from).chain([self.guard_position()]).min();
        first.map_or(self.host.position, |first| first.min(self.host.position))
    }

    /// The first position that none of it refers past: a journal that ends before it has lost something.
    pub(crate) fn refers_to(&self) -> Position {
        let rules = self.rules.values().map(|record| record.position);
        rules.max().unwrap_or(0).max(self.host.position).max(self.guard_position())
    }

    /// The first position that is not in all of it: from there on the journal is needed.
    pub(crate) fn position(&self) -> Position {
        let rules = self.rules.values().map(|record| record.position).min();
        rules.unwrap_or(self.host.position).min(self.host.position).min(self.guard_position())
    }
}
