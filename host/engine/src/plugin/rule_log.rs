//! What a rule writes to the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::sandbox::{GuestLog, LogLevel};

/// A rule's log lines, as the host's events: the rule's name is the host's word, the text is escaped.
///
/// The limit holds for all instances together: one that traps and is replaced begins no new quota.
pub(crate) struct RuleLog {
    rule: String,
    per_second: u32,
    second: Mutex<Second>,
    dropped: AtomicU64,
}

struct Second {
    began: Instant,
    written: u32,
    dropped: u64,
}

impl RuleLog {
    pub(crate) fn new(rule: &str, limits: &Limits) -> Arc<Self> {
        let second = Mutex::new(Second { began: Instant::now(), written: 0, dropped: 0 });
        let per_second = limits.log_lines_per_second;
        Arc::new(RuleLog { rule: rule.to_owned(), per_second, second, dropped: AtomicU64::new(0) })
    }

    /// Lines that were dropped, of all instances.
    pub(crate) fn lines_dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether there is room for a line, and how many were dropped in the second before.
    fn admit(&self, now: Instant) -> (bool, u64) {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = 0;
        if now.saturating_duration_since(second.began) >= Duration::from_secs(1) {
            before = second.dropped;
            *second = Second { began: now, written: 0, dropped: 0 };
        }
        if second.written >= self.per_second {
            second.dropped += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return (false, before);
        }
        second.written += 1;
        (true, before)
    }

    fn write(&self, level: LogLevel, text: &str) {
        let rule = self.rule.as_str();
        match level {
            LogLevel::Debug => tracing::debug!(target: "carpe::guest", rule, "{text}"),
            LogLevel::Info => tracing::info!(target: "carpe::guest", rule, "{text}"),
            LogLevel::Warn => tracing::warn!(target: "carpe::guest", rule, "{text}"),
            LogLevel::Error => tracing::error!(target: "carpe::guest", rule, "{text}"),
        }
    }
}

impl GuestLog for RuleLog {
    fn line(&self, level: LogLevel, text: &str) {
        let (admitted, dropped) = self.admit(Instant::now());
        if dropped > 0 {
            let per_second = self.per_second;
            let text = format!(
                "{dropped} more lines of all instances were dropped: at most {per_second} a second are kept"
            );
            self.write(LogLevel::Warn, &text);
        }
        if admitted {
            self.write(level, text);
        }
    }

    fn dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_instances_share_one_quota() {
        let limits = Limits { log_lines_per_second: 2, ..Limits::default() };
        let log = RuleLog::new("r", &limits);
        let now = Instant::now();
        assert_eq!([(); 5].map(|()| log.admit(now).0), [true, true, false, false, false]);
        assert_eq!(log.admit(now + Duration::from_secs(2)), (true, 3));
        log.dropped(10);
        assert_eq!(log.lines_dropped(), 13);
    }
}
