//! What is known of a segment without reading it: where its groups begin, and its entries that are neither
//! events nor ticks. Of a finished segment it is kept in a side file, which can always be made again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::{Body, Entry, Epoch, JournalError, Position};
use super::disk::{Disk, failed, read_full_at, write_all_at};
use super::format::{GroupHeader, Span};
use crate::event::Instant;

/// The magic holds the version: another is made again, as if it were damaged.
const MAGIC: [u8; 8] = *b"CARPEIX1";
const HEADER_BYTES: usize = 12;

/// A segment's groups and marked entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentIndex {
    /// The segment's salt, and its length in bytes: of another, the index is not this segment's.
    pub(crate) salt: u64,
    pub(crate) length: u64,
    pub(crate) groups: Vec<GroupRef>,
    pub(crate) marks: Vec<Mark>,
    /// One past its last position.
    pub(crate) end: Position,
    /// Of its last entry; none if it has no group.
    pub(crate) last: Option<(Instant, Epoch)>,
}

/// Where a group lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupRef {
    pub(crate) first: Position,
    pub(crate) first_instant: Instant,
    pub(crate) offset: u64,
    /// Header and entries.
    pub(crate) length: u32,
}

/// An entry that is neither an event nor a tick, so that it can be read without its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) position: Position,
    pub(crate) epoch: Epoch,
    /// The first of its group, from which its own is counted.
    pub(crate) first_instant: Instant,
    /// Where in the file, behind its length.
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) checksum: u32,
}

impl SegmentIndex {
    pub(crate) fn new(salt: u64, first: Position, length: u64) -> Self {
        SegmentIndex { salt, length, end: first, ..SegmentIndex::default() }
    }

    /// The marks of a group at `offset`.
    pub(crate) fn marks_of<'a>(
        header: &GroupHeader,
        offset: u64,
        entries: &[u8],
        decoded: impl Iterator<Item = (&'a Entry, Span)>,
    ) -> Vec<Mark> {
        decoded
            .filter(|(entry, _)| !matches!(entry.body, Body::Event(_) | Body::Tick))
            .filter_map(|(entry, span)| {
                Some(Mark {
                    position: entry.position,
                    epoch: header.epoch,
                    first_instant: header.first_instant,
                    offset: offset + super::format::GROUP_HEADER_BYTES as u64 + u64::from(span.start),
                    length: span.length,
                    checksum: crc32fast::hash(span.of(entries)?),
                })
            })
            .collect()
    }

    /// Takes in the group that lies at the end.
    pub(crate) fn push(&mut self, header: &GroupHeader, marks: Vec<Mark>) {
        let whole = header.whole_length();
        self.groups.push(GroupRef {
            first: header.first,
            first_instant: header.first_instant,
            offset: self.length,
            // The limit of a group is far below 4 GiB.
            length: whole as u32,
        });
        self.marks.extend(marks);
        self.length += whole;
        self.end = header.end();
        self.last = Some((header.last_instant, header.epoch));
    }

    /// The group that holds `position`, if one does.
    pub(crate) fn group_of(&self, position: Position) -> Option<GroupRef> {
        if position >= self.end {
            return None;
        }
        let after = self.groups.partition_point(|group| group.first <= position);
        self.groups.get(after.checked_sub(1)?).copied()
    }

    /// The group in which the first entry at or after `instant` is to be looked for, and the one after:
    /// if the first has none, it is the second's first entry.
    pub(crate) fn groups_at(&self, instant: Instant) -> (Option<GroupRef>, Option<GroupRef>) {
        let after = self.groups.partition_point(|group| group.first_instant < instant);
        let before = after.checked_sub(1).and_then(|before| self.groups.get(before));
        (before.copied(), self.groups.get(after).copied())
    }

    /// Reads a side file; `None`: there is none that can be used.
    pub(crate) fn load(disk: &dyn Disk, path: &Path) -> Option<Self> {
        let file = disk.open(path).ok()?;
        let mut bytes = vec![0; usize::try_from(file.length().ok()?).ok()?];
        let read = read_full_at(&*file, &mut bytes, 0).ok()?;
        let (header, body) = bytes.get(..read)?.split_at_checked(HEADER_BYTES)?;
        if header[..8] != MAGIC || header[8..] != crc32fast::hash(body).to_le_bytes() {
            return None;
        }
        postcard::from_bytes(body).ok()
    }

    /// Writes a side file, in one step: it is there whole, or as it was.
    ///
    /// # Errors
    /// The medium's error.
    pub(crate) fn save(&self, disk: &dyn Disk, folder: &Path, path: &Path) -> Result<(), JournalError> {
        let temporary = path.with_extension("index.tmp");
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        postcard::to_io(self, &mut bytes)
            .map_err(|error| failed("write", path)(std::io::Error::other(error)))?;
        let checksum = crc32fast::hash(&bytes[HEADER_BYTES..]);
        bytes[8..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());

        let file = disk.create(&temporary).map_err(failed("create", &temporary))?;
        write_all_at(&*file, &bytes, 0).map_err(failed("write", &temporary))?;
        file.sync_data().map_err(failed("sync", &temporary))?;
        disk.rename(&temporary, path).map_err(failed("rename", &temporary))?;
        disk.sync_folder(folder).map_err(failed("sync", folder))
    }
}
