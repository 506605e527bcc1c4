//! Moments, and the actions that go to `stdout`, onto standard output, by one thread, so that lines stay whole.

mod line;

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::Duration;

use carpe::{Answer, Data, Delivery, Moment, Moments, MomentsError, Reply, Sink};

use self::line::{action_line, moment_line};
use super::stop::Trigger;
use crate::config::PrintFormat;

/// Lines that wait for standard output.
const QUEUE: usize = 1_024;
/// When that is full, which it isn't for long if anybody reads.
const PAUSE: Duration = Duration::from_millis(50);

enum Line {
    Moment(Arc<Moment>),
    Missed(u64),
    Action(Delivery, Reply),
}

pub(super) struct Printer {
    format: PrintFormat,
    lines: SyncSender<Line>,
    ended: Receiver<()>,
}

impl Printer {
    /// `actions_follow`: each action of a moment is printed too, so the moment's line needs not name them.
    pub(super) fn start(format: PrintFormat, actions_follow: bool, stop: Trigger) -> io::Result<Printer> {
        let (lines, waiting) = mpsc::sync_channel(QUEUE);
        let (end, ended) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("carpe-print".to_owned()).spawn(move || {
            print(format, actions_follow, &waiting, io::stdout(), &stop);
            let _ = end.send(());
        })?;
        Ok(Printer { format, lines, ended })
    }

    /// Prints these moments until the host ends.
    pub(super) fn follow(&self, mut moments: Moments) -> io::Result<()> {
        if self.format == PrintFormat::None {
            return Ok(());
        }
        let lines = self.lines.clone();
        let follow = move || loop {
            let line = match moments.recv_blocking() {
                Ok(moment) => Line::Moment(moment),
                Err(MomentsError::Lagged(missed)) => Line::Missed(missed),
                Err(MomentsError::Closed) => return,
            };
            if lines.send(line).is_err() {
                return;
            }
        };
        std::thread::Builder::new().name("carpe-moments".to_owned()).spawn(follow)?;
        Ok(())
    }

    /// Where actions go that are to be printed.
    pub(super) fn sink(&self) -> impl Sink + use<> {
        PrintSink(self.lines.clone())
    }

    /// Waits until all is printed; the host must have ended.
    pub(super) fn end(self, within: Duration) {
        let Printer { lines, ended, .. } = self;
        drop(lines);
        let _ = ended.recv_timeout(within);
    }
}

struct PrintSink(SyncSender<Line>);

impl Sink for PrintSink {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        let (reason, line) = match self.0.try_send(Line::Action(delivery, reply)) {
            Ok(()) => return,
            Err(TrySendError::Full(line)) => ("standard output is read too slowly", line),
            Err(TrySendError::Disconnected(line)) => ("nothing is printed any more", line),
        };
        if let Line::Action(_, reply) = line {
            reply.send(Answer::Again { reason: reason.to_owned(), after: Some(PAUSE) });
        }
    }

    fn concurrency(&self) -> usize {
        QUEUE / 2
    }
}

/// Prints what waits, in groups: a flush costs more than a line.
fn print(
    format: PrintFormat,
    actions_follow: bool,
    waiting: &Receiver<Line>,
    mut out: impl Write,
    stop: &Trigger,
) {
    let mut text = String::new();
    let mut replies = Vec::new();
    while let Ok(first) = waiting.recv() {
        let more = std::iter::from_fn(|| waiting.try_recv().ok()).take(QUEUE);
        for line in std::iter::once(first).chain(more) {
            match line {
                Line::Moment(moment) => moment_line(&mut text, &moment, format, !actions_follow),
                Line::Missed(count) => {
                    tracing::warn!(count, "moments were not printed: standard output is read too slowly");
                }
                Line::Action(delivery, reply) => {
                    action_line(&mut text, &delivery.event, format);
                    replies.push(reply);
                }
            }
        }
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        text.clear();
        if let Err(error) = &written {
            if error.kind() == ErrorKind::BrokenPipe {
                stop.unread();
            } else {
                tracing::error!(%error, "cannot write to standard output");
            }
        }
        for reply in replies.drain(..) {
            reply.send(match &written {
                Ok(()) => Answer::Delivered(Data::Absent),
                Err(error) => Answer::Again { reason: format!("cannot print: {error}"), after: None },
            });
        }
    }
}
