//! Reads a segment from its beginning, checks all of it, and makes its index.

use std::path::Path;

use super::super::{Epoch, JournalError, Position};
use super::disk::{DiskFile, failed, read_full_at};
use super::format::{GROUP_LIMIT_BYTES, GROUP_MAGIC, GroupHeader, SegmentHeader, decode_group};
use super::index::{SegmentIndex, is_marked};
use super::segment::SegmentFile;
use crate::event::Instant;

const WINDOW_BYTES: usize = 1 << 20;

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
    /// What is wrong was known to be durable once, or was not torn: it must not be cut off.
    pub(crate) lasting: bool,
    /// Where the next valid group begins, if there is one.
    pub(crate) until: Option<Position>,
}

/// Reads a segment: all of it, or as far as `until`, where the next one begins; what lies behind that was left
/// by a write that failed. `before` is the last entry's instant and epoch of the segment before. Events are decoded
/// only with `decode_all`.
///
/// # Errors
/// The medium's; [`JournalError::Newer`]. Damage is in the result: what it means depends on the place.
pub(crate) fn scan(
    segment: &SegmentFile,
    before: Option<(Instant, Epoch)>,
    until: Option<Position>,
    decode_all: bool,
) -> Result<Scan, JournalError> {
    let mut window = Window::new(segment)?;
    let header_bytes = segment.header.group_header_bytes();
    let mut index = SegmentIndex::new(&segment.header);
    let mut timeline = before.map_or(0, |(instant, _)| instant);
    while index.length < window.end && until.is_none_or(|until| index.end < until) {
        let at = index.length;
        let header = GroupHeader::decode(window.bytes(at, header_bytes)?, &segment.header);
        let Some(header) = header else {
            let reason = "no group begins here".to_owned();
            return Ok(Scan { flaw: Some(flaw(&mut window, at, &segment.header, reason)?), index });
        };
        if let Some(reason) = misplaced(&header, index.end, timeline, until) {
            return Ok(Scan { flaw: Some(Flaw { reason, lasting: true, until: Some(header.first) }), index });
        }
        let entries = window.bytes(at + header_bytes as u64, header.length as usize)?;
        if !header.checks(entries) {
            let reason = if entries.len() < header.length as usize {
                format!("the file ends within a group of {} entries", header.count)
            } else {
                format!("the checksum of a group of {} entries is wrong", header.count)
            };
            return Ok(Scan { flaw: Some(flaw(&mut window, at, &segment.header, reason)?), index });
        }
        // A segment may hold millions of events, and most starts have no need to decode them.
        let marked = if header.is_plain() && !decode_all {
            false
        } else {
            let decoded = decode_group(&header, entries, &segment.path)?;
            decoded.iter().any(|(entry, _)| is_marked(entry))
        };
        index.push(&header, marked);
        timeline = header.last_instant;
    }
    Ok(Scan { index, flaw: None })
}

/// Why a group with a right checksum does not belong where it is.
fn misplaced(
    header: &GroupHeader,
    expected: Position,
    timeline: Instant,
    until: Option<Position>,
) -> Option<String> {
    if header.first != expected {
        return Some(format!("a group of position {} stands where {expected} belongs", header.first));
    }
    if header.first_instant < timeline || header.last_instant < header.first_instant {
        return Some("the instants of a group go backwards".to_owned());
    }
    if let Some(until) = until.filter(|&until| header.end() > until) {
        return Some(format!("a group goes on past position {until}, with which the next file begins"));
    }
    if header.count == 0 || header.length as usize > GROUP_LIMIT_BYTES {
        return Some("the size of a group is out of bounds".to_owned());
    }
    None
}

/// A flaw at byte `at`, by what follows it.
fn flaw(
    window: &mut Window<'_>,
    at: u64,
    segment: &SegmentHeader,
    reason: String,
) -> Result<Flaw, JournalError> {
    let mut flaw = Flaw { reason, lasting: false, until: None };
    groups_behind(window, at + 1, segment, |offset, header| {
        flaw.until.get_or_insert(header.first);
        // If it was begun when the flawed bytes were known to be durable, they were not torn.
        flaw.lasting = offset.saturating_sub(u64::from(header.unsynced)) > at;
        if flaw.lasting {
            let first = header.first;
            flaw.reason += &format!(", and an intact one of position {first} follows at byte {offset}");
        }
        !flaw.lasting
    })?;
    Ok(flaw)
}

/// Looks for headers of groups at any byte from `at` on, as long as `visit` wants more.
fn groups_behind(
    window: &mut Window<'_>,
    mut at: u64,
    segment: &SegmentHeader,
    mut visit: impl FnMut(u64, GroupHeader) -> bool,
) -> Result<(), JournalError> {
    let header_bytes = segment.group_header_bytes();
    loop {
        let bytes = window.bytes(at, WINDOW_BYTES)?;
        for (skipped, candidate) in bytes.windows(header_bytes).enumerate() {
            if candidate.starts_with(&GROUP_MAGIC)
                && let Some(header) = GroupHeader::decode(candidate, segment)
                && !visit(at + skipped as u64, header)
            {
                return Ok(());
            }
        }
        // The last bytes may be the beginning of a header: they are looked at again.
        let Some(whole) = bytes.len().checked_sub(header_bytes) else { return Ok(()) };
        at += whole as u64 + 1;
    }
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
