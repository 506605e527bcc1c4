//! Actions into a file: one CloudEvent in JSON a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use carpe::{Delivery, Reply, Sink};

use super::line_writer::{LineWriter, Lines, QUEUE};

/// Appends each action to a file, as a line of JSON. An action counts as delivered when the file is on
/// disk. It may be written twice (after a crash, say), with the same `id`.
pub struct FileSink {
    writer: LineWriter,
}

/// Why a file can't be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {}", path.display())]
pub struct FileSinkError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl FileSink {
    /// Opens the file at `path`, or makes it, and starts the thread that writes to it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileSinkError> {
        let path = path.into();
        let opened = Log::open(&path).and_then(|log| LineWriter::start("carpe-file", log));
        match opened {
            Ok(writer) => Ok(FileSink { writer }),
            Err(source) => Err(FileSinkError { path, source }),
        }
    }
}

impl Sink for FileSink {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        let mut line = delivery.event.to_json();
        line.push('\n');
        self.writer.write(line, reply);
    }

    fn concurrency(&self) -> usize {
        QUEUE
    }
}

/// A file of whole lines.
struct Log {
    path: PathBuf,
    file: File,
    inode: (u64, u64),
}

impl Log {
    fn open(path: &Path) -> io::Result<Log> {
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() {
            // The directory too, or a new file may be lost with its name.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            if ends_torn(&file, metadata.len())? {
                tracing::warn!(file = %path.display(), "the last line is not whole: it is ended");
                file.write_all(b"\n")?;
            }
        }
        Ok(Log { path: path.to_owned(), file, inode: (metadata.dev(), metadata.ino()) })
    }

    /// Opens it again if it was moved away, by a log rotation, say.
    fn reopen_if_moved(&mut self) -> io::Result<()> {
        let same = std::fs::metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.inode);
        if !same {
            *self = Log::open(&self.path)?;
        }
        Ok(())
    }
}

impl Lines for Log {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.reopen_if_moved()?;
        let metadata = self.file.metadata()?;
        let written = self.file.write_all(lines);
        if !metadata.is_file() {
            // A pipe or a device takes what it took.
            return written;
        }
        let synced = written.and_then(|()| self.file.sync_data());
        if synced.is_err() {
            // Half a group would leave half a line, and come again whole. If it can't be taken back, a
            // line is written twice.
            let _ = self.file.set_len(metadata.len());
        }
        synced
    }
}

fn ends_torn(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}
