//! The thread that writes checkpoints. It tries until it can: what lanes have handed over is nowhere else.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Shared, ToCheckpoint};
use crate::checkpoint::{Changes, CheckpointError, CheckpointStore, HostRecord, RuleRecord};
use crate::journal::{Body, Given, InputRef, Journal, OutcomeEntry, Position};
use crate::words::words;

/// How often the host's own record is written, if anything of it changed.
const HOST_RECORD_EVERY: Duration = Duration::from_secs(1);

/// How long a store that failed is left alone.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Writes what comes until nobody can send more.
pub(crate) fn run(shared: &Arc<Shared>, completed: &Receiver<ToCheckpoint>) {
    let Some(store) = &shared.checkpoints else {
        completed.iter().for_each(drop);
        return;
    };
    let mut host = (HostRecord::default(), 0);
    loop {
        match completed.recv_timeout(HOST_RECORD_EVERY) {
            Ok(done) => write(shared, store, &done),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        write_host(shared, store, &mut host);
    }
    write_host(shared, store, &mut host);
}

fn write(shared: &Shared, store: &CheckpointStore, done: &ToCheckpoint) {
    let rule = &done.rule;
    let mut record = done.marker.record.clone();
    let changes = changes(shared, done, &mut record);
    // A checkpoint never refers to entries that a power loss could take.
    until_written(shared, store, &mut || {
        shared.journal.sync().map_err(|error| CheckpointError::Store(words(&error)))?;
        store.write(&rule.name, &record, &changes)
    });
    let mut written = shared.written();
    written.rules.insert(rule.name.clone(), record.position);
    shared.written_changed.notify_all();
}

fn changes(shared: &Shared, done: &ToCheckpoint, record: &mut RuleRecord) -> Changes {
    let rule = &done.rule;
    let (letters, letters_closed) = {
        let mut care = rule.care();
        // A decision about a letter that is on its way may be durable already.
        record.letters_from = care.closing.iter().copied().fold(record.position, u64::min);
        (std::mem::take(&mut care.new_letters), std::mem::take(&mut care.closed_letters))
    };
    let closed = shared.outbox.take_closed(&rule.name);
    let mut opened = shared.outbox.still_open(&done.collected.moments);
    opened.extend(shared.outbox.take_copies(&rule.name));
    let closed = {
        let mut stored = rule.stored_open.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = closed.into_iter().filter(|id| stored.remove(id)).collect();
        stored.extend(opened.iter().flat_map(|moment| &moment.actions).map(|action| action.id));
        closed
    };
    let letters = letters.into_iter().map(|letter| {
        let given = given(&*shared.journal, &letter.input);
        (letter, given)
    });
    Changes { keys: done.collected.keys.clone(), opened, closed, letters: letters.collect(), letters_closed }
}

/// The input of a dead letter, from the journal. None: it is not kept any more.
pub(crate) fn given(journal: &dyn Journal, input: &InputRef) -> Option<Given> {
    if let Some(timer) = &input.timer {
        return Some(Given::Timer(timer.clone()));
    }
    let entry = journal.read(input.position, 1).ok()?.into_iter().next()?;
    match &entry.body {
        Body::Event(event) => Some(Given::Event(event.alone())),
        Body::Outcome(outcome) => Some(Given::Outcome(OutcomeEntry::clone(outcome))),
        body => body.given_again().cloned(),
    }
}

/// What guardrails remember; where sources have been read to, and which erasures are still to be done; up to where all of the journal is in
/// a checkpoint of a rule or in this record.
fn write_host(shared: &Shared, store: &CheckpointStore, last: &mut (HostRecord, Position)) {
    let mut record = {
        let cursors = shared.intake.cursors();
        HostRecord {
            position: cursors.position,
            cursors: cursors.by_source.clone(),
            erasures: shared.erasures.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    };
    // A rule that has no checkpoint yet begins with a decision that must be found.
    let rules = shared.written().rules.values().copied().min();
    record.position = record.position.min(rules.unwrap_or(record.position)).max(last.0.position);
    let (guard, changes) = shared.guard.take_changes(shared.intake.last_instant(), record.position);
    let now = (record, guard);
    // How far guardrails have read the journal alone is not worth a write.
    if now.0 == last.0 && changes.is_empty() {
        return;
    }
    until_written(shared, store, &mut || {
        shared.journal.sync().map_err(|error| CheckpointError::Store(words(&error)))?;
        store.write_host(&now.0, now.1, &changes)
    });
    *last = now;
}

fn until_written(
    shared: &Shared,
    store: &CheckpointStore,
    write: &mut dyn FnMut() -> Result<(), CheckpointError>,
) {
    let mut failed = false;
    while let Err(error) = write() {
        let reason = words(&error);
        if !failed {
            tracing::error!(
                error = reason,
                "checkpoints cannot be written: a start would read more of the journal"
            );
        }
        failed = true;
        let mut written = shared.written();
        written.failed = Some(reason);
        if written.stopped {
            return;
        }
        let waited = shared.written_changed.wait_timeout(written, TRY_AGAIN_AFTER);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = store.reopen() {
            tracing::debug!(error = words(&error), "the store of checkpoints cannot be opened");
        }
    }
    if failed {
        tracing::warn!("checkpoints can be written again");
        shared.written().failed = None;
    }
}
