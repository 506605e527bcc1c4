//! Values, their types and casts.

use std::borrow::Cow;
use std::fmt;

use crate::evaluate::Fault;

/// A value of one of CESQL's types. Strings are borrowed where they can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A sequence of Unicode characters.
    String(Cow<'a, str>),
    /// A whole number of 32 bits, with a sign.
    Integer(i32),
    /// `true` or `false`.
    Boolean(bool),
}

/// A type of [`Value`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Of [`Value::String`].
    String,
    /// Of [`Value::Integer`].
    Integer,
    /// Of [`Value::Boolean`].
    Boolean,
}

/// Where an expression finds the attributes of an event.
pub trait Attributes {
    /// The value of a context attribute or extension, by its CloudEvents name; none: the event does not have it.
    ///
    /// What is neither an integer of 32 bits nor a boolean (a timestamp, a URI, binary data) is given as the string that
    /// CloudEvents defines for it. The required attributes `id`, `source`, `type` and `specversion` have to be there.
    fn attribute(&self, name: &str) -> Option<Value<'_>>;
}

impl Type {
    /// What stands for a value of this type where there is none: the empty string, `0` or `false`.
    pub fn zero(self) -> Value<'static> {
        match self {
            Type::String => Value::String(Cow::Borrowed("")),
            Type::Integer => Value::Integer(0),
            Type::Boolean => Value::Boolean(false),
        }
    }
}

impl<'a> Value<'a> {
    /// Its type.
    pub fn kind(&self) -> Type {
        match self {
            Value::String(_) => Type::String,
            Value::Integer(_) => Type::Integer,
            Value::Boolean(_) => Type::Boolean,
        }
    }

    /// The same, borrowed.
    #[inline]
    pub(crate) fn borrowed(&self) -> Value<'_> {
        match self {
            Value::String(text) => Value::String(Cow::Borrowed(text)),
            Value::Integer(number) => Value::Integer(*number),
            Value::Boolean(boolean) => Value::Boolean(*boolean),
        }
    }

    #[inline]
    pub(crate) fn into_text(self) -> Cow<'a, str> {
        match self {
            Value::String(text) => text,
            Value::Integer(number) => Cow::Owned(number.to_string()),
            Value::Boolean(true) => Cow::Borrowed("true"),
            Value::Boolean(false) => Cow::Borrowed("false"),
        }
    }

    #[inline]
    pub(crate) fn into_integer(self) -> Result<i32, Fault<'a>> {
        match self {
            // Takes exactly what the specification does: digits, with a sign or none, within 32 bits.
            Value::String(text) => text.parse().map_err(|_| Fault::Cast(text, Type::Integer)),
            Value::Integer(number) => Ok(number),
            Value::Boolean(boolean) => Ok(i32::from(boolean)),
        }
    }

    #[inline]
    pub(crate) fn into_boolean(self) -> Result<bool, Fault<'a>> {
        match self {
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Value::String(text) => Err(Fault::Cast(text, Type::Boolean)),
            Value::Integer(number) => Ok(number != 0),
            Value::Boolean(boolean) => Ok(boolean),
        }
    }

    pub(crate) fn into_type(self, kind: Type) -> Result<Value<'a>, Fault<'a>> {
        match kind {
            Type::String => Ok(Value::String(self.into_text())),
            Type::Integer => self.into_integer().map(Value::Integer),
            Type::Boolean => self.into_boolean().map(Value::Boolean),
        }
    }
}

/// Names and values, in any order.
impl<N: AsRef<str>> Attributes for [(N, Value<'_>)] {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        self.iter().find(|(known, _)| known.as_ref() == name).map(|(_, value)| value.borrowed())
    }
}

/// Names and values, in any order.
impl<N: AsRef<str>, const COUNT: usize> Attributes for [(N, Value<'_>); COUNT] {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        self.as_slice().attribute(name)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::String(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::String(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Value::String(text)
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Value::Integer(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(boolean: bool) -> Self {
        Value::Boolean(boolean)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::String => "String",
            Type::Integer => "Integer",
            Type::Boolean => "Boolean",
        })
    }
}
