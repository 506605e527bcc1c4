//! What must hold for any text, any expression and any event.

use std::cell::Cell;

use carpe_cesql::{Attributes, Expression, MAX_DEPTH, MAX_LENGTH_BYTES, Value};
use proptest::prelude::*;

/// The text of an expression, in all forms that there are.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "TRUE",
            "false",
            "0",
            "1",
            "-1",
            "+7",
            "2147483647",
            "-2147483648",
            "''",
            "'TRUE'",
            "'5'",
            "\"é'\"",
            "'a\\'b'",
            "\"\\'\\\"\"",
            "'\\\\'",
            "'a\\\\\\''",
            "a",
            "b",
            "n",
            "flag",
            "missing",
            "EXISTS a",
            "EXISTS missing",
            "CONCAT()",
            "CONCAT_WS()",
            "NOSUCH(a)",
        ])
        .prop_map(str::to_owned),
        any::<i32>().prop_map(|number| number.to_string()),
        "[a-z0-9 %_é]{0,6}".prop_map(|text| format!("'{text}'")),
    ];
    leaf.prop_recursive(6, 48, 4, |inner| {
        let binary = prop::sample::select(vec![
            "AND", "OR", "XOR", "=", "!=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%",
        ]);
        let unary = prop::sample::select(vec![
            "NOT ", "-", "- ", "ABS", "LENGTH", "LOWER", "UPPER", "TRIM", "INT", "BOOL", "STRING", "IS_INT", "IS_BOOL",
        ]);
        let pattern = "'([ab%_é]|\\\\[%_'a]){0,5}'";
        let list = || prop::collection::vec(inner.clone(), 1..4).prop_map(|list| list.join(", "));
        prop_oneof![
            4 => (inner.clone(), binary, inner.clone()).prop_map(|(l, operator, r)| format!("{l} {operator} {r}")),
            2 => (unary, inner.clone()).prop_map(|(operator, inner)| format!("{operator}({inner})")),
            1 => inner.clone().prop_map(|inner| format!("NOT {inner}")),
            1 => inner.clone().prop_map(|inner| format!("-{inner}")),
            2 => inner.clone().prop_map(|inner| format!("({inner})")),
            2 => (inner.clone(), any::<bool>(), pattern).prop_map(|(inner, negated, pattern)| {
                format!("{inner} {}LIKE {pattern}", if negated { "NOT " } else { "" })
            }),
            2 => (inner.clone(), any::<bool>(), list()).prop_map(|(inner, negated, list)| {
                format!("{inner} {}IN ({list})", if negated { "not " } else { "" })
            }),
            1 => list().prop_map(|list| format!("CONCAT({list})")),
            1 => list().prop_map(|list| format!("concat_ws({list})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("LEFT({l}, {r})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("RIGHT({l}, {r})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("SUBSTRING({l}, {r})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("SUBSTRING({a}, {b}, {c})")),
        ]
    })
}

fn event() -> [(&'static str, Value<'static>); 4] {
    [("a", "ab%é".into()), ("b", "-17".into()), ("n", 3.into()), ("flag", true.into())]
}

/// One token after the other, in no order that makes sense.
fn token_soup() -> impl Strategy<Value = String> {
    let tokens = prop::sample::select(vec![
        "AND",
        "or",
        "XOR",
        "NOT",
        "LIKE",
        "IN",
        "EXISTS",
        "TRUE",
        "a",
        "b",
        "ABS",
        "CONCAT",
        "(",
        ")",
        "(",
        ")",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "=",
        "!=",
        "<",
        "<=",
        "<>",
        "'a%'",
        "\"\\\"",
        "'",
        "12",
        "99999999999",
        "é",
        "!",
        "\\",
        "_",
        "\u{0}",
        "A1",
        "a_b",
    ]);
    prop::collection::vec(tokens, 0..24).prop_map(|tokens| tokens.join(" "))
}

/// Whatever it is: no panic, and if it is an expression, one with a text of its own, and a value.
fn check(text: &str) -> bool {
    match Expression::parse(text) {
        Ok(expression) => {
            let printed = expression.to_string();
            let again = Expression::parse(&printed);
            assert_eq!(again.as_ref(), Ok(&expression), "{text} is printed as {printed}");
            let event = event();
            let found = expression.evaluate(&event);
            assert!(found.error.is_none() || expression.test(&event).is_none(), "{text}: {found:?}");
            assert_eq!(expression.matches(&event), expression.test(&event) == Some(true), "{text}");
            assert_eq!(again.unwrap().evaluate(&event), found);
            true
        }
        Err(error) => {
            assert!(text.is_char_boundary(error.position()), "{error}");
            assert!(error.in_context().lines().count() == 2 && !error.to_string().is_empty());
            false
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn an_expression_is_printed_as_one_that_is_equal(text in expressions()) {
        prop_assume!(text.len() <= MAX_LENGTH_BYTES);
        prop_assert!(check(&text), "{}", text);
    }

    #[test]
    fn any_text_is_an_expression_or_an_error(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_tokens_are_an_expression_or_an_error(text in token_soup()) {
        check(&text);
    }
}

/// Counts how often it is asked.
struct Asked(Cell<usize>);

impl Attributes for Asked {
    fn attribute(&self, _: &str) -> Option<Value<'_>> {
        self.0.set(self.0.get() + 1);
        Some(true.into())
    }
}

#[test]
fn what_is_decided_is_not_evaluated_further() {
    for (text, asked) in [
        ("a OR b OR c", 1),
        ("NOT a AND b", 1),
        ("a XOR b", 2),
        ("a IN (b, c)", 2),
        ("TRUE OR a", 0),
        ("1 / 0 = 1 AND a", 0),
    ] {
        let event = Asked(Cell::new(0));
        let _ = Expression::parse(text).unwrap().evaluate(&event);
        assert_eq!(event.0.get(), asked, "{text}");
    }
}

/// A text just within the bounds is evaluated, printed and dropped on a small stack; one past them is refused.
#[test]
fn no_text_uses_up_the_stack() {
    let nested =
        |open: &str, close: &str, times: usize| format!("{}a{}", open.repeat(times), close.repeat(times));
    let chain = |operator: &str, times: usize| format!("a{}", format!(" {operator} a").repeat(times));
    let work = move || {
        for (open, close) in
            [("(", ")"), ("NOT ", ""), ("- ", ""), ("ABS(", ")"), ("a IN (", ")"), ("1 + (", ")")]
        {
            check(&nested(open, close, MAX_DEPTH / 2));
            assert!(Expression::parse(&nested(open, close, MAX_DEPTH - 1)).is_ok(), "{open}");
            assert!(check(&nested(open, close, MAX_DEPTH - 1)), "{open}");
            assert!(!check(&nested(open, close, MAX_DEPTH + 1)), "{open}");
            assert!(
                !check(&nested(open, close, MAX_LENGTH_BYTES / (open.len() + close.len()) - 1)),
                "{open}"
            );
            assert!(!check(&nested(open, close, 1_000_000)), "{open}");
        }
        for operator in ["+", "=", "XOR", "LIKE 'a' = "] {
            assert!(check(&chain(operator, 40)), "{operator}");
            assert!(!check(&chain(operator, MAX_DEPTH)), "{operator}");
        }
        for operator in ["AND", "OR"] {
            assert!(check(&chain(operator, 600)), "{operator}");
        }
        let spaces = " ".repeat(MAX_LENGTH_BYTES - 1);
        assert!(check(&format!("{spaces}a")));
        assert!(!check(&format!("{spaces} a")));
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(work).unwrap().join().unwrap();
}

#[test]
fn names_are_told() {
    let text = "b = 1 AND (EXISTS a OR b LIKE '%') AND LENGTH(c) IN (d, 'e') AND NOSUCH(f) = ABS(1, 2)";
    let expression = Expression::parse(text).unwrap();
    assert_eq!(expression.attributes(), ["a", "b", "c", "d", "f"]);
    assert_eq!(expression.missing_function(), Some(("NOSUCH", 1)));
    assert_eq!(Expression::parse("ABS(1)").unwrap().missing_function(), None);
}
