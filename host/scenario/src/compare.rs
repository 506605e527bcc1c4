//! What should have come, beside what came.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A line's fields in the order in which people write them.
const FIELDS: [&str; 14] = [
    "event",
    "refused",
    "rule",
    "key",
    "moment",
    "subject",
    "why",
    "data",
    "time",
    "actions",
    "set aside",
    "state",
    "timers",
    "reference",
];

/// What differs, for people; none: nothing. Lines of one rule and key must come in order, others as they like.
pub fn difference(expected: &[Value], came: &[Value]) -> Option<String> {
    let (expected, came) = (by_key(expected), by_key(came));
    let mut text = String::new();
    for key in expected.keys().chain(came.keys().filter(|key| !expected.contains_key(*key))) {
        let of = |all: &BTreeMap<_, Vec<Value>>| all.get(key).cloned().unwrap_or_default();
        let (expected, came) = (of(&expected), of(&came));
        if expected != came {
            let _ = writeln!(text, "{} {}:", key.0, key.1);
            text.push_str(&aligned(&expected, &came));
        }
    }
    (!text.is_empty()).then(|| format!("`-` should have come, `+` came instead:\n{text}"))
}

fn by_key(lines: &[Value]) -> BTreeMap<(String, String), Vec<Value>> {
    let mut keys: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for line in lines {
        let field = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        keys.entry((field("rule"), field("key"))).or_default().push(line.clone());
    }
    keys
}

/// Both, with as many lines side by side as there can be.
fn aligned(expected: &[Value], came: &[Value]) -> String {
    // The longest common part of what is left of each.
    let mut common = vec![vec![0; came.len() + 1]; expected.len() + 1];
    for one in (0..expected.len()).rev() {
        for other in (0..came.len()).rev() {
            common[one][other] = if expected[one] == came[other] {
                common[one + 1][other + 1] + 1
            } else {
                common[one + 1][other].max(common[one][other + 1])
            };
        }
    }
    let (mut one, mut other, mut text) = (0, 0, String::new());
    while one < expected.len() || other < came.len() {
        let both = one < expected.len() && other < came.len();
        if both && expected[one] == came[other] {
            let _ = writeln!(text, "    {}", shown(&expected[one]));
            (one, other) = (one + 1, other + 1);
        } else if other == came.len() || (both && common[one + 1][other] >= common[one][other + 1]) {
            let _ = writeln!(text, "  - {}", shown(&expected[one]));
            one += 1;
        } else {
            let _ = writeln!(text, "  + {}", shown(&came[other]));
            other += 1;
        }
    }
    text
}

fn shown(line: &Value) -> String {
    let empty = Map::new();
    let line = line.as_object().unwrap_or(&empty);
    let known = FIELDS.iter().filter_map(|&name| line.get(name).map(|value| (name, value)));
    let others = line.iter().map(|(name, value)| (name.as_str(), value));
    let others = others.filter(|(name, _)| !FIELDS.contains(name));
    let fields: Vec<String> = known.chain(others).map(|(name, value)| format!("{name:?}: {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_may_interleave_and_lines_of_one_may_not() {
        let line = |key: &str, moment: &str| json!({"rule": "r", "key": key, "moment": moment});
        let expected = [line("a", "1"), line("b", "1"), line("a", "2")];
        assert_eq!(difference(&expected, &[line("b", "1"), line("a", "1"), line("a", "2")]), None);
        let came = [line("a", "2"), line("a", "1"), line("b", "1"), line("c", "1")];
        let told = difference(&expected, &came).unwrap();
        let wanted = r#"`-` should have come, `+` came instead:
r a:
  - {"rule": "r", "key": "a", "moment": "1"}
    {"rule": "r", "key": "a", "moment": "2"}
  + {"rule": "r", "key": "a", "moment": "1"}
r c:
  + {"rule": "r", "key": "c", "moment": "1"}
"#;
        assert_eq!(told, wanted);
    }
}
