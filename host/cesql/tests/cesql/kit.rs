//! The cases of the specification's test kit, and some of our own in `beyond.toml`, one file per area.

use std::collections::BTreeMap;
use std::path::Path;

use carpe_cesql::{EvaluationError, Expression, Value};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    name: String,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    expression: String,
    result: Option<toml::Value>,
    error: Option<String>,
    /// The attributes of the event; none: any valid event.
    event: Option<BTreeMap<String, toml::Value>>,
    /// Attributes that such an event has, or has otherwise.
    #[serde(default)]
    overrides: BTreeMap<String, toml::Value>,
}

fn value(value: &toml::Value) -> Value<'static> {
    match value {
        toml::Value::String(text) => Value::from(text.clone()),
        toml::Value::Integer(number) => Value::from(i32::try_from(*number).unwrap()),
        toml::Value::Boolean(boolean) => Value::from(*boolean),
        other => panic!("CESQL has no value like {other}"),
    }
}

fn kind(error: &EvaluationError) -> &'static str {
    match error {
        EvaluationError::Math(_) => "math",
        EvaluationError::Cast { .. } => "cast",
        EvaluationError::MissingAttribute(_) => "missingAttribute",
        EvaluationError::MissingFunction { .. } => "missingFunction",
        EvaluationError::FunctionEvaluation { .. } => "functionEvaluation",
        _ => "generic",
    }
}

impl Case {
    fn event(&self) -> Vec<(String, Value<'static>)> {
        let mut event: BTreeMap<_, _> = match &self.event {
            Some(event) => event.iter().map(|(name, found)| (name.clone(), value(found))).collect(),
            None => [("specversion", "1.0"), ("id", "1"), ("source", "/source"), ("type", "a.type")]
                .map(|(name, text)| (name.to_owned(), Value::from(text)))
                .into(),
        };
        event.extend(self.overrides.iter().map(|(name, found)| (name.clone(), value(found))));
        event.into_iter().collect()
    }

    fn check(&self, place: &str) {
        let expression = match Expression::parse(&self.expression) {
            Ok(expression) => expression,
            Err(error) => {
                assert_eq!(self.error.as_deref(), Some("parse"), "{place}: {error}\n{}", error.in_context());
                return;
            }
        };
        let event = self.event();
        let found = expression.evaluate(event.as_slice());
        assert_eq!(found.error.as_ref().map(kind), self.error.as_deref(), "{place}: {found:?}");
        assert_eq!(Some(&found.value), self.result.as_ref().map(value).as_ref(), "{place}");
        let passes = found.error.is_none() && truth(&found.value);
        assert_eq!(expression.matches(event.as_slice()), passes, "{place}");
        assert_eq!(Expression::parse(&expression.to_string()).as_ref(), Ok(&expression), "{place}");
    }
}

fn truth(value: &Value<'_>) -> bool {
    match value {
        Value::Boolean(boolean) => *boolean,
        Value::Integer(number) => *number != 0,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
    }
}

#[test]
fn all_cases_of_all_areas() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tck");
    let mut counts = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let suite: Suite =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in &suite.tests {
            case.check(&format!("{}, {}: `{}`", suite.name, case.name, case.expression));
        }
        counts.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), suite.tests.len());
    }
    // A case that gets lost is noticed.
    let kit: usize = counts.iter().filter(|(file, _)| *file != "beyond").map(|(_, count)| count).sum();
    assert_eq!((counts.len(), kit), (19, 271));
}
