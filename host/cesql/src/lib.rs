//! CloudEvents SQL (CESQL) 1.0.0: expressions over the attributes of a CloudEvent.
//!
//! ```
//! use carpe_cesql::{Expression, Value};
//!
//! let filter = Expression::parse("type = 'press.on' AND subject LIKE 'press-%'")?;
//! let event = [("type", Value::from("press.on")), ("subject", Value::from("press-7"))];
//! assert!(filter.matches(&event));
//! # Ok::<(), carpe_cesql::ParseError>(())
//! ```
//!
//! The specification is <https://github.com/cloudevents/spec/blob/main/cesql/spec.md>.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod error;
mod evaluate;
mod function;
mod like;
mod parse;
mod print;
mod token;
mod tree;
mod value;

use std::fmt;
use std::str::FromStr;

pub use error::{EvaluationError, ParseError};
pub use parse::{MAX_DEPTH, MAX_LENGTH_BYTES};
pub use value::{Attributes, Type, Value};

use evaluate::Failed;
use tree::Node;

/// A parsed expression.
///
/// Its `Display` gives a text that parses to an equal one: keywords in upper case, one space around operators, and no
/// parentheses but those that are needed. (Of one that was written without spaces it can be longer than a text may be.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    root: Node,
}

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evaluation<'a> {
    /// There always is one. After an error it is what the specification says, mostly the zero value of the
    /// expression's type.
    pub value: Value<'a>,
    /// The first thing that went wrong.
    pub error: Option<EvaluationError>,
}

impl Expression {
    /// Parses an expression of at most [`MAX_LENGTH_BYTES`], nested at most [`MAX_DEPTH`] deep.
    ///
    /// # Errors
    /// It is no CESQL expression, or past a bound.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text).map(|root| Expression { root })
    }

    /// Evaluates the expression. It ends at the first error (the specification's *fail fast mode*); an operator or
    /// function of which a part failed comes to the zero value of its type.
    pub fn evaluate<'a, A: Attributes + ?Sized>(&'a self, attributes: &'a A) -> Evaluation<'a> {
        let result = match &self.root {
            Node::Call { function, arguments } => evaluate::call(*function, arguments, attributes),
            root => root.value(attributes).map_err(Failed::from),
        };
        match result {
            Ok(value) => Evaluation { value, error: None },
            Err(Failed { fault, value }) => Evaluation {
                value: value.unwrap_or_else(|| self.root.returns().zero()),
                error: Some(EvaluationError::from(fault)),
            },
        }
    }

    /// Whether an event with these attributes passes, if the expression is a filter: its value is `true`, after a cast
    /// to Boolean, and there was no error. Allocates nothing, unless functions or casts make a new string.
    ///
    /// The specification lets nothing pass but what is a Boolean without a cast. It is cast here since the type of an
    /// extension is not always kept on its way: many carry all of them as strings.
    pub fn matches<A: Attributes + ?Sized>(&self, attributes: &A) -> bool {
        self.root.boolean(attributes).unwrap_or(false)
    }

    /// As [`matches`](Expression::matches), but tells an error from `false`, and not which: that would allocate.
    pub fn test<A: Attributes + ?Sized>(&self, attributes: &A) -> Option<bool> {
        self.root.boolean(attributes).ok()
    }

    /// The attributes that it names, each once, sorted.
    pub fn attributes(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.visit(&mut |node| {
            if let Node::Attribute(name) | Node::Exists(name) = node {
                names.push(&**name);
            }
        });
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The first function that it calls and that there is none of, with how many arguments. Where that is evaluated
    /// it fails.
    pub fn missing_function(&self) -> Option<(&str, usize)> {
        let mut missing = None;
        self.root.visit(&mut |node| {
            if let Node::MissingFunction { name, arguments } = node {
                missing.get_or_insert((&**name, arguments.len()));
            }
        });
        missing
    }
}

impl FromStr for Expression {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Expression::parse(text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}
