//! A thread that writes lines, in groups: writing may block, and a group shares one sync.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use carpe::{Answer, Data, Reply};

/// Deliveries that wait for the thread.
pub(super) const QUEUE: usize = 256;
/// A group is written when it holds as many bytes, or when no more wait.
const GROUP_BYTES: usize = 1 << 20;
/// When the queue is full, which it isn't for long.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a group of whole lines goes.
pub(super) trait Lines: Send + 'static {
    /// Writes them, and returns when they are as safe as they get here. On an error nothing of the group
    /// counts as written.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;
}

pub(super) struct LineWriter {
    queue: SyncSender<(String, Reply)>,
}

impl LineWriter {
    /// Starts the thread. It ends, when all is written, after the writer is dropped.
    pub(super) fn start(name: &str, lines: impl Lines) -> io::Result<Self> {
        let (queue, waiting) = mpsc::sync_channel(QUEUE);
        thread::Builder::new().name(name.to_owned()).spawn(move || write_groups(&waiting, lines))?;
        Ok(LineWriter { queue })
    }

    /// Writes `line`, a line end included, some time soon.
    pub(super) fn write(&self, line: String, reply: Reply) {
        let (reason, reply) = match self.queue.try_send((line, reply)) {
            Ok(()) => return,
            Err(TrySendError::Full((_, reply))) => ("as many lines as may wait are waiting", reply),
            Err(TrySendError::Disconnected((_, reply))) => ("its thread has ended", reply),
        };
        reply.send(Answer::Again { reason: reason.to_owned(), after: Some(PAUSE) });
    }
}

fn write_groups(waiting: &Receiver<(String, Reply)>, mut lines: impl Lines) {
    let mut group = Vec::new();
    let mut replies = Vec::new();
    while let Ok(first) = waiting.recv() {
        let mut next = Some(first);
        while let Some((line, reply)) = next {
            group.extend_from_slice(line.as_bytes());
            replies.push(reply);
            next = if group.len() < GROUP_BYTES { waiting.try_recv().ok() } else { None };
        }
        let written = lines.write(&group);
        group.clear();
        for reply in replies.drain(..) {
            reply.send(match &written {
                Ok(()) => Answer::Delivered(Data::Absent),
                Err(error) => Answer::Again { reason: format!("cannot write: {error}"), after: None },
            });
        }
    }
}
