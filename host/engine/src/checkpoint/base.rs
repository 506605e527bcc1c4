//! Bases: whole checkpoints in files that nothing writes to again.
//!
//! A base at position P holds all that is needed to compute the journal from P on again. A segment of the
//! journal is removed only when a later base exists, and a checkpoint that is lost is made again from one.
//!
//! ```text
//! magic `CARPEBAS`, format: u32     then, compressed by zstd:
//! row, n times                      length of the key: u32, of the value: u32, key, value
//! end                               u32::MAX, n: u64, blake3 of all bytes of the rows: 32 bytes
//! ```

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::rows::Rows;
use super::{CheckpointError, damaged, io};
use crate::journal::Position;

const MAGIC: [u8; 8] = *b"CARPEBAS";
const FORMAT: u32 = 1;
const END: u32 = u32::MAX;
/// Keys and values are far smaller: more is damage, and is not allocated.
const ROW_LIMIT_BYTES: usize = 1 << 28;

/// A base that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// The first position that is not in all of it.
    pub(crate) position: Position,
    pub(crate) path: PathBuf,
}

/// All bases of a folder by their names, the oldest first. What is left of one that was being written goes, if
/// `tidy` says so.
pub(crate) fn list(folder: &Path, tidy: bool) -> Result<Vec<Base>, CheckpointError> {
    let mut bases = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(bases),
        Err(error) => return Err(io("list", folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(io("list", folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.ends_with(".part") {
            if tidy {
                std::fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        } else if let Some(position) = name.strip_suffix(".base").and_then(|digits| digits.parse().ok()) {
            bases.push(Base { position, path });
        }
    }
    bases.sort_by_key(|base| base.position);
    Ok(bases)
}

/// Is given each row's key and value.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), CheckpointError> + 'a;

/// Reads all rows of a base. What `visit` was given counts only if this returns `Ok`: the end says whether it is
/// whole.
pub(crate) fn read(path: &Path, visit: &mut Visit<'_>) -> Result<(), CheckpointError> {
    let place = path.display().to_string();
    let cut = |error: std::io::Error| damaged(&place, format!("it cannot be read to its end: {error}"));
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut head = [0; 12];
    file.read_exact(&mut head).map_err(cut)?;
    let (magic, format) = head.split_at(8);
    if magic != MAGIC {
        return Err(damaged(&place, "it is no base"));
    }
    if format != FORMAT.to_le_bytes() {
        return Err(damaged(&place, "it was written by a newer version of carpe: run that version"));
    }
    let decoder = zstd::stream::read::Decoder::new(file).map_err(cut)?;
    let mut reader = BufReader::with_capacity(1 << 18, decoder);
    let (mut hasher, mut count) = (blake3::Hasher::new(), 0_u64);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    loop {
        let key_length = u32_of(&mut reader).map_err(cut)?;
        if key_length == END {
            break;
        }
        let value_length = u32_of(&mut reader).map_err(cut)?;
        let lengths = [key_length, value_length].map(|length| length as usize);
        if lengths.iter().any(|&length| length > ROW_LIMIT_BYTES) {
            return Err(damaged(&place, "a row is larger than any can be"));
        }
        key.resize(lengths[0], 0);
        value.resize(lengths[1], 0);
        reader.read_exact(&mut key).map_err(cut)?;
        reader.read_exact(&mut value).map_err(cut)?;
        for part in [&key_length.to_le_bytes()[..], &value_length.to_le_bytes(), &key, &value] {
            hasher.update(part);
        }
        count += 1;
        visit(&key, &value)?;
    }
    let mut end = [0; 40];
    reader.read_exact(&mut end).map_err(cut)?;
    let (written, hash) = end.split_at(8);
    if written != count.to_le_bytes() || hash != hasher.finalize().as_bytes() {
        return Err(damaged(&place, "its hash is not that of its rows"));
    }
    Ok(())
}

/// Reads a base into memory.
pub(crate) fn load(path: &Path) -> Result<Rows, CheckpointError> {
    let mut rows = Rows::default();
    read(path, &mut |key, value| rows.add(key, value))?;
    Ok(rows)
}

fn u32_of(reader: &mut impl Read) -> std::io::Result<u32> {
    let mut number = [0; 4];
    reader.read_exact(&mut number)?;
    Ok(u32::from_le_bytes(number))
}

/// Writes a base: it is there whole, and verified, or not at all.
pub(crate) struct BaseWriter {
    base: Base,
    temporary: PathBuf,
    encoder: zstd::stream::write::Encoder<'static, BufWriter<File>>,
    hasher: blake3::Hasher,
    count: u64,
}

impl BaseWriter {
    pub(crate) fn begin(folder: &Path, position: Position) -> Result<Self, CheckpointError> {
        let path = folder.join(format!("{position:020}.base"));
        let temporary = path.with_extension("base.part");
        let file = File::create(&temporary).map_err(io("create", &temporary))?;
        let mut file = BufWriter::with_capacity(1 << 18, file);
        file.write_all(&MAGIC)
            .and_then(|()| file.write_all(&FORMAT.to_le_bytes()))
            .map_err(io("write", &temporary))?;
        let encoder = zstd::stream::write::Encoder::new(file, 1).map_err(io("write", &temporary))?;
        let base = Base { position, path };
        Ok(BaseWriter { base, temporary, encoder, hasher: blake3::Hasher::new(), count: 0 })
    }

    pub(crate) fn row(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(END).to_le_bytes();
        for part in [&length(key)[..], &length(value), key, value] {
            self.hasher.update(part);
            self.encoder.write_all(part).map_err(io("write", &self.temporary))?;
        }
        self.count += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Base, CheckpointError> {
        let hash = self.hasher.finalize();
        for part in [&END.to_le_bytes()[..], &self.count.to_le_bytes(), hash.as_bytes()] {
            self.encoder.write_all(part).map_err(io("write", &self.temporary))?;
        }
        let written = self.encoder.finish().and_then(|file| file.into_inner().map_err(Into::into));
        let file = written.map_err(io("write", &self.temporary))?;
        file.sync_all().map_err(io("sync", &self.temporary))?;
        read(&self.temporary, &mut |_, _| Ok(()))?;
        std::fs::rename(&self.temporary, &self.base.path).map_err(io("rename", &self.temporary))?;
        sync_folder(self.base.path.parent())?;
        Ok(self.base)
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: Option<&Path>) -> Result<(), CheckpointError> {
    let Some(folder) = folder else { return Ok(()) };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path) -> Base {
        let mut writer = BaseWriter::begin(folder, 7).unwrap();
        for number in 0_u32..1_000 {
            writer.row(&number.to_be_bytes(), &vec![7; number as usize % 50]).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_base_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let base = written(folder.path());
        std::fs::write(folder.path().join("00000000000000000009.base.part"), "half").unwrap();
        assert_eq!(list(folder.path(), true).unwrap(), std::slice::from_ref(&base));
        let mut rows = Vec::new();
        read(&base.path, &mut |key, value| {
            rows.push((key.to_vec(), value.len()));
            Ok(())
        })
        .unwrap();
        assert_eq!(rows.len(), 1_000);
        assert_eq!(rows[49], (49_u32.to_be_bytes().to_vec(), 49));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let base = written(folder.path());
        let whole = std::fs::read(&base.path).unwrap();
        let rows = || {
            let mut rows = Vec::new();
            let read = read(&base.path, &mut |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                Ok(())
            });
            read.map(|()| rows)
        };
        let written = rows().unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&base.path, &flipped).unwrap();
            // A few bits of the compressed stream's header mean nothing.
            assert!(rows().is_ok_and(|rows| rows == written) || rows().is_err(), "byte {at}");
            std::fs::write(&base.path, &whole[..at]).unwrap();
            assert!(rows().is_err(), "cut at {at}");
        }
    }
}
