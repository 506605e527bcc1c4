//! What guardrails said.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::super::guardrails::APPROVAL;
use crate::output::{columns, grouped};

#[derive(Serialize)]
pub(in super::super) struct OfGuardrail {
    name: String,
    kind: String,
    /// Actions that it held, and that it withheld, at once or in the end: by the host's count.
    held: u64,
    withheld: u64,
    /// What the person said to those that waited for them; none: it asks nobody.
    approved: Option<u64>,
    refused: Option<u64>,
}

impl OfGuardrail {
    /// All of them, in the order in which they are asked. `said`: the person's yes or no, by action.
    pub(in super::super) fn all(status: &Value, said: &BTreeMap<String, bool>) -> Vec<OfGuardrail> {
        let guardrails = status["guardrails"]["guardrails"].as_array().map(Vec::as_slice).unwrap_or_default();
        let times = |word: bool| said.values().filter(|approves| **approves == word).count() as u64;
        let of = |guardrail: &Value| {
            let text = |field: &str| guardrail[field].as_str().unwrap_or_default().to_owned();
            let asks = guardrail["name"] == APPROVAL;
            OfGuardrail {
                name: text("name"),
                kind: text("kind"),
                held: guardrail["held"].as_u64().unwrap_or_default(),
                withheld: guardrail["withheld"].as_u64().unwrap_or_default(),
                approved: asks.then(|| times(true)),
                refused: asks.then(|| times(false)),
            }
        };
        guardrails.iter().map(of).collect()
    }
}

/// For people.
pub(super) fn table(guardrails: &[OfGuardrail]) -> String {
    let head = ["GUARDRAIL", "KIND", "HELD", "WITHHELD", "APPROVED", "REFUSED"];
    let mut rows = vec![head.map(str::to_owned)];
    for of in guardrails {
        let said = |count: Option<u64>| count.map_or("-".to_owned(), grouped);
        rows.push([
            of.name.clone(),
            of.kind.clone(),
            grouped(of.held),
            grouped(of.withheld),
            said(of.approved),
            said(of.refused),
        ]);
    }
    columns(&rows)
}
