//! Lines that a guest writes for the operator: bounded in length, in number, and in what they can
//! do to a terminal or a log file.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::contract::v0_1_0::WriteLog;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// For the rule's author.
    Debug,
    /// Of interest.
    Info,
    /// Not as it should be.
    Warn,
    /// Gone wrong.
    Error,
}

/// Where the lines of an instance go.
pub trait GuestLog: Send + Sync {
    /// Takes one line. It holds no control characters (they are escaped, newlines too), so it cannot
    /// look like two, and at most a few kilobytes. Called on the thread that runs the guest: must not
    /// block.
    fn line(&self, level: LogLevel, text: &str);

    /// So many lines were not given to [`GuestLog::line`], since there were too many. A line that says so follows.
    fn dropped(&self, _lines: u64) {}
}

/// Bytes of guest text that are kept in one piece; the rest is cut.
pub(super) const TEXT_BYTES: usize = 2_048;

/// Cuts text from a guest to a bounded length, and escapes what could forge or hide other text:
/// control characters, line separators, and marks that turn the direction of writing.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let mut end = text.len().min(TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = &text[..end];
    if end == text.len() && !kept.chars().any(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(end + 32);
    for character in kept.chars() {
        if is_deceptive(character) {
            cleaned.extend(character.escape_default());
        } else {
            cleaned.push(character);
        }
    }
    if end < text.len() {
        // Writing to a string cannot fail.
        let _ = write!(cleaned, " ... ({} more bytes)", text.len() - end);
    }
    Cow::Owned(cleaned)
}

fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// The lines of one instance on their way to a [`GuestLog`], a bounded number a second.
pub(super) struct Writer {
    to: Arc<dyn GuestLog>,
    per_second: u32,
    second_began: Instant,
    written: u32,
    dropped: u64,
}

impl Writer {
    pub(super) fn new(to: Arc<dyn GuestLog>, per_second: u32) -> Writer {
        Writer { to, per_second, second_began: Instant::now(), written: 0, dropped: 0 }
    }

    /// Tells of dropped lines, if their second is over.
    pub(super) fn settle(&mut self) {
        // The clock is read only if there is something to tell: this runs after every call.
        if self.dropped > 0 {
            self.turn();
        }
    }

    /// Begins a new second if the last one is over, and tells of the lines that it dropped.
    fn turn(&mut self) {
        if self.second_began.elapsed() >= Duration::from_secs(1) {
            self.second_began = Instant::now();
            self.written = 0;
            self.report();
        }
    }

    fn report(&mut self) {
        if self.dropped > 0 {
            let text = format!(
                "{} more lines were dropped: at most {} a second are kept",
                self.dropped, self.per_second
            );
            self.to.line(LogLevel::Warn, &text);
            self.dropped = 0;
        }
    }
}

impl WriteLog for Writer {
    fn write_log(&mut self, level: LogLevel, message: &str) {
        self.turn();
        if self.written >= self.per_second {
            self.dropped += 1;
            self.to.dropped(1);
            return;
        }
        self.written += 1;
        self.to.line(level, &clean(message));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.report();
    }
}

/// Bytes that a guest writes to a stream, cut into lines.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Takes bytes, and gives each line that they complete. Of a long line only the beginning is
    /// kept, so that a guest that never ends one fills nothing.
    pub(super) fn push(&mut self, bytes: &[u8], mut complete: impl FnMut(&str)) {
        let mut pieces = bytes.split(|&byte| byte == b'\n');
        if let Some(first) = pieces.next() {
            self.keep(first);
        }
        for piece in pieces {
            self.end(&mut complete);
            self.keep(piece);
        }
    }

    /// Gives what is left of a line that was not ended.
    pub(super) fn flush(&mut self, complete: impl FnMut(&str)) {
        if !self.line.is_empty() {
            self.end(complete);
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        // One more than is shown, so that the cut is seen.
        let room = (TEXT_BYTES + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn end(&mut self, mut complete: impl FnMut(&str)) {
        complete(String::from_utf8_lossy(&self.line).trim_end_matches('\r'));
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl GuestLog for Kept {
        fn line(&self, level: LogLevel, text: &str) {
            self.0.lock().unwrap().push(format!("{level:?} {text}"));
        }
    }

    #[test]
    fn text_is_escaped_and_cut() {
        assert!(matches!(clean("plain, äöü"), Cow::Borrowed(_)));
        assert_eq!(
            clean("one\n2026 ERROR forged\x1b[2J\u{202e}"),
            "one\\n2026 ERROR forged\\u{1b}[2J\\u{202e}"
        );
        let long = "é".repeat(TEXT_BYTES);
        let cut = clean(&long);
        assert!(cut.ends_with("é ... (2048 more bytes)"), "{cut}");
        assert!(clean(&"\x07".repeat(1 << 20)).len() < 8 * TEXT_BYTES);
    }

    #[test]
    fn lines_past_the_rate_are_counted_and_dropped() {
        let kept = Arc::new(Kept::default());
        let mut writer = Writer::new(kept.clone(), 2);
        for number in 0..5 {
            writer.write_log(LogLevel::Info, &number.to_string());
        }
        drop(writer);
        let kept = kept.0.lock().unwrap();
        assert_eq!(
            *kept,
            ["Info 0", "Info 1", "Warn 3 more lines were dropped: at most 2 a second are kept"]
        );
    }

    #[test]
    fn streams_become_lines() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut complete = |line: &str| seen.push(line.to_owned());
        lines.push(b"one", &mut complete);
        lines.push(b" line\r\n\ntwo", &mut complete);
        lines.flush(&mut complete);
        lines.flush(&mut complete);
        for _ in 0..100 {
            lines.push(&[b'x'; 1_000], &mut complete);
        }
        assert!(lines.line.len() <= TEXT_BYTES + 1);
        assert_eq!(seen, ["one line", "", "two"]);
    }
}
