//! What an expression comes to, for the attributes of one event.
//!
//! A node is asked for its value as the type that is needed, so that conditions pass plain booleans, and strings stay
//! borrowed from the event or the expression.

use std::borrow::Cow;

use crate::function::Function;
use crate::tree::{Arithmetic, Node, Order};
use crate::value::{Attributes, Type, Value};

/// An [`EvaluationError`](crate::EvaluationError) that owns nothing: most filters fail for events that lack an attribute,
/// and nobody asks why.
#[derive(Debug)]
pub(crate) enum Fault<'a> {
    Math(&'static str),
    Cast(Cow<'a, str>, Type),
    MissingAttribute(&'a str),
    MissingFunction(&'a str, usize),
    Function(Function, &'static str),
    Generic(&'static str),
}

/// A fault of a function, with what it comes to all the same, if that is not the zero value of its type.
pub(crate) struct Failed<'a> {
    pub(crate) fault: Fault<'a>,
    pub(crate) value: Option<Value<'a>>,
}

impl<'a> From<Fault<'a>> for Failed<'a> {
    fn from(fault: Fault<'a>) -> Self {
        Failed { fault, value: None }
    }
}

impl Node {
    pub(crate) fn value<'a, A: Attributes + ?Sized>(&'a self, event: &'a A) -> Result<Value<'a>, Fault<'a>> {
        match self {
            Node::Literal(value) => Ok(value.borrowed()),
            Node::Attribute(name) => event.attribute(name).ok_or(Fault::MissingAttribute(name)),
            Node::Negate(_) | Node::Arithmetic { .. } => self.integer(event).map(Value::Integer),
            Node::Call { function, arguments } => {
                call(*function, arguments, event).map_err(|failed| failed.fault)
            }
            Node::MissingFunction { name, arguments } => Err(Fault::MissingFunction(name, arguments.len())),
            Node::Not(_)
            | Node::All(_)
            | Node::Any(_)
            | Node::Xor(_)
            | Node::Equal { .. }
            | Node::Order { .. }
            | Node::Like { .. }
            | Node::In { .. }
            | Node::Exists(_) => self.boolean(event).map(Value::Boolean),
        }
    }

    pub(crate) fn boolean<'a, A: Attributes + ?Sized>(&'a self, event: &'a A) -> Result<bool, Fault<'a>> {
        match self {
            Node::Not(operand) => operand.boolean(event).map(|boolean| !boolean),
            Node::All(nodes) => {
                for node in nodes {
                    if !node.boolean(event)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Node::Any(nodes) => {
                for node in nodes {
                    if node.boolean(event)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Node::Xor(sides) => {
                let [left, right] = &**sides;
                Ok(left.boolean(event)? != right.boolean(event)?)
            }
            Node::Equal { sides, negated } => equal(sides, event).map(|equal| equal != *negated),
            Node::Order { order, sides } => {
                let [left, right] = &**sides;
                let (left, right) = (left.integer(event)?, right.integer(event)?);
                Ok(match order {
                    Order::Less => left < right,
                    Order::LessOrEqual => left <= right,
                    Order::Greater => left > right,
                    Order::GreaterOrEqual => left >= right,
                })
            }
            Node::Like { operand, pattern, negated } => {
                let matches = operand.test_text(event, |text| pattern.matches(text))?;
                let fault = Fault::Generic("the string and the pattern are too long to be compared");
                Ok(matches.ok_or(fault)? != *negated)
            }
            Node::In { operand, set, negated } => is_in(operand, set, event).map(|found| found != *negated),
            Node::Exists(name) => Ok(event.attribute(name).is_some()),
            Node::Literal(_)
            | Node::Attribute(_)
            | Node::Negate(_)
            | Node::Arithmetic { .. }
            | Node::Call { .. }
            | Node::MissingFunction { .. } => self.value(event)?.into_boolean(),
        }
    }

    pub(crate) fn integer<'a, A: Attributes + ?Sized>(&'a self, event: &'a A) -> Result<i32, Fault<'a>> {
        match self {
            Node::Negate(operand) => operand.integer(event)?.checked_neg().ok_or(OVERFLOW),
            Node::Arithmetic { operation, sides } => {
                let [left, right] = &**sides;
                calculate(*operation, left.integer(event)?, right.integer(event)?)
            }
            Node::Literal(Value::Integer(number)) => Ok(*number),
            Node::Attribute(name) => {
                event.attribute(name).ok_or(Fault::MissingAttribute(name))?.into_integer()
            }
            _ => self.value(event)?.into_integer(),
        }
    }

    pub(crate) fn text<'a, A: Attributes + ?Sized>(
        &'a self,
        event: &'a A,
    ) -> Result<Cow<'a, str>, Fault<'a>> {
        self.value(event).map(Value::into_text)
    }

    /// As [`text`](Node::text), but an attribute's is looked at where it lies, which is most of what filters do.
    #[inline]
    fn test_text<'a, A: Attributes + ?Sized, T>(
        &'a self,
        event: &'a A,
        test: impl Fn(&str) -> T,
    ) -> Result<T, Fault<'a>> {
        match self {
            Node::Attribute(name) => match event.attribute(name) {
                Some(Value::String(text)) => Ok(test(&text)),
                Some(other) => Ok(test(&other.into_text())),
                None => Err(Fault::MissingAttribute(name)),
            },
            _ => self.text(event).map(|text| test(&text)),
        }
    }
}

const OVERFLOW: Fault<'static> = Fault::Math("the result is no integer of 32 bits");

fn calculate(operation: Arithmetic, left: i32, right: i32) -> Result<i32, Fault<'static>> {
    let zero = matches!(operation, Arithmetic::Divide | Arithmetic::Remainder) && right == 0;
    if zero {
        return Err(Fault::Math("division by zero"));
    }
    match operation {
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => left.checked_div(right),
        // The least integer leaves nothing when it is divided by -1, though the quotient is too large.
        Arithmetic::Remainder => Some(left.wrapping_rem(right)),
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
    }
    .ok_or(OVERFLOW)
}

/// The right side says as which type they are compared.
fn equal<'a, A: Attributes + ?Sized>(sides: &'a [Node; 2], event: &'a A) -> Result<bool, Fault<'a>> {
    let [left, right] = sides;
    // What is known beforehand need not be found out for each event.
    match right {
        Node::Literal(Value::String(right)) => left.test_text(event, |left| left == right),
        Node::Literal(Value::Integer(right)) => Ok(left.integer(event)? == *right),
        Node::Literal(Value::Boolean(right)) => Ok(left.boolean(event)? == *right),
        _ => {
            let left = left.value(event)?;
            let right = right.value(event)?;
            Ok(left.into_type(right.kind())? == right)
        }
    }
}

/// The left side says as which type they are compared.
fn is_in<'a, A: Attributes + ?Sized>(
    operand: &'a Node,
    set: &'a [Node],
    event: &'a A,
) -> Result<bool, Fault<'a>> {
    let wanted = match operand {
        Node::Attribute(name) => event.attribute(name).ok_or(Fault::MissingAttribute(name))?,
        _ => operand.value(event)?,
    };
    for element in set {
        let found = match (&wanted, element) {
            (Value::String(wanted), Node::Literal(Value::String(element))) => wanted == element,
            _ => element.value(event)?.into_type(wanted.kind())? == wanted,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Evaluates a function that is called with as many arguments as it takes.
pub(crate) fn call<'a, A: Attributes + ?Sized>(
    function: Function,
    arguments: &'a [Node],
    event: &'a A,
) -> Result<Value<'a>, Failed<'a>> {
    function.call(arguments.len(), Arguments { arguments, event })
}

/// The arguments of a call, evaluated when they are asked for. One that is not there is a missing function, which
/// [`Function::find`] rules out.
pub(crate) struct Arguments<'a, A: ?Sized> {
    arguments: &'a [Node],
    event: &'a A,
}

impl<'a, A: Attributes + ?Sized> Arguments<'a, A> {
    fn at(&self, place: usize) -> Result<&'a Node, Fault<'a>> {
        self.arguments.get(place).ok_or(Fault::Generic("a function has too few arguments"))
    }

    pub(crate) fn value(&self, place: usize) -> Result<Value<'a>, Fault<'a>> {
        self.at(place)?.value(self.event)
    }

    pub(crate) fn text(&self, place: usize) -> Result<Cow<'a, str>, Fault<'a>> {
        self.at(place)?.text(self.event)
    }

    pub(crate) fn integer(&self, place: usize) -> Result<i32, Fault<'a>> {
        self.at(place)?.integer(self.event)
    }
}
