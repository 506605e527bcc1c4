//! Who may ask the host to stop, and how often they did.

use std::fmt;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// Why the host stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// By a signal.
    Asked(&'static str),
    /// Nobody reads what it prints.
    Unread,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Asked(signal) => write!(f, "{signal} asks it to stop"),
            Cause::Unread => f.write_str("nobody reads standard output any more"),
        }
    }
}

/// Listens for requests to stop. The first means: finish what was accepted; the second: at once.
pub(super) struct Stop {
    asked: watch::Receiver<(u32, Cause)>,
    heard: u32,
    trigger: Trigger,
}

/// Asks the host to stop since nobody reads what it prints. From any thread, never blocks.
#[derive(Clone)]
pub(super) struct Trigger(mpsc::Sender<()>);

impl Trigger {
    pub(super) fn unread(&self) {
        // If it is full, somebody has said so before.
        let _ = self.0.try_send(());
    }
}

impl Stop {
    /// From now on signals end the process only through this.
    pub(super) fn listen() -> anyhow::Result<Stop> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
        let (trigger, mut triggered) = mpsc::channel(1);
        let (tell, asked) = watch::channel((0, Cause::Unread));
        tokio::spawn(async move {
            let mut unread = false;
            loop {
                let cause = tokio::select! {
                    _ = interrupt.recv() => Cause::Asked("SIGINT"),
                    _ = terminate.recv() => Cause::Asked("SIGTERM"),
                    Some(()) = triggered.recv(), if !unread => {
                        unread = true;
                        Cause::Unread
                    }
                };
                tell.send_modify(|(count, last)| (*count, *last) = (*count + 1, cause));
            }
        });
        Ok(Stop { asked, heard: 0, trigger: Trigger(trigger) })
    }

    pub(super) fn trigger(&self) -> Trigger {
        self.trigger.clone()
    }

    /// The next request: each is heard once.
    pub(super) async fn wait(&mut self) -> Cause {
        let heard = self.heard;
        let cause = match self.asked.wait_for(|(count, _)| *count > heard).await {
            Ok(asked) => asked.1,
            // Its task has ended, with the runtime.
            Err(_) => std::future::pending().await,
        };
        self.heard += 1;
        cause
    }

    /// Whether there was a request.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.borrow().0 > 0
    }

    /// Whether nobody reads what the host prints.
    pub(super) fn is_unread(&self) -> bool {
        let (count, cause) = *self.asked.borrow();
        count > 0 && cause == Cause::Unread
    }

    /// Resolves when there was one; for those who only have to end then.
    pub(super) fn asked(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut asked = self.asked.clone();
        async move {
            if asked.wait_for(|(count, _)| *count > 0).await.is_err() {
                std::future::pending().await
            }
        }
    }
}
