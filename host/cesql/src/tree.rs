//! What an expression is made of.

use crate::function::Function;
use crate::like::Pattern;
use crate::value::{Type, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Literal(Value<'static>),
    Attribute(Box<str>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// A chain of `AND`: flat, so that a long one is not deep.
    All(Vec<Node>),
    /// A chain of `OR`.
    Any(Vec<Node>),
    Xor(Box<[Node; 2]>),
    Equal {
        sides: Box<[Node; 2]>,
        negated: bool,
    },
    Order {
        order: Order,
        sides: Box<[Node; 2]>,
    },
    Arithmetic {
        operation: Arithmetic,
        sides: Box<[Node; 2]>,
    },
    Like {
        operand: Box<Node>,
        pattern: Pattern,
        negated: bool,
    },
    In {
        operand: Box<Node>,
        set: Vec<Node>,
        negated: bool,
    },
    Exists(Box<str>),
    Call {
        function: Function,
        arguments: Vec<Node>,
    },
    /// The name in upper case.
    MissingFunction {
        name: Box<str>,
        arguments: Vec<Node>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Multiply,
    Divide,
    Remainder,
    Add,
    Subtract,
}

/// How tightly an operator binds: the specification's order, the loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Logical,
    Comparison,
    Additive,
    Multiplicative,
    /// `LIKE` and `IN` stand behind their operand, so which of the two binds tighter makes no difference.
    Postfix,
    Unary,
}

impl Level {
    /// What the right side of an operator is parsed at, so that equal ones group from the left.
    pub(crate) fn tighter(self) -> Self {
        match self {
            Level::Logical => Level::Comparison,
            Level::Comparison => Level::Additive,
            Level::Additive => Level::Multiplicative,
            Level::Multiplicative => Level::Postfix,
            Level::Postfix | Level::Unary => Level::Unary,
        }
    }
}

impl Order {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Order::Less => "<",
            Order::LessOrEqual => "<=",
            Order::Greater => ">",
            Order::GreaterOrEqual => ">=",
        }
    }
}

impl Arithmetic {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Remainder => "%",
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Arithmetic::Add | Arithmetic::Subtract => Level::Additive,
            Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Remainder => Level::Multiplicative,
        }
    }
}

impl Node {
    /// The type that it comes to. Where that is only known with the event, or never, it is Boolean, as the
    /// specification says.
    pub(crate) fn returns(&self) -> Type {
        match self {
            Node::Literal(value) => value.kind(),
            Node::Negate(_) | Node::Arithmetic { .. } => Type::Integer,
            Node::Call { function, .. } => function.returns(),
            Node::Attribute(_)
            | Node::MissingFunction { .. }
            | Node::Not(_)
            | Node::All(_)
            | Node::Any(_)
            | Node::Xor(_)
            | Node::Equal { .. }
            | Node::Order { .. }
            | Node::Like { .. }
            | Node::In { .. }
            | Node::Exists(_) => Type::Boolean,
        }
    }

    /// Shows it and all that it is made of, in the order of the text.
    pub(crate) fn visit<'a>(&'a self, seen: &mut impl FnMut(&'a Node)) {
        seen(self);
        match self {
            Node::Literal(_) | Node::Attribute(_) | Node::Exists(_) => {}
            Node::Not(operand) | Node::Negate(operand) | Node::Like { operand, .. } => operand.visit(seen),
            Node::Xor(sides)
            | Node::Equal { sides, .. }
            | Node::Order { sides, .. }
            | Node::Arithmetic { sides, .. } => sides.iter().for_each(|side| side.visit(seen)),
            Node::In { operand, set, .. } => {
                operand.visit(seen);
                set.iter().for_each(|element| element.visit(seen));
            }
            Node::All(nodes)
            | Node::Any(nodes)
            | Node::Call { arguments: nodes, .. }
            | Node::MissingFunction { arguments: nodes, .. } => {
                nodes.iter().for_each(|node| node.visit(seen))
            }
        }
    }
}
