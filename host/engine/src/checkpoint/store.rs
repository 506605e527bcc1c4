//! The checkpoints of all rules, in fjall: of the embedded stores that survived `kill -9`, it cost the least CPU per
//! commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use fjall::config::CompressionPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::base::{self, Base, BaseWriter};
use super::rows::{
    self, Checkpoint, HOST, HostRecord, Place, RuleRecord, Standing, encode, letter_name, open_row, place,
};
use super::{Changes, CheckpointError, damaged, io};
use crate::guardrail::rows::{GuardRows, POSITION, RowChanges, SORTS};
use crate::journal::{Given, InputRef, Position};

/// How many rows are written at once where a store is made from a base.
const ROWS_AT_ONCE: usize = 10_000;

/// How many bytes of rows are held in memory before they go to a file of their own: every version of a row that was
/// written since then, so that few keys that change often need as much as many. In the soak, small rows took about twice
/// their bytes there: after 38 MB of checkpoints of 1,000 keys the host had 205 MiB with fjall's own 64 MiB, and
/// growing, and 141 MiB with these.
const UNFLUSHED_BYTES: u64 = 8 << 20;

/// The checkpoints of all rules of a host. The host's record is written last, so a store without one is not whole.
pub(crate) struct CheckpointStore {
    folder: PathBuf,
    open: RwLock<Option<Open>>,
}

struct Open {
    database: Database,
    rows: Keyspace,
}

impl Open {
    fn at(folder: &Path) -> Result<Self, CheckpointError> {
        // A damaged store may bring fjall to a panic: it is made again like any other that cannot be opened.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = Database::builder(folder).worker_threads(1).cache_size(16 << 20).open()?;
            // Not compressed: what is erased is then to be looked for in plain bytes.
            let options = || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(UNFLUSHED_BYTES)
                    .data_block_compression_policy(CompressionPolicy::disabled())
            };
            let rows = database.keyspace("rules", options)?;
            Ok(Open { database, rows })
        }));
        opened.unwrap_or_else(|_| Err(damaged(&folder.display().to_string(), "its store cannot be opened")))
    }
}

impl CheckpointStore {
    /// Opens a store that is whole.
    ///
    /// # Errors
    /// [`CheckpointError`]: it is not whole, or damaged, and has to be made again.
    pub(crate) fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let store = CheckpointStore { folder: folder.to_owned(), open: RwLock::new(Some(Open::at(folder)?)) };
        if store.with(|open| Ok(open.rows.get(HOST)?))?.is_none() {
            return Err(damaged(&folder.display().to_string(), "it is not whole"));
        }
        Ok(store)
    }

    /// Makes a store that holds what a base does, or nothing; what was there before goes.
    ///
    /// # Errors
    /// The store's, and the base's if it is damaged.
    pub(crate) fn make(
        folder: &Path,
        base: Option<&Path>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, CheckpointError> {
        remove_folder(folder)?;
        let open = Open::at(folder)?;
        let mut batch = open.database.batch();
        let (mut host, mut count) = (encode("the host's record", &HostRecord::default())?, 0);
        if let Some(base) = base {
            base::read(base, &mut |key, value| {
                count += 1;
                if key == HOST {
                    host = value.to_vec();
                    return Ok(());
                }
                batch.insert(&open.rows, key, value);
                if batch.len() >= ROWS_AT_ONCE {
                    std::mem::replace(&mut batch, open.database.batch()).commit()?;
                    progress(count);
                }
                Ok(())
            })?;
        }
        batch.insert(&open.rows, HOST, host);
        batch.durability(Some(PersistMode::SyncAll)).commit()?;
        Ok(CheckpointStore { folder: folder.to_owned(), open: RwLock::new(Some(open)) })
    }

    /// Where all rules stand, and which actions are open.
    pub(crate) fn standing(&self) -> Result<Standing, CheckpointError> {
        self.with(|open| {
            let mut standing = Standing::default();
            for sort in [b'h', b'G', b'm', b'a'] {
                for row in open.rows.prefix([sort]) {
                    let (key, value) = row.into_inner()?;
                    standing.add(&key, &value)?;
                }
            }
            Ok(standing)
        })
    }

    pub(crate) fn load(&self, rule: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        self.with(|open| {
            let mut checkpoint = Checkpoint::default();
            for sort in [b'm', b'k', b'a', b'd'] {
                for row in open.rows.prefix(place(sort, rule, &[])) {
                    let (key, value) = row.into_inner()?;
                    checkpoint.add(&Place::read(&key)?, &value)?;
                }
            }
            Ok(checkpoint.record.is_some().then_some(checkpoint))
        })
    }

    /// What is given again of a dead letter.
    pub(crate) fn given(&self, rule: &str, input: &InputRef) -> Result<Option<Given>, CheckpointError> {
        let value = self.with(|open| Ok(open.rows.get(place(b'g', rule, &letter_name(input)))?))?;
        value.map(|value| rows::given(rule, &value)).transpose()
    }

    /// Writes what changed and where the rule stands now, in one atomic, durable step.
    pub(crate) fn write(
        &self,
        rule: &str,
        record: &RuleRecord,
        changes: &Changes,
    ) -> Result<(), CheckpointError> {
        self.with(|Open { database, rows }| {
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            for (key, state) in &changes.keys {
                match state {
                    Some(state) => {
                        batch.insert(rows, place(b'k', rule, key.as_bytes()), encode(rule, state)?)
                    }
                    None => batch.remove(rows, place(b'k', rule, key.as_bytes())),
                }
            }
            for moment in &changes.opened {
                for action in &moment.actions {
                    batch.insert(rows, place(b'a', rule, &action.id.0), open_row(rule, moment)?);
                }
            }
            for id in &changes.closed {
                batch.remove(rows, place(b'a', rule, &id.0));
            }
            for (letter, given) in &changes.letters {
                let name = letter_name(&letter.input);
                batch.insert(rows, place(b'd', rule, &name), encode(rule, letter)?);
                if let Some(given) = given {
                    batch.insert(rows, place(b'g', rule, &name), encode(rule, given)?);
                }
            }
            for input in &changes.letters_closed {
                let name = letter_name(input);
                batch.remove(rows, place(b'd', rule, &name));
                batch.remove(rows, place(b'g', rule, &name));
            }
            batch.insert(rows, place(b'm', rule, &[]), encode(rule, record)?);
            Ok(batch.commit()?)
        })
    }

    /// What guardrails remember.
    pub(crate) fn guard(&self) -> Result<GuardRows, CheckpointError> {
        self.with(|open| {
            let mut guard = GuardRows::default();
            for sort in SORTS {
                for row in open.rows.prefix([sort]) {
                    let (key, value) = row.into_inner()?;
                    guard.add(&key, &value)?;
                }
            }
            Ok(guard)
        })
    }

    /// Writes the host's own record, and what changed of the guardrails up to a position.
    pub(crate) fn write_host(
        &self,
        record: &HostRecord,
        guard: Position,
        changes: &RowChanges,
    ) -> Result<(), CheckpointError> {
        self.with(|Open { database, rows }| {
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(rows, HOST, encode("the host's record", record)?);
            batch.insert(rows, POSITION, encode("the guardrails' position", &guard)?);
            for (key, value) in changes {
                match value {
                    Some(value) => batch.insert(rows, key.as_slice(), value.as_slice()),
                    None => batch.remove(rows, key.as_slice()),
                }
            }
            Ok(batch.commit()?)
        })
    }

    /// Writes all that it holds at this moment to a new base in `folder`.
    pub(crate) fn write_base(&self, folder: &Path) -> Result<Base, CheckpointError> {
        self.with(|open| write_base(open, folder))
    }

    /// Writes a new base in `folder`, and makes the store anew from it: nothing that is not in the base is left in
    /// the store's files.
    pub(crate) fn write_base_and_remake(&self, folder: &Path) -> Result<Base, CheckpointError> {
        let mut held = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let base = write_base(held.as_ref().ok_or_else(closed)?, folder)?;
        // Closed first: a store can be open once.
        *held = None;
        let made = CheckpointStore::make(&self.folder, Some(&base.path), &mut |_| {})?;
        *held = made.open.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(base)
    }

    /// Opens it anew after a write failed: fjall writes no more from then on.
    pub(crate) fn reopen(&self) -> Result<(), CheckpointError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        *open = None;
        *open = Some(Open::at(&self.folder)?);
        Ok(())
    }

    fn with<T>(&self, run: impl FnOnce(&Open) -> Result<T, CheckpointError>) -> Result<T, CheckpointError> {
        run(self.open.read().unwrap_or_else(PoisonError::into_inner).as_ref().ok_or_else(closed)?)
    }
}

fn closed() -> CheckpointError {
    CheckpointError::Store("it is closed, since it could not be opened again".to_owned())
}

fn write_base(Open { database, rows }: &Open, folder: &Path) -> Result<Base, CheckpointError> {
    let snapshot = database.snapshot();
    let mut standing = Standing::default();
    for sort in [b'h', b'G', b'm'] {
        for row in snapshot.prefix(rows, [sort]) {
            let (key, value) = row.into_inner()?;
            standing.add(&key, &value)?;
        }
    }
    let mut writer = BaseWriter::begin(folder, standing.position())?;
    for row in snapshot.iter(rows) {
        let (key, value) = row.into_inner()?;
        writer.row(&key, &value)?;
    }
    writer.finish()
}

fn remove_folder(folder: &Path) -> Result<(), CheckpointError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{InputId, VersionRecord};
    use crate::pipeline::keys::KeyState;
    use crate::pipeline::lane::DeadLetter;

    fn record(position: u64) -> RuleRecord {
        let version = VersionRecord { component: [7; 32], configuration: "{}".into(), limits: "{}".into() };
        RuleRecord { position, version: Some(version), letters_from: position }
    }

    fn letter(position: u64) -> DeadLetter {
        DeadLetter {
            input: InputRef { id: InputId([1; 16]), position, subscription: None, timer: Some("t".into()) },
            key: "k".into(),
            subject: None,
            reason: "why".into(),
            backtrace: vec!["f".into()],
            now: 5,
            bytes: 3,
        }
    }

    #[test]
    fn what_was_written_is_read_and_rules_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        assert!(CheckpointStore::open(&path).is_err(), "nothing is there yet");
        let store = CheckpointStore::make(&path, None, &mut |_| {}).unwrap();
        let state = KeyState { state: Some([1, 2, 3].into()), ..KeyState::default() };
        let (first, second) = (letter(4), letter(5));
        let changes = Changes {
            keys: vec![("k".into(), Some(state.clone())), ("gone".into(), Some(state.clone()))],
            letters: vec![(first.clone(), Some(Given::Timer("t".into()))), (second.clone(), None)],
            ..Changes::default()
        };
        store.write("a", &record(3), &changes).unwrap();
        store.write("ab", &record(9), &Changes::default()).unwrap();
        let changes = Changes {
            keys: vec![("gone".into(), None)],
            letters_closed: vec![second.input.clone()],
            ..Changes::default()
        };
        store.write("a", &record(4), &changes).unwrap();
        drop(store);
        let store = CheckpointStore::open(&path).unwrap();
        let standing = store.standing().unwrap();
        assert_eq!((standing.rules["a"].position, standing.rules["ab"].position), (4, 9));
        assert_eq!((standing.position(), standing.refers_to()), (0, 9));
        let read = store.load("a").unwrap().unwrap();
        assert_eq!(read.record, Some(record(4)));
        assert_eq!(read.keys, [("k".into(), state)]);
        assert_eq!(read.letters, std::slice::from_ref(&first));
        assert_eq!(store.given("a", &first.input).unwrap(), Some(Given::Timer("t".into())));
        assert_eq!(store.given("a", &second.input).unwrap(), None);
        assert_eq!(store.load("ab").unwrap().unwrap().keys, []);
        assert!(store.load("b").unwrap().is_none());

        // The same through a base.
        let base = store.write_base(folder.path()).unwrap();
        drop(store);
        let copy = folder.path().join("copy");
        let store = CheckpointStore::make(&copy, Some(&base.path), &mut |_| {}).unwrap();
        assert_eq!(store.load("a").unwrap().unwrap().letters, [first]);
        store.reopen().unwrap();
        store.write_base_and_remake(folder.path()).unwrap();
        assert_eq!(store.load("ab").unwrap().unwrap().record, Some(record(9)));
    }

    #[test]
    fn a_store_that_was_not_finished_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        drop(Open::at(&path).unwrap());
        assert!(matches!(CheckpointStore::open(&path), Err(CheckpointError::Damaged { .. })));
    }
}
