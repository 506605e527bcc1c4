//! A rule's configuration: the operator's TOML, as the JSON text that `init` is given.

use std::fmt;

use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

/// What `init` is given: a JSON object as text.
///
/// Keys are sorted, so that the order in which they stand in a file changes nothing; dates and times
/// are RFC 3339 strings.
#[derive(Clone, PartialEq, Eq)]
pub struct Configuration(String);

/// Without the text: there may be secrets in it.
impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Configuration({} bytes)", self.0.len())
    }
}

/// Why something is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// JSON has no such number.
    #[error("`{key}` is {value}, which JSON cannot say: give a finite number, or leave the key out")]
    NotFinite {
        /// The path of keys, with dots.
        key: String,
        /// `nan` or `inf`.
        value: f64,
    },
    /// It is not a JSON object.
    #[error("the configuration is not a JSON object")]
    NotAnObject(#[source] serde_json::Error),
}

impl Configuration {
    /// From a TOML table.
    ///
    /// # Errors
    /// If a number is infinite or not a number.
    pub fn from_table(table: &Table) -> Result<Self, ConfigurationError> {
        let mut text = String::new();
        write_table(table, &mut Vec::new(), &mut text)?;
        Ok(Configuration(text))
    }

    /// From the text of a JSON object, which is kept as it is.
    ///
    /// # Errors
    /// If it is not one.
    pub fn from_json(text: impl Into<String>) -> Result<Self, ConfigurationError> {
        let text = text.into();
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text)
            .map_err(ConfigurationError::NotAnObject)?;
        Ok(Configuration(text))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// No configuration: `{}`.
impl Default for Configuration {
    fn default() -> Self {
        Configuration("{}".to_owned())
    }
}

impl<'de> Deserialize<'de> for Configuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Configuration::from_table(&Table::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn write_table<'a>(
    table: &'a Table,
    path: &mut Vec<&'a str>,
    out: &mut String,
) -> Result<(), ConfigurationError> {
    // Sorted here: whether the table is depends on a feature that any crate of a build may turn on.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_str());
    out.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        path.push(key);
        write_value(value, path, out)?;
        path.pop();
    }
    out.push('}');
    Ok(())
}

fn write_value<'a>(
    value: &'a Value,
    path: &mut Vec<&'a str>,
    out: &mut String,
) -> Result<(), ConfigurationError> {
    match value {
        Value::String(text) => write_string(text, out),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::Float(number) if number.is_finite() => out.push_str(&serde_json::json!(number).to_string()),
        Value::Float(number) => {
            return Err(ConfigurationError::NotFinite { key: path.join("."), value: *number });
        }
        Value::Boolean(truth) => out.push_str(&truth.to_string()),
        Value::Datetime(instant) => write_string(&instant.to_string(), out),
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(value, path, out)?;
            }
            out.push(']');
        }
        Value::Table(table) => write_table(table, path, out)?,
    }
    Ok(())
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(toml: &str) -> Result<String, String> {
        let table: Table = toml.parse().unwrap();
        match Configuration::from_table(&table) {
            Ok(configuration) => Ok(configuration.as_str().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn toml_becomes_json_with_sorted_keys() {
        let text = r#"
            z = 1
            a = "say \"é\"\n"
            when = 2026-11-22T08:00:00+01:00
            day = 2026-11-22
            ratio = 2.0
            big = 1e300
            on = true
            list = [1, [2.5], { y = 1, b = 2 }]
            [nested.deeper]
            k = -7
        "#;
        assert_eq!(
            json(text).unwrap(),
            concat!(
                r#"{"a":"say \"é\"\n","big":1e+300,"day":"2026-11-22","list":[1,[2.5],{"b":2,"y":1}],"#,
                r#""nested":{"deeper":{"k":-7}},"on":true,"ratio":2.0,"when":"2026-11-22T08:00:00+01:00","z":1}"#
            )
        );
        assert_eq!(json("").unwrap(), Configuration::default().as_str());
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        assert!(json("[a]\nb = [1.0, nan]").unwrap_err().starts_with("`a.b` is NaN"));
        assert!(json("a = -inf").unwrap_err().starts_with("`a` is -inf"));
    }

    #[test]
    fn json_must_be_an_object() {
        assert_eq!(Configuration::from_json(r#"{"b":1,"a":2}"#).unwrap().as_str(), r#"{"b":1,"a":2}"#);
        assert!(Configuration::from_json("[]").is_err());
        assert!(Configuration::from_json("{").is_err());
    }
}
