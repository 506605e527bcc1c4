//! Segments: what is known of them, and how one comes to be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{Entry, Epoch, JournalError, Position};
use super::disk::{Disk, DiskFile, failed, read_full_at, write_all_at};
use super::format::{Encoder, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::index::SegmentIndex;
use super::open::damaged;
use crate::event::Instant;

/// A segment file, open.
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// A segment that is finished.
#[derive(Clone, Copy)]
pub(crate) struct Sealed {
    pub(crate) first: Position,
    /// Where the next segment begins.
    pub(crate) end: Position,
    pub(crate) bytes: u64,
    pub(crate) last: Option<(Instant, Epoch)>,
}

/// A segment with its index: the one that is written to, or a finished one that was read.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) segment: Arc<SegmentFile>,
    pub(crate) index: SegmentIndex,
}

impl Sealed {
    pub(crate) fn of(first: Position, index: &SegmentIndex) -> Self {
        Sealed { first, end: index.end, bytes: index.length, last: index.last() }
    }
}

pub(crate) fn segment_path(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.journal"))
}

pub(crate) fn index_path(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.index"))
}

/// The first positions of all segments in a folder, in order, and the names of all else that is the journal's.
pub(crate) fn list(disk: &dyn Disk, folder: &Path) -> Result<(Vec<Position>, Vec<String>), JournalError> {
    let (mut firsts, mut others) = (Vec::new(), Vec::new());
    for name in disk.list(folder).map_err(failed("list", folder))? {
        match first_of(&name, ".journal") {
            Some(first) => firsts.push(first),
            None => others.push(name),
        }
    }
    firsts.sort_unstable();
    Ok((firsts, others))
}

/// The position that a file is named for.
pub(crate) fn first_of(name: &str, ending: &str) -> Option<Position> {
    name.strip_suffix(ending).filter(|digits| digits.len() == 20)?.parse().ok()
}

/// `Ok(None)`: the file does not begin with a header.
pub(crate) fn read_header(
    file: &dyn DiskFile,
    path: &Path,
    first: Position,
) -> Result<Option<SegmentHeader>, JournalError> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let read = read_full_at(file, &mut bytes, 0).map_err(failed("read", path))?;
    match SegmentHeader::decode(&bytes[..read], path)? {
        Some(header) if header.first != first => {
            let reason = format!("its header says that it begins with position {}", header.first);
            Err(damaged(path, first, None, 0, reason))
        }
        header => Ok(header),
    }
}

/// A segment that is being written, under another name until it is whole: so one that is there under its own
/// has a header and all that belonged in it, and one of the same name gives way to it in one step.
pub(crate) struct NewSegment {
    path: PathBuf,
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    temporary: PathBuf,
    index: SegmentIndex,
}

impl NewSegment {
    /// Writes the next group.
    ///
    /// # Errors
    /// The medium's error.
    pub(crate) fn push(&mut self, group: &[Arc<Entry>], encoder: &mut Encoder) -> Result<(), JournalError> {
        // All of the segment is durable before any of it is seen.
        let encoded = encoder.encode(group, self.header.salt, 0)?;
        write_all_at(&*self.file, encoded.bytes, self.index.length)
            .map_err(failed("write", &self.temporary))?;
        self.index.push(&encoded.header, !encoded.header.is_plain());
        Ok(())
    }
}

/// Makes a segment that begins with `first` and what `fill` writes; it is durable, with its name, when this returns.
///
/// # Errors
/// The medium's error: then it is there whole, or as it was before, and which of both may change once with the
/// next power loss.
pub(crate) fn create(
    disk: &dyn Disk,
    folder: &Path,
    first: Position,
    fill: impl FnOnce(&mut NewSegment) -> Result<(), JournalError>,
) -> Result<Loaded, JournalError> {
    let path = segment_path(folder, first);
    let temporary = path.with_extension("journal.tmp");
    let written = write(disk, path, &temporary, first, fill);
    if written.is_err() {
        // Best effort: else it is removed when the journal is opened.
        let _ = disk.remove(&temporary);
    }
    let loaded = written?;
    disk.sync_folder(folder).map_err(failed("sync", folder))?;
    Ok(loaded)
}

fn write(
    disk: &dyn Disk,
    path: PathBuf,
    temporary: &Path,
    first: Position,
    fill: impl FnOnce(&mut NewSegment) -> Result<(), JournalError>,
) -> Result<Loaded, JournalError> {
    let salt = getrandom::u64()
        .map_err(|error| failed("take a random number for", &path)(std::io::Error::other(error)))?;
    let header = SegmentHeader::new(first, salt);
    let file = disk.create(temporary).map_err(failed("create", temporary))?;
    write_all_at(&*file, &header.encode(), 0).map_err(failed("write", temporary))?;
    let index = SegmentIndex::new(&header);
    let mut new = NewSegment { path, header, file, temporary: temporary.to_owned(), index };
    fill(&mut new)?;
    new.file.sync_data().map_err(failed("sync", temporary))?;
    disk.rename(temporary, &new.path).map_err(failed("rename", temporary))?;
    let NewSegment { path, file, index, .. } = new;
    Ok(Loaded { segment: Arc::new(SegmentFile { path, header, file }), index })
}
