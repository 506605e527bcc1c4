//! Faults to be caught: that the crash harness finds nothing says something only if it finds these. They are there only
//! with the feature `planted-faults`, which nothing turns on but the test of the harness, and one at a time:
//! the environment variable `CARPE_PLANT` names it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::checkpoint::RuleRecord;
use crate::event::Instant;
use crate::journal::{Body, Entry};
use crate::pipeline::step::Step;

/// How long senders know more than the journal.
const EARLY: Duration = Duration::from_millis(30);

/// By how much the outbox's clock is slow.
const LATE_MS: u64 = 60_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    LostGroup,
    DoubleApply,
    EarlyAcknowledgement,
    CheckpointAhead,
    LateTry,
    Swapped,
}

static FAULT: LazyLock<Option<Fault>> = LazyLock::new(|| match std::env::var("CARPE_PLANT").as_deref() {
    Ok("lost-group") => Some(Fault::LostGroup),
    Ok("double-apply") => Some(Fault::DoubleApply),
    Ok("early-acknowledgement") => Some(Fault::EarlyAcknowledgement),
    Ok("checkpoint-ahead") => Some(Fault::CheckpointAhead),
    Ok("late-try") => Some(Fault::LateTry),
    Ok("swapped") => Some(Fault::Swapped),
    _ => None,
});

/// Whether a fault is on, and it is the turn of one in so many of its occasions.
fn is_due(fault: Fault, one_in: usize) -> bool {
    static OCCASIONS: AtomicUsize = AtomicUsize::new(0);
    *FAULT == Some(fault) && OCCASIONS.fetch_add(1, Ordering::Relaxed) % one_in == one_in - 1
}

/// What is written of a group that is acknowledged and shown to readers: sometimes nothing that counts.
pub(crate) fn written(group: &[Arc<Entry>]) -> Cow<'_, [Arc<Entry>]> {
    if !is_due(Fault::LostGroup, 3) {
        return Cow::Borrowed(group);
    }
    let emptied = group.iter().map(|entry| match entry.body {
        Body::Event(_) => Arc::new(Entry { body: Body::Tick, ..Entry::clone(entry) }),
        _ => Arc::clone(entry),
    });
    Cow::Owned(emptied.collect())
}

/// How many steps are taken off a lane's queue, of those that are done: the rest is given to the rule again.
pub(crate) fn finished(steps: usize) -> usize {
    if is_due(Fault::DoubleApply, 50) { 0 } else { steps }
}

/// Whether senders are told before the group is written.
pub(crate) fn acknowledges_early() -> bool {
    is_due(Fault::EarlyAcknowledgement, 1)
}

/// After they were told.
pub(crate) fn dawdle() {
    std::thread::sleep(EARLY);
}

/// Where a checkpoint says that it stands.
pub(crate) fn ahead(record: RuleRecord) -> RuleRecord {
    let ahead = if is_due(Fault::CheckpointAhead, 1) { 5 } else { 0 };
    RuleRecord { position: record.position + ahead, ..record }
}

/// Where the outbox believes that the timeline stands.
pub(crate) fn timeline(now: Instant) -> Instant {
    if is_due(Fault::LateTry, 1) { now.saturating_sub(LATE_MS) } else { now }
}

/// The order in which a lane's steps are given to the rule: sometimes the second comes first.
pub(crate) fn in_order(mut steps: VecDeque<Step>) -> VecDeque<Step> {
    let two_of_a_key = steps.len() > 1 && steps[0].key() == steps[1].key();
    if two_of_a_key && is_due(Fault::Swapped, 5) {
        steps.swap(0, 1);
    }
    steps
}
