//! Opening a journal: checks what is there, cuts off what a crash tore, refuses what is damaged.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::{Epoch, JournalError, Position};
use super::FileJournalOptions;
use super::disk::{Disk, DiskFile, failed};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::index::SegmentIndex;
use super::scan::{Scan, scan};
use super::segment::{
    Loaded, Sealed, SegmentFile, create, first_of, index_path, list, read_header, segment_path,
};
use crate::event::Instant;

/// What an open journal begins with.
pub(crate) struct Opened {
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) active: Loaded,
    pub(crate) last: Option<(Instant, Epoch)>,
    pub(crate) notes: Vec<String>,
}

/// How a journal is opened.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) folder: &'a Path,
    pub(crate) options: &'a FileJournalOptions,
    /// Nothing is written, and another process may be writing.
    pub(crate) read_only: bool,
}

/// Reads the folder, all of its last segment, and with `verify` all of the others too.
pub(crate) fn open(opening: &Opening<'_>) -> Result<Opened, JournalError> {
    let &Opening { disk, folder, read_only, .. } = opening;
    let (firsts, others) = list(disk, folder)?;
    let mut opened = Opened { sealed: Vec::new(), active: nothing(folder, 0), last: None, notes: Vec::new() };
    for (&first, &end) in firsts.iter().zip(firsts.iter().skip(1)) {
        let (segment, made) = load_sealed(opening, first, end, opened.last)?;
        if made {
            let path = segment.segment.path.display();
            opened.notes.push(format!("made the index of {path} again: it was missing or damaged"));
        }
        opened.last = segment.index.last().or(opened.last);
        opened.sealed.push(Sealed::of(first, &segment.index));
    }
    match firsts.last() {
        Some(&first) => open_active(opening, first, &mut opened)?,
        None => {
            long_enough(opening, &segment_path(folder, 0), &opened.active.index)?;
            if !read_only {
                opened.active = create(disk, folder, 0, |_| Ok(()))?;
            }
        }
    }
    opened.last = opened.active.index.last().or(opened.last);
    if !read_only {
        remove_leftovers(opening, &firsts, &others)?;
    }
    Ok(opened)
}

/// Opens the segment from `first` up to `end`, where the next one begins, and takes its index from its side file, or
/// makes that again: then the second is true.
pub(crate) fn load_sealed(
    opening: &Opening<'_>,
    first: Position,
    end: Position,
    before: Option<(Instant, Epoch)>,
) -> Result<(Loaded, bool), JournalError> {
    let &Opening { disk, folder, options, read_only } = opening;
    let path = segment_path(folder, first);
    let file = disk.open_to_read(&path).map_err(failed("open", &path))?;
    let Some(header) = read_header(&*file, &path, first)? else {
        return Err(damaged(&path, first, Some(end), 0, "it has no valid header".to_owned()));
    };
    let segment = Arc::new(SegmentFile { path, header, file });
    let length = segment.file.length().map_err(failed("read", &segment.path))?;
    let known = SegmentIndex::load(disk, &index_path(folder, first))
        .filter(|index| index.salt == header.salt && index.end == end && index.length <= length);
    let known = match known {
        Some(index) if !options.verify => return Ok((Loaded { segment, index }, false)),
        known => known,
    };
    let Scan { index, flaw } = scan(&segment, before, Some(end), options.verify)?;
    if let Some(flaw) = flaw {
        let until = flaw.until.or(Some(end));
        return Err(damaged(&segment.path, index.end, until, index.length, flaw.reason));
    }
    if index.end != end {
        let reason = format!("it ends before position {}, but the next file begins with {end}", index.end);
        return Err(damaged(&segment.path, index.end, Some(end), index.length, reason));
    }
    let made = known.as_ref() != Some(&index) && !read_only;
    if made {
        // Best effort: it can be made again at any time.
        let _ = index.save(disk, folder, &index_path(folder, first));
    }
    Ok((Loaded { segment, index }, made))
}

pub(crate) fn damaged(
    path: &Path,
    position: Position,
    until: Option<Position>,
    offset: u64,
    reason: String,
) -> JournalError {
    let until = until.filter(|&until| until > position);
    JournalError::Damaged { position, until, path: path.to_owned(), offset, reason }
}

/// Opens the last segment: it may have been torn.
fn open_active(opening: &Opening<'_>, first: Position, opened: &mut Opened) -> Result<(), JournalError> {
    let &Opening { disk, folder, read_only, .. } = opening;
    let path = segment_path(folder, first);
    let open = if read_only { disk.open_to_read(&path) } else { disk.open(&path) };
    let file = open.map_err(failed("open", &path))?;
    if !read_only {
        // What a killed process wrote may not be durable yet; and what a failed sync has lost may still be
        // read as if it were.
        file.sync_data().map_err(failed("sync", &path))?;
        file.forget_cached();
    }
    let length = file.length().map_err(failed("read", &path))?;
    let Some(header) = read_header(&*file, &path, first)? else {
        // Version 1 wrote a header under the file's own name, and a group only when that was durable.
        if length > SEGMENT_HEADER_BYTES as u64 {
            return Err(damaged(&path, first, None, 0, "it has no valid header".to_owned()));
        }
        opened.active = nothing(folder, first);
        long_enough(opening, &path, &opened.active.index)?;
        if !read_only {
            opened.active = create(disk, folder, first, |_| Ok(()))?;
            opened
                .notes
                .push(format!("began {} again: a crash had left it without a header", path.display()));
        }
        return Ok(());
    };
    let segment = Arc::new(SegmentFile { path, header, file });
    let Scan { index, flaw } = scan(&segment, opened.last, None, opening.options.verify)?;
    if let Some(flaw) = &flaw
        && flaw.lasting
    {
        return Err(damaged(&segment.path, index.end, flaw.until, index.length, flaw.reason.clone()));
    }
    long_enough(opening, &segment.path, &index)?;
    if let Some(flaw) = flaw {
        opened.notes.push(format!(
            "{} {} bytes at the end of {}, from position {} (byte {}) on: {}, as a crash leaves it",
            if read_only { "left out" } else { "cut off" },
            length.saturating_sub(index.length),
            segment.path.display(),
            index.end,
            index.length,
            flaw.reason
        ));
        if !read_only {
            segment.file.truncate(index.length).map_err(failed("cut", &segment.path))?;
            segment.file.sync_data().map_err(failed("sync", &segment.path))?;
        }
    }
    if !read_only {
        // What a killed process named may not be durable yet.
        disk.sync_folder(folder).map_err(failed("sync", folder))?;
    }
    opened.active = Loaded { segment, index };
    Ok(())
}

/// That nothing is missing that something else refers to.
fn long_enough(opening: &Opening<'_>, path: &Path, last: &SegmentIndex) -> Result<(), JournalError> {
    let at_least = opening.options.at_least;
    if last.end >= at_least {
        return Ok(());
    }
    let reason =
        format!("it ends at position {}, but what was made from it refers to position {at_least}", last.end);
    Err(damaged(path, last.end, Some(at_least), last.length, reason))
}

/// Removes what a crash has left half made, and indexes of segments that are gone.
fn remove_leftovers(
    opening: &Opening<'_>,
    firsts: &[Position],
    others: &[String],
) -> Result<(), JournalError> {
    for name in others {
        let temporary = name.ends_with(".index.tmp") || name.ends_with(".journal.tmp");
        let orphan = first_of(name, ".index").is_some_and(|first| !firsts.contains(&first));
        if temporary || orphan {
            let path = opening.folder.join(name);
            match opening.disk.remove(&path) {
                // Opening may have used the name itself, and renamed the file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(failed("remove", &path))?,
            }
        }
    }
    Ok(())
}

/// A segment without a file.
fn nothing(folder: &Path, first: Position) -> Loaded {
    let header = SegmentHeader::new(first, 0);
    let segment = SegmentFile { path: segment_path(folder, first), header, file: Arc::new(Nothing) };
    Loaded { segment: Arc::new(segment), index: SegmentIndex::new(&header) }
}

struct Nothing;

impl DiskFile for Nothing {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn forget_cached(&self) {}
    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn length(&self) -> io::Result<u64> {
        Ok(0)
    }
}
