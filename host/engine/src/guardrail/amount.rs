//! Amounts: read out of an action's data, exactly, in millionths. No floating point is in between.

use std::borrow::Cow;

use super::json_pointer::JsonPointer;

/// Amounts stay below nine million millions. Their millionths then fit into 64 bits, and so does the sum of two.
const LIMIT_MILLIONTHS: u64 = 9_000_000_000_000_000_000;

/// How many decimal places a millionth has.
const PLACES: i64 = 6;

/// How many digits the limit has; numbers of so many fit into 64 bits.
const MAX_DIGITS: i64 = 19;

/// Why there is no amount, or no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AmountError {
    #[error("its data is not JSON")]
    NotJson,
    #[error("its data has nothing at `{0}`")]
    Nothing(JsonPointer),
    #[error("what its data has at `{0}` is not a number")]
    NotANumber(JsonPointer),
    #[error("what its data has at `{0}` is not a text")]
    NotAText(JsonPointer),
    #[error("the amount that its data has at `{0}` is negative")]
    Negative(JsonPointer),
    #[error("the amount that its data has at `{0}` is too large: it must be below 9000000000000")]
    TooLarge(JsonPointer),
}

/// The amount at a place in an action's data, in millionths. What is finer than that is rounded up, so that what is added
/// up is never less than what is spent.
pub(crate) fn pointed(data: &str, pointer: &JsonPointer) -> Result<u64, AmountError> {
    let number = found(data, pointer)?;
    if !number.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(AmountError::NotANumber(pointer.clone()));
    }
    match millionths(number) {
        Ok(rounded) => Ok(rounded.millionths),
        Err(OutOfRange::Negative) => Err(AmountError::Negative(pointer.clone())),
        Err(OutOfRange::TooLarge) => Err(AmountError::TooLarge(pointer.clone())),
    }
}

/// The text at a place in an action's data.
pub(crate) fn pointed_text<'a>(data: &'a str, pointer: &JsonPointer) -> Result<Cow<'a, str>, AmountError> {
    let text = found(data, pointer)?;
    // Without an escape, what stands between the quotes is the text.
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => Ok(Cow::Borrowed(text)),
        _ => serde_json::from_str(text).map(Cow::Owned).map_err(|_| AmountError::NotAText(pointer.clone())),
    }
}

fn found<'a>(data: &'a str, pointer: &JsonPointer) -> Result<&'a str, AmountError> {
    let found = pointer.find(data).map_err(|_| AmountError::NotJson)?;
    found.ok_or_else(|| AmountError::Nothing(pointer.clone()))
}

/// So many millionths, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounded {
    pub(super) millionths: u64,
    /// Whether nothing had to be rounded.
    pub(super) exact: bool,
}

/// Why a number is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutOfRange {
    Negative,
    TooLarge,
}

/// The millionths of a number as JSON writes it.
pub(super) fn millionths(number: &str) -> Result<Rounded, OutOfRange> {
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    let significant = all.trim_start_matches('0');
    let digits = significant.trim_end_matches('0');
    if digits.is_empty() {
        return Ok(Rounded { millionths: 0, exact: true });
    }
    if unsigned != number {
        return Err(OutOfRange::Negative);
    }
    // The number is 0.DIGITS times ten to the power of this.
    let power = length(whole) - (length(&all) - length(significant));
    let kept = power.saturating_add(signed(exponent)).saturating_add(PLACES);
    if kept > MAX_DIGITS {
        return Err(OutOfRange::TooLarge);
    }
    let kept = usize::try_from(kept).unwrap_or(0);
    let (millionths, exact) = match digits.split_at_checked(kept) {
        Some((digits, rest)) => (whole_number(digits), rest.is_empty()),
        None => (whole_number(&format!("{digits:0<kept$}")), true),
    };
    let millionths = millionths + u64::from(!exact);
    if millionths < LIMIT_MILLIONTHS { Ok(Rounded { millionths, exact }) } else { Err(OutOfRange::TooLarge) }
}

/// Of at most [`MAX_DIGITS`]; none are 0.
fn whole_number(digits: &str) -> u64 {
    digits.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// One past 64 bits is as good as the last within them.
fn signed(exponent: &str) -> i64 {
    exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pointer(text: &str) -> JsonPointer {
        JsonPointer::parse(text).unwrap()
    }

    fn amount(number: &str) -> Result<u64, AmountError> {
        pointed(&format!("{{\"order\":{{\"total\":{number}}}}}"), &pointer("/order/total"))
    }

    #[test]
    fn an_amount_is_exact_or_rounded_up() {
        for (number, millionths) in [
            ("0", 0),
            ("-0.0", 0),
            ("0e999999999999999999999", 0),
            ("1", 1_000_000),
            ("0.1", 100_000),
            ("12.345678", 12_345_678),
            ("12.3456780000", 12_345_678),
            ("1.10", 1_100_000),
            ("1e3", 1_000_000_000),
            ("1.5E+2", 150_000_000),
            ("25e-1", 2_500_000),
            ("0.0000001", 1),
            ("1e-999999999999999999999", 1),
            ("0.30000000000000004", 300_001),
            ("0.9999999", 1_000_000),
            ("8999999999999.999999", 8_999_999_999_999_999_999),
        ] {
            assert_eq!(amount(number), Ok(millionths), "{number}");
        }
    }

    #[test]
    fn what_is_no_amount_says_why() {
        for (number, says) in [
            ("null", "what its data has at `/order/total` is not a number"),
            ("\"12\"", "what its data has at `/order/total` is not a number"),
            ("[1]", "what its data has at `/order/total` is not a number"),
            ("-0.0000001", "the amount that its data has at `/order/total` is negative"),
            ("-1e99", "the amount that its data has at `/order/total` is negative"),
            (
                "9e12",
                "the amount that its data has at `/order/total` is too large: it must be below 9000000000000",
            ),
            ("8999999999999.9999999", "too large"),
            ("1e400", "too large"),
            ("1e999999999999999999999", "too large"),
            ("1e9223372036854775807", "too large"),
            ("123456789012345678901234567890", "too large"),
            ("1,", "its data is not JSON"),
            ("01", "its data is not JSON"),
        ] {
            let error = amount(number).unwrap_err().to_string();
            assert!(error.contains(says), "{number}: {error}");
        }
        for (data, at) in [("{}", "/total"), ("[1]", "/1"), ("1", "/total"), ("{\"total\":{}}", "/total/net")]
        {
            let error = pointed(data, &pointer(at)).unwrap_err();
            assert_eq!(error.to_string(), format!("its data has nothing at `{at}`"), "{data}");
        }
        assert_eq!(pointed("12", &pointer("")), Ok(12_000_000));
        assert_eq!(pointed("", &pointer("")), Err(AmountError::NotJson));
    }

    #[test]
    fn a_text_is_read_with_its_escapes() {
        let text = |data| pointed_text(data, &pointer("/timeZone"));
        let plain = text(r#"{"timeZone":"Europe/Vienna"}"#).unwrap();
        assert!(matches!(plain, Cow::Borrowed("Europe/Vienna")), "{plain}");
        assert_eq!(text(r#"{"timeZone":"Europe\/Vienna"}"#).unwrap(), "Europe/Vienna");
        assert_eq!(text(r#"{"timeZone":"\""}"#).unwrap(), "\"");
        assert_eq!(text(r#"{"timeZone":""}"#).unwrap(), "");
        for data in [r#"{"timeZone":1}"#, r#"{"timeZone":null}"#, r#"{"timeZone":["UTC"]}"#] {
            let error = text(data).unwrap_err().to_string();
            assert_eq!(error, "what its data has at `/timeZone` is not a text", "{data}");
        }
        assert_eq!(text("{}"), Err(AmountError::Nothing(pointer("/timeZone"))));
        assert_eq!(text("{"), Err(AmountError::NotJson));
    }

    proptest! {
        #[test]
        fn millionths_are_what_arithmetic_says(
            whole in prop_oneof![0..100_u128, 0..20_000_000_000_000_u128],
            fraction in "[0-9]{0,9}",
            exponent in -12..=8_i32,
        ) {
            let mantissa = if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") };
            let digits: u128 = format!("{whole}{fraction}").parse().unwrap();
            let shift = exponent + 6 - i32::try_from(fraction.len()).unwrap();
            let factor = 10_u128.pow(shift.unsigned_abs());
            let millionths = if shift < 0 { digits.div_ceil(factor) } else { digits * factor };
            let expected = u64::try_from(millionths).ok().filter(|amount| *amount < LIMIT_MILLIONTHS);
            prop_assert_eq!(amount(&format!("{mantissa}e{exponent}")).ok(), expected);
            if exponent == 0 {
                prop_assert_eq!(amount(&mantissa).ok(), expected);
            }
        }

        #[test]
        fn six_places_are_exact(amount in 0..LIMIT_MILLIONTHS) {
            let text = format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000);
            prop_assert_eq!(super::millionths(&text), Ok(Rounded { millionths: amount, exact: true }));
        }
    }
}
