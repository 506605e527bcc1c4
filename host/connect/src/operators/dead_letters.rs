//! Inputs that were set aside: which, why, and what is to become of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use carpe::DeadLetterInfo;
use carpe::journal::Given;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Shown;
use super::request::{Asked, Named, NoMore, Posted};
use crate::server::problem::Problem;

/// So many of each rule are listed, unless the request says otherwise, and at most.
const USUAL: usize = 100;
const MOST: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    limit: Option<usize>,
    rule: Option<String>,
}

pub(super) async fn list(
    State(shown): State<Arc<Shown>>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let most = which.limit.unwrap_or(USUAL).min(MOST);
    let mut letters = shown.ask(move |shown| shown.host.dead_letters(most)).await?;
    if let Some(rule) = &which.rule {
        letters.retain(|letter| letter.rule == *rule);
    }
    Ok(Json(json!({ "dead_letters": letters })))
}

#[derive(serde::Serialize)]
pub(super) struct Letter {
    #[serde(flatten)]
    info: DeadLetterInfo,
    /// What the rule was given: an event, an outcome or a timer; none: it is not kept any more.
    input: Option<Box<RawValue>>,
}

pub(super) async fn show(
    State(shown): State<Arc<Shown>>,
    Named(id): Named<String>,
) -> Result<Json<Letter>, Problem> {
    let (info, given) = shown.wish(move |host| host.dead_letter(&id)).await?;
    Ok(Json(Letter { info, input: given.as_ref().and_then(input) }))
}

fn input(given: &Given) -> Option<Box<RawValue>> {
    let text = match given {
        Given::Event(event) => format!(r#"{{"event":{}}}"#, event.to_event().to_json()),
        Given::Outcome(outcome) => json!({ "outcome": {
            "action": outcome.action, "id": outcome.id.to_string(), "reference": outcome.reference,
            "status": outcome.status, "detail": outcome.detail,
        }})
        .to_string(),
        Given::Timer(name) => json!({ "timer": name }).to_string(),
    };
    RawValue::from_string(text).ok()
}

pub(super) async fn again(
    State(shown): State<Arc<Shown>>,
    Named(id): Named<String>,
    Posted(NoMore {}): Posted<NoMore>,
) -> Result<Json<Value>, Problem> {
    let position = shown.wish(move |host| host.give_again(&id)).await?;
    Ok(Json(json!({ "position": position })))
}

pub(super) async fn drop(
    State(shown): State<Arc<Shown>>,
    Named(id): Named<String>,
    Posted(NoMore {}): Posted<NoMore>,
) -> Result<Json<Value>, Problem> {
    let position = shown.wish(move |host| host.drop_letter(&id)).await?;
    Ok(Json(json!({ "position": position })))
}
