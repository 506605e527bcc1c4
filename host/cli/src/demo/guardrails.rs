//! The operator's guardrails over the city: what stands between its rules and the enterprises.
//!
//! The day is short: what would be a day elsewhere is some seconds here. Quiet hours are missing, since the demo is to be
//! the same at any time of the day.

use std::fmt;

use carpe::format_instant;
use carpe_connect::ConsentJson;
use serde_json::Value;

use super::city::walkers;
use super::feed::now;

/// What offers are for, in the words of people's consents.
const PURPOSE: &str = "offers";
/// The file that these stand in.
pub(super) const CONSENTS: &str = "consents.jsonl";

pub(super) const CONSENT: &str = "a-yes-for-offers";
pub(super) const FREQUENCY: &str = "few-offers";
pub(super) const BUDGET: &str = "machine-money";
pub(super) const APPROVAL: &str = "large-orders";
pub(super) const RATE: &str = "no-flood-of-messages";

/// Offers that somebody is shown at most within a period.
pub(super) const OFFERS: Bound = Bound { at_most: 1, noun: "offer", seconds: 8 };
/// Cents that a vending machine spends at most within a period, beside what its rule knows of.
pub(super) const CENTS: Bound = Bound { at_most: 5_000, noun: "cents", seconds: 5 };
/// Messages that viewers are sent at most within a period.
pub(super) const MESSAGES: Bound = Bound { at_most: 6, noun: "messages", seconds: 1 };
/// An order of more cents is large.
pub(super) const LARGE_CENTS: u64 = 2_400;

/// At most so much within so many seconds.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) at_most: u64,
    pub(super) noun: &'static str,
    pub(super) seconds: u64,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} within {} s", self.at_most, self.noun, self.seconds)
    }
}

/// The guardrails' part of `carpe.toml`.
pub(super) fn tables() -> String {
    format!(
        r#"
[guardrail.{CONSENT}]
kind = "consent"
actions = ["offer.*"]
except = ["*.withdraw"]
purposes = {{ "offer.*" = "{PURPOSE}" }}

[guardrail.{FREQUENCY}]
kind = "frequency"
actions = ["offer.show"]
at_most = {}
period_seconds = {}

[guardrail.{BUDGET}]
kind = "budget"
actions = ["supplier.order"]
amount_pointer = "/cents"
at_most = {}
period_seconds = {}

# Of what waits for a person, most is seen to within a second.
[guardrail.{APPROVAL}]
kind = "approval"
actions = ["supplier.order"]
amount_pointer = "/cents"
above = {LARGE_CENTS}
within_seconds = 20

[guardrail.{RATE}]
kind = "rate"
sink = "viewers"
at_most = {}
period_seconds = {}
"#,
        OFFERS.at_most, OFFERS.seconds, CENTS.at_most, CENTS.seconds, MESSAGES.at_most, MESSAGES.seconds,
    )
}

/// What people have said to offers, an hour ago.
pub(super) fn consents() -> anyhow::Result<String> {
    let said = format_instant(now().saturating_sub(3_600_000));
    let mut text = String::new();
    for (walker, given) in walkers::on_file() {
        let mut consent = ConsentJson::now(walker, PURPOSE, given);
        consent.said = Some(said.clone());
        text += &serde_json::to_string(&consent)?;
        text.push('\n');
    }
    Ok(text)
}

/// One guardrail's part of the status.
pub(super) fn guardrail<'a>(status: &'a Value, name: &str) -> &'a Value {
    let guardrails = status["guardrails"]["guardrails"].as_array().map(Vec::as_slice).unwrap_or_default();
    guardrails.iter().find(|guardrail| guardrail["name"] == name).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_walkers_have_said_yes_and_some_have_said_no() {
        let said: Vec<_> = consents()
            .unwrap()
            .lines()
            .map(|line| ConsentJson::read_line(line.as_bytes()).unwrap().given)
            .collect();
        let yes = said.iter().filter(|given| **given).count();
        assert_eq!((yes, said.len() - yes), (8, 4));
    }
}
