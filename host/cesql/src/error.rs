//! What goes wrong, in words.

use std::borrow::Cow;
use std::fmt;

use crate::evaluate::Fault;
use crate::function::Function;
use crate::value::Type;

/// How much of a text is shown around a place in it, in characters to each side.
const SHOWN: usize = 40;

/// Why a text is no expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub(crate) position: usize,
    pub(crate) problem: Problem,
    /// The line with the place, as far as it is shown, and the place in it, in characters.
    line: String,
    column: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Expected { expected: &'static str, found: String },
    Wrong(Cow<'static, str>),
}

impl ParseError {
    pub(crate) fn new(text: &str, position: usize, problem: Problem) -> Self {
        let position = text.floor_char_boundary(position);
        let (before, behind) = text.split_at(position);
        let start = before.char_indices().rev().take(SHOWN).last().map_or(position, |(start, _)| start);
        let end = behind.char_indices().nth(SHOWN).map_or(text.len(), |(end, _)| position + end);
        let shown = |text: &str| text.chars().map(|c| if is_shown(c) { c } else { ' ' }).collect::<String>();
        let (cut, rest) = (if start > 0 { "..." } else { "" }, if end < text.len() { "..." } else { "" });
        ParseError {
            position,
            problem,
            line: format!("{cut}{}{rest}", shown(&text[start..end])),
            column: cut.len() + text[start..position].chars().count(),
        }
    }

    /// Where it is, in bytes from the text's beginning.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The text around the place, in one line: what is not printable is a space.
    pub fn excerpt(&self) -> &str {
        &self.line
    }

    /// The text around the place in one line, and a caret below the place in another.
    pub fn in_context(&self) -> String {
        format!("{}\n{:>width$}", self.line, "^", width = self.column + 1)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::Expected { expected, found } => {
                write!(f, "at byte {} there is {found}, where {expected} is expected", self.position)
            }
            Problem::Wrong(message) => write!(f, "at byte {}: {message}", self.position),
        }
    }
}

impl std::error::Error for ParseError {}

/// Why an expression could not be evaluated for an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A calculation has no result: the specification's *MathError*.
    #[error("{0}")]
    Math(&'static str),
    /// A string is no value of the type that is needed: *CastError*.
    #[error("`{value}` cannot be cast to {to}")]
    Cast {
        /// The string, cut if it is long, with control characters escaped.
        value: String,
        /// The type.
        to: Type,
    },
    /// The event does not have an attribute: *MissingAttributeError*.
    #[error("the event has no attribute `{0}`")]
    MissingAttribute(String),
    /// There is no such function, or none with so many arguments: *MissingFunctionError*.
    #[error("there is no function `{name}` with {arguments} arguments")]
    MissingFunction {
        /// Its name, in upper case.
        name: String,
        /// How many arguments it is called with.
        arguments: usize,
    },
    /// A function does not take these arguments: *FunctionEvaluationError*.
    #[error("{function}: {reason}")]
    FunctionEvaluation {
        /// Its name.
        function: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// Anything else, here a bound: *GenericError*.
    #[error("{0}")]
    Generic(&'static str),
}

impl From<Fault<'_>> for EvaluationError {
    fn from(fault: Fault<'_>) -> Self {
        match fault {
            Fault::Math(reason) => EvaluationError::Math(reason),
            Fault::Cast(value, to) => EvaluationError::Cast { value: cut(&value), to },
            Fault::MissingAttribute(name) => EvaluationError::MissingAttribute(name.to_owned()),
            Fault::MissingFunction(name, arguments) => {
                EvaluationError::MissingFunction { name: name.to_owned(), arguments }
            }
            Fault::Function(function, reason) => {
                EvaluationError::FunctionEvaluation { function: Function::name(function), reason }
            }
            Fault::Generic(reason) => EvaluationError::Generic(reason),
        }
    }
}

/// Whether it can be seen, and does nothing to what is beside it.
fn is_shown(c: char) -> bool {
    matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::Expression;

    #[track_caller]
    fn check(text: &str, message: &str, context: &str) {
        let error = Expression::parse(text).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.in_context(), context);
    }

    #[test]
    fn what_is_wrong_and_where() {
        check("type == 'x'", "at byte 6 there is `=`, where a value is expected", "type == 'x'\n      ^");
        check("type =", "at byte 6 there is the end, where a value is expected", "type =\n      ^");
        check(
            "type 'x'",
            "at byte 5 there is a string, where an operator or the end is expected",
            "type 'x'\n     ^",
        );
        check(
            "x LIKE subject",
            "at byte 7 there is `subject`, where a pattern, which is a string, is expected",
            "x LIKE subject\n       ^",
        );
        check("é = 1", "at byte 0: the character `é` has no meaning outside a string", "é = 1\n^");
        check(
            "Subject = 1",
            "at byte 0: `Subject` is no attribute's name: those are of lower-case letters and digits",
            "Subject = 1\n^",
        );
        check("x = 'a", "at byte 4: this string is not closed", "x = 'a\n    ^");
        check("x = 2147483648", "at byte 4: `2147483648` is no integer of 32 bits", "x = 2147483648\n    ^");
        check("f_1(x)", "at byte 0: `f_1` is no function's name: those are of letters and `_`", "f_1(x)\n^");
    }

    #[test]
    fn what_is_not_printable_is_a_space() {
        check(
            "'\u{202e}\n\u{0}' =",
            "at byte 9 there is the end, where a value is expected",
            "'   ' =\n       ^",
        );
    }

    #[test]
    fn a_long_text_is_shown_around_the_place() {
        let text = format!("x IN ({}'é',\n=)", "'abc', ".repeat(20));
        check(
            &text,
            "at byte 152 there is `=`, where a value is expected",
            "...'abc', 'abc', 'abc', 'abc', 'abc', 'é', =)\n                                           ^",
        );
        let error = Expression::parse(&format!("= {}", "x".repeat(100))).unwrap_err();
        assert_eq!(error.in_context(), format!("= {}...\n^", "x".repeat(38)));
    }
}
