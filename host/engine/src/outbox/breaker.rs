//! The circuit breaker of a sink: while nothing gets through, one try at a time finds out whether it does again.

use std::time::{Duration, Instant as Monotonic};

use super::retry::Retry;
use crate::journal::ActionId;
use crate::pipeline::timeline::wall_clock;
use crate::status::{BreakerState, BreakerStatus};

/// Opens after so many failed tries in a row; the next answer closes it.
pub(super) struct Breaker {
    /// 0: it never opens.
    threshold: u32,
    /// Failed tries in a row.
    failures: u32,
    open: Option<Open>,
    /// How often it opened.
    opened: u64,
}

struct Open {
    /// The next probe is not before then.
    until: Monotonic,
    /// Pauses so far, this one included.
    pauses: u32,
    probe: Option<ActionId>,
}

/// What may be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Any,
    /// One try, to see whether the sink answers again.
    Probe,
    Nothing,
}

impl Breaker {
    pub(super) fn new(threshold: u32) -> Self {
        Breaker { threshold, failures: 0, open: None, opened: 0 }
    }

    pub(super) fn allowed(&self, now: Monotonic) -> Allowed {
        match &self.open {
            None => Allowed::Any,
            Some(open) if open.probe.is_none() && open.until <= now => Allowed::Probe,
            Some(_) => Allowed::Nothing,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// When a probe may be begun, if that is what is waited for.
    pub(super) fn probe_at(&self) -> Option<Monotonic> {
        self.open.as_ref().filter(|open| open.probe.is_none()).map(|open| open.until)
    }

    /// A try began.
    pub(super) fn begun(&mut self, id: ActionId) {
        if let Some(open) = &mut self.open {
            open.probe = Some(id);
        }
    }

    /// A try failed. `true`: that opened it.
    pub(super) fn failed(
        &mut self,
        id: ActionId,
        now: Monotonic,
        retry: &Retry,
        salt: u8,
        after: Option<Duration>,
    ) -> bool {
        self.failures = self.failures.saturating_add(1);
        match &mut self.open {
            None if self.threshold == 0 || self.failures < self.threshold => false,
            None => {
                let until = now + retry.pause(1, salt, after);
                self.open = Some(Open { until, pauses: 1, probe: None });
                self.opened += 1;
                true
            }
            Some(open) => {
                if open.probe == Some(id) {
                    open.probe = None;
                    open.pauses = open.pauses.saturating_add(1);
                    open.until = now + retry.pause(open.pauses, salt, after);
                } else if after.is_some() {
                    // A try from before it opened: all that it can say is how long to wait.
                    open.until = open.until.max(now + retry.pause(1, 0, after));
                }
                false
            }
        }
    }

    /// The sink answered. `true`: that closed it.
    pub(super) fn answered(&mut self) -> bool {
        self.failures = 0;
        self.open.take().is_some()
    }

    pub(super) fn status(&self, now: Monotonic) -> BreakerStatus {
        let left = |open: &Open| {
            let left = open.until.saturating_duration_since(now);
            wall_clock().saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
        };
        BreakerStatus {
            state: if self.open.is_some() { BreakerState::Open } else { BreakerState::Closed },
            until: self.open.as_ref().map(left),
            failures: self.failures,
            opened: self.opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        first: Duration::from_millis(100),
        longest: Duration::from_millis(800),
        give_up_after: Duration::from_secs(60),
        timeout: Duration::from_secs(1),
    };

    fn id(n: u8) -> ActionId {
        ActionId([n; 16])
    }

    #[test]
    fn it_opens_probes_ever_more_seldom_and_closes() {
        let begin = Monotonic::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut breaker = Breaker::new(3);
        let fail = |breaker: &mut Breaker, n, now| breaker.failed(id(n), now, &RETRY, 0, None);
        assert!(!fail(&mut breaker, 1, begin) && !fail(&mut breaker, 2, begin));
        assert!(!breaker.answered(), "it was not open");
        assert!(!fail(&mut breaker, 1, begin) && !fail(&mut breaker, 2, begin));
        assert_eq!(breaker.allowed(begin), Allowed::Any);
        assert!(fail(&mut breaker, 3, begin));
        // What was under way already changes nothing.
        assert!(!fail(&mut breaker, 4, begin));
        assert_eq!(breaker.allowed(at(49)), Allowed::Nothing);
        let mut now = 50;
        for pause in [100, 200, 400, 400, 400] {
            assert_eq!(breaker.probe_at(), Some(at(now)));
            assert_eq!(breaker.allowed(at(now)), Allowed::Probe);
            breaker.begun(id(7));
            assert_eq!((breaker.allowed(at(now + 10_000)), breaker.probe_at()), (Allowed::Nothing, None));
            fail(&mut breaker, 7, at(now));
            assert_eq!(breaker.allowed(at(now + pause - 1)), Allowed::Nothing, "{pause}");
            now += pause;
        }
        assert_eq!((breaker.status(begin).failures, breaker.status(begin).opened), (9, 1));
        assert_eq!(breaker.status(begin).state, BreakerState::Open);
        assert!(breaker.answered());
        assert_eq!(breaker.allowed(begin), Allowed::Any);
        assert_eq!((breaker.status(begin).failures, breaker.status(begin).until), (0, None));
    }

    #[test]
    fn what_the_sink_asks_for_holds_for_all() {
        let now = Monotonic::now();
        let mut breaker = Breaker::new(1);
        let after = |seconds| Some(Duration::from_secs(seconds));
        assert!(breaker.failed(id(1), now, &RETRY, 0, after(5)));
        assert_eq!(breaker.probe_at(), Some(now + Duration::from_secs(5)));
        breaker.failed(id(2), now, &RETRY, 0, after(9));
        breaker.failed(id(3), now, &RETRY, 0, after(2));
        assert_eq!(breaker.probe_at(), Some(now + Duration::from_secs(9)));
    }

    #[test]
    fn without_a_threshold_it_never_opens() {
        let mut breaker = Breaker::new(0);
        for n in 0..100 {
            assert!(!breaker.failed(id(n), Monotonic::now(), &RETRY, 0, None));
        }
    }
}
