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

use carpe::journal::SourceRead;
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
/// How long to wait while the host's journal cannot be written.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);
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

    /// Reads to the end, or, if it follows, until `stop` resolves. Waits where the host is busy, and while its
    /// journal cannot be written. `progress` is called whenever more has become durable.
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
            unsent: VecDeque::new(),
            waiting: VecDeque::new(),
            journal_failed: None,
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
    /// To be submitted next: the one that was read last, and those that could not be journaled.
    unsent: VecDeque<Chunk>,
    waiting: VecDeque<Waiting<I::Receipt>>,
    /// Why the journal could not be written, if that is the last that was heard of it.
    journal_failed: Option<String>,
    done: Progress,
    progress: P,
}

struct Waiting<R> {
    receipt: Pin<Box<R>>,
    chunk: Chunk,
}

impl<I: Intake, P: FnMut(&Progress)> Feed<I, P> {
    async fn run(
        &mut self,
        ready: &mut mpsc::Receiver<Result<Chunk, FileError>>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), FileError> {
        let mut ended = false;
        while !ended || !self.waiting.is_empty() || !self.unsent.is_empty() {
            if !self.unsent.is_empty() {
                tokio::select! {
                    biased;
                    () = &mut stop => return Ok(()),
                    given = self.give() => given?,
                }
                continue;
            }
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                done = oldest(&mut self.waiting), if !self.waiting.is_empty() => self.absorb(done)?,
                chunk = ready.recv(), if !ended && self.waiting.len() < CHUNKS_IN_FLIGHT => match chunk {
                    None => ended = true,
                    Some(chunk) => self.unsent.push_back(chunk?),
                },
            }
        }
        Ok(())
    }

    /// Hands the next chunk to the host, whole, or finds out why not and waits.
    async fn give(&mut self) -> Result<(), FileError> {
        if self.journal_failed.is_some() && !self.waiting.is_empty() {
            // One at a time, until it is known that the journal is written again.
            let done = oldest(&mut self.waiting).await;
            return self.absorb(done);
        }
        if self.journal_failed.is_some() {
            tokio::time::sleep(JOURNAL_PAUSE).await;
        }
        // If one before has failed, this one must not go ahead of it.
        self.absorb_finished().await?;
        let Some(mut chunk) = self.unsent.pop_front() else { return Ok(()) };
        for bad in std::mem::take(&mut chunk.bad) {
            self.skip(bad)?;
        }
        match self.submit(&chunk) {
            Ok(receipt) => {
                self.waiting.push_back(Waiting { receipt, chunk });
                return Ok(());
            }
            Err(SubmitError::Invalid { index, error }) if index < chunk.batch.len() => {
                let bad = chunk.bad_line(&self.file, index, error.to_string());
                if self.on_bad_line == OnBadLine::Stop {
                    return self.end_before(chunk, index, bad).await;
                }
                chunk.remove(index);
                self.unsent.push_front(chunk);
                return self.skip(bad);
            }
            Err(SubmitError::Busy { retry_after }) => {
                self.unsent.push_front(chunk);
                if self.waiting.is_empty() {
                    tokio::time::sleep(retry_after).await;
                    return Ok(());
                }
            }
            Err(SubmitError::Journal(reason)) => {
                self.unsent.push_front(chunk);
                self.note_journal(&reason);
            }
            Err(source) => return Err(FileError::Intake { file: self.file.clone(), source }),
        }
        // What becomes durable makes room.
        if !self.waiting.is_empty() {
            let done = oldest(&mut self.waiting).await;
            self.absorb(done)?;
        }
        Ok(())
    }

    /// Takes what comes before a bad line, and ends with it.
    async fn end_before(&mut self, mut chunk: Chunk, index: usize, bad: BadLine) -> Result<(), FileError> {
        chunk.cut(index);
        self.unsent.clear();
        self.unsent.push_back(chunk);
        while !self.unsent.is_empty() {
            Box::pin(self.give()).await?;
        }
        Err(FileError::BadLine(bad))
    }

    fn submit(&self, chunk: &Chunk) -> Result<Pin<Box<I::Receipt>>, SubmitError> {
        let read = self
            .cursor_name
            .as_ref()
            .zip(chunk.cursor.as_ref())
            .map(|(source, cursor)| SourceRead { source: source.clone(), cursor: cursor.to_string() });
        self.intake.submit(&chunk.batch, read).map(Box::pin)
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
        match self.journal_failed.take().filter(|_| !self.unsent.is_empty()) {
            Some(reason) => {
                let source = SubmitError::Journal(reason);
                Err(FileError::Intake { file: self.file.clone(), source })
            }
            None => Ok(()),
        }
    }

    async fn absorb_finished(&mut self) -> Result<(), FileError> {
        while !self.waiting.is_empty() {
            let done = tokio::select! {
                biased;
                done = oldest(&mut self.waiting) => done,
                () = std::future::ready(()) => return Ok(()),
            };
            self.absorb(done)?;
        }
        Ok(())
    }

    /// What came of the oldest chunk. If it could not be journaled, all are given again, in order: what was
    /// kept after all is a repeat.
    fn absorb(&mut self, done: Result<Accepted, SubmitError>) -> Result<(), FileError> {
        let taken = match done {
            Ok(taken) => taken,
            Err(SubmitError::Journal(reason)) => {
                self.note_journal(&reason);
                while let Some(Waiting { chunk, .. }) = self.waiting.pop_back() {
                    self.unsent.push_front(chunk);
                }
                return Ok(());
            }
            Err(source) => {
                self.waiting.pop_front();
                return Err(FileError::Intake { file: self.file.clone(), source });
            }
        };
        if self.journal_failed.take().is_some() {
            tracing::info!("{}: the journal is written again: the source goes on", self.file);
        }
        self.done.events += taken.accepted as u64;
        self.done.repeated += taken.repeated as u64;
        if let Some(Waiting { chunk, .. }) = self.waiting.pop_front() {
            self.done.bytes = chunk.end;
            self.done.total_bytes = chunk.total_bytes;
        }
        (self.progress)(&self.done);
        Ok(())
    }

    fn note_journal(&mut self, reason: &str) {
        if self.journal_failed.replace(reason.to_owned()).is_none() {
            tracing::warn!(reason, "{}: the journal cannot be written: the source waits", self.file);
        }
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
