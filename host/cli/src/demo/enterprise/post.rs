//! What enterprises tell the host later: events, sent to its HTTP intake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carpe::{Event, Instant};
use tokio::sync::mpsc;

use super::super::feed::{Feed, now};

/// Where letters are left. They wait until the host is there.
#[derive(Clone)]
pub(in super::super) struct Post(Arc<Inner>);

struct Inner {
    letters: mpsc::UnboundedSender<Letter>,
    waiting: std::sync::Mutex<Option<mpsc::UnboundedReceiver<Letter>>>,
    open: AtomicU64,
}

/// What is to be told.
pub(super) struct Letter {
    after: Duration,
    /// Written when it is time; none: there is nothing to tell any more.
    write: Box<dyn FnOnce(Instant) -> Option<Event> + Send>,
    /// What is done once the host has it.
    then: Box<dyn FnOnce() + Send>,
}

impl Default for Post {
    fn default() -> Post {
        let (letters, waiting) = mpsc::unbounded_channel();
        Post(Arc::new(Inner { letters, waiting: Some(waiting).into(), open: AtomicU64::new(0) }))
    }
}

impl Post {
    pub(super) fn leave(
        &self,
        after: Duration,
        write: impl FnOnce(Instant) -> Option<Event> + Send + 'static,
        then: impl FnOnce() + Send + 'static,
    ) {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        // The other end is kept here, or by what delivers.
        let _ = self.0.letters.send(Letter { after, write: Box::new(write), then: Box::new(then) });
    }

    /// Letters that were left and not delivered so far.
    pub(in super::super) fn open(&self) -> u64 {
        self.0.open.load(Ordering::Acquire)
    }

    /// Delivers them from now on, until the runtime ends.
    pub(in super::super) fn deliver(&self, feed: Arc<Feed>) {
        let waiting = self.0.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(mut waiting) = waiting else { return };
        let post = self.clone();
        tokio::spawn(async move {
            while let Some(letter) = waiting.recv().await {
                let (post, feed) = (post.clone(), feed.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(letter.after).await;
                    if let Some(event) = (letter.write)(now()) {
                        // What the host does not take is missing in the feed's books.
                        if feed.send(&[event]).await.is_ok() {
                            (letter.then)();
                        }
                    }
                    post.0.open.fetch_sub(1, Ordering::AcqRel);
                });
            }
        });
    }
}
