//! The bytes of a segment file: a header, then groups. All numbers are little-endian.
//!
//! ```text
//! segment header, 32 bytes        group header, 56 bytes         entry, `count` times
//!   0  magic `CARPEJNL`             0  magic `GRP1`                0  length of the rest: u32
//!   8  format version: u32          4  checksum of 8..56: u32      4  milliseconds since the group's
//!  12  first position: u64          8  checksum of entries: u32       first instant, then the body: both
//!  20  salt: u64                   12  bytes of entries: u32          as postcard writes them
//!  28  checksum of 0..28: u32      16  count: u32
//!                                  20  flags: u32, 0
//!                                  24  first position: u64
//!                                  32  epoch: u64
//!                                  40  first instant: u64
//!                                  48  last instant: u64
//! ```
//!
//! Checksums are CRC-32, and a group stands for itself: none depends on the one before. The header's
//! begins with the segment's random salt, so that nobody can send an event whose data looks like a
//! group: that would turn a torn tail into apparent damage. Lengths come before entries, so that one can be
//! replaced by [`Body::Erased`] without knowing its kind.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::{Body, Entry, Epoch, JournalError, Position};
use crate::event::Instant;

/// A newer one is refused.
pub(crate) const FORMAT_VERSION: u32 = 1;
pub(crate) const SEGMENT_HEADER_BYTES: usize = 32;
pub(crate) const GROUP_HEADER_BYTES: usize = 56;
/// A group is read into memory whole: more is refused when it is appended.
pub(crate) const GROUP_LIMIT_BYTES: usize = 256 << 20;
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"GRP1";
const SEGMENT_MAGIC: [u8; 8] = *b"CARPEJNL";

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) first: Position,
    pub(crate) salt: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
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
        Ok(Some(SegmentHeader { first: u64_at(bytes, 12), salt: u64_at(bytes, 20) }))
    }
}

/// What a group begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    checksum: u32,
    /// Bytes of the entries, without this header.
    pub(crate) length: u32,
    pub(crate) count: u32,
    flags: u32,
    pub(crate) first: Position,
    pub(crate) epoch: Epoch,
    pub(crate) first_instant: Instant,
    pub(crate) last_instant: Instant,
}

impl GroupHeader {
    fn encode(&self, salt: u64) -> [u8; GROUP_HEADER_BYTES] {
        let mut bytes = [0; GROUP_HEADER_BYTES];
        bytes[..4].copy_from_slice(&GROUP_MAGIC);
        for (at, number) in [(8, self.checksum), (12, self.length), (16, self.count), (20, self.flags)] {
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
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        if bytes.len() < GROUP_HEADER_BYTES || bytes[..4] != GROUP_MAGIC {
            return None;
        }
        if u32_at(bytes, 4) != salted(salt, &bytes[8..GROUP_HEADER_BYTES]) {
            return None;
        }
        Some(GroupHeader {
            checksum: u32_at(bytes, 8),
            length: u32_at(bytes, 12),
            count: u32_at(bytes, 16),
            flags: u32_at(bytes, 20),
            first: u64_at(bytes, 24),
            epoch: u64_at(bytes, 32),
            first_instant: u64_at(bytes, 40),
            last_instant: u64_at(bytes, 48),
        })
    }

    /// One past the group's last position.
    pub(crate) fn end(&self) -> Position {
        self.first.saturating_add(u64::from(self.count))
    }

    pub(crate) fn whole_length(&self) -> u64 {
        GROUP_HEADER_BYTES as u64 + u64::from(self.length)
    }

    pub(crate) fn checks(&self, entries: &[u8]) -> bool {
        entries.len() == self.length as usize && crc32fast::hash(entries) == self.checksum
    }
}

/// Where an entry lies within its group's entries, without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) length: u32,
}

impl Span {
    pub(crate) fn of(self, entries: &[u8]) -> Option<&[u8]> {
        entries.get(self.start as usize..)?.get(..self.length as usize)
    }
}

#[derive(Serialize)]
struct EntryOut<'a>(u64, &'a Body);

#[derive(Deserialize)]
struct EntryIn(u64, Body);

/// Writes a group to `buffer`, which is emptied first.
///
/// # Errors
/// [`JournalError::Refused`], if the entries do not make a group.
pub(crate) fn encode_group(
    group: &[Arc<Entry>],
    salt: u64,
    buffer: &mut Vec<u8>,
) -> Result<(GroupHeader, Vec<Span>), JournalError> {
    buffer.clear();
    buffer.resize(GROUP_HEADER_BYTES, 0);
    let (Some(first), Some(last)) = (group.first(), group.last()) else {
        return Err(refused(0, "a group has at least one entry"));
    };
    let mut spans = Vec::with_capacity(group.len());
    for entry in group {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        let since = entry.instant.saturating_sub(first.instant);
        postcard::to_io(&EntryOut(since, &entry.body), &mut *buffer)
            .map_err(|error| refused(entry.position, &format!("it cannot be written: {error}")))?;
        if buffer.len() > GROUP_LIMIT_BYTES {
            return Err(refused(
                entry.position,
                &format!("its group is larger than {GROUP_LIMIT_BYTES} bytes"),
            ));
        }
        // Both fit: the limit is far below 4 GiB.
        let length = (buffer.len() - start - 4) as u32;
        buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        spans.push(Span { start: (start + 4 - GROUP_HEADER_BYTES) as u32, length });
    }
    let header = GroupHeader {
        checksum: crc32fast::hash(&buffer[GROUP_HEADER_BYTES..]),
        length: (buffer.len() - GROUP_HEADER_BYTES) as u32,
        count: u32::try_from(group.len())
            .map_err(|_| refused(first.position, "its group has too many entries"))?,
        flags: 0,
        first: first.position,
        epoch: first.epoch,
        first_instant: first.instant,
        last_instant: last.instant,
    };
    buffer[..GROUP_HEADER_BYTES].copy_from_slice(&header.encode(salt));
    Ok((header, spans))
}

/// Reads the entries of a group whose checksums are right.
///
/// # Errors
/// [`JournalError::Newer`]: since the checksum holds, what cannot be understood was written so.
pub(crate) fn decode_group(
    header: &GroupHeader,
    entries: &[u8],
    path: &Path,
) -> Result<Vec<(Arc<Entry>, Span)>, JournalError> {
    let newer = |detail: String| JournalError::Newer { path: path.to_owned(), detail };
    if header.flags != 0 {
        return Err(newer(format!("group flags {:#x} at position {}", header.flags, header.first)));
    }
    let mut decoded = Vec::with_capacity((header.count as usize).min(entries.len() / 4));
    let mut at = 0;
    for position in header.first..header.end() {
        let span =
            entries.get(at..at + 4).map(|length| Span { start: (at + 4) as u32, length: u32_at(length, 0) });
        let Some((span, bytes)) = span.and_then(|span| Some((span, span.of(entries)?))) else {
            return Err(newer(format!(
                "the group at position {} ends before entry {position}",
                header.first
            )));
        };
        decoded.push((decode_entry(header.epoch, header.first_instant, position, bytes, path)?, span));
        at += 4 + bytes.len();
    }
    if at != entries.len() {
        return Err(newer(format!("the group at position {} has more than its entries", header.first)));
    }
    Ok(decoded)
}

/// Reads one entry whose checksum is right.
///
/// # Errors
/// [`JournalError::Newer`], as for [`decode_group`].
pub(crate) fn decode_entry(
    epoch: Epoch,
    first_instant: Instant,
    position: Position,
    bytes: &[u8],
    path: &Path,
) -> Result<Arc<Entry>, JournalError> {
    let instant_and_body = match postcard::take_from_bytes::<EntryIn>(bytes) {
        Ok((EntryIn(since, body), [])) => first_instant.checked_add(since).map(|instant| (instant, body)),
        // More fields than we know of, a kind that we do not know, ...
        Ok(_) | Err(_) => None,
    };
    let Some((instant, body)) = instant_and_body else {
        let detail = format!("entry {position} is of a kind that this version does not know");
        return Err(JournalError::Newer { path: path.to_owned(), detail });
    };
    Ok(Arc::new(Entry { position, epoch, instant, body }))
}

pub(crate) fn refused(position: Position, reason: &str) -> JournalError {
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
