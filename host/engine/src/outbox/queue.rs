//! What waits for one sink.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as Monotonic;

use super::breaker::Breaker;
use super::lines::Lines;
use super::room::Room;
use crate::journal::ActionId;
use crate::rule::Status;
use crate::sink::{Sink, SinkOptions, WhenFull};
use crate::status::SinkStatus;

/// A sink, by the name that routes give.
pub(crate) struct NamedSink {
    pub(crate) name: String,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) options: SinkOptions,
}

pub(super) struct SinkQueue {
    pub(super) name: String,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) when_full: WhenFull,
    /// What a try may be begun for, in the order in which it came or came back.
    pub(super) ready: BTreeMap<u64, ActionId>,
    /// If the sink wants order.
    pub(super) lines: Option<Lines>,
    pub(super) room: Room,
    pub(super) breaker: Breaker,
    /// What is counted, and only that; see [`SinkQueue::status`].
    pub(super) counts: SinkStatus,
}

impl SinkQueue {
    pub(super) fn new(NamedSink { name, sink, options }: NamedSink) -> Self {
        SinkQueue {
            counts: SinkStatus { name: name.clone(), ..SinkStatus::default() },
            name,
            sink,
            when_full: options.when_full,
            ready: BTreeMap::new(),
            lines: options.ordered.then(Lines::default),
            room: Room::new(options.max_waiting, options.when_full == WhenFull::Pause),
            breaker: Breaker::new(options.breaker_failures),
        }
    }

    /// Whether one more try may be under way.
    pub(super) fn has_slot(&self) -> bool {
        self.counts.in_flight < self.sink.concurrency().max(1)
    }

    /// When a probe may be begun, if that is all that is waited for.
    pub(super) fn probe_at(&self) -> Option<Monotonic> {
        self.breaker.probe_at().filter(|_| !self.ready.is_empty() && self.has_slot())
    }

    pub(super) fn count(&mut self, status: Status) {
        match status {
            Status::Delivered => self.counts.delivered += 1,
            Status::Rejected => self.counts.rejected += 1,
            Status::Failed => self.counts.failed += 1,
            Status::Expired => self.counts.expired += 1,
            Status::Withheld => {}
        }
    }

    pub(super) fn status(&self, now: Monotonic) -> SinkStatus {
        SinkStatus {
            waiting: self.room.waiting(),
            max_waiting: self.room.most(),
            breaker: self.breaker.status(now),
            ..self.counts.clone()
        }
    }
}
