//! `carpe send`: events to a running host, in batches.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use reqwest::{Response, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::args::SendArgs;
use crate::client::{HostClient, Listener, block_on, problem, refusal};
use crate::failure::{Failure, Kind};
use crate::output::{counted, grouped, print, print_json};

/// A batch is sent when it has so many bytes: well below what a host takes.
const BATCH_BYTES: usize = 1 << 20;
/// A longer line is no event that a host would take.
const LINE_BYTES: u64 = 16 << 20;
/// Without a `Retry-After` from the host.
const PAUSE: Duration = Duration::from_secs(1);
/// What a host may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Refused lines that are shown; all are counted.
const REFUSED_SHOWN: usize = 100;

pub(crate) fn send(args: &SendArgs) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Events)?;
    let name = if args.file == Path::new("-") { "stdin".to_owned() } else { args.file.display().to_string() };
    let input: Box<dyn Read> = match name.as_str() {
        "stdin" => Box::new(std::io::stdin()),
        _ => Box::new(File::open(&args.file).with_context(|| format!("cannot read {name}"))?),
    };
    let mut sender = Sender { host, name, sent: Sent::default(), shows: !args.json };
    let lines = Lines { input: BufReader::new(input), number: 0 };
    let ended = block_on(sender.send_all(lines, args.batch.get()));
    sender.report(args.json, ended)
}

/// What became of the events.
#[derive(Default, Serialize)]
struct Sent {
    accepted: u64,
    repeated: u64,
    refused: u64,
    refused_lines: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    line: u64,
    reason: String,
}

#[derive(Deserialize)]
struct Accepted {
    accepted: u64,
    repeated: u64,
}

struct Line {
    number: u64,
    text: String,
}

struct Sender {
    host: HostClient,
    name: String,
    sent: Sent,
    shows: bool,
}

impl Sender {
    async fn send_all(&mut self, mut lines: Lines<impl Read>, most: usize) -> Result<(), Failure> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(line) = lines.next().with_context(|| format!("cannot read {}", self.name))? {
            // One line that is no JSON would make the whole batch unreadable.
            if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&line.text) {
                self.refuse(line.number, format!("it is not JSON: {error}"));
                continue;
            }
            if batch.len() >= most || bytes + line.text.len() > BATCH_BYTES {
                self.send_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += line.text.len();
            batch.push(line);
        }
        self.send_batch(batch).await
    }

    /// Sends a batch, without the lines that the host refuses, one after the other.
    async fn send_batch(&mut self, mut batch: Vec<Line>) -> Result<(), Failure> {
        while !batch.is_empty() {
            let answer = self.post(&batch).await?;
            match answer.status() {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    tokio::time::sleep(retry_after(&answer)).await;
                }
                status if status.is_success() => {
                    let taken = answer.json::<Accepted>().await.map_err(reqwest::Error::without_url);
                    let Accepted { accepted, repeated } =
                        taken.context("what answers is no host: it did not say what it accepted")?;
                    self.sent.accepted += accepted;
                    self.sent.repeated += repeated;
                    return Ok(());
                }
                StatusCode::PAYLOAD_TOO_LARGE if batch.len() > 1 => {
                    let second = batch.split_off(batch.len() / 2);
                    Box::pin(self.send_batch(batch)).await?;
                    batch = second;
                }
                StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => {
                    let problem = problem(answer).await;
                    let at = problem.index.or((batch.len() == 1).then_some(0));
                    let Some(at) = at.filter(|&at| at < batch.len()) else {
                        return Err(Failure::new(
                            Kind::Failed,
                            format!("the host refuses: {}", problem.detail),
                        ));
                    };
                    let Line { number, .. } = batch.remove(at);
                    self.refuse(number, problem.detail);
                }
                _ => return Err(refusal(answer).await),
            }
        }
        Ok(())
    }

    async fn post(&self, batch: &[Line]) -> Result<Response, Failure> {
        let mut body = String::with_capacity(batch.iter().map(|line| line.text.len() + 1).sum::<usize>() + 2);
        for (position, line) in batch.iter().enumerate() {
            body.push(if position == 0 { '[' } else { ',' });
            body.push_str(&line.text);
        }
        body.push(']');
        let request = self.host.post("/events")?;
        let request = request.header(header::CONTENT_TYPE, "application/cloudevents-batch+json").body(body);
        self.host.ask(request).await
    }

    fn refuse(&mut self, line: u64, reason: String) {
        self.sent.refused += 1;
        if self.sent.refused_lines.len() < REFUSED_SHOWN {
            if self.shows {
                eprintln!("{}:{line}: {reason}", self.name);
            }
            self.sent.refused_lines.push(Refused { line, reason });
        }
    }

    fn report(&self, json: bool, ended: Result<(), Failure>) -> Result<ExitCode, Failure> {
        let Sent { accepted, repeated, refused, .. } = &self.sent;
        if json {
            print_json(&self.sent)?;
        } else {
            print(&format!(
                "{} accepted, {} repeated, {} refused\n",
                counted(*accepted, "event"),
                grouped(*repeated),
                grouped(*refused)
            ))?;
        }
        match ended {
            Err(failure) if failure.hint.is_none() && *accepted > 0 => {
                Err(failure.with_hint("send it all again: what the host has is not taken twice"))
            }
            Err(failure) => Err(failure),
            Ok(()) if *refused > 0 => Ok(ExitCode::FAILURE),
            Ok(()) => Ok(ExitCode::SUCCESS),
        }
    }
}

fn retry_after(answer: &Response) -> Duration {
    let seconds =
        answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs).min(LONGEST_PAUSE)
}

/// The lines of a stream that are not blank, each of a bounded length.
struct Lines<R> {
    input: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn next(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            let mut text = Vec::new();
            let read = (&mut self.input).take(LINE_BYTES).read_until(b'\n', &mut text)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            anyhow::ensure!(
                text.ends_with(b"\n") || (read as u64) < LINE_BYTES,
                "line {} is longer than {LINE_BYTES} bytes",
                self.number
            );
            let text =
                String::from_utf8(text).with_context(|| format!("line {} is not UTF-8", self.number))?;
            let text = text.trim_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
            if !text.is_empty() {
                return Ok(Some(Line { number: self.number, text: text.to_owned() }));
            }
        }
    }
}
