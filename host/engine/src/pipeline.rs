//! The way of an event: journal, route, batch, handle, apply.
//!
//! One appender thread writes the journal ([`intake`]); one router thread reads it and puts each entry
//! into the lanes of the rules that it is for ([`router`]); workers run lanes ([`runtime`], [`turn`]),
//! which plan batches ([`step`]), call the rule ([`lane`], [`program`]), check what it returned
//! ([`effects`]) and keep its states and timers ([`keys`]).
//!
//! **Invariant:** nothing here reads an entry that is not durable, so nothing that leaves the host can
//! come from one; what is lost with a crash was never handled.

pub(crate) mod appender;
pub(crate) mod checkpointer;
pub(crate) mod effects;
pub(crate) mod filter;
pub(crate) mod index;
pub(crate) mod intake;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod known;
pub(crate) mod lane;
pub(crate) mod mailbox;
pub(crate) mod payload;
pub(crate) mod program;
pub(crate) mod router;
pub(crate) mod runtime;
pub(crate) mod step;
pub(crate) mod timeline;
pub(crate) mod turn;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::broadcast;

use crate::checkpoint::{CheckpointStore, Collected, Marker};
use crate::event::Instant;
use crate::guardrail::Guard;
use crate::journal::{Erasure, Journal, Position};
use crate::life::Lives;
use crate::moment::Moment;
use crate::outbox::Outbox;
use crate::status::RecoveryStatus;
use intake::Intake;
use lane::DeadLetter;
use mailbox::Mailbox;
use runtime::{Alarms, Horizon, Rule, RunQueue};

/// What the parts of a running pipeline share.
pub(crate) struct Shared {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) lives: Arc<Lives>,
    pub(crate) run: RunQueue,
    pub(crate) alarms: Alarms,
    pub(crate) mailbox: Mailbox,
    pub(crate) checkpoints: Option<CheckpointStore>,
    /// Completed markers, on their way to the store: at most one of each rule.
    pub(crate) to_checkpoint: Mutex<Option<Sender<ToCheckpoint>>>,
    /// What the store holds.
    pub(crate) written: Mutex<Written>,
    /// Told when it holds more, and at the stop.
    pub(crate) written_changed: Condvar,
    pub(crate) moments: broadcast::Sender<Arc<Moment>>,
    pub(crate) moment_count: AtomicU64,
    /// How far rules that keep up have been given the journal.
    pub(crate) head: Arc<Horizon>,
    /// Whether a rule may be resting: the router need not look at all of them each time.
    pub(crate) resting: AtomicBool,
    /// A lane holds many moments for the next checkpoint: it is time for one.
    pub(crate) much_emitted: AtomicBool,
    /// Actions that come from before this position may have gone out before the start.
    pub(crate) recovered_to: Position,
    /// Erasures that were asked for and are not done, where and when.
    pub(crate) erasures: RwLock<Vec<(Position, Instant, Erasure)>>,
    /// What the start had to do.
    pub(crate) recovery: Mutex<RecoveryStatus>,
    pub(crate) begun: std::time::Instant,
}

/// What the store of checkpoints holds.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Of each rule that ever had a version, its position; before the first checkpoint, where it begins.
    pub(crate) rules: HashMap<String, Position>,
    /// Why nothing can be written at the moment, if so.
    pub(crate) failed: Option<String>,
    pub(crate) stopped: bool,
}

/// A completed marker, with what all lanes handed over.
pub(crate) struct ToCheckpoint {
    pub(crate) rule: Arc<Rule>,
    pub(crate) marker: Arc<Marker>,
    pub(crate) collected: Collected,
}

impl Shared {
    /// Tells whoever listens of a moment, and then takes its actions into the outbox.
    pub(crate) fn announce(&self, mut moment: Moment) -> Arc<Moment> {
        moment.order = self.moment_count.fetch_add(1, Ordering::Relaxed) << 16;
        let moment = Arc::new(moment);
        // Nobody listening is no error.
        drop(self.moments.send(Arc::clone(&moment)));
        if !self.erased(&moment.rule, moment.position, [moment.key.as_str(), moment.subject()]) {
            self.lives.detected(&moment);
            if !moment.actions.is_empty() {
                self.outbox.take(&moment, moment.position < self.recovered_to);
            }
        }
        moment
    }

    /// Takes the actions of a moment that a checkpoint holds open.
    pub(crate) fn take_again(&self, moment: &Arc<Moment>) {
        if self.erased(&moment.rule, moment.position, [moment.key.as_str(), moment.subject()]) {
            moment.actions.iter().for_each(|action| self.outbox.note_closed(&moment.rule, action.id));
        } else {
            self.lives.detected(moment);
            self.outbox.take(moment, true);
        }
    }

    pub(crate) fn recovery(&self) -> MutexGuard<'_, RecoveryStatus> {
        self.recovery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start began.
    pub(crate) fn begun_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Hands a completed marker to the thread that writes checkpoints.
    pub(crate) fn complete(&self, done: ToCheckpoint) {
        let sender = self.to_checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sender) = sender {
            // The receiver only goes when the host does.
            drop(sender.send(done));
        }
    }

    pub(crate) fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_erased(&self, rule: &str, letter: &DeadLetter) -> bool {
        let subject = letter.subject.as_deref().unwrap_or(&letter.key);
        self.erased(rule, letter.input.position, [letter.key.as_str(), subject])
    }

    /// Whether what comes from a position was to be forgotten later: computed again, it leaves nothing.
    fn erased(&self, rule: &str, position: Position, names: [&str; 2]) -> bool {
        let erasures = self.erasures.read().unwrap_or_else(PoisonError::into_inner);
        erasures.iter().any(|(asked, _, erasure)| {
            position < *asked
                && erasure.rule.as_ref().is_none_or(|of| of == rule)
                && names.iter().any(|name| erasure.names(name))
        })
    }
}
