//! The functions that CESQL has.

use std::borrow::Cow;
use std::ops::Range;

use crate::evaluate::{Arguments, Failed, Fault};
use crate::value::{Attributes, Type, Value};

/// How long a string that functions make may be: far more than an event's attributes, and no harm.
const MAX_TEXT_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Abs,
    Bool,
    Concat,
    ConcatWs,
    Int,
    IsBool,
    IsInt,
    Left,
    Length,
    Lower,
    Right,
    String,
    Substring,
    Trim,
    Upper,
}

/// Name, the fewest and the most arguments, and what it returns.
const FUNCTIONS: [(Function, &str, usize, usize, Type); 15] = [
    (Function::Abs, "ABS", 1, 1, Type::Integer),
    (Function::Bool, "BOOL", 1, 1, Type::Boolean),
    (Function::Concat, "CONCAT", 0, usize::MAX, Type::String),
    (Function::ConcatWs, "CONCAT_WS", 1, usize::MAX, Type::String),
    (Function::Int, "INT", 1, 1, Type::Integer),
    (Function::IsBool, "IS_BOOL", 1, 1, Type::Boolean),
    (Function::IsInt, "IS_INT", 1, 1, Type::Boolean),
    (Function::Left, "LEFT", 2, 2, Type::String),
    (Function::Length, "LENGTH", 1, 1, Type::Integer),
    (Function::Lower, "LOWER", 1, 1, Type::String),
    (Function::Right, "RIGHT", 2, 2, Type::String),
    (Function::String, "STRING", 1, 1, Type::String),
    (Function::Substring, "SUBSTRING", 2, 3, Type::String),
    (Function::Trim, "TRIM", 1, 1, Type::String),
    (Function::Upper, "UPPER", 1, 1, Type::String),
];

impl Function {
    /// The one with this name, in upper case, that takes so many arguments.
    pub(crate) fn find(name: &str, arguments: usize) -> Option<Self> {
        FUNCTIONS
            .iter()
            .find(|(_, known, fewest, most, _)| *known == name && (*fewest..=*most).contains(&arguments))
            .map(|(function, ..)| *function)
    }

    pub(crate) fn name(self) -> &'static str {
        FUNCTIONS[self as usize].1
    }

    pub(crate) fn returns(self) -> Type {
        FUNCTIONS[self as usize].4
    }

    pub(crate) fn call<'a, A: Attributes + ?Sized>(
        self,
        count: usize,
        arguments: Arguments<'a, A>,
    ) -> Result<Value<'a>, Failed<'a>> {
        let fault = |reason| Failed::from(Fault::Function(self, reason));
        Ok(match self {
            Function::Abs => {
                let number = arguments.integer(0)?;
                let fault = Fault::Math("the absolute value is no integer of 32 bits");
                let value = Some(Value::Integer(i32::MAX));
                Value::Integer(number.checked_abs().ok_or(Failed { fault, value })?)
            }
            Function::Bool => Value::Boolean(arguments.value(0)?.into_boolean()?),
            Function::Int => Value::Integer(arguments.value(0)?.into_integer()?),
            Function::String => Value::String(arguments.text(0)?),
            Function::IsBool => Value::Boolean(arguments.value(0)?.into_boolean().is_ok()),
            Function::IsInt => Value::Boolean(arguments.value(0)?.into_integer().is_ok()),
            Function::Length => {
                let length = i32::try_from(arguments.text(0)?.chars().count());
                Value::Integer(length.map_err(|_| fault("the length is no integer of 32 bits"))?)
            }
            Function::Concat => join(0..count, "", &arguments)?,
            Function::ConcatWs => {
                let delimiter = arguments.text(0)?;
                join(1..count, &delimiter, &arguments)?
            }
            Function::Lower => Value::from(arguments.text(0)?.to_lowercase()),
            Function::Upper => Value::from(arguments.text(0)?.to_uppercase()),
            Function::Trim => {
                let text = arguments.text(0)?;
                let start = text.len() - text.trim_start().len();
                let end = start + text.trim().len();
                Value::String(slice(text, start..end))
            }
            Function::Left | Function::Right => {
                let text = arguments.text(0)?;
                let Ok(wanted) = usize::try_from(arguments.integer(1)?) else {
                    let fault = Fault::Function(self, "the number of characters is negative");
                    return Err(Failed { fault, value: Some(Value::String(text)) });
                };
                let range = if self == Function::Left {
                    0..byte_of(&text, wanted)
                } else {
                    byte_of(&text, text.chars().count().saturating_sub(wanted))..text.len()
                };
                Value::String(slice(text, range))
            }
            Function::Substring => {
                let (text, position) = (arguments.text(0)?, arguments.integer(1)?);
                let wanted = if count > 2 { Some(arguments.integer(2)?) } else { None };
                let range = substring(&text, position, wanted).map_err(fault)?;
                Value::String(slice(text, range))
            }
        })
    }
}

fn join<'a, A: Attributes + ?Sized>(
    places: Range<usize>,
    delimiter: &str,
    arguments: &Arguments<'a, A>,
) -> Result<Value<'a>, Failed<'a>> {
    let mut joined = String::new();
    for place in places.clone() {
        if place > places.start {
            joined.push_str(delimiter);
        }
        joined.push_str(&arguments.text(place)?);
        if joined.len() > MAX_TEXT_BYTES {
            return Err(Fault::Generic("a string would be longer than 1 MiB").into());
        }
    }
    Ok(Value::from(joined))
}

/// The bytes of the characters from `position`, which counts from 1, or if it is negative from the end.
fn substring(text: &str, position: i32, wanted: Option<i32>) -> Result<Range<usize>, &'static str> {
    let length = text.chars().count();
    let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
    if distance > length {
        return Err("the position is outside the string");
    }
    let wanted = match wanted.map(usize::try_from) {
        Some(Err(_)) => return Err("the number of characters is negative"),
        Some(Ok(wanted)) => wanted,
        None => usize::MAX,
    };
    let start = match position {
        0 => return Ok(0..0),
        1.. => distance - 1,
        _ => length - distance,
    };
    let start = byte_of(text, start);
    Ok(start..start + byte_of(&text[start..], wanted))
}

/// Where the character at a place begins, in bytes; past the last one, where the string ends.
fn byte_of(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte)
}

fn slice(text: Cow<'_, str>, range: Range<usize>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_stands_at_its_place_in_the_table() {
        for (place, (function, name, fewest, ..)) in FUNCTIONS.into_iter().enumerate() {
            assert_eq!(function as usize, place);
            assert_eq!(Function::find(name, fewest), Some(function));
        }
    }
}
