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
pub(crate) mod effects;
pub(crate) mod index;
pub(crate) mod intake;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod known;
pub(crate) mod lane;
pub(crate) mod mailbox;
pub(crate) mod program;
pub(crate) mod router;
pub(crate) mod runtime;
pub(crate) mod step;
pub(crate) mod timeline;
pub(crate) mod turn;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::checkpoint::{Changes, CheckpointStore, Collected, Marker};
use crate::journal::{Journal, Position};
use crate::moment::Moment;
use crate::outbox::Outbox;
use intake::Intake;
use mailbox::Mailbox;
use runtime::{Alarms, Horizon, Rule, RunQueue};

/// What the parts of a running pipeline share.
pub(crate) struct Shared {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) run: RunQueue,
    pub(crate) alarms: Alarms,
    pub(crate) mailbox: Mailbox,
    pub(crate) checkpoints: Option<CheckpointStore>,
    /// Completed markers, on their way to the store.
    pub(crate) to_checkpoint: Mutex<Option<SyncSender<ToCheckpoint>>>,
    pub(crate) moments: broadcast::Sender<Arc<Moment>>,
    pub(crate) moment_count: AtomicU64,
    /// How far rules that keep up have been given the journal.
    pub(crate) head: Arc<Horizon>,
    /// Actions that come from before this position may have gone out before the start.
    pub(crate) recovered_to: Position,
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
        if !moment.actions.is_empty() {
            self.outbox.take(&moment, moment.position < self.recovered_to);
        }
        moment
    }

    /// Hands a completed marker to the thread that writes checkpoints.
    pub(crate) fn complete(&self, done: ToCheckpoint) {
        let sender = self.to_checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sender) = sender {
            // The receiver only goes when the host does.
            drop(sender.send(done));
        }
    }

    /// Writes one rule's checkpoint.
    pub(crate) fn write_checkpoint(&self, done: &ToCheckpoint) {
        let Some(store) = &self.checkpoints else { return };
        let rule = &done.rule;
        let letters = {
            let mut care = rule.care();
            let new = std::mem::take(&mut care.new_letters).min(care.letters.len());
            care.letters.iter().rev().take(new).cloned().collect()
        };
        let closed = self.outbox.take_closed(&rule.name);
        let changes = Changes {
            keys: done.collected.keys.clone(),
            opened: self.outbox.still_open(&done.collected.moments),
            closed,
            letters,
        };
        let broken = rule.checkpoint_broken.load(Ordering::Acquire);
        if broken {
            return;
        }
        if let Err(error) = store.write(&rule.name, &done.marker.record, &changes) {
            // What these lanes handed over is not in the store, so later changes must not be either: the
            // last whole checkpoint and the journal still hold everything.
            rule.checkpoint_broken.store(true, Ordering::Release);
            tracing::error!(
                rule = rule.name,
                error = %error,
                "a checkpoint cannot be written: the rule goes on, and a restart reads the journal from its last one"
            );
        }
    }
}
