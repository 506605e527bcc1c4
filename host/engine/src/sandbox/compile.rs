//! A compiler that a component can neither hold up for ever nor multiply.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Compilations that overran their time and may run on: there is no way to stop one.
const ABANDONED: usize = 2;

/// The compiler recurses into what it compiles.
const STACK_BYTES: usize = 16 << 20;

/// How far compiling stands back behind what runs; on Linux this is a thread's own affair.
const NICENESS: i32 = 10;

/// Runs one piece of work at a time, each on a thread of its own, each for a bounded time.
pub(super) struct Compiler {
    shared: Arc<Shared>,
    timeout: Duration,
}

/// Why a piece of work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// It was begun, and given up.
    Overran,
    /// It was not begun: abandoned ones are in the way.
    Busy,
    /// It panicked, or no thread could be started for it.
    Failed,
}

#[derive(Default)]
struct Shared {
    running: Mutex<Running>,
    changed: Condvar,
}

#[derive(Default)]
struct Running {
    begun: u64,
    /// The one that is waited for, by its number.
    current: Option<u64>,
    abandoned: usize,
}

impl Compiler {
    pub(super) fn new(timeout: Duration) -> Compiler {
        Compiler { shared: Arc::default(), timeout }
    }

    /// How long a piece of work may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Does `work` on another thread and waits for it: up to the timeout for its turn, and up to the
    /// timeout for its end.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let turn = self.take_turn()?;
        let number = turn.number;
        let (send, receive) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("carpe-compile".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // Running rules go first. Where the system refuses, it competes with them.
                let _ = rustix::process::nice(NICENESS);
                let result = work();
                // Before the result is known, so that whoever gets it finds the turn free.
                drop(turn);
                // Nobody waits for it if it was abandoned.
                let _ = send.send(result);
            })
            .map_err(|_| Undone::Failed)?;
        match receive.recv_timeout(self.timeout) {
            Ok(result) => Ok(result),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Undone::Failed),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.shared.abandon(number);
                Err(Undone::Overran)
            }
        }
    }

    fn take_turn(&self) -> Result<Turn, Undone> {
        let until = Instant::now() + self.timeout;
        let mut running = self.shared.lock();
        while running.current.is_some() || running.abandoned >= ABANDONED {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Undone::Busy);
            }
            running =
                self.shared.changed.wait_timeout(running, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        running.begun += 1;
        running.current = Some(running.begun);
        Ok(Turn { number: running.begun, shared: self.shared.clone() })
    }
}

/// The right to run, given back when the thread ends, also if it panics.
struct Turn {
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = self.shared.lock();
        if running.current == Some(self.number) {
            running.current = None;
        } else {
            running.abandoned -= 1;
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn abandon(&self, number: u64) {
        let mut running = self.lock();
        // It may have ended just now.
        if running.current == Some(number) {
            running.current = None;
            running.abandoned += 1;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[test]
    fn work_is_done_and_a_panic_is_survived() {
        let compiler = Compiler::new(Duration::from_secs(60));
        assert_eq!(compiler.run(|| 1 + 1), Ok(2));
        assert_eq!(compiler.run(|| -> u32 { panic!("a fault in the compiler") }), Err(Undone::Failed));
        assert_eq!(compiler.run(|| 3), Ok(3));
    }

    #[test]
    fn work_that_overruns_is_given_up_and_bounded_in_number() {
        let compiler = Compiler::new(SOON);
        let (let_go, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let hold = |held: &Arc<Mutex<mpsc::Receiver<()>>>| {
            let held = held.clone();
            move || {
                let _ = held.lock().unwrap().recv();
            }
        };
        assert_eq!(compiler.run(hold(&held)), Err(Undone::Overran));
        assert_eq!(compiler.run(hold(&held)), Err(Undone::Overran));
        assert_eq!(compiler.run(hold(&held)), Err(Undone::Busy));
        drop(let_go);
        let roomy = Compiler { shared: compiler.shared.clone(), timeout: Duration::from_secs(60) };
        assert_eq!(roomy.run(|| "room again"), Ok("room again"));
    }
}
