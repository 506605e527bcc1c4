//! What people have said yes or no to, as lines and lists of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use carpe::{ConsentGiven, Host, format_instant, parse_instant};
use serde::{Deserialize, Serialize};

/// How often it is looked whether a file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Bytes of a line: two names of 1,024 bytes, each written as `\u0000`, and room for the rest.
const LINE_BYTES: u64 = 16 << 10;

/// So many are journaled together.
const TOGETHER: usize = 1_000;

/// Bad lines are named up to here.
const NAMED: usize = 20;

/// A person's yes or no for a purpose, in JSON: the instant is RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ConsentJson {
    /// Whose: the subject of moments.
    pub subject: String,
    /// What for.
    pub purpose: String,
    /// Yes, or no.
    pub given: bool,
    /// When it was said; none: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

impl ConsentJson {
    /// One of which it is not known yet when it was said: now.
    pub fn now(subject: impl Into<String>, purpose: impl Into<String>, given: bool) -> Self {
        ConsentJson { subject: subject.into(), purpose: purpose.into(), given, said: None }
    }

    /// What it says to the host.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn read(self) -> Result<ConsentGiven, String> {
        let said = self.said.map(|said| {
            parse_instant(&said).ok_or_else(|| {
                format!(
                    "`said` is `{}`: it must be an instant such as 2026-03-01T12:00:00Z",
                    said.escape_debug()
                )
            })
        });
        for (what, name) in [("subject", &self.subject), ("purpose", &self.purpose)] {
            if name.is_empty() || name.len() > 1_024 {
                return Err(format!("`{what}` must have 1 to 1,024 bytes, not {}", name.len()));
            }
        }
        Ok(ConsentGiven {
            subject: self.subject,
            purpose: self.purpose,
            given: self.given,
            said: said.transpose()?,
        })
    }

    /// Reads a line of a file, which must say when it was said: the file is read again and again.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn read_line(line: &[u8]) -> Result<ConsentGiven, String> {
        let consent: ConsentJson = serde_json::from_slice(line).map_err(|error| {
            // Its own "at line 1" is about this line alone.
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            if error.is_data() { what.to_owned() } else { format!("it is not JSON: {what}") }
        })?;
        if consent.said.is_none() {
            return Err(
                "`said` is missing: add when it was said, such as \"2026-03-01T12:00:00Z\"".to_owned()
            );
        }
        consent.read()
    }
}

impl From<ConsentGiven> for ConsentJson {
    fn from(ConsentGiven { subject, purpose, given, said }: ConsentGiven) -> Self {
        ConsentJson { subject, purpose, given, said: said.map(format_instant) }
    }
}

/// A file of what people have said yes or no to, one in JSON a line: read at the start, and again when it has changed.
///
/// Lines that are wrong are told of, and left out; the others hold. Of two for one purpose the one that was said later
/// counts, wherever it stands.
#[derive(Clone, Debug)]
pub struct ConsentFile {
    path: PathBuf,
    status: Arc<Mutex<ConsentFileStatus>>,
}

/// How a file of consents stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConsentFileStatus {
    /// The file.
    pub path: PathBuf,
    /// Its lines that hold.
    pub lines: u64,
    /// Its lines that are wrong.
    pub bad_lines: u64,
    /// What is wrong with the first of them, each with its number.
    pub errors: Vec<String>,
    /// Why it could not be read when it was last looked at.
    pub failed: Option<String>,
}

/// What tells whether a file has changed.
type Version = (SystemTime, u64);

impl ConsentFile {
    /// The file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let status = ConsentFileStatus { path: path.clone(), ..ConsentFileStatus::default() };
        ConsentFile { path, status: Arc::new(Mutex::new(status)) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it stands.
    pub fn status(&self) -> ConsentFileStatus {
        self.lock().clone()
    }

    /// Reads it, and tells the host what is new. Blocks until that is durable.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self, host: &Host) -> io::Result<()> {
        let read = File::open(&self.path).and_then(|file| {
            let mut reading =
                Reading { host, now: host.timeline_now(), status: ConsentFileStatus::default() };
            reading.run(BufReader::new(file))?;
            Ok(reading.status)
        });
        let mut known = self.lock();
        match read {
            Ok(status) => {
                let status = ConsentFileStatus { path: self.path.clone(), ..status };
                if *known != status {
                    let path = self.path.display();
                    for error in &status.errors {
                        tracing::error!("the consent file {path}: {error}");
                    }
                    tracing::info!(
                        lines = status.lines,
                        bad_lines = status.bad_lines,
                        "the consent file {path} is read"
                    );
                }
                *known = status;
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                if known.failed.as_ref() != Some(&reason) {
                    tracing::error!(
                        "the consent file {} cannot be read: {reason}; what it said before holds",
                        self.path.display()
                    );
                }
                known.failed = Some(reason);
                Err(error)
            }
        }
    }

    /// Reads it again whenever it has changed, until the future is dropped.
    pub async fn follow(self, host: Host) {
        let mut known = None;
        loop {
            let (file, host) = (self.clone(), host.clone());
            let looked = tokio::task::spawn_blocking(move || file.look(&host, known)).await;
            known = looked.ok().flatten();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Looks whether it has changed since it was `known`.
    fn look(&self, host: &Host, known: Option<Version>) -> Option<Version> {
        let metadata = std::fs::metadata(&self.path).ok();
        let version = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        // A line may be wrong only for now: what was said is still to come by the timeline, or there is no room.
        let is_whole = self.lock().errors.is_empty();
        if version.is_some() && version == known && is_whole {
            return version;
        }
        // It is told of by itself.
        self.read(host).ok().and(version)
    }

    fn lock(&self) -> MutexGuard<'_, ConsentFileStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reading<'a> {
    host: &'a Host,
    now: carpe::Instant,
    status: ConsentFileStatus,
}

impl Reading<'_> {
    fn run(&mut self, mut file: impl BufRead) -> io::Result<()> {
        let (mut line, mut number) = (Vec::new(), 0);
        let mut batch = Vec::new();
        loop {
            line.clear();
            number += 1;
            if (&mut file).take(LINE_BYTES + 1).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.len() as u64 > LINE_BYTES {
                self.bad(number, &format!("it is longer than {LINE_BYTES} bytes"));
                file.skip_until(b'\n')?;
                continue;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            match ConsentJson::read_line(&line) {
                Ok(consent) if consent.said.is_some_and(|said| said > self.now) => {
                    self.bad(number, "what it says was said at an instant that is still to come");
                }
                Ok(consent) => batch.push((number, consent)),
                Err(reason) => self.bad(number, &reason),
            }
            if batch.len() == TOGETHER {
                self.tell(std::mem::take(&mut batch));
            }
        }
        self.tell(batch);
        Ok(())
    }

    fn tell(&mut self, batch: Vec<(u64, ConsentGiven)>) {
        let consents: Vec<_> = batch.iter().map(|(_, consent)| consent.clone()).collect();
        if self.host.consent(consents).is_ok() {
            self.status.lines += batch.len() as u64;
            return;
        }
        // One by one, so that those hold that can.
        for (number, consent) in batch {
            match self.host.consent(vec![consent]) {
                Ok(_) => self.status.lines += 1,
                Err(error) => self.bad(number, &error.describe()),
            }
        }
    }

    fn bad(&mut self, number: u64, reason: &str) {
        self.status.bad_lines += 1;
        if self.status.errors.len() < NAMED {
            self.status.errors.push(format!("line {number}: {reason}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_it_was_said() {
        let line = br#"{"subject":"anna","purpose":"offers","given":true,"said":"2026-03-01T12:00:00Z"}"#;
        let consent = ConsentJson::read_line(line).unwrap();
        assert_eq!((consent.subject.as_str(), consent.given), ("anna", true));
        assert_eq!(consent.said, Some(1_772_366_400_000));
        for (line, says) in [
            (r#"{"subject":"anna","purpose":"offers","given":true}"#, "`said` is missing: add when"),
            (r#"{"subject":"a","purpose":"b","given":true,"said":"soon"}"#, "`said` is `soon`: it must be"),
            (
                r#"{"subject":"","purpose":"b","given":true,"said":"2026-03-01T12:00:00Z"}"#,
                "`subject` must have",
            ),
            (r#"{"subject":"a","purpose":"b","given":1,"said":"x"}"#, "invalid type: integer `1`"),
            (r#"{"subject":"a","purpose":"b","given":true,"when":"x"}"#, "unknown field `when`"),
            ("yes", "it is not JSON: "),
        ] {
            let error = ConsentJson::read_line(line.as_bytes()).unwrap_err();
            assert!(error.starts_with(says) && !error.contains(" at line "), "{line}: {error}");
        }
    }
}
