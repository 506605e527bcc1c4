//! The clock by which a running guest's deadline is looked at. It rests while no guest runs.
//!
//! **Invariant:** it ticks while a guest runs: whoever enters one says so, and so does each look at a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// How often a running guest's deadline is looked at.
const TICK: Duration = Duration::from_millis(10);

/// After so many ticks in which nobody needed it, it rests.
const TICKS: u32 = 100;

/// Ticks until it is dropped.
pub(super) struct Clock {
    hands: Arc<Hands>,
    thread: Thread,
}

#[derive(Default)]
struct Hands {
    /// Somebody needs it. Written once in so many ticks, so that threads that call guests share what they read.
    needed: AtomicBool,
    rests: AtomicBool,
    dropped: AtomicBool,
}

impl Clock {
    /// Starts its thread, which holds the engine weakly.
    pub(super) fn start(engine: &Engine) -> std::io::Result<Clock> {
        let hands = Arc::<Hands>::default();
        let (engine, shared) = (engine.weak(), Arc::clone(&hands));
        let thread = thread::Builder::new().name("carpe-clock".to_owned()).spawn(move || {
            while !shared.dropped.load(Ordering::Acquire) {
                for _ in 0..TICKS {
                    thread::sleep(TICK);
                    let Some(engine) = engine.upgrade() else { return };
                    engine.increment_epoch();
                }
                shared.rest();
            }
        })?;
        Ok(Clock { hands, thread: thread.thread().clone() })
    }

    /// A guest is about to run, or runs.
    pub(super) fn is_needed(&self) {
        if self.hands.needed.load(Ordering::Relaxed) {
            return;
        }
        // Either this sees that it rests, or it sees this before it does: both orders are total.
        self.hands.needed.store(true, Ordering::SeqCst);
        if self.hands.rests.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Hands {
    /// Returns when somebody needs it, or needed it since this was last asked.
    fn rest(&self) {
        if self.needed.swap(false, Ordering::SeqCst) {
            return;
        }
        self.rests.store(true, Ordering::SeqCst);
        while !self.needed.load(Ordering::SeqCst) && !self.dropped.load(Ordering::Acquire) {
            thread::park();
        }
        self.rests.store(false, Ordering::SeqCst);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.hands.dropped.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_until(what: impl Fn() -> bool) {
        let begun = std::time::Instant::now();
        while !what() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never is so");
            thread::sleep(TICK);
        }
    }

    #[test]
    fn it_rests_until_it_is_needed_and_ends_when_it_is_dropped() {
        let clock = Clock::start(&Engine::default()).unwrap();
        let hands = Arc::clone(&clock.hands);
        // The engine is gone: it has ended with it.
        wait_until(|| Arc::strong_count(&hands) == 2);
        drop(clock);

        let engine = Engine::default();
        let clock = Clock::start(&engine).unwrap();
        let hands = Arc::clone(&clock.hands);
        for _ in 0..3 {
            wait_until(|| hands.rests.load(Ordering::SeqCst));
            clock.is_needed();
            wait_until(|| !hands.rests.load(Ordering::SeqCst));
        }
        wait_until(|| hands.rests.load(Ordering::SeqCst));
        drop(clock);
        wait_until(|| Arc::strong_count(&hands) == 1);
    }
}
