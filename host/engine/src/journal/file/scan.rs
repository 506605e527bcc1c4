//! Reads a segment from its beginning, checks all of it, and makes its index.

use std::path::Path;
use std::sync::Arc;

use super::super::{Epoch, JournalError, Position};
use super::disk::{DiskFile, failed, read_full_at};
use super::format::{
    GROUP_HEADER_BYTES, GROUP_LIMIT_BYTES, GROUP_MAGIC, GroupHeader, SEGMENT_HEADER_BYTES, SegmentHeader,
    decode_group,
};
use super::index::SegmentIndex;
use crate::event::Instant;

const WINDOW_BYTES: usize = 1 << 20;

/// A segment file, open.
pub(crate) struct SegmentFile {
    pub(crate) path: std::path::PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// What a scan found.
pub(crate) struct Scan {
    /// Of all that is whole.
    pub(crate) index: SegmentIndex,
    /// What is wrong behind it, if something is.
    pub(crate) flaw: Option<Flaw>,
}

/// The place from which on a segment cannot be read.
pub(crate) struct Flaw {
    pub(crate) reason: String,
    /// Something valid follows, or what is there was not torn: it must not be cut off.
    pub(crate) lasting: bool,
}

/// Reads all of a segment. `before` is the last entry's instant and epoch of the segment before.
///
/// # Errors
/// The medium's; [`JournalError::Newer`]. Damage is in the result: what it means depends on the place.
pub(crate) fn scan(segment: &SegmentFile, before: Option<(Instant, Epoch)>) -> Result<Scan, JournalError> {
    let mut window = Window::new(segment)?;
    let SegmentHeader { first, salt } = segment.header;
    let mut index = SegmentIndex::new(salt, first, SEGMENT_HEADER_BYTES as u64);
    let mut timeline = before.map_or(0, |(instant, _)| instant);
    while index.length < window.end {
        let at = index.length;
        let header = GroupHeader::decode(window.bytes(at, GROUP_HEADER_BYTES)?, salt);
        let Some(header) = header else {
            let reason = "no group begins here".to_owned();
            return Ok(Scan { flaw: Some(flaw(&mut window, at, salt, reason)?), index });
        };
        if let Some(reason) = misplaced(&header, index.end, timeline) {
            return Ok(Scan { flaw: Some(Flaw { reason, lasting: true }), index });
        }
        let entries = window.bytes(at + GROUP_HEADER_BYTES as u64, header.length as usize)?;
        if !header.checks(entries) {
            let reason = if entries.len() < header.length as usize {
                format!("the file ends within a group of {} entries", header.count)
            } else {
                format!("the checksum of a group of {} entries is wrong", header.count)
            };
            return Ok(Scan { flaw: Some(flaw(&mut window, at, salt, reason)?), index });
        }
        let decoded = decode_group(&header, entries, &segment.path)?;
        let marks = SegmentIndex::marks_of(
            &header,
            at,
            entries,
            decoded.iter().map(|(entry, span)| (&**entry, *span)),
        );
        index.push(&header, marks);
        timeline = header.last_instant;
    }
    Ok(Scan { index, flaw: None })
}

/// Why a group with a right checksum does not belong where it is.
fn misplaced(header: &GroupHeader, expected: Position, timeline: Instant) -> Option<String> {
    if header.first != expected {
        return Some(format!("a group of position {} stands where {expected} belongs", header.first));
    }
    if header.first_instant < timeline || header.last_instant < header.first_instant {
        return Some("the instants of a group go backwards".to_owned());
    }
    if header.count == 0 || header.length as usize > GROUP_LIMIT_BYTES {
        return Some("the size of a group is out of bounds".to_owned());
    }
    None
}

fn flaw(window: &mut Window<'_>, at: u64, salt: u64, reason: String) -> Result<Flaw, JournalError> {
    // Each group is made durable before the next is begun: if there is another one, this was not torn.
    Ok(match next_group(window, at + 1, salt)? {
        Some((offset, header)) => Flaw {
            reason: format!(
                "{reason}, and an intact one of position {} follows at byte {offset}",
                header.first
            ),
            lasting: true,
        },
        None => Flaw { reason, lasting: false },
    })
}

/// Looks for the header of a group at any byte from `at` on.
fn next_group(
    window: &mut Window<'_>,
    mut at: u64,
    salt: u64,
) -> Result<Option<(u64, GroupHeader)>, JournalError> {
    while at + GROUP_HEADER_BYTES as u64 <= window.end {
        let bytes = window.bytes(at, WINDOW_BYTES)?;
        let candidates = bytes.windows(GROUP_HEADER_BYTES).enumerate();
        for (skipped, candidate) in candidates.filter(|(_, candidate)| candidate.starts_with(&GROUP_MAGIC)) {
            if let Some(header) = GroupHeader::decode(candidate, salt) {
                return Ok(Some((at + skipped as u64, header)));
            }
        }
        // The last bytes may be the beginning of a header: they are looked at again.
        at += (bytes.len() + 1).saturating_sub(GROUP_HEADER_BYTES).max(1) as u64;
    }
    Ok(None)
}

/// Reads ahead, so that many small groups do not cost a call each.
struct Window<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    /// The file's length.
    end: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(segment: &'a SegmentFile) -> Result<Self, JournalError> {
        let end = segment.file.length().map_err(failed("read", &segment.path))?;
        Ok(Window { file: &*segment.file, path: &segment.path, end, start: 0, buffer: Vec::new() })
    }

    /// `length` bytes from `at` on, or what the file has of them.
    fn bytes(&mut self, at: u64, length: usize) -> Result<&[u8], JournalError> {
        let length = length.min(usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX));
        let held = at >= self.start && at + length as u64 <= self.start + self.buffer.len() as u64;
        if !held {
            self.start = at;
            self.buffer.resize(length.max(WINDOW_BYTES), 0);
            let read = read_full_at(self.file, &mut self.buffer, at).map_err(failed("read", self.path))?;
            self.buffer.truncate(read);
        }
        let skipped = usize::try_from(at - self.start).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(&self.buffer[skipped..self.buffer.len().min(skipped + length)])
    }
}
