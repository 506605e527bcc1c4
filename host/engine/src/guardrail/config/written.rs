//! A guardrail as it stands in a file: one table for all kinds, so that a mistake is found where it stands.
//!
//! Serde's tagged enums would do, but lose the line of a value that is wrong.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::{
    Approval, Budget, Consent, Each, Exclusive, Frequency, Guardrail, Kind, Mute, Pattern, Quiet, Rate,
    Selector, Then, Threshold,
};
use crate::event::parse_instant;
use crate::guardrail::amount;
use crate::guardrail::json_pointer::JsonPointer;
use crate::guardrail::quiet::{QuietHours, TimeOfDay, TimeZone};

/// Ten years of 365 days.
const MAX_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Declares the keys once: none can be forgotten when a kind is asked for those that it does not have.
macro_rules! written {
    ($($key:ident: $type:ty,)*) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Written {
            kind: Word,
            $($key: Option<$type>,)*
        }

        impl Written {
            /// A key that nothing has taken.
            fn left(&self) -> Option<&'static str> {
                $(if self.$key.is_some() {
                    return Some(stringify!($key));
                })*
                None
            }
        }
    };
}

written! {
    actions: Vec<Pattern>,
    except: Vec<Pattern>,
    rules: Vec<Pattern>,
    moments: Vec<Pattern>,
    purposes: BTreeMap<Pattern, String>,
    at_most: Number,
    period_seconds: u64,
    each: Each,
    from: TimeOfDay,
    to: TimeOfDay,
    time_zone: TimeZone,
    time_zone_pointer: JsonPointer,
    then: Then,
    amount_pointer: JsonPointer,
    above: Number,
    within_seconds: u64,
    sink: String,
    window_ms: u64,
    order: Vec<Pattern>,
    subjects: Vec<String>,
    until: Quoted,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Consent,
    Frequency,
    QuietHours,
    Budget,
    Approval,
    Rate,
    Exclusive,
    Mute,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "a number is needed here, such as 3 or 2.5")]
enum Number {
    Integer(i64),
    Float(f64),
}

/// TOML has dates of its own, without quotes, which JSON has not.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an instant is written in quotes, as in \"2026-12-01T00:00:00Z\"")]
enum Quoted {
    Text(String),
}

/// Why what stands in a file is no guardrail.
#[derive(Debug, thiserror::Error)]
pub(super) enum GuardrailError {
    #[error("a guardrail of this kind needs `{0}`: add it")]
    Missing(&'static str),
    #[error("`{key}` means nothing to a guardrail of the kind `{kind}`: remove it")]
    Unused { key: &'static str, kind: &'static str },
    #[error("`{0}` is empty: {1}")]
    Empty(&'static str, &'static str),
    #[error(
        "`{key}` has `{pattern}`, but only `except` takes a `*` in front: write a name, or a beginning with `*`"
    )]
    Ending { key: &'static str, pattern: Pattern },
    #[error("`{key}` is {value}: it must be {least} to {most} ({meaning})")]
    Range { key: &'static str, value: u64, least: u64, most: u64, meaning: &'static str },
    #[error("`{key}` is {value}: it must be a whole number, 1 or more")]
    Count { key: &'static str, value: String },
    #[error("`{key}` is {value}: it must be {least} and below 9000000000000, with at most 6 decimal places")]
    Amount { key: &'static str, value: String, least: &'static str },
    #[error("{0}")]
    Hours(String),
    #[error(
        "neither `time_zone` nor `time_zone_pointer` says by whose clock: add one, as in `time_zone = \"Europe/Vienna\"`"
    )]
    NoTimeZone,
    #[error("`{there}` means nothing without `{missing}`: add that, or remove it")]
    Half { there: &'static str, missing: &'static str },
    #[error("`until` is `{0}`: it must be an instant such as \"2026-12-01T00:00:00Z\"")]
    Until(String),
}

impl TryFrom<Written> for Guardrail {
    type Error = GuardrailError;

    fn try_from(mut written: Written) -> Result<Self, GuardrailError> {
        let covers = Selector {
            actions: patterns("actions", written.actions.take())?,
            except: not_empty("except", written.except.take())?,
            rules: patterns("rules", written.rules.take())?,
            moments: patterns("moments", written.moments.take())?,
        };
        let kind = match written.kind {
            Word::Consent => Kind::Consent(consent(&mut written)?),
            Word::Frequency => Kind::Frequency(Frequency {
                at_most: count("at_most", written.at_most.take())?,
                period_ms: seconds("period_seconds", written.period_seconds.take())?,
                each: written.each.take().unwrap_or_default(),
            }),
            Word::QuietHours => Kind::QuietHours(quiet(&mut written)?),
            Word::Budget => Kind::Budget(Budget {
                amount_pointer: needed("amount_pointer", written.amount_pointer.take())?,
                at_most_millionths: budget(written.at_most.take())?,
                period_ms: seconds("period_seconds", written.period_seconds.take())?,
                each: written.each.take().unwrap_or_default(),
            }),
            Word::Approval => Kind::Approval(Approval {
                above: threshold(&mut written)?,
                within_ms: seconds("within_seconds", written.within_seconds.take())?,
            }),
            Word::Rate => Kind::Rate(Rate {
                sink: text("sink", needed("sink", written.sink.take())?, "name one")?,
                at_most: count("at_most", written.at_most.take())?,
                period_ms: seconds("period_seconds", written.period_seconds.take())?,
                then: written.then.take().unwrap_or_default(),
            }),
            Word::Exclusive => Kind::Exclusive(exclusive(&mut written)?),
            Word::Mute => Kind::Mute(mute(&mut written)?),
        };
        match written.left() {
            Some(key) => Err(GuardrailError::Unused { key, kind: kind.name() }),
            None => Ok(Guardrail { covers, kind }),
        }
    }
}

fn consent(written: &mut Written) -> Result<Consent, GuardrailError> {
    let purposes = needed("purposes", written.purposes.take())?;
    if purposes.is_empty() {
        return Err(GuardrailError::Empty(
            "purposes",
            "say what actions are for, as in { \"*\" = \"offers\" }",
        ));
    }
    purposes.keys().try_for_each(|pattern| no_ending("purposes", pattern))?;
    if purposes.values().any(String::is_empty) {
        return Err(GuardrailError::Empty("purposes", "name each of the purposes"));
    }
    Ok(Consent { purposes })
}

fn quiet(written: &mut Written) -> Result<Quiet, GuardrailError> {
    let (from, to) = (needed("from", written.from.take())?, needed("to", written.to.take())?);
    let hours = QuietHours::new(from, to).map_err(GuardrailError::Hours)?;
    let (time_zone, time_zone_pointer) = (written.time_zone.take(), written.time_zone_pointer.take());
    if time_zone.is_none() && time_zone_pointer.is_none() {
        return Err(GuardrailError::NoTimeZone);
    }
    Ok(Quiet { hours, time_zone, time_zone_pointer, then: written.then.take().unwrap_or_default() })
}

fn threshold(written: &mut Written) -> Result<Option<Threshold>, GuardrailError> {
    match (written.amount_pointer.take(), written.above.take()) {
        (None, None) => Ok(None),
        (Some(amount_pointer), Some(above)) => {
            let above_millionths = millionths("above", above, "0 or more")?;
            Ok(Some(Threshold { amount_pointer, above_millionths }))
        }
        (Some(_), None) => Err(GuardrailError::Half { there: "amount_pointer", missing: "above" }),
        (None, Some(_)) => Err(GuardrailError::Half { there: "above", missing: "amount_pointer" }),
    }
}

fn exclusive(written: &mut Written) -> Result<Exclusive, GuardrailError> {
    let window_ms = needed("window_ms", written.window_ms.take())?;
    let window_ms = between("window_ms", window_ms, DAY_MS, "a day")?;
    let order = patterns("order", Some(needed("order", written.order.take())?))?;
    Ok(Exclusive { window_ms, order })
}

fn mute(written: &mut Written) -> Result<Mute, GuardrailError> {
    let subjects = not_empty("subjects", written.subjects.take())?;
    if subjects.iter().any(String::is_empty) {
        return Err(GuardrailError::Empty("subjects", "name each of them"));
    }
    let until = written.until.take().map(|Quoted::Text(text)| {
        parse_instant(&text).ok_or_else(|| GuardrailError::Until(text.escape_debug().to_string()))
    });
    Ok(Mute { subjects, until: until.transpose()? })
}

fn needed<T>(key: &'static str, value: Option<T>) -> Result<T, GuardrailError> {
    value.ok_or(GuardrailError::Missing(key))
}

fn text(key: &'static str, value: String, instead: &'static str) -> Result<String, GuardrailError> {
    if value.is_empty() { Err(GuardrailError::Empty(key, instead)) } else { Ok(value) }
}

/// An empty list could be meant as all or as none.
fn not_empty<T>(key: &'static str, list: Option<Vec<T>>) -> Result<Vec<T>, GuardrailError> {
    match list {
        Some(list) if list.is_empty() => {
            Err(GuardrailError::Empty(key, "name at least one, or leave it out"))
        }
        list => Ok(list.unwrap_or_default()),
    }
}

fn patterns(key: &'static str, list: Option<Vec<Pattern>>) -> Result<Vec<Pattern>, GuardrailError> {
    let list = not_empty(key, list)?;
    list.iter().try_for_each(|pattern| no_ending(key, pattern))?;
    Ok(list)
}

fn no_ending(key: &'static str, pattern: &Pattern) -> Result<(), GuardrailError> {
    match pattern {
        Pattern::Ending(_) => Err(GuardrailError::Ending { key, pattern: pattern.clone() }),
        Pattern::Name(_) | Pattern::Beginning(_) => Ok(()),
    }
}

fn between(key: &'static str, value: u64, most: u64, meaning: &'static str) -> Result<u64, GuardrailError> {
    if (1..=most).contains(&value) {
        Ok(value)
    } else {
        Err(GuardrailError::Range { key, value, least: 1, most, meaning })
    }
}

/// In milliseconds.
fn seconds(key: &'static str, value: Option<u64>) -> Result<u64, GuardrailError> {
    Ok(between(key, needed(key, value)?, MAX_SECONDS, "10 years")? * 1_000)
}

fn count(key: &'static str, number: Option<Number>) -> Result<u64, GuardrailError> {
    match needed(key, number)? {
        Number::Integer(value @ 1..) => Ok(value.unsigned_abs()),
        number => Err(GuardrailError::Count { key, value: number.to_string() }),
    }
}

fn budget(number: Option<Number>) -> Result<u64, GuardrailError> {
    let (number, least) = (needed("at_most", number)?, "more than 0");
    match millionths("at_most", number, least)? {
        0 => Err(GuardrailError::Amount { key: "at_most", value: number.to_string(), least }),
        amount => Ok(amount),
    }
}

/// By the shortest decimal text of the number, which is what stands in the file.
fn millionths(key: &'static str, number: Number, least: &'static str) -> Result<u64, GuardrailError> {
    let wrong = || GuardrailError::Amount { key, value: number.to_string(), least };
    if let Number::Float(value) = number
        && !value.is_finite()
    {
        return Err(wrong());
    }
    let rounded = amount::millionths(&number.to_string()).map_err(|_| wrong())?;
    if rounded.exact { Ok(rounded.millionths) } else { Err(wrong()) }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Integer(value) => value.fmt(f),
            Number::Float(value) => value.fmt(f),
        }
    }
}
