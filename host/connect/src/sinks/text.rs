//! Actions and answers, for people to read on a terminal.

use std::fmt::Write;

use carpe::{Data, Event, format_instant};

/// The data of an action is shown up to here.
const DATA_CHARACTERS: usize = 400;
const WORD_CHARACTERS: usize = 200;

/// An action in one line: when, which rule and key, which moment and why, and what is to be done.
pub fn describe(action: &Event) -> String {
    let mut line = action.time.map(format_instant).unwrap_or_else(|| "-".to_owned());
    for name in ["carperule", "carpekey", "carpemoment"] {
        if let Some(word) = action.extension(name).filter(|word| !word.is_empty()) {
            line.push(' ');
            line.push_str(&printable(word, WORD_CHARACTERS));
        }
    }
    if let Some(why) = action.extension("carpewhy") {
        let _ = write!(line, " ({})", printable(why, WORD_CHARACTERS));
    }
    let _ = write!(line, " -> {}", printable(&action.kind, WORD_CHARACTERS));
    match &action.data {
        Data::Absent => {}
        Data::Json(text) => {
            let _ = write!(line, " {}", printable(text, DATA_CHARACTERS));
        }
        Data::Binary(bytes) => {
            let _ = write!(line, " [{} bytes]", bytes.len());
        }
    }
    line
}

/// `text` in one line, cut after `most` characters, without what could move a terminal's cursor, change
/// its colours or turn its direction of writing: whoever wrote it can't forge another line.
pub fn printable(text: &str, most: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(most));
    let mut characters = text.chars();
    for character in characters.by_ref().take(most) {
        if moves(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

fn moves(character: char) -> bool {
    let turns =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_forges_a_line() {
        assert_eq!(printable("a\nb\x1b[2J\u{202e}ü", 100), "a\\nb\\u{1b}[2J\\u{202e}ü");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(printable("abc", 3), "abc");
    }

    #[test]
    fn an_action_is_one_line() {
        let mut event = Event::new("1", "/carpe", "residents.notify")
            .with_time(1_772_366_400_000)
            .with_json(r#"{"a":1}"#);
        event.extensions = [("carpekey", "elbe-7"), ("carperule", "flood-alert"), ("carpewhy", "up\n0.4 m")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        assert_eq!(
            describe(&event),
            r#"2026-03-01T12:00:00.000Z flood-alert elbe-7 (up\n0.4 m) -> residents.notify {"a":1}"#
        );
    }
}
