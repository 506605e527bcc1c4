//! Patterns of `LIKE`.

/// How many bytes of a string may be compared with how many of a pattern, multiplied. It bounds patterns with `_` between two
/// `%`; all others take one pass over the string.
const MAX_WORK: usize = 1 << 20;

/// `%` stands for any characters, `_` for one; a `\` before them takes that away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: Box<str>,
    shape: Shape,
}

/// The frequent ones apart: they are plain comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// Without `%` and `_`.
    Exact(Box<str>),
    /// `text%`
    Prefix(Box<str>),
    /// `%text`
    Suffix(Box<str>),
    /// `%text%`
    Contains(Box<str>),
    /// With `_`, but without `%`.
    Fixed(Segment),
    General {
        first: Segment,
        middle: Box<[Segment]>,
        last: Segment,
    },
}

/// What stands between two `%`: it matches as many characters as it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Segment(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// As many `_`.
    AnyCharacters(usize),
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let mut segments = segments(text);
        let last = segments.pop().unwrap_or_default();
        let shape = match segments.as_slice() {
            [] => match last.plain() {
                Some(text) => Shape::Exact(text.into()),
                None => Shape::Fixed(last),
            },
            [first, middle @ ..] => {
                let middle: Box<[Segment]> =
                    middle.iter().filter(|segment| !segment.0.is_empty()).cloned().collect();
                match (first.plain(), &*middle, last.plain()) {
                    (Some(text), [], Some("")) => Shape::Prefix(text.into()),
                    (Some(""), [], Some(text)) => Shape::Suffix(text.into()),
                    (Some(""), [only], Some("")) if only.plain().is_some() => {
                        Shape::Contains(only.plain().unwrap_or_default().into())
                    }
                    _ => Shape::General { first: first.clone(), middle, last },
                }
            }
        };
        Pattern { text: text.into(), shape }
    }

    /// As it was written, without the quotes.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// None: the string is too long to be compared with this pattern.
    pub(crate) fn matches(&self, text: &str) -> Option<bool> {
        Some(match &self.shape {
            Shape::Exact(wanted) => text == &**wanted,
            Shape::Prefix(wanted) => text.starts_with(&**wanted),
            Shape::Suffix(wanted) => text.ends_with(&**wanted),
            Shape::Contains(wanted) => text.contains(&**wanted),
            Shape::Fixed(segment) => segment.strip_from(text) == Some(""),
            Shape::General { first, middle, last } => {
                let Some(rest) = first.strip_from(text) else { return Some(false) };
                let Some(rest) = last.strip_from_end(rest) else { return Some(false) };
                let long = text.len().saturating_mul(self.text.len()) > MAX_WORK;
                if long && middle.iter().any(|segment| segment.plain().is_none()) {
                    return None;
                }
                // The earliest place is always as good as a later one: it leaves more for what comes behind.
                middle.iter().try_fold(rest, |rest, segment| segment.find_in(rest)).is_some()
            }
        })
    }
}

/// Separated by `%`: one more than there are of them.
fn segments(text: &str) -> Vec<Segment> {
    let (mut found, mut current, mut plain) = (Vec::new(), Segment::default(), String::new());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => plain.push(characters.next_if(|next| matches!(next, '%' | '_')).unwrap_or(c)),
            '%' => {
                current.add_text(&mut plain);
                found.push(std::mem::take(&mut current));
            }
            '_' => {
                current.add_text(&mut plain);
                match current.0.last_mut() {
                    Some(Piece::AnyCharacters(count)) => *count += 1,
                    _ => current.0.push(Piece::AnyCharacters(1)),
                }
            }
            _ => plain.push(c),
        }
    }
    current.add_text(&mut plain);
    found.push(current);
    found
}

impl Segment {
    fn add_text(&mut self, text: &mut String) {
        if !text.is_empty() {
            self.0.push(Piece::Text(std::mem::take(text).into()));
        }
    }

    /// Its text, if it has no `_`.
    fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// What is behind it, if the text begins with it.
    fn strip_from<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.0.iter().try_fold(text, |rest, piece| match piece {
            Piece::Text(wanted) => rest.strip_prefix(&**wanted),
            Piece::AnyCharacters(count) => {
                let mut characters = rest.chars();
                characters.nth(count - 1)?;
                Some(characters.as_str())
            }
        })
    }

    /// What is before it, if the text ends with it.
    fn strip_from_end<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.0.iter().rev().try_fold(text, |rest, piece| match piece {
            Piece::Text(wanted) => rest.strip_suffix(&**wanted),
            Piece::AnyCharacters(count) => {
                let mut characters = rest.chars();
                characters.nth_back(count - 1)?;
                Some(characters.as_str())
            }
        })
    }

    /// What is behind the first place where the text has it.
    fn find_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self.plain() {
            Some(plain) => text.find(plain).map(|start| &text[start + plain.len()..]),
            None => text.char_indices().find_map(|(start, _)| self.strip_from(&text[start..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, literally.
    fn model(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], text) => text.is_empty(),
            (['%', rest @ ..], text) => (0..=text.len()).any(|skipped| model(rest, &text[skipped..])),
            (['\\', wanted @ ('%' | '_'), rest @ ..], [c, behind @ ..]) => c == wanted && model(rest, behind),
            (['_', rest @ ..], [_, behind @ ..]) => model(rest, behind),
            ([wanted, rest @ ..], [c, behind @ ..]) => c == wanted && model(rest, behind),
            (_, []) => false,
        }
    }

    #[test]
    fn the_frequent_shapes_are_recognised() {
        for (pattern, shape) in [
            ("", Shape::Exact("".into())),
            ("a\\%\\_\\b\\", Shape::Exact("a%_\\b\\".into())),
            ("%", Shape::Prefix("".into())),
            ("a%%", Shape::Prefix("a".into())),
            ("%a", Shape::Suffix("a".into())),
            ("%a%", Shape::Contains("a".into())),
        ] {
            assert_eq!(Pattern::new(pattern).shape, shape, "{pattern}");
        }
    }

    #[test]
    fn one_that_would_take_too_long_says_so() {
        let long = "a".repeat(MAX_WORK / 1_000 + 1);
        let slow = format!("%{}_b%", "a".repeat(995));
        assert_eq!(slow.len() + 1, 1_000);
        assert_eq!(Pattern::new(&format!("{slow}%")).matches(&long), None);
        assert_eq!(Pattern::new(&slow).matches(&long[..long.len() - 1]), Some(false));
        let quick = format!("%{}%b%{}", "a".repeat(500), "_".repeat(500));
        assert_eq!(Pattern::new(&quick).matches(&long), Some(false));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn as_the_definition_says(pattern in "[ab%_\\\\é]{0,8}", text in "[ab%_\\\\é]{0,10}") {
            let wanted = model(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), Some(wanted));
        }
    }
}
