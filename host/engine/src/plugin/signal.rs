//! How the watching thread is woken and stopped.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Wakes one waiting thread, or ends it. Wakes before it waits are not lost, and many count as one.
#[derive(Default)]
pub(super) struct Signal {
    flags: Mutex<Flags>,
    changed: Condvar,
}

#[derive(Default)]
struct Flags {
    wake: bool,
    stop: bool,
}

impl Signal {
    pub(super) fn wake(&self) {
        self.lock().wake = true;
        self.changed.notify_one();
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stop
    }

    /// Waits until `not_before` in any case, then for a wake or until `at_latest`. Returns at once when stopped.
    pub(super) fn wait(&self, not_before: Instant, at_latest: Instant) {
        let mut flags = self.lock();
        loop {
            let now = Instant::now();
            if flags.stop || (now >= not_before && (flags.wake || now >= at_latest)) {
                flags.wake = false;
                return;
            }
            let until = if now < not_before { not_before } else { at_latest };
            let pause = until.saturating_duration_since(now);
            (flags, _) = self.changed.wait_timeout(flags, pause).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Flags> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
