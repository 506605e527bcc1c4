//! The bytes of a segment file: a header, then groups. All numbers are little-endian.
//!
//! ```text
//! segment header, 32 bytes        group header, 64 bytes         entry, `count` times
//!   0  magic `CARPEJNL`             0  magic `GRP1`                0  length of the rest: u32
//!   8  format version: u32          4  checksum of 8..64: u32      4  milliseconds since the group's
//!  12  first position: u64          8  checksum of entries: u32       first instant, then the body: both
//!  20  salt: u64                   12  bytes of entries: u32          as postcard writes them
//!  28  checksum of 0..28: u32      16  count: u32
//!                                  20  flags: u32; 1: the entries are compressed with zstd;
//!                                      2: some are neither events nor ticks
//!                                  24  first position: u64
//!                                  32  epoch: u64
//!                                  40  first instant: u64
//!                                  48  last instant: u64
//!                                  56  bytes before this group that may be lost though it is there: u32
//!                                  60  bytes of entries before they were compressed: u32
//! ```
//!
//! In version 1, which is still read, a group header ends at 56 and has no flags.
//!
//! Checksums are CRC-32, and a group stands for itself: none depends on the one before. The header's
//! begins with the segment's random salt, so that nobody can send an event whose data looks like a
//! group: that would turn a torn tail into apparent damage. The entries' is over what is stored. Lengths come
//! before entries, so that one can be replaced by [`Body::Erased`] without knowing its kind.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::{Body, Entry, Epoch, JournalError, Position};
use super::compress::{compress, decompress};
use super::index::is_marked;
use crate::event::{Instant, Unpacked};

/// A newer one is refused.
pub(crate) const FORMAT_VERSION: u32 = 2;
pub(crate) const SEGMENT_HEADER_BYTES: usize = 32;
/// In this version. The first had [`GROUP_HEADER_BYTES_1`].
pub(crate) const GROUP_HEADER_BYTES: usize = 64;
const GROUP_HEADER_BYTES_1: usize = 56;
/// A group is read into memory whole: more is refused when it is appended.
pub(crate) const GROUP_LIMIT_BYTES: usize = 256 << 20;
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"GRP1";
const SEGMENT_MAGIC: [u8; 8] = *b"CARPEJNL";
/// Buffers keep so much from one group to the next: less than groups have under load, and each would be given
/// back and asked for again.
const KEPT_BYTES: usize = 8 << 20;
const COMPRESSED: u32 = 1;
const MARKED: u32 = 2;

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    pub(crate) first: Position,
    pub(crate) salt: u64,
}

impl SegmentHeader {
    pub(crate) fn new(first: Position, salt: u64) -> Self {
        SegmentHeader { version: FORMAT_VERSION, first, salt }
    }

    pub(crate) fn group_header_bytes(&self) -> usize {
        if self.version == 1 { GROUP_HEADER_BYTES_1 } else { GROUP_HEADER_BYTES }
    }

    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.salt.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `Ok(None)`: these bytes are no header.
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Option<Self>, JournalError> {
        if bytes.len() < SEGMENT_HEADER_BYTES || bytes[..8] != SEGMENT_MAGIC {
            return Ok(None);
        }
        // The version first: a later format may have put its checksum elsewhere.
        let version = u32_at(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(JournalError::Newer {
                path: path.to_owned(),
                detail: format!("journal format {version}"),
            });
        }
        if version == 0 || u32_at(bytes, 28) != crc32fast::hash(&bytes[..28]) {
            return Ok(None);
        }
        Ok(Some(SegmentHeader { version, first: u64_at(bytes, 12), salt: u64_at(bytes, 20) }))
    }
}

/// What a group begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    checksum: u32,
    /// Bytes of the entries as they are stored, without this header.
    pub(crate) length: u32,
    pub(crate) count: u32,
    flags: u32,
    pub(crate) first: Position,
    pub(crate) epoch: Epoch,
    pub(crate) first_instant: Instant,
    pub(crate) last_instant: Instant,
    /// So many bytes before this group were not known to be durable when it was written: if it is there,
    /// all before them was.
    pub(crate) unsynced: u32,
    /// Bytes of the entries before they were compressed.
    pub(crate) expanded: u32,
    /// Bytes of this header.
    own_length: usize,
}

impl GroupHeader {
    fn encode(&self, salt: u64) -> [u8; GROUP_HEADER_BYTES] {
        let mut bytes = [0; GROUP_HEADER_BYTES];
        bytes[..4].copy_from_slice(&GROUP_MAGIC);
        let narrow = [(8, self.checksum), (12, self.length), (16, self.count), (20, self.flags)];
        for (at, number) in narrow.into_iter().chain([(56, self.unsynced), (60, self.expanded)]) {
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        let wide = [(24, self.first), (32, self.epoch), (40, self.first_instant), (48, self.last_instant)];
        for (at, number) in wide {
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let checksum = salted(salt, &bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None`: no group of this segment begins here.
    pub(crate) fn decode(bytes: &[u8], segment: &SegmentHeader) -> Option<Self> {
        let own_length = segment.group_header_bytes();
        let bytes = bytes.get(..own_length)?;
        if bytes[..4] != GROUP_MAGIC || u32_at(bytes, 4) != salted(segment.salt, &bytes[8..]) {
            return None;
        }
        let length = u32_at(bytes, 12);
        let first_version = own_length == GROUP_HEADER_BYTES_1;
        Some(GroupHeader {
            checksum: u32_at(bytes, 8),
            length,
            count: u32_at(bytes, 16),
            flags: u32_at(bytes, 20),
            first: u64_at(bytes, 24),
            epoch: u64_at(bytes, 32),
            first_instant: u64_at(bytes, 40),
            last_instant: u64_at(bytes, 48),
            unsynced: if first_version { 0 } else { u32_at(bytes, 56) },
            expanded: if first_version { length } else { u32_at(bytes, 60) },
            own_length,
        })
    }

    /// One past the group's last position.
    pub(crate) fn end(&self) -> Position {
        self.first.saturating_add(u64::from(self.count))
    }

    /// Of this header and the entries as they are stored.
    pub(crate) fn whole_length(&self) -> u64 {
        self.own_length as u64 + u64::from(self.length)
    }

    /// Its entries, of the bytes of the whole group.
    pub(crate) fn entries_of<'a>(&self, group: &'a [u8]) -> &'a [u8] {
        group.get(self.own_length..).unwrap_or_default()
    }

    /// Whether all its entries are known to be events or ticks without a look at them.
    pub(crate) fn is_plain(&self) -> bool {
        self.own_length == GROUP_HEADER_BYTES && self.flags & !COMPRESSED == 0
    }

    pub(crate) fn checks(&self, entries: &[u8]) -> bool {
        entries.len() == self.length as usize && crc32fast::hash(entries) == self.checksum
    }
}

/// How an entry is written: when since the group's first instant, and its body.
#[derive(Serialize)]
struct EntryOut<'a>(u64, &'a Body);

#[derive(Deserialize)]
struct EntryIn(u64, Body);

/// The same, of an event, which follows: the first kind of body.
const EVENT: u8 = 0;

/// Writes groups. Kept from one to the next, for its buffers.
#[derive(Default)]
pub(crate) struct Encoder {
    pub(crate) compress: bool,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    buffer: Vec<u8>,
    compressed: Vec<u8>,
}

/// A group as it is written.
pub(crate) struct Encoded<'a> {
    pub(crate) header: GroupHeader,
    pub(crate) bytes: &'a [u8],
    /// Of each entry, before they were compressed.
    pub(crate) sizes: Vec<usize>,
}

impl Encoder {
    pub(crate) fn new(compress: bool) -> Self {
        Encoder { compress, ..Encoder::default() }
    }

    /// Writes a group of a segment with `salt`. For `unsynced` see [`GroupHeader`].
    ///
    /// # Errors
    /// [`JournalError::Refused`], if the entries do not make a group.
    pub(crate) fn encode(
        &mut self,
        group: &[Arc<Entry>],
        salt: u64,
        unsynced: u32,
    ) -> Result<Encoded<'_>, JournalError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return Err(refused(0, "a group has at least one entry"));
        };
        let sizes = self.write_entries(group, first.instant)?;
        let entries = &self.buffer[GROUP_HEADER_BYTES..];
        let expanded = entries.len() as u32;
        let compressed = self.compress
            && compress(&mut self.compressor, entries, &mut self.compressed).map_err(|error| {
                refused(first.position, &format!("its group cannot be compressed: {error}"))
            })?;
        if compressed {
            self.buffer.truncate(GROUP_HEADER_BYTES);
            self.buffer.extend_from_slice(&self.compressed);
        }
        let entries = &self.buffer[GROUP_HEADER_BYTES..];
        let marked = group.iter().any(|entry| is_marked(entry));
        let header = GroupHeader {
            checksum: crc32fast::hash(entries),
            length: entries.len() as u32,
            count: u32::try_from(group.len())
                .map_err(|_| refused(first.position, "its group has too many entries"))?,
            flags: if compressed { COMPRESSED } else { 0 } | if marked { MARKED } else { 0 },
            first: first.position,
            epoch: first.epoch,
            first_instant: first.instant,
            last_instant: last.instant,
            unsynced,
            expanded,
            own_length: GROUP_HEADER_BYTES,
        };
        self.buffer[..GROUP_HEADER_BYTES].copy_from_slice(&header.encode(salt));
        Ok(Encoded { header, bytes: &self.buffer, sizes })
    }

    /// Behind room for the header.
    fn write_entries(
        &mut self,
        group: &[Arc<Entry>],
        first_instant: Instant,
    ) -> Result<Vec<usize>, JournalError> {
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.shrink_to(KEPT_BYTES);
        self.compressed.clear();
        self.compressed.shrink_to(KEPT_BYTES);
        buffer.resize(GROUP_HEADER_BYTES, 0);
        let mut sizes = Vec::with_capacity(group.len());
        for entry in group {
            let start = buffer.len();
            buffer.extend_from_slice(&[0; 4]);
            let since = entry.instant.saturating_sub(first_instant);
            let written = match &entry.body {
                Body::Event(event) => postcard::to_io(&(since, EVENT), &mut *buffer).map(|buffer| {
                    buffer.extend_from_slice(event.written());
                }),
                body => postcard::to_io(&EntryOut(since, body), &mut *buffer).map(drop),
            };
            written.map_err(|error| refused(entry.position, &format!("it cannot be written: {error}")))?;
            if buffer.len() > GROUP_LIMIT_BYTES {
                let reason = format!("its group is larger than {GROUP_LIMIT_BYTES} bytes");
                return Err(refused(entry.position, &reason));
            }
            // It fits: the limit is far below 4 GiB.
            let length = buffer.len() - start - 4;
            buffer[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
            sizes.push(length);
        }
        Ok(sizes)
    }
}

/// Reads the entries of a group whose checksums are right, each with its size.
///
/// # Errors
/// [`JournalError::Newer`]: since the checksum holds, what cannot be understood was written so.
pub(crate) fn decode_group(
    header: &GroupHeader,
    stored: &[u8],
    path: &Path,
) -> Result<Vec<(Arc<Entry>, usize)>, JournalError> {
    let newer = |detail: String| JournalError::Newer { path: path.to_owned(), detail };
    let first = header.first;
    let marked = if header.own_length == GROUP_HEADER_BYTES { header.flags & MARKED } else { 0 };
    let entries = match header.flags & !marked {
        0 => stored.to_vec(),
        COMPRESSED if header.own_length == GROUP_HEADER_BYTES => {
            let expanded = header.expanded as usize;
            let decompressed =
                if expanded <= GROUP_LIMIT_BYTES { decompress(stored, expanded).ok() } else { None };
            let unknown = || newer(format!("the group at position {first} is compressed in an unknown way"));
            decompressed.ok_or_else(unknown)?
        }
        flags => return Err(newer(format!("group flags {flags:#x} at position {first}"))),
    };
    // Events stay where they are: first all are found, then those that are none are read.
    let mut events = Unpacked::new(entries);
    let mut found = Vec::with_capacity((header.count as usize).min(events.bytes().len() / 4));
    let mut next = 0;
    for position in first..header.end() {
        let bytes = events.bytes();
        let start = next + 4;
        let length = bytes.get(next..start).map(|length| u32_at(length, 0) as usize);
        let end = length.and_then(|length| start.checked_add(length)).filter(|end| *end <= bytes.len());
        let Some(end) = end else {
            return Err(newer(format!("the group at position {first} ends before entry {position}")));
        };
        next = end;
        let read = read_entry(&mut events, start..end);
        let stamped = read.and_then(|(since, body)| Some((header.first_instant.checked_add(since)?, body)));
        let Some((instant, body)) = stamped else {
            // More fields than we know of, a kind that we do not know, ...
            return Err(newer(format!("entry {position} is of a kind that this version does not know")));
        };
        found.push((instant, body, end - start));
    }
    if next != events.bytes().len() {
        return Err(newer(format!("the group at position {first} has more than its entries")));
    }
    let mut events = events.events();
    let entry = |(position, (instant, body, size)): (Position, (Instant, Option<Body>, usize))| {
        let body = body.or_else(|| events.next().map(Body::Event))?;
        Some((Arc::new(Entry { position, epoch: header.epoch, instant, body }), size))
    };
    Ok((first..).zip(found).filter_map(entry).collect())
}

/// Reads one entry: when since the group's first instant, and its body, none: it is an event, and is noted.
fn read_entry(events: &mut Unpacked, range: std::ops::Range<usize>) -> Option<(u64, Option<Body>)> {
    let bytes = &events.bytes()[range.clone()];
    let (since, rest) = postcard::take_from_bytes::<u64>(bytes).ok()?;
    if let Some((&EVENT, event)) = rest.split_first() {
        let start = range.end - event.len();
        return events.note(start..range.end).then_some((since, None));
    }
    match postcard::take_from_bytes::<EntryIn>(bytes) {
        Ok((EntryIn(since, body), [])) => Some((since, Some(body))),
        Ok(_) | Err(_) => None,
    }
}

fn refused(position: Position, reason: &str) -> JournalError {
    JournalError::Refused { position, reason: reason.to_owned() }
}

fn salted(salt: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Callers give at least `at + 4` bytes.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// Callers give at least `at + 8` bytes.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
