//! How long a call may take: by the thread's CPU time, and by a generous wall-clock stop.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The deadline of the call that is running.
pub(super) struct Deadline {
    cpu_limit: Duration,
    cpu_start: Duration,
    wall_limit: Duration,
    wall_start: Instant,
}

/// Which limit a call overran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Overrun {
    #[error("more than {0:?} of CPU time")]
    Cpu(Duration),
    #[error("more than {0:?} by the clock")]
    Wall(Duration),
}

impl Deadline {
    /// A deadline that begins now, for the thread that asks.
    pub(super) fn begin(cpu_limit: Duration, wall_limit: Duration) -> Deadline {
        Deadline { cpu_limit, cpu_start: thread_cpu_time(), wall_limit, wall_start: Instant::now() }
    }

    /// Whether the call may go on. Must be asked on the thread that it began on.
    ///
    /// # Errors
    /// The limit that was overrun.
    pub(super) fn check(&self) -> Result<(), Overrun> {
        if thread_cpu_time().saturating_sub(self.cpu_start) > self.cpu_limit {
            return Err(Overrun::Cpu(self.cpu_limit));
        }
        if self.wall_start.elapsed() > self.wall_limit {
            return Err(Overrun::Wall(self.wall_limit));
        }
        Ok(())
    }
}

fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_and_wall_time_are_told_apart() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(Deadline::begin(hour, hour).check(), Ok(()));
        assert_eq!(Deadline::begin(hour, Duration::ZERO).check(), Err(Overrun::Wall(Duration::ZERO)));

        let deadline = Deadline::begin(Duration::from_millis(5), hour);
        while deadline.check().is_ok() {}
        assert_eq!(deadline.check(), Err(Overrun::Cpu(Duration::from_millis(5))));
    }
}
