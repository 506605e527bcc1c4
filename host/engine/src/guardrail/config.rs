//! What an operator writes about guardrails: a table `[guardrail.NAME]` for each.

mod written;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::json_pointer::JsonPointer;
use super::quiet::{QuietHours, TimeZone};
use crate::event::Instant;

/// One guardrail: what it covers, and what it asks of that. It is read from TOML or JSON by serde.
///
#[doc = concat!("```toml\n", include_str!("config/example.toml"), "```")]
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "written::Written")]
#[non_exhaustive]
pub struct Guardrail {
    /// Which actions it is for.
    pub covers: Selector,
    /// What it asks of them.
    pub kind: Kind,
}

/// Which actions a guardrail is for: those that fit all of this. A list that is empty leaves nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selector {
    /// Names of actions.
    pub actions: Vec<Pattern>,
    /// Names of actions that it is not for all the same.
    pub except: Vec<Pattern>,
    /// Names of the rules that they come from.
    pub rules: Vec<Pattern>,
    /// Kinds of the moments that they come from.
    pub moments: Vec<Pattern>,
}

impl Selector {
    /// Whether it is for an action of a moment.
    pub fn covers(&self, rule: &str, moment_kind: &str, action: &str) -> bool {
        let fits = |patterns: &[Pattern], name| patterns.is_empty() || any_matches(patterns, name);
        fits(&self.actions, action)
            && fits(&self.rules, rule)
            && fits(&self.moments, moment_kind)
            && !any_matches(&self.except, action)
    }
}

fn any_matches(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// A name, or, with one `*` at one of its ends, all names with a beginning or an ending; `*` alone means every name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum Pattern {
    /// This name: `offer.new`.
    Name(String),
    /// Names that begin so: `offer.*`.
    Beginning(String),
    /// Names that end so: `*.withdraw`.
    Ending(String),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let (pattern, words) = match (text.strip_suffix('*'), text.strip_prefix('*')) {
            (Some(beginning), _) => (Pattern::Beginning(beginning.to_owned()), beginning),
            (None, Some(ending)) => (Pattern::Ending(ending.to_owned()), ending),
            (None, None) => (Pattern::Name(text.to_owned()), text),
        };
        if text.is_empty() || words.contains('*') {
            return Err(format!(
                "`{}` must be a name, or the beginning or the ending of names with one `*` at its other end",
                text.escape_debug()
            ));
        }
        Ok(pattern)
    }

    /// Whether a name is one of those that it stands for.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Name(same) => name == same,
            Pattern::Beginning(beginning) => name.starts_with(beginning),
            Pattern::Ending(ending) => name.ends_with(ending),
        }
    }

    /// Of two that match one name, the one that says more about it is greater.
    fn precision(&self) -> (usize, bool) {
        match self {
            Pattern::Name(name) => (name.len(), true),
            Pattern::Beginning(part) | Pattern::Ending(part) => (part.len(), false),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Pattern::parse(&text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Name(name) => f.write_str(name),
            Pattern::Beginning(beginning) => write!(f, "{beginning}*"),
            Pattern::Ending(ending) => write!(f, "*{ending}"),
        }
    }
}

/// What a guardrail asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A person's yes for a purpose.
    Consent(Consent),
    /// At most so many actions in a period.
    Frequency(Frequency),
    /// No action at certain times of the day.
    QuietHours(Quiet),
    /// At most so much of an amount in a period.
    Budget(Budget),
    /// A person's yes to the very action.
    Approval(Approval),
    /// At most so many actions to one sink in a period.
    Rate(Rate),
    /// Of moments close to each other only the most important.
    Exclusive(Exclusive),
    /// No action at all.
    Mute(Mute),
}

impl Kind {
    /// How it is written in a file: `quiet-hours`.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Consent(_) => "consent",
            Kind::Frequency(_) => "frequency",
            Kind::QuietHours(_) => "quiet-hours",
            Kind::Budget(_) => "budget",
            Kind::Approval(_) => "approval",
            Kind::Rate(_) => "rate",
            Kind::Exclusive(_) => "exclusive",
            Kind::Mute(_) => "mute",
        }
    }
}

/// A yes for the action's purpose is needed from the person that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consent {
    /// What actions are for; never empty.
    pub purposes: BTreeMap<Pattern, String>,
}

impl Consent {
    /// What an action of this name is for: of the patterns that match, the longest counts, and a whole name before the
    /// beginning of one. None: nobody can have said yes to it.
    pub fn purpose(&self, action: &str) -> Option<&str> {
        let matching = self.purposes.iter().filter(|(pattern, _)| pattern.matches(action));
        matching.max_by_key(|(pattern, _)| pattern.precision()).map(|(_, purpose)| purpose.as_str())
    }
}

/// So many actions at most in each period; what is more is withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frequency {
    /// How many; at least 1.
    pub at_most: u64,
    /// Within how many milliseconds.
    pub period_ms: u64,
    /// What is counted together.
    pub each: Each,
}

/// No action at these times of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quiet {
    /// The times.
    pub hours: QuietHours,
    /// The time zone of everyone whose own is not known. None: `time_zone_pointer` is there.
    pub time_zone: Option<TimeZone>,
    /// Where an action's data has the name of the person's own.
    pub time_zone_pointer: Option<JsonPointer>,
    /// What becomes of an action in quiet hours: it is held until they end, or withheld.
    pub then: Then,
}

/// So much at most in each period; what is more is withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// Where an action's data has the amount.
    pub amount_pointer: JsonPointer,
    /// How much, in millionths; at least 1.
    pub at_most_millionths: u64,
    /// Within how many milliseconds.
    pub period_ms: u64,
    /// What is added together.
    pub each: Each,
}

/// An operator's or a person's yes to the very action is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Approval {
    /// From where on; none: always.
    pub above: Option<Threshold>,
    /// After how many milliseconds without an answer it is withheld.
    pub within_ms: u64,
}

/// An amount, and how much of it is still small.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Threshold {
    /// Where an action's data has the amount.
    pub amount_pointer: JsonPointer,
    /// Only more than this counts, in millionths.
    pub above_millionths: u64,
}

/// So many actions at most to one sink in each period.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// The sink's name.
    pub sink: String,
    /// How many; at least 1.
    pub at_most: u64,
    /// Within how many milliseconds.
    pub period_ms: u64,
    /// What becomes of one more: it is held until there is room, or withheld.
    pub then: Then,
}

/// Of moments for one subject that occur within a window of each other, the most important alone acts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exclusive {
    /// How many milliseconds.
    pub window_ms: u64,
    /// Kinds of moments, the most important first; never empty.
    pub order: Vec<Pattern>,
}

impl Exclusive {
    /// The place of a kind of moments in the order: 0 is the most important. What matches none comes last.
    pub fn place(&self, moment_kind: &str) -> usize {
        let place = self.order.iter().position(|pattern| pattern.matches(moment_kind));
        place.unwrap_or(self.order.len())
    }
}

/// What it covers is withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mute {
    /// For these subjects; empty: for all.
    pub subjects: Vec<String>,
    /// Until before this instant; none: as long as the guardrail stands there.
    pub until: Option<Instant>,
}

/// What a guardrail counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Each {
    /// The actions for one subject.
    #[default]
    Subject,
    /// All that it covers.
    All,
}

/// What becomes of an action that may not go out now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Then {
    /// It waits until it may, if it does not expire before.
    #[default]
    Hold,
    /// It never goes out.
    Withhold,
}

#[cfg(test)]
mod tests;
