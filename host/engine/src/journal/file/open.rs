//! Opening a journal: checks what is there, cuts off what a crash tore, refuses what is damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{Epoch, JournalError, Position};
use super::disk::{Disk, failed, read_full_at, write_all_at};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::index::SegmentIndex;
use super::scan::{Flaw, Scan, SegmentFile, scan};
use super::{Active, Sealed};
use crate::event::Instant;

/// What an open journal begins with.
pub(crate) struct Opened {
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) active: Active,
    pub(crate) last: Option<(Instant, Epoch)>,
    pub(crate) notes: Vec<String>,
}

/// Reads the folder, all of its last segment, and with `verify` all of the others too.
pub(crate) fn open(disk: &dyn Disk, folder: &Path, verify: bool) -> Result<Opened, JournalError> {
    let mut notes = Vec::new();
    let mut firsts = segments(disk, folder)?;
    let Some(active_first) = firsts.pop() else {
        return Ok(Opened { sealed: Vec::new(), active: create(disk, folder, 0)?, last: None, notes });
    };
    let mut sealed: Vec<Sealed> = Vec::with_capacity(firsts.len());
    let mut last = None;
    for first in firsts {
        follows(folder, &sealed, first)?;
        let index = open_sealed(disk, folder, first, last, verify, &mut notes)?;
        last = index.last.or(last);
        sealed.push(Sealed::of(first, &index));
    }
    follows(folder, &sealed, active_first)?;
    let active = open_active(disk, folder, active_first, last, &mut notes)?;
    last = active.index.last.or(last);
    Ok(Opened { sealed, active, last, notes })
}

pub(crate) fn segment_path(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.journal"))
}

pub(crate) fn index_path(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.index"))
}

/// A new segment, durable with its name before anything is written to it.
pub(crate) fn create(disk: &dyn Disk, folder: &Path, first: Position) -> Result<Active, JournalError> {
    let path = segment_path(folder, first);
    let salt = getrandom::u64()
        .map_err(|error| failed("take a random number for", &path)(std::io::Error::other(error)))?;
    let header = SegmentHeader { first, salt };
    let file = disk.create(&path).map_err(failed("create", &path))?;
    write_all_at(&*file, &header.encode(), 0).map_err(failed("write", &path))?;
    file.sync_data().map_err(failed("sync", &path))?;
    disk.sync_folder(folder).map_err(failed("sync", folder))?;
    let index = SegmentIndex::new(salt, first, SEGMENT_HEADER_BYTES as u64);
    Ok(Active { segment: Arc::new(SegmentFile { path, header, file }), index })
}

/// Opens a segment that is not the last, and takes its index from its side file, or makes that again.
pub(crate) fn load_sealed(
    disk: &dyn Disk,
    folder: &Path,
    first: Position,
    before: Option<(Instant, Epoch)>,
    verify: bool,
) -> Result<(SegmentFile, SegmentIndex, bool), JournalError> {
    let path = segment_path(folder, first);
    let file = disk.open(&path).map_err(failed("open", &path))?;
    let Some(header) = read_header(&*file, &path, first)? else {
        return Err(damaged(&path, first, 0, "it has no valid header"));
    };
    let segment = SegmentFile { path, header, file };
    let length = segment.file.length().map_err(failed("read", &segment.path))?;
    let known = SegmentIndex::load(disk, &index_path(folder, first))
        .filter(|index| index.salt == header.salt && index.length == length);
    match known {
        Some(index) if !verify => Ok((segment, index, false)),
        known => {
            let Scan { index, flaw } = scan(&segment, before)?;
            if let Some(Flaw { reason, .. }) = flaw {
                return Err(damaged(&segment.path, index.end, index.length, &reason));
            }
            let made = known.as_ref() != Some(&index);
            if made {
                index.save(disk, folder, &index_path(folder, first))?;
            }
            Ok((segment, index, made))
        }
    }
}

pub(crate) fn damaged(path: &Path, position: Position, offset: u64, reason: &str) -> JournalError {
    JournalError::Damaged { position, path: path.to_owned(), offset, reason: reason.to_owned() }
}

/// The first positions of all segments, in order. What is left of an index that was being written goes.
fn segments(disk: &dyn Disk, folder: &Path) -> Result<Vec<Position>, JournalError> {
    let mut firsts = Vec::new();
    for name in disk.list(folder).map_err(failed("list", folder))? {
        if name.ends_with(".index.tmp") {
            let path = folder.join(&name);
            disk.remove(&path).map_err(failed("remove", &path))?;
        } else if let Some(first) = name.strip_suffix(".journal").filter(|digits| digits.len() == 20) {
            firsts.extend(first.parse::<Position>().ok());
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// That the segment that begins with `first` goes on where the one before ends.
fn follows(folder: &Path, sealed: &[Sealed], first: Position) -> Result<(), JournalError> {
    match sealed.last() {
        Some(before) if before.end != first => {
            let path = segment_path(folder, before.first);
            let reason =
                format!("it ends before position {}, but the next file begins with {first}", before.end);
            Err(damaged(&path, before.end.min(first), before.bytes, &reason))
        }
        _ => Ok(()),
    }
}

fn open_sealed(
    disk: &dyn Disk,
    folder: &Path,
    first: Position,
    before: Option<(Instant, Epoch)>,
    verify: bool,
    notes: &mut Vec<String>,
) -> Result<SegmentIndex, JournalError> {
    let (segment, index, made) = load_sealed(disk, folder, first, before, verify)?;
    if made {
        notes.push(format!("made the index of {} again: it was missing or damaged", segment.path.display()));
    }
    Ok(index)
}

fn open_active(
    disk: &dyn Disk,
    folder: &Path,
    first: Position,
    before: Option<(Instant, Epoch)>,
    notes: &mut Vec<String>,
) -> Result<Active, JournalError> {
    let path = segment_path(folder, first);
    let file = disk.open(&path).map_err(failed("open", &path))?;
    let Some(header) = read_header(&*file, &path, first)? else {
        // The header is durable before a group is written: without one there can be no group either.
        if file.length().map_err(failed("read", &path))? > SEGMENT_HEADER_BYTES as u64 {
            return Err(damaged(&path, first, 0, "it has no valid header"));
        }
        notes.push(format!("began {} again: a crash had left it without a header", path.display()));
        return create(disk, folder, first);
    };
    let segment = SegmentFile { path, header, file };
    let Scan { index, flaw } = scan(&segment, before)?;
    if let Some(Flaw { reason, lasting }) = flaw {
        if lasting {
            return Err(damaged(&segment.path, index.end, index.length, &reason));
        }
        let length = segment.file.length().map_err(failed("read", &segment.path))?;
        segment.file.truncate(index.length).map_err(failed("cut", &segment.path))?;
        notes.push(format!(
            "cut {} bytes off the end of {}, from position {} (byte {}) on: {reason}, as a crash leaves it",
            length - index.length,
            segment.path.display(),
            index.end,
            index.length
        ));
    }
    // What a killed process wrote is read here, but perhaps not durable yet, nor is its name.
    segment.file.sync_data().map_err(failed("sync", &segment.path))?;
    disk.sync_folder(folder).map_err(failed("sync", folder))?;
    Ok(Active { segment: Arc::new(segment), index })
}

fn read_header(
    file: &dyn super::disk::DiskFile,
    path: &Path,
    first: Position,
) -> Result<Option<SegmentHeader>, JournalError> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let read = read_full_at(file, &mut bytes, 0).map_err(failed("read", path))?;
    match SegmentHeader::decode(&bytes[..read], path)? {
        Some(header) if header.first != first => {
            let reason = format!("its header says that it begins with position {}", header.first);
            Err(damaged(path, first, 0, &reason))
        }
        header => Ok(header),
    }
}
