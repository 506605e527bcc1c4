//! `NAME.toml`: how the operator wants the plugin beside it to run.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::configuration::Configuration;
use super::folder_error::FolderError;
use super::limit_overrides::LimitOverrides;
use super::name::check_name;
use crate::event::{Instant, parse_instant};
use crate::journal::Position;
use crate::route::Route;

/// What an operator may say about a plugin; all of it may be left out.
///
#[doc = concat!("```toml\n", include_str!("manifest.example.toml"), "```")]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Manifest {
    /// The rule's name, if not the one in its description.
    #[serde(deserialize_with = "name")]
    pub name: Option<String>,
    /// What the rule's `init` is given.
    pub configuration: Configuration,
    /// Its limits, where they differ from the host's.
    pub limits: LimitOverrides,
    /// Where its actions go; tried in order, before the host's own routes.
    #[serde(rename = "route")]
    pub routes: Vec<Route>,
    /// When it is no longer trusted, and when again.
    pub release: Release,
    /// Where a rule that this host has never run begins.
    pub start: Begin,
}

/// Where in the journal a new rule begins. Written as `"end"`, `"beginning"`, an instant such as
/// `"2026-05-01T12:00:00Z"`, or a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Begin {
    /// With what comes next.
    #[default]
    End,
    /// With the first entry that is kept.
    Beginning,
    /// With the first entry at or after an instant of the timeline.
    Time(Instant),
    /// With the entry of this position, which must be kept.
    Position(Position),
}

impl<'de> Deserialize<'de> for Begin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Position(u64),
            Word(String),
        }
        match Written::deserialize(deserializer).map_err(|_| wrong_begin())? {
            Written::Position(position) => Ok(Begin::Position(position)),
            Written::Word(word) => match word.as_str() {
                "end" => Ok(Begin::End),
                "beginning" => Ok(Begin::Beginning),
                time => parse_instant(time).map(Begin::Time).ok_or_else(wrong_begin),
            },
        }
    }
}

fn wrong_begin<E: serde::de::Error>() -> E {
    E::custom("a start is \"end\", \"beginning\", an instant such as \"2026-05-01T12:00:00Z\", or a position")
}

/// When a plugin is quarantined, and how it comes back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Release {
    /// So many inputs set aside within the window put the plugin into quarantine.
    pub set_aside: NonZeroU32,
    /// The window, in seconds.
    pub within_seconds: u32,
    /// After how many seconds of quarantine it is first tried again; each failure doubles the pause.
    pub probation_seconds: u32,
}

impl Default for Release {
    fn default() -> Self {
        Release {
            set_aside: const { NonZeroU32::MIN.saturating_add(99) },
            within_seconds: 60,
            probation_seconds: 10,
        }
    }
}

impl Release {
    /// The window in which inputs set aside are counted.
    pub fn within(&self) -> Duration {
        Duration::from_secs(self.within_seconds.into())
    }

    /// The first pause in quarantine.
    pub fn probation(&self) -> Duration {
        Duration::from_secs(self.probation_seconds.into())
    }
}

fn name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    check_name(&name).map_err(serde::de::Error::custom)?;
    Ok(Some(name))
}

impl Manifest {
    /// Reads a manifest; `file` is named in errors.
    ///
    /// # Errors
    /// [`ManifestError::Invalid`], which says where and what to do.
    pub fn parse(file: &Path, text: &[u8]) -> Result<Self, ManifestError> {
        parse_toml(file, text)
    }
}

/// Reads any file that an operator writes in TOML, a host's own too, with the errors of a manifest.
///
/// # Errors
/// [`ManifestError::Invalid`], which says where and what to do.
pub fn parse_toml<T: serde::de::DeserializeOwned>(file: &Path, text: &[u8]) -> Result<T, ManifestError> {
    let text = match std::str::from_utf8(text) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => return Err(not_utf8(file, text, error.valid_up_to())),
    };
    toml::from_str(text).map_err(|error| invalid(file, text, error))
}

/// Why there is no manifest to go by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file could not be read.
    #[error(transparent)]
    Unreadable(#[from] FolderError),
    /// What stands in it is wrong.
    #[error("{}:{line}:{column}:{} {message}{}", file.display(), at(key), hinted(hint))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// The key at fault, with those above it: `limits.memory_bytes`.
        key: Option<String>,
        /// What is wrong.
        message: String,
        /// What may help.
        hint: Option<String>,
    },
}

fn at(key: &Option<String>) -> String {
    key.as_ref().map(|key| format!(" `{key}`:")).unwrap_or_default()
}

fn hinted(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default()
}

fn not_utf8(file: &Path, text: &[u8], valid: usize) -> ManifestError {
    let before = String::from_utf8_lossy(&text[..valid]);
    let (line, column) = line_and_column(&before, before.len());
    let hint = Some("save the file as UTF-8".to_owned());
    let message = "the text is not UTF-8".to_owned();
    ManifestError::Invalid { file: file.to_owned(), line, column, key: None, message, hint }
}

fn invalid(file: &Path, text: &str, mut error: toml::de::Error) -> ManifestError {
    let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
    let message = error.message().trim_end().replace('\n', "; ");
    // Without its input the error names the path of keys that it came from, and nothing else does.
    error.set_input(None);
    let shown = error.to_string();
    let parents = shown.trim_end().rsplit_once("\nin `").and_then(|(_, key)| key.strip_suffix('`'));
    let mut key = parents.map(str::to_owned);
    let mut hint = None;
    let mut said = message.clone();
    if let Some((unknown, known)) = unknown_field(&message) {
        said = "there is no such key".to_owned();
        hint = Some(match nearest(unknown, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", known.join(", ")),
        });
        let ends_so = key.as_deref().is_some_and(|key| key.rsplit('.').next() == Some(unknown));
        if !ends_so {
            key = Some(key.map_or_else(|| unknown.to_owned(), |parents| format!("{parents}.{unknown}")));
        }
    }
    ManifestError::Invalid { file: file.to_owned(), line, column, key, message: said, hint }
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The field and those that there are, from serde's words: "unknown field `x`, expected one of `a`, `b`".
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let (unknown, known) = message.strip_prefix("unknown field `")?.split_once('`')?;
    Some((unknown, known.split('`').skip(1).step_by(2).collect()))
}

fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let near = candidates.iter().map(|candidate| (distance(word, candidate), *candidate)).min()?;
    (near.0 <= word.len().max(3) / 3).then_some(near.1)
}

/// Levenshtein's distance, in bytes. Keys are short, so the whole table is.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::route::Target;

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(Path::new("p/flood.toml"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_needed() {
        let manifest = parse("").unwrap();
        assert_eq!(manifest, Manifest::default());
        assert_eq!(manifest.configuration.as_str(), "{}");
        assert_eq!(manifest.release.set_aside.get(), 100);
        assert_eq!(manifest.release.within(), Duration::from_secs(60));
        assert_eq!(manifest.release.probation(), Duration::from_secs(10));
    }

    #[test]
    fn everything_may_be_said() {
        let manifest = parse(include_str!("manifest.example.toml")).unwrap();
        assert_eq!(manifest.name.as_deref(), Some("flood-alert-elbe"));
        assert_eq!(manifest.configuration.as_str(), r#"{"level_cm":500}"#);
        let limits = manifest.limits.over(&Limits::default());
        assert_eq!(limits, Limits { memory_bytes: 16 << 20, ..Limits::default() });
        assert_eq!(manifest.routes[0].to, Target::Sink("webhook".to_owned()));
        assert_eq!(manifest.routes[1].to, Target::Host { event_type: Some("lamp.car".to_owned()) });
        // It shows the defaults.
        assert_eq!(manifest.release, Release::default());
    }

    #[test]
    fn an_error_says_where_and_what_to_do() {
        for (text, says) in [
            (
                "[limits]\nmemory_byte = 1\n",
                "p/flood.toml:2:1: `limits.memory_byte`: there is no such key; did you mean `memory_bytes`?",
            ),
            (
                "\nxyz = 1\n",
                "p/flood.toml:2:1: `xyz`: there is no such key; there are: name, configuration, limits, route, release, start",
            ),
            (
                "[release]\nset_aside = 0\n",
                "p/flood.toml:2:13: `release.set_aside`: invalid value: integer `0`, expected a nonzero u32",
            ),
            (
                "[limits]\n  memory_bytes = '64 MB'\n",
                "p/flood.toml:2:18: `limits.memory_bytes`: invalid type: string \"64 MB\", expected usize",
            ),
            (
                "name = 'two words'\n",
                "p/flood.toml:1:8: `name`: the name \"two words\" holds ' ': only A-Z, a-z, 0-9, `.`, `_` and `-` are allowed",
            ),
            (
                "[configuration]\nx = nan\n",
                "p/flood.toml:1:1: `configuration`: `x` is NaN, which JSON cannot say: give a finite number, or leave the key out",
            ),
            (
                "[[route]]\naction = 'a'\n",
                "p/flood.toml:1:1: `route`: the route of `a` leads nowhere: add `sink = \"...\"` or `host = true`",
            ),
            (
                "[[route]]\nactoin = 'a'\n",
                "p/flood.toml:2:1: `route.actoin`: there is no such key; did you mean `action`?",
            ),
            ("a = \n", "p/flood.toml:1:5: string values must be quoted, expected literal string"),
            ("name = 'a'\nname = 'b'\n", "p/flood.toml:2:1: duplicate key"),
        ] {
            assert_eq!(parse(text).unwrap_err(), says, "{text}");
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_and_a_byte_order_mark_is_not() {
        let error = Manifest::parse(Path::new("x.toml"), b"# ok\nname = \"\xff\"").unwrap_err();
        assert_eq!(error.to_string(), "x.toml:2:9: the text is not UTF-8; save the file as UTF-8");
        assert_eq!(parse("\u{feff}name = 'a'").unwrap().name.as_deref(), Some("a"));
    }

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(nearest("memory", &["state_bytes", "memory_bytes"]), None);
        assert_eq!(nearest("rout", &["route", "name"]), Some("route"));
    }
}
