//! How long a call may take: by the thread's CPU time, and by a generous wall-clock stop.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The deadline of the call that is running.
///
/// Its clocks are read when it is first looked at, at the first tick of the engine's clock: a short call asks for
/// no time at all (the thread's CPU time is a system call), and a long one gets up to a tick more.
pub(super) struct Deadline {
    cpu_limit: Duration,
    wall_limit: Duration,
    begun: Option<Begun>,
}

struct Begun {
    cpu: Duration,
    wall: Instant,
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
    /// A deadline that begins with the first look at it.
    pub(super) fn begin(cpu_limit: Duration, wall_limit: Duration) -> Deadline {
        Deadline { cpu_limit, wall_limit, begun: None }
    }

    /// Whether the call may go on. Must be asked on the thread that it runs on.
    ///
    /// # Errors
    /// The limit that was overrun.
    pub(super) fn check(&mut self) -> Result<(), Overrun> {
        let Some(begun) = &self.begun else {
            self.begun = Some(Begun { cpu: thread_cpu_time(), wall: Instant::now() });
            return Ok(());
        };
        if thread_cpu_time().saturating_sub(begun.cpu) > self.cpu_limit {
            return Err(Overrun::Cpu(self.cpu_limit));
        }
        if begun.wall.elapsed() > self.wall_limit {
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
        let mut deadline = Deadline::begin(hour, Duration::ZERO);
        assert_eq!(deadline.check(), Ok(()));
        assert_eq!(deadline.check(), Err(Overrun::Wall(Duration::ZERO)));

        let mut deadline = Deadline::begin(Duration::from_millis(5), hour);
        while deadline.check().is_ok() {}
        assert_eq!(deadline.check(), Err(Overrun::Cpu(Duration::from_millis(5))));
    }
}
