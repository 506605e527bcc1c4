//! What a checkpoint holds of the guardrails, as rows beside those of rules:
//!
//! ```text
//! G                                the first position that is not in it
//! w  guardrail  hash of a subject  what counts
//! c  purpose    hash of a subject  a yes or a no
//! v             id of an action    what was said of an action that has no outcome yet
//! u             hash of what       what is muted
//! ```

use super::state::{Consent, Count, Counter, Mute, Record, Row, State};
use crate::checkpoint::CheckpointError;
use crate::checkpoint::rows::{Place, decode, encode, place};
use crate::journal::Muted;

/// The row of the position.
pub(crate) const POSITION: &[u8] = b"G";

const COUNT: u8 = b'w';
const CONSENT: u8 = b'c';
const RECORD: u8 = b'v';
const MUTE: u8 = b'u';

/// The sorts of rows.
pub(crate) const SORTS: [u8; 4] = [COUNT, CONSENT, RECORD, MUTE];

/// Rows to be written, and to be removed.
pub(crate) type RowChanges = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What was read of a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct GuardRows {
    counts: Vec<(Counter, Count)>,
    consents: Vec<((String, [u8; 32]), Consent)>,
    records: Vec<Record>,
    mutes: Vec<(Muted, Mute)>,
}

impl GuardRows {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        let Place { sort, rule: name, name: rest } = Place::read(key)?;
        // Of another length it is of no subject, and counts for none.
        let subject = || rest.try_into().unwrap_or([0; 32]);
        match sort {
            COUNT => {
                let counter = Counter { guardrail: name.to_owned(), subject: subject() };
                self.counts.push((counter, decode("a guardrail's count", value)?));
            }
            CONSENT => self.consents.push(((name.to_owned(), subject()), decode("a consent", value)?)),
            RECORD => self.records.push(decode("a guardrail's verdict", value)?),
            MUTE => self.mutes.push(decode("a mute", value)?),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn load(self, state: &mut State) {
        state.counts.extend(self.counts);
        state.consents.extend(self.consents);
        state.mutes.extend(self.mutes);
        self.records.into_iter().for_each(|record| state.load_record(record));
    }
}

/// What changed, as rows. What cannot be encoded is left out: the journal has it.
pub(super) fn take_changes(state: &mut State) -> RowChanges {
    let changed = std::mem::take(&mut state.changed);
    let row = |row: Row| {
        let (key, value) = match row {
            Row::Count(counter) => {
                let value = state.counts.get(&counter).map(|count| encode("a guardrail's count", count));
                (place(COUNT, &counter.guardrail, &counter.subject), value)
            }
            Row::Consent(purpose, subject) => {
                let key = place(CONSENT, &purpose, &subject);
                let value =
                    state.consents.get(&(purpose, subject)).map(|consent| encode("a consent", consent));
                (key, value)
            }
            Row::Record(id) => {
                let value = state.records.get(&id).map(|record| encode("a guardrail's verdict", record));
                (place(RECORD, "", &id.0), value)
            }
            Row::Mute(what) => {
                let value = state.mutes.get(&what).map(|mute| encode("a mute", &(&what, mute)));
                (place(MUTE, "", &name_of(&what)), value)
            }
        };
        Some((key, value.transpose().ok()?))
    };
    changed.into_iter().filter_map(row).collect()
}

fn name_of(what: &Muted) -> [u8; 32] {
    let (sort, name): (u8, &[u8]) = match what {
        Muted::Rule(name) => (0, name.as_bytes()),
        Muted::Moment(kind) => (1, kind.as_bytes()),
        Muted::Subject(hash) => (2, hash),
    };
    let mut hasher = blake3::Hasher::new_derive_key("carpe mute 1");
    hasher.update(&[sort]);
    hasher.update(name);
    *hasher.finalize().as_bytes()
}
