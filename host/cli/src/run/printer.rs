//! Moments, and the actions that go to `stdout`, onto standard output: each moment, and below it what is done about
//! it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use carpe::{Answer, Data, Delivery, Moment, Moments, MomentsError, Reply, Sink};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;

use super::stop::Trigger;
use crate::config::PrintFormat;
use crate::line::{action_line, moment_line};

/// Actions that wait for standard output.
const QUEUE: usize = 1_024;
/// When that is full, which it isn't for long if anybody reads.
const PAUSE: Duration = Duration::from_millis(50);
/// How often moments are looked for while there are some, so that those that come together are printed together.
const LOOK: Duration = Duration::from_millis(20);
/// How long a moment waits for its first action, so that both are printed together.
const WAIT: Duration = Duration::from_millis(100);
/// Moments that wait so.
const HELD: usize = 4_096;

type Action = (Delivery, Reply);

/// What will print, once there are moments.
pub(super) struct Printer {
    format: PrintFormat,
    actions_follow: bool,
    stop: Trigger,
    actions: Sender<Action>,
    waiting: Receiver<Action>,
}

/// A thread that prints.
pub(super) struct Printing {
    actions: Sender<Action>,
    ended: std_mpsc::Receiver<()>,
}

impl Printer {
    /// `actions_follow`: the actions of a moment come here too, so its own line needs not name them.
    pub(super) fn new(format: PrintFormat, actions_follow: bool, stop: Trigger) -> Printer {
        let (actions, waiting) = mpsc::channel(QUEUE);
        Printer { format, actions_follow, stop, actions, waiting }
    }

    /// Where actions go that are to be printed.
    pub(super) fn sink(&self) -> impl Sink + use<> {
        PrintSink(self.actions.clone())
    }

    /// Prints until the host has ended.
    pub(super) fn start(self, moments: Moments) -> io::Result<Printing> {
        let Printer { format, actions_follow, stop, actions, waiting } = self;
        let (end, ended) = std_mpsc::sync_channel(1);
        // Its own, since it waits for whoever reads.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new().name("carpe-print".to_owned()).spawn(move || {
            let page = Page::new(format, actions_follow);
            runtime.block_on(page.print(moments, waiting, io::stdout(), &stop));
            let _ = end.send(());
        })?;
        Ok(Printing { actions, ended })
    }
}

impl Printing {
    /// Waits until all is printed; the host must have ended.
    pub(super) fn end(self, within: Duration) {
        let Printing { actions, ended } = self;
        drop(actions);
        let _ = ended.recv_timeout(within);
    }
}

struct PrintSink(Sender<Action>);

impl Sink for PrintSink {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        let (reason, reply) = match self.0.try_send((delivery, reply)) {
            Ok(()) => return,
            Err(TrySendError::Full((_, reply))) => ("standard output is read too slowly", reply),
            Err(TrySendError::Closed((_, reply))) => ("nothing is printed any more", reply),
        };
        reply.send(Answer::Again { reason: reason.to_owned(), after: Some(PAUSE) });
    }

    fn concurrency(&self) -> usize {
        QUEUE / 2
    }
}

/// What ends a wait.
enum Woken {
    Moment,
    Action(Action),
    Time,
    /// The host has ended.
    End,
}

/// What is about to be printed.
struct Page {
    format: PrintFormat,
    actions_follow: bool,
    text: String,
    replies: Vec<Reply>,
    /// Moments that wait for their first action, oldest first.
    held: VecDeque<(Instant, Arc<Moment>)>,
    /// The same, by each of their actions.
    by_action: HashMap<String, Arc<Moment>>,
}

impl Page {
    fn new(format: PrintFormat, actions_follow: bool) -> Page {
        let (held, by_action) = (VecDeque::new(), HashMap::new());
        Page { format, actions_follow, text: String::new(), replies: Vec::new(), held, by_action }
    }

    async fn print(
        mut self,
        mut moments: Moments,
        mut actions: Receiver<Action>,
        mut out: impl Write,
        stop: &Trigger,
    ) {
        let (mut idle, mut open) = (true, true);
        loop {
            let woken = if idle && self.held.is_empty() {
                tokio::select! {
                    biased;
                    moment = moments.recv(), if open => {
                        open = self.announced(moment);
                        Woken::Moment
                    }
                    action = actions.recv() => action.map_or(Woken::End, Woken::Action),
                }
            } else {
                let action = timeout(LOOK, actions.recv()).await;
                action.map_or(Woken::Time, |action| action.map_or(Woken::End, Woken::Action))
            };
            // A moment is announced before its actions go out.
            let came = self.look(&mut moments);
            idle = !came && matches!(woken, Woken::Time);
            let ended = matches!(woken, Woken::End);
            if let Woken::Action(action) = woken {
                let more = std::iter::from_fn(|| actions.try_recv().ok()).take(QUEUE);
                for (delivery, reply) in std::iter::once(action).chain(more) {
                    self.look(&mut moments);
                    self.action(&delivery);
                    self.replies.push(reply);
                }
            }
            self.let_go(if ended { Duration::ZERO } else { WAIT });
            self.flush(&mut out, stop);
            if ended {
                return;
            }
        }
    }

    /// Takes the moments that there are by now. Whether there were any.
    fn look(&mut self, moments: &mut Moments) -> bool {
        let mut came = false;
        while let Some(next) = moments.try_recv().transpose() {
            came = true;
            if !self.announced(next) {
                return came;
            }
        }
        came
    }

    /// Takes a moment. `false`: there will be no more.
    fn announced(&mut self, moment: Result<Arc<Moment>, MomentsError>) -> bool {
        match moment {
            Ok(moment) => self.moment(moment),
            Err(MomentsError::Closed) => return false,
            Err(MomentsError::Lagged(count)) => {
                tracing::warn!(count, "moments were not printed: standard output is read too slowly");
            }
        }
        true
    }

    fn moment(&mut self, moment: Arc<Moment>) {
        if self.format == PrintFormat::None {
            return;
        }
        if !self.actions_follow || moment.actions.is_empty() {
            return moment_line(&mut self.text, &moment, self.format, true);
        }
        for action in &moment.actions {
            self.by_action.insert(action.id.to_string(), Arc::clone(&moment));
        }
        self.held.push_back((Instant::now(), moment));
        if self.held.len() > HELD {
            self.let_go(Duration::ZERO);
        }
    }

    fn action(&mut self, delivery: &Delivery) {
        if let Some(moment) = self.by_action.get(delivery.event.id.as_str()).cloned() {
            self.held_moment(&moment);
        }
        action_line(&mut self.text, &delivery.event, self.format);
    }

    /// Prints a moment that waited, if it has not been printed since.
    fn held_moment(&mut self, moment: &Moment) {
        let mut was_held = false;
        for action in &moment.actions {
            was_held |= self.by_action.remove(&action.id.to_string()).is_some();
        }
        if was_held {
            moment_line(&mut self.text, moment, self.format, false);
        }
    }

    /// Prints moments that have waited for so long: their actions come late, or not here.
    fn let_go(&mut self, after: Duration) {
        while let Some((_, moment)) = self.held.pop_front_if(|(since, _)| since.elapsed() >= after) {
            self.held_moment(&moment);
        }
    }

    fn flush(&mut self, out: &mut impl Write, stop: &Trigger) {
        if self.text.is_empty() {
            return;
        }
        let written = out.write_all(self.text.as_bytes()).and_then(|()| out.flush());
        self.text.clear();
        if let Err(error) = &written {
            if error.kind() == ErrorKind::BrokenPipe {
                stop.unread();
            } else {
                tracing::error!(%error, "cannot write to standard output");
            }
        }
        for reply in self.replies.drain(..) {
            reply.send(match &written {
                Ok(()) => Answer::Delivered(Data::Absent),
                Err(error) => Answer::Again { reason: format!("cannot print: {error}"), after: None },
            });
        }
    }
}
