//! Checkpoints: what a rule's fold over the journal came to at one position, so that a start is quick.
//!
//! A rule's states, timers, open actions, dead letters and position are written in one atomic step. A
//! marker goes through its lanes' queues; each hands over what changed for its keys up to there and goes
//! on; the last one writes. So the hot path never waits for a checkpoint.
//!
//! The store is fjall: of the embedded stores that survived `kill -9`, it cost the least CPU per commit.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::journal::{ActionId, Position, VersionRecord};
use crate::moment::Moment;
use crate::pipeline::keys::{Key, KeyState};
use crate::pipeline::lane::DeadLetter;
use crate::recovery::Standing;

/// The format of what is stored. A store of another format is refused.
const FORMAT: u8 = 1;

/// The checkpoints of all rules of a host.
pub(crate) struct CheckpointStore {
    database: Database,
    rules: Keyspace,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleRecord {
    /// The first position that is not in the checkpoint.
    pub(crate) position: Position,
    /// None: the rule was unloaded.
    pub(crate) version: Option<VersionRecord>,
}

/// What a checkpoint of a rule holds, as it is read at a start.
pub(crate) struct Checkpoint {
    pub(crate) record: RuleRecord,
    pub(crate) keys: Vec<(Key, KeyState)>,
    pub(crate) open: Vec<Moment>,
    pub(crate) letters: Vec<DeadLetter>,
}

/// What changed since the last checkpoint.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) keys: Vec<(Key, Option<KeyState>)>,
    /// Each with one action that is still open.
    pub(crate) opened: Vec<Moment>,
    pub(crate) closed: Vec<ActionId>,
    pub(crate) letters: Vec<DeadLetter>,
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The store failed.
    #[error("the checkpoint store failed")]
    Store(#[from] fjall::Error),
    /// A record is not what was written.
    #[error("a checkpoint of rule `{rule}` is damaged or from another version of carpe: {reason}")]
    Damaged {
        /// The rule.
        rule: String,
        /// What is wrong.
        reason: String,
    },
}

impl CheckpointStore {
    pub(crate) fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let database = Database::builder(folder).worker_threads(1).cache_size(16 << 20).open()?;
        let rules = database.keyspace("rules", KeyspaceCreateOptions::default)?;
        Ok(CheckpointStore { database, rules })
    }

    /// Where all rules that have a checkpoint stand, and which actions are open in them.
    pub(crate) fn standing(&self) -> Result<Standing, CheckpointError> {
        let mut standing = Standing::default();
        for entry in self.rules.prefix([b'm']) {
            let (key, value) = entry.into_inner()?;
            let rule = String::from_utf8_lossy(key.get(3..).unwrap_or_default()).into_owned();
            let record: RuleRecord = decode(&rule, &value)?;
            standing.rules.insert(rule, record.version.map(|_| record.position));
        }
        for entry in self.rules.prefix([b'a']) {
            let key = entry.key()?;
            if let Some(id) = key.last_chunk::<16>() {
                standing.open.insert(ActionId(*id));
            }
        }
        Ok(standing)
    }

    pub(crate) fn load(&self, rule: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        let Some(record) = self.rules.get(place(b'm', rule, &[]))? else { return Ok(None) };
        let mut checkpoint = Checkpoint {
            record: decode(rule, &record)?,
            keys: Vec::new(),
            open: Vec::new(),
            letters: Vec::new(),
        };
        for entry in self.rules.prefix(place(b'k', rule, &[])) {
            let (name, value) = entry.into_inner()?;
            let name = name.get(3 + rule.len()..).unwrap_or_default();
            checkpoint.keys.push((Key::from(String::from_utf8_lossy(name)), decode(rule, &value)?));
        }
        for entry in self.rules.prefix(place(b'a', rule, &[])) {
            checkpoint.open.push(decode(rule, &entry.value()?)?);
        }
        for entry in self.rules.prefix(place(b'd', rule, &[])) {
            checkpoint.letters.push(decode(rule, &entry.value()?)?);
        }
        checkpoint.letters.sort_by_key(|letter| letter.input.position);
        Ok(Some(checkpoint))
    }

    /// Writes what changed and where the rule stands now, in one atomic, durable step.
    pub(crate) fn write(
        &self,
        rule: &str,
        record: &RuleRecord,
        changes: &Changes,
    ) -> Result<(), CheckpointError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (key, state) in &changes.keys {
            match state {
                Some(state) => {
                    batch.insert(&self.rules, place(b'k', rule, key.as_bytes()), encode(rule, state)?)
                }
                None => batch.remove(&self.rules, place(b'k', rule, key.as_bytes())),
            }
        }
        for moment in &changes.opened {
            for action in &moment.actions {
                batch.insert(&self.rules, place(b'a', rule, &action.id.0), encode(rule, moment)?);
            }
        }
        for id in &changes.closed {
            batch.remove(&self.rules, place(b'a', rule, &id.0));
        }
        for letter in &changes.letters {
            let mut name = letter.input.position.to_be_bytes().to_vec();
            name.extend_from_slice(&letter.input.id.0);
            batch.insert(&self.rules, place(b'd', rule, &name), encode(rule, letter)?);
        }
        batch.insert(&self.rules, place(b'm', rule, &[]), encode(rule, record)?);
        batch.commit()?;
        Ok(())
    }
}

/// Where something of a rule is kept: its sort, the rule's name with its length before it, its own name.
fn place(sort: u8, rule: &str, name: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(3 + rule.len() + name.len());
    place.push(sort);
    // Names of rules have at most 128 bytes.
    place.extend_from_slice(&u16::try_from(rule.len()).unwrap_or(u16::MAX).to_be_bytes());
    place.extend_from_slice(rule.as_bytes());
    place.extend_from_slice(name);
    place
}

fn encode<T: Serialize>(rule: &str, value: &T) -> Result<Vec<u8>, CheckpointError> {
    postcard::to_extend(value, vec![FORMAT])
        .map_err(|error| CheckpointError::Damaged { rule: rule.to_owned(), reason: error.to_string() })
}

fn decode<T: DeserializeOwned>(rule: &str, bytes: &[u8]) -> Result<T, CheckpointError> {
    let damaged = |reason: String| CheckpointError::Damaged { rule: rule.to_owned(), reason };
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|error| damaged(error.to_string())),
        Some((format, _)) => Err(damaged(format!("format {format}, this version reads {FORMAT}"))),
        None => Err(damaged("an empty record".to_owned())),
    }
}

/// Goes through all lanes of a rule; the last to hand over its changes completes the checkpoint.
pub(crate) struct Marker {
    pub(crate) record: RuleRecord,
    lanes_left: AtomicUsize,
    collected: Mutex<Collected>,
}

/// What lanes handed over.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) keys: Vec<(Key, Option<KeyState>)>,
    pub(crate) moments: Vec<std::sync::Arc<Moment>>,
}

impl Marker {
    pub(crate) fn new(record: RuleRecord, lanes: usize) -> Self {
        #[cfg(feature = "planted-faults")]
        let record = crate::planted::ahead(record);
        Marker { record, lanes_left: AtomicUsize::new(lanes), collected: Mutex::default() }
    }

    /// One lane's changes. `Some`: it was the last, here are all.
    pub(crate) fn hand_over(
        &self,
        keys: Vec<(Key, Option<KeyState>)>,
        moments: Vec<std::sync::Arc<Moment>>,
    ) -> Option<Collected> {
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        collected.keys.extend(keys);
        collected.moments.extend(moments);
        (self.lanes_left.fetch_sub(1, Ordering::AcqRel) == 1).then(|| std::mem::take(&mut *collected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{InputId, InputRef};

    #[test]
    fn what_was_written_is_read_and_rules_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        let state = KeyState { state: Some([1, 2, 3].into()), ..KeyState::default() };
        let record = |position| RuleRecord {
            position,
            version: Some(VersionRecord {
                component: [7; 32],
                configuration: "{}".into(),
                limits: "{}".into(),
            }),
        };
        let letter = DeadLetter {
            input: InputRef {
                id: InputId([1; 16]),
                position: 4,
                subscription: None,
                timer: Some("t".into()),
            },
            key: "k".into(),
            reason: "why".into(),
            backtrace: vec!["f".into()],
            now: 5,
        };
        let changes = Changes {
            keys: vec![("k".into(), Some(state.clone())), ("gone".into(), Some(state.clone()))],
            letters: vec![letter.clone()],
            ..Changes::default()
        };
        store.write("a", &record(3), &changes).unwrap();
        store.write("ab", &record(9), &Changes::default()).unwrap();
        let gone = Changes { keys: vec![("gone".into(), None)], ..Changes::default() };
        store.write("a", &record(4), &gone).unwrap();
        drop(store);
        let store = CheckpointStore::open(folder.path()).unwrap();
        let standing = store.standing().unwrap().rules;
        assert_eq!((standing["a"], standing["ab"]), (Some(4), Some(9)));
        let read = store.load("a").unwrap().unwrap();
        assert_eq!(read.record, record(4));
        assert_eq!(read.keys, [("k".into(), state)]);
        assert_eq!(read.letters, [letter]);
        assert_eq!(store.load("ab").unwrap().unwrap().keys, []);
        assert!(store.load("b").unwrap().is_none());
    }
}
