//! The thread that reads: lines are blocking work, and parsing them takes time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carpe::{AdmitError, EventBatch};
use tokio::sync::mpsc;

use super::cursor::{Cursor, Position};
use super::lines::{Found, Lines};
use super::{BadLine, FileError, FileSource, Input, OnBadLine};
use crate::intake::Bounds;

/// A chunk is handed on when it holds as many lines, or bytes.
const CHUNK_LINES: usize = 512;
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// A line is an event, and may have a byte order mark before it and a carriage return behind it.
const MARKS_BYTES: usize = 4;

/// Events that follow each other, and where in the file they end.
pub(super) struct Chunk {
    pub(super) batch: EventBatch,
    /// Where each of the events' lines starts.
    lines: Vec<Position>,
    pub(super) bad: Vec<BadLine>,
    /// In bytes.
    pub(super) end: u64,
    /// Where the source goes on after this chunk; none if it can't be resumed.
    pub(super) cursor: Option<Cursor>,
    pub(super) total_bytes: Option<u64>,
    file: Option<Arc<File>>,
}

impl Chunk {
    fn new(bounds: Bounds, end: u64, file: Option<Arc<File>>, total_bytes: Option<u64>) -> Self {
        let batch = EventBatch::new(bounds.event_bytes);
        Chunk { batch, lines: Vec::new(), bad: Vec::new(), end, cursor: None, total_bytes, file }
    }

    /// The event at `index`, as a bad line.
    pub(super) fn bad_line(&self, file: &str, index: usize, reason: String) -> BadLine {
        let line = self.lines.get(index).map_or(0, |start| start.line + 1);
        BadLine { file: file.to_owned(), line, column: None, reason }
    }

    /// Leaves one event out.
    pub(super) fn remove(&mut self, index: usize) {
        self.batch = self.batch.only(|at| at != index);
        self.lines.remove(index);
    }

    /// Ends before the event at `index`.
    pub(super) fn cut(&mut self, index: usize) {
        self.batch = self.batch.only(|at| at < index);
        if let Some(&start) = self.lines.get(index) {
            self.end = start.offset;
            // Without a cursor the next start reads this chunk again, and its events are repeats.
            self.cursor = self.file.as_deref().and_then(|file| Cursor::at(file, start).ok());
        }
        self.lines.truncate(index);
    }
}

/// Starts the thread. It ends with its input, or when nobody wants its chunks any more. Returns what the
/// input is called.
pub(super) fn spawn(
    source: FileSource,
    cursor: Option<Cursor>,
    bounds: Bounds,
    chunks: mpsc::Sender<Result<Chunk, FileError>>,
) -> Result<String, FileError> {
    let name = match &source.input {
        Input::File(path) => path.display().to_string(),
        Input::Stream { name, .. } => name.clone(),
    };
    let file = name.clone();
    let read = move || {
        let reader = Reader {
            name: name.clone(),
            skip_bad: source.on_bad_line == OnBadLine::Skip,
            poll: source.follow.then_some(source.poll),
            bounds,
            chunks: chunks.clone(),
        };
        let read = match source.input {
            Input::File(path) => reader.read_file(&path, cursor),
            Input::Stream { stream, .. } => reader.read_stream(stream),
        };
        if let Err(Ended::Failed(error)) = read {
            // Nobody waits for it any more: nobody misses it.
            let _ = chunks.blocking_send(Err(error));
        }
    };
    match thread::Builder::new().name("carpe-lines".to_owned()).spawn(read) {
        Ok(_) => Ok(file),
        Err(source) => Err(FileError::Read { file, source }),
    }
}

struct Reader {
    name: String,
    skip_bad: bool,
    /// None: the file is not followed.
    poll: Option<Duration>,
    bounds: Bounds,
    chunks: mpsc::Sender<Result<Chunk, FileError>>,
}

/// Why the thread ends before its input does.
enum Ended {
    Unwanted,
    Failed(FileError),
}

impl Reader {
    fn read_stream(&self, stream: impl Read) -> Result<(), Ended> {
        let mut lines = Lines::new(stream, Position::default(), self.line_limit());
        let mut chunk = Chunk::new(self.bounds, 0, None, None);
        self.read_to_end(&mut lines, &mut chunk)?;
        self.finish(&mut lines, chunk)
    }

    fn read_file(&self, path: &Path, cursor: Option<Cursor>) -> Result<(), Ended> {
        let mut resume = cursor;
        loop {
            let Some(mut file) = self.open(path)? else { continue };
            let start = self.resume(&mut file, resume.take())?;
            if !self.read_one(path, file, start)? {
                return Ok(());
            }
        }
    }

    /// Opens the file; none: it is not there (yet).
    fn open(&self, path: &Path) -> Result<Option<File>, Ended> {
        match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.poll.is_some() => {
                self.wait()?;
                Ok(None)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn resume(&self, file: &mut File, cursor: Option<Cursor>) -> Result<Position, Ended> {
        let Some(cursor) = cursor else { return Ok(Position::default()) };
        if !cursor.fits(file).map_err(|error| self.failed(error))? {
            tracing::warn!(
                file = self.name,
                "the file is not the one that was read before: it is read from its start"
            );
            return Ok(Position::default());
        }
        file.seek(SeekFrom::Start(cursor.position.offset)).map_err(|error| self.failed(error))?;
        Ok(cursor.position)
    }

    /// Reads one file. `true`: there is another of the same name.
    fn read_one(&self, path: &Path, file: File, start: Position) -> Result<bool, Ended> {
        let file = Arc::new(file);
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        if !metadata.is_file() && !metadata.is_dir() {
            // A pipe, say: it has no place to come back to.
            return self.read_stream(&*file).map(|()| false);
        }
        let mut lines = Lines::new(&*file, start, self.line_limit());
        let mut chunk = Chunk::new(self.bounds, start.offset, Some(file.clone()), Some(metadata.len()));
        let mut replaced = false;
        loop {
            self.read_to_end(&mut lines, &mut chunk)?;
            if self.poll.is_none() || replaced {
                self.finish(&mut lines, chunk)?;
                return Ok(replaced);
            }
            self.wait()?;
            // While it is moved there may be none of its name.
            let Ok(now) = std::fs::metadata(path) else { continue };
            // What was written before it was replaced is read still.
            replaced = (now.dev(), now.ino()) != (metadata.dev(), metadata.ino());
            if !replaced && now.len() < lines.read_to() {
                tracing::warn!(file = self.name, "the file was cut: it is read from its start");
                return Ok(true);
            }
        }
    }

    /// Reads what there is, and hands it on in chunks.
    fn read_to_end<R: Read>(&self, lines: &mut Lines<R>, chunk: &mut Chunk) -> Result<(), Ended> {
        let most = CHUNK_LINES.min(self.bounds.batch_events).max(1);
        loop {
            // What has come does not wait for more: who writes into a pipe now and then wants each line
            // taken.
            let full = chunk.batch.len().max(chunk.bad.len()) >= most || chunk.batch.bytes() >= CHUNK_BYTES;
            if full || !lines.has_line() {
                self.hand_on(chunk, lines.end())?;
            }
            let start = lines.end();
            match lines.read().map_err(|error| self.failed(error))? {
                Found::End => return Ok(()),
                found => self.add(lines, found, start, chunk)?,
            }
        }
    }

    /// The input has ended: what is left of it is a line too.
    fn finish<R: Read>(&self, lines: &mut Lines<R>, mut chunk: Chunk) -> Result<(), Ended> {
        let start = lines.end();
        match lines.finish() {
            Found::End => {}
            found => self.add(lines, found, start, &mut chunk)?,
        }
        self.hand_on(&mut chunk, lines.end())
    }

    fn add<R: Read>(
        &self,
        lines: &Lines<R>,
        found: Found,
        start: Position,
        chunk: &mut Chunk,
    ) -> Result<(), Ended> {
        let text = lines.text();
        let (column, reason) = if found == Found::TooLong {
            (None, format!("the line is longer than {} bytes", self.line_limit()))
        } else if text.trim_ascii().is_empty() {
            return Ok(());
        } else {
            match chunk.batch.push_json(text) {
                Ok(()) => {
                    chunk.lines.push(start);
                    return Ok(());
                }
                Err(AdmitError::Syntax { column, reason, .. }) => {
                    (Some(column.max(1)), format!("this is not a CloudEvent in JSON: {reason}"))
                }
                Err(error) => (None, error.to_string()),
            }
        };
        let bad = BadLine { file: self.name.clone(), line: start.line + 1, column, reason };
        if self.skip_bad {
            chunk.bad.push(bad);
            return Ok(());
        }
        self.hand_on(chunk, start)?;
        Err(Ended::Failed(FileError::BadLine(bad)))
    }

    /// Hands on what the chunk holds; it goes on from `end`.
    fn hand_on(&self, chunk: &mut Chunk, end: Position) -> Result<(), Ended> {
        if chunk.batch.is_empty() && chunk.bad.is_empty() && chunk.end == end.offset {
            return Ok(());
        }
        let next = Chunk::new(self.bounds, end.offset, chunk.file.clone(), chunk.total_bytes);
        let mut chunk = std::mem::replace(chunk, next);
        chunk.end = end.offset;
        // There is none if the file is being cut now; then it is read from its start soon.
        chunk.cursor = chunk.file.as_deref().and_then(|file| Cursor::at(file, end).ok());
        self.chunks.blocking_send(Ok(chunk)).map_err(|_| Ended::Unwanted)
    }

    fn wait(&self) -> Result<(), Ended> {
        thread::sleep(self.poll.unwrap_or_default());
        if self.chunks.is_closed() { Err(Ended::Unwanted) } else { Ok(()) }
    }

    fn failed(&self, source: io::Error) -> Ended {
        Ended::Failed(FileError::Read { file: self.name.clone(), source })
    }

    fn line_limit(&self) -> usize {
        self.bounds.event_bytes.saturating_add(MARKS_BYTES)
    }
}
