//! Events from a file or from standard input: one CloudEvent in JSON a line.
//!
//! How far a file has been read is journaled in the same group as its events, so a source resumes where
//! it stopped, after a crash too. A file that was replaced or cut is recognised by its first bytes and by
//! those before that place, and is read from its start.

mod cursor;
mod lines;
mod reader;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::time::Duration;

use carpe::{Accepted, SubmitError};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::intake::Intake;

use self::cursor::Cursor;
use self::reader::Chunk;

/// Chunks that wait for their receipt. Several share one fsync; what they hold is bounded by
/// [`reader::CHUNK_BYTES`] each.
const CHUNKS_IN_FLIGHT: usize = 8;
/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 4;
/// Bad lines that are kept to be shown; all are counted.
const BAD_LINES_SHOWN: usize = 20;

/// Reads events, one a line.
#[derive(Debug)]
#[non_exhaustive]
pub struct FileSource {
    input: Input,
    /// At the end of the file, wait for more, also in a new file of the same name.
    pub follow: bool,
    /// What to do about a line that is no event.
    pub on_bad_line: OnBadLine,
    /// With [`OnBadLine::Skip`], how many may be skipped before the source stops all the same.
    pub max_bad_lines: u64,
    /// How often a file that is followed is looked at.
    pub poll: Duration,
}

/// What to do about a line that is no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadLine {
    /// Stop before it. What came before it is taken; once it is mended, the source goes on there.
    #[default]
    Stop,
    /// Report it and go on.
    Skip,
}

/// How far a source has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes read and done with, those of earlier runs included.
    pub bytes: u64,
    /// How long the file was when it was opened; none for a stream.
    pub total_bytes: Option<u64>,
    /// Events that were accepted and are durable.
    pub events: u64,
    /// Events that the host had already.
    pub repeated: u64,
    /// Lines that were no events.
    pub bad_lines: u64,
    /// The first of them.
    pub first_bad_lines: Vec<BadLine>,
}

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadLine {
    /// The file, or `stdin`.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1, in bytes; none if the line as a whole is bad.
    pub column: Option<usize>,
    /// What's wrong.
    pub reason: String,
}

/// Why a source stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file can't be opened or read.
    #[error("cannot read {file}")]
    Read {
        /// Which file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no event.
    #[error("{0}; mend the line, or set `on_bad_line = \"skip\"`")]
    BadLine(BadLine),
    /// More lines were skipped than may be.
    #[error(
        "{last}; this is bad line number {count}, and at most {limit} are skipped: is it the right file?"
    )]
    TooManyBadLines {
        /// The one that was too many.
        last: BadLine,
        /// How many there are.
        count: u64,
        /// How many may be skipped.
        limit: u64,
    },
    /// The host takes no more.
    #[error("the host did not take the events of {file}")]
    Intake {
        /// Which file.
        file: String,
        /// Why.
        source: SubmitError,
    },
}

enum Input {
    File(PathBuf),
    Stream { name: String, stream: Box<dyn Read + Send> },
}

impl FileSource {
    /// A file, which is resumed where it was left.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        FileSource::of(Input::File(path.into()))
    }

    /// Standard input. It can't be read again, so it isn't resumed.
    pub fn stdin() -> Self {
        FileSource::stream("stdin", std::io::stdin())
    }

    /// Any other stream, called `name` in messages.
    pub fn stream(name: impl Into<String>, stream: impl Read + Send + 'static) -> Self {
        FileSource::of(Input::Stream { name: name.into(), stream: Box::new(stream) })
    }

    fn of(input: Input) -> Self {
        FileSource {
            input,
            follow: false,
            on_bad_line: OnBadLine::default(),
            max_bad_lines: 1_000,
            poll: Duration::from_millis(200),
        }
    }

    /// Under which name the host keeps how far `path` has been read.
    pub fn cursor_name(path: &Path) -> String {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        format!("file:{}", absolute.display())
    }

    /// Reads to the end, or, if it follows, until `stop` resolves. Waits where the host is busy.
    /// `progress` is called whenever more has become durable.
    ///
    /// # Errors
    /// If the file can't be read, at a bad line (see [`OnBadLine`]), or if the host takes no more.
    pub async fn run<I: Intake>(
        self,
        intake: I,
        stop: impl Future<Output = ()>,
        progress: impl FnMut(&Progress),
    ) -> Result<Progress, FileError> {
        let cursor_name = match &self.input {
            Input::File(path) => Some(FileSource::cursor_name(path)),
            Input::Stream { .. } => None,
        };
        let on_bad_line = self.on_bad_line;
        let max_bad_lines = self.max_bad_lines;
        let cursor = cursor_name.as_deref().and_then(|name| Cursor::parse(&intake.cursor(name)?));
        let (chunks, mut ready) = mpsc::channel(CHUNKS_AHEAD);
        let file = reader::spawn(self, cursor, intake.bounds(), chunks)?;
        let mut feed = Feed {
            intake,
            cursor_name,
            file,
            on_bad_line,
            max_bad_lines,
            waiting: VecDeque::new(),
            done: Progress::default(),
            progress,
        };
        let ended = feed.run(&mut ready, pin!(stop)).await;
        // What was submitted counts, whatever ended the source.
        let settled = feed.settle().await;
        ended.and(settled).map(|()| feed.done)
    }
}

/// From chunks to the host, in order.
struct Feed<I: Intake, P> {
    intake: I,
    cursor_name: Option<String>,
    file: String,
    on_bad_line: OnBadLine,
    max_bad_lines: u64,
    waiting: VecDeque<Waiting<I::Receipt>>,
    done: Progress,
    progress: P,
}

struct Waiting<R> {
    receipt: Pin<Box<R>>,
    bytes: u64,
    total_bytes: Option<u64>,
}

impl<I: Intake, P: FnMut(&Progress)> Feed<I, P> {
    async fn run(
        &mut self,
        ready: &mut mpsc::Receiver<Result<Chunk, FileError>>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), FileError> {
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                done = oldest(&mut self.waiting), if !self.waiting.is_empty() => self.absorb(done)?,
                chunk = ready.recv(), if self.waiting.len() < CHUNKS_IN_FLIGHT => match chunk {
                    None => return Ok(()),
                    Some(chunk) => {
                        let chunk = chunk?;
                        tokio::select! {
                            biased;
                            () = &mut stop => return Ok(()),
                            taken = self.take(chunk) => taken?,
                        }
                    }
                },
            }
        }
    }

    /// Hands one chunk to the host; when it returns, the chunk has been submitted, whole.
    async fn take(&mut self, mut chunk: Chunk) -> Result<(), FileError> {
        for bad in std::mem::take(&mut chunk.bad) {
            self.skip(bad)?;
        }
        let mut stop_at = None;
        loop {
            match self.submit(&chunk) {
                Ok(()) => return stop_at.map_or(Ok(()), |bad| Err(FileError::BadLine(bad))),
                Err(SubmitError::Busy { retry_after }) if self.waiting.is_empty() => {
                    tokio::time::sleep(retry_after).await;
                }
                // What becomes durable makes room.
                Err(SubmitError::Busy { .. }) => {
                    let done = oldest(&mut self.waiting).await;
                    self.absorb(done)?;
                }
                Err(SubmitError::Invalid { index, error }) if index < chunk.events.len() => {
                    let bad = chunk.bad_line(&self.file, index, error.to_string());
                    if self.on_bad_line == OnBadLine::Stop {
                        chunk.cut(index);
                        stop_at = Some(bad);
                    } else {
                        chunk.remove(index);
                        self.skip(bad)?;
                    }
                }
                Err(source) => return Err(FileError::Intake { file: self.file.clone(), source }),
            }
        }
    }

    fn submit(&mut self, chunk: &Chunk) -> Result<(), SubmitError> {
        // A refused submission doesn't give its events back; a copy costs less than to parse them again.
        let events = chunk.events.clone();
        let receipt = match (&self.cursor_name, &chunk.cursor) {
            (Some(name), Some(cursor)) => self.intake.submit_from(name, cursor.to_string(), events)?,
            _ => self.intake.submit_all(events)?,
        };
        let waiting =
            Waiting { receipt: Box::pin(receipt), bytes: chunk.end, total_bytes: chunk.total_bytes };
        self.waiting.push_back(waiting);
        Ok(())
    }

    fn skip(&mut self, bad: BadLine) -> Result<(), FileError> {
        tracing::warn!("{bad}; the line is skipped");
        self.done.bad_lines += 1;
        if self.done.bad_lines > self.max_bad_lines {
            let (count, limit) = (self.done.bad_lines, self.max_bad_lines);
            return Err(FileError::TooManyBadLines { last: bad, count, limit });
        }
        if self.done.first_bad_lines.len() < BAD_LINES_SHOWN {
            self.done.first_bad_lines.push(bad);
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), FileError> {
        while !self.waiting.is_empty() {
            let done = oldest(&mut self.waiting).await;
            self.absorb(done)?;
        }
        Ok(())
    }

    fn absorb(&mut self, done: Result<Accepted, SubmitError>) -> Result<(), FileError> {
        let waited = self.waiting.pop_front();
        let taken = done.map_err(|source| FileError::Intake { file: self.file.clone(), source })?;
        self.done.events += taken.accepted as u64;
        self.done.repeated += taken.repeated as u64;
        if let Some(waited) = waited {
            self.done.bytes = waited.bytes;
            self.done.total_bytes = waited.total_bytes;
        }
        (self.progress)(&self.done);
        Ok(())
    }
}

/// The oldest receipt's result; it stays in the queue, so that nothing is lost if nobody waits for it now.
async fn oldest<R>(waiting: &mut VecDeque<Waiting<R>>) -> Result<Accepted, SubmitError>
where
    R: Future<Output = Result<Accepted, SubmitError>>,
{
    match waiting.front_mut() {
        Some(oldest) => oldest.receipt.as_mut().await,
        None => std::future::pending().await,
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.file, self.line)?;
        if let Some(column) = self.column {
            write!(f, "{column}:")?;
        }
        write!(f, " {}", self.reason)
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::File(path) => write!(f, "File({path:?})"),
            Input::Stream { name, .. } => write!(f, "Stream({name:?})"),
        }
    }
}
