//! What is known of a segment without reading it: where its groups begin, and which hold entries that are
//! neither events nor ticks. Of a finished segment it is kept in a side file, which can always be made again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::{Body, Entry, Epoch, JournalError, Position};
use super::disk::{Disk, failed, read_full_at, write_all_at};
use super::format::{GroupHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::event::Instant;

/// The magic holds the version: another is made again, as if it were damaged.
const MAGIC: [u8; 8] = *b"CARPEIX2";
const HEADER_BYTES: usize = 12;

/// A segment's groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentIndex {
    /// The segment's salt: of another, the index is not this segment's.
    pub(crate) salt: u64,
    /// Bytes of the segment up to the end of its last group.
    pub(crate) length: u64,
    pub(crate) groups: Vec<GroupRef>,
    /// One past its last position.
    pub(crate) end: Position,
}

/// Where a group lies, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupRef {
    pub(crate) first: Position,
    /// One past its last position.
    pub(crate) end: Position,
    pub(crate) first_instant: Instant,
    pub(crate) last_instant: Instant,
    pub(crate) epoch: Epoch,
    pub(crate) offset: u64,
    /// Header and entries, as they are stored.
    pub(crate) length: u32,
    /// It holds an entry that is neither an event nor a tick.
    pub(crate) marked: bool,
}

/// Whether an entry is neither an event nor a tick.
pub(crate) fn is_marked(entry: &Entry) -> bool {
    !matches!(entry.body, Body::Event(_) | Body::Tick)
}

impl SegmentIndex {
    /// Of a segment with nothing but its header.
    pub(crate) fn new(header: &SegmentHeader) -> Self {
        let length = SEGMENT_HEADER_BYTES as u64;
        SegmentIndex { salt: header.salt, length, end: header.first, groups: Vec::new() }
    }

    /// Takes in the group that lies at the end.
    pub(crate) fn push(&mut self, header: &GroupHeader, marked: bool) {
        let whole = header.whole_length();
        self.groups.push(GroupRef {
            first: header.first,
            end: header.end(),
            first_instant: header.first_instant,
            last_instant: header.last_instant,
            epoch: header.epoch,
            offset: self.length,
            // The limit of a group is far below 4 GiB.
            length: whole as u32,
            marked,
        });
        self.length += whole;
        self.end = header.end();
    }

    /// Leaves out the groups from `end` on, where one begins.
    pub(crate) fn cut(&mut self, end: Position) {
        let kept = self.groups.partition_point(|group| group.first < end);
        if let Some(first_cut) = self.groups.get(kept) {
            self.length = first_cut.offset;
            self.end = first_cut.first;
        }
        self.groups.truncate(kept);
    }

    /// The instant and epoch of its last entry; none if it has no group.
    pub(crate) fn last(&self) -> Option<(Instant, Epoch)> {
        self.groups.last().map(|group| (group.last_instant, group.epoch))
    }

    /// The groups with marked entries at or after `from`.
    pub(crate) fn marked_from(&self, from: Position) -> impl Iterator<Item = GroupRef> {
        let begun = self.groups.partition_point(|group| group.end <= from);
        self.groups[begun..].iter().filter(|group| group.marked).copied()
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
