//! `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

/// Whoever asks for more is asked again after a day.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait from `now` on. `None`: neither a number nor a date.
pub(super) fn parse(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let after = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // So many digits are a long time.
        text.parse().map_or(MOST, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        // A date that has passed: at once.
        date.duration_since(now).unwrap_or_default()
    };
    Some(after.min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = httpdate::parse_http_date("Sun, 01 Mar 2026 12:00:00 GMT").unwrap();
        let seconds = |text| parse(text, now).map(|after| after.as_secs());
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("Sun, 01 Mar 2026 12:01:30 GMT"), Some(90));
        assert_eq!(seconds("Sun, 01 Mar 2026 11:00:00 GMT"), Some(0));
        assert_eq!(seconds("Sunday, 01-Mar-26 12:00:05 GMT"), Some(5));
        assert_eq!(seconds("99999999999999999999999"), Some(86_400));
        assert_eq!(seconds("Mon, 01 Mar 2027 12:00:00 GMT"), Some(86_400));
        for bad in ["", "-1", "1.5", "soon", "12 s"] {
            assert_eq!(seconds(bad), None, "{bad:?}");
        }
    }
}
