//! From text to tokens.

use std::borrow::Cow;

use crate::error::{ParseError, Problem};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    /// A keyword, or the name of an attribute or a function.
    Word(&'t str),
    /// Digits, without a sign.
    Digits(&'t str),
    Text(Cow<'t, str>),
    Symbol(&'static str),
    End,
}

/// The longer ones first.
const SYMBOLS: [&str; 15] = ["!=", "<>", "<=", ">=", "<", ">", "=", "(", ")", ",", "+", "-", "*", "/", "%"];

/// All tokens with where they begin, [`Token::End`] last.
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token<'_>, usize)>, ParseError> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at = text.len() - text[at..].trim_start_matches([' ', '\t', '\r', '\n']).len();
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else { break };
        let (token, length) = if first.is_ascii_alphanumeric() {
            word(rest)
        } else if first == '\'' || first == '"' {
            string(rest, first).ok_or_else(|| {
                ParseError::new(text, at, Problem::Wrong("this string is not closed".into()))
            })?
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else {
            let first = first.escape_debug();
            let message = format!("the character `{first}` has no meaning outside a string");
            return Err(ParseError::new(text, at, Problem::Wrong(message.into())));
        };
        found.push((token, at));
        at += length;
    }
    found.push((Token::End, text.len()));
    Ok(found)
}

fn word(rest: &str) -> (Token<'_>, usize) {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let word = &rest[..end];
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    (if is_number { Token::Digits(word) } else { Token::Word(word) }, end)
}

/// A backslash takes the next character along: before the string's own quote it is left out, before anything else it
/// stays, since patterns of `LIKE` have escapes of their own.
fn string(rest: &str, quote: char) -> Option<(Token<'_>, usize)> {
    let mut unescaped = String::new();
    let mut kept = 1;
    let mut characters = rest.char_indices().skip(1);
    loop {
        match characters.next()? {
            (end, c) if c == quote => {
                let last = &rest[kept..end];
                let text = if kept == 1 { Cow::Borrowed(last) } else { Cow::Owned(unescaped + last) };
                return Some((Token::Text(text), end + 1));
            }
            (at, '\\') if characters.next()?.1 == quote => {
                unescaped.push_str(&rest[kept..at]);
                kept = at + 1;
            }
            _ => {}
        }
    }
}
