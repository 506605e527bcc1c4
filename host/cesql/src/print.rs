//! An expression as text.

use std::fmt::{self, Display, Formatter, Write};

use crate::tree::{Level, Node};
use crate::value::Value;

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Node::Literal(Value::String(text)) => write_text(f, text),
            Node::Literal(Value::Integer(number)) => write!(f, "{number}"),
            Node::Literal(Value::Boolean(true)) => f.write_str("TRUE"),
            Node::Literal(Value::Boolean(false)) => f.write_str("FALSE"),
            Node::Attribute(name) => f.write_str(name),
            Node::Exists(name) => write!(f, "EXISTS {name}"),
            Node::Not(operand) => {
                f.write_str("NOT ")?;
                operand.write_at(f, Level::Unary)
            }
            Node::Negate(operand) => {
                f.write_char('-')?;
                match &**operand {
                    // Without parentheses it would be one literal.
                    Node::Literal(Value::Integer(0..)) => write!(f, "({operand})"),
                    operand => operand.write_at(f, Level::Unary),
                }
            }
            Node::All(nodes) => write_chain(f, nodes, "AND"),
            Node::Any(nodes) => write_chain(f, nodes, "OR"),
            Node::Xor(sides) => write_chain(f, &**sides, "XOR"),
            Node::Equal { sides, negated } => {
                write_sides(f, sides, if *negated { "!=" } else { "=" }, Level::Comparison)
            }
            Node::Order { order, sides } => write_sides(f, sides, order.symbol(), Level::Comparison),
            Node::Arithmetic { operation, sides } => {
                write_sides(f, sides, operation.symbol(), operation.level())
            }
            Node::Like { operand, pattern, negated } => {
                operand.write_at(f, Level::Postfix)?;
                f.write_str(if *negated { " NOT LIKE " } else { " LIKE " })?;
                write_text(f, pattern.text())
            }
            Node::In { operand, set, negated } => {
                operand.write_at(f, Level::Postfix)?;
                f.write_str(if *negated { " NOT IN (" } else { " IN (" })?;
                write_list(f, set)
            }
            Node::Call { function, arguments } => {
                write!(f, "{}(", function.name())?;
                write_list(f, arguments)
            }
            Node::MissingFunction { name, arguments } => {
                write!(f, "{name}(")?;
                write_list(f, arguments)
            }
        }
    }
}

impl Node {
    fn level(&self) -> Level {
        match self {
            Node::All(_) | Node::Any(_) | Node::Xor(_) => Level::Logical,
            Node::Equal { .. } | Node::Order { .. } => Level::Comparison,
            Node::Arithmetic { operation, .. } => operation.level(),
            Node::Like { .. } | Node::In { .. } => Level::Postfix,
            Node::Literal(_)
            | Node::Attribute(_)
            | Node::Exists(_)
            | Node::Not(_)
            | Node::Negate(_)
            | Node::Call { .. }
            | Node::MissingFunction { .. } => Level::Unary,
        }
    }

    /// In parentheses, if it binds more loosely than what it stands in.
    fn write_at(&self, f: &mut Formatter<'_>, level: Level) -> fmt::Result {
        if self.level() < level { write!(f, "({self})") } else { self.fmt(f) }
    }
}

fn write_chain(f: &mut Formatter<'_>, nodes: &[Node], operator: &str) -> fmt::Result {
    for (place, node) in nodes.iter().enumerate() {
        if place == 0 {
            node.write_at(f, Level::Logical)?;
        } else {
            write!(f, " {operator} ")?;
            node.write_at(f, Level::Logical.tighter())?;
        }
    }
    Ok(())
}

fn write_sides(f: &mut Formatter<'_>, sides: &[Node; 2], operator: &str, level: Level) -> fmt::Result {
    let [left, right] = sides;
    left.write_at(f, level)?;
    write!(f, " {operator} ")?;
    right.write_at(f, level.tighter())
}

fn write_list(f: &mut Formatter<'_>, nodes: &[Node]) -> fmt::Result {
    for (place, node) in nodes.iter().enumerate() {
        if place > 0 {
            f.write_str(", ")?;
        }
        node.fmt(f)?;
    }
    f.write_char(')')
}

/// In the quotes that it can stand in: a backslash takes the next character along, so before a quote of the same sort, or at
/// the end, there can be none that is not one's own. All that a literal can hold can stand in one of the two.
fn write_text(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if can_stand_in(text, '\'') { '\'' } else { '"' };
    f.write_char(quote)?;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                f.write_char(c)?;
                characters.next().map_or(Ok(()), |taken| f.write_char(taken))?;
            }
            c if c == quote => write!(f, "\\{c}")?,
            c => f.write_char(c)?,
        }
    }
    f.write_char(quote)
}

fn can_stand_in(text: &str, quote: char) -> bool {
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c == '\\' && characters.next().is_none_or(|taken| taken == quote) {
            return false;
        }
    }
    true
}
