//! Whom to forget.
//!
//! A name that is asked to be forgotten stands in no log line and no answer here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use carpe::journal::Erasure;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shown;
use super::request::{Order, Posted};
use super::state::known;
use crate::server::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    subject: Option<String>,
    rule: Option<String>,
    key: Option<String>,
    /// Not only in time.
    #[serde(default)]
    now: bool,
}

impl Order for Wish {}

pub(super) async fn pending(State(shown): State<Arc<Shown>>) -> Result<Json<Value>, Problem> {
    let kept = shown.ask(|shown| shown.host.status().kept).await?;
    Ok(Json(json!({ "pending": kept.erasures, "failed": kept.failed })))
}

pub(super) async fn ask(
    State(shown): State<Arc<Shown>>,
    Posted(wish): Posted<Wish>,
) -> Result<Json<Value>, Problem> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (erasure, rule) = match (given(&wish.subject), given(&wish.rule), given(&wish.key)) {
        (Some(subject), None, None) => (Erasure::of(&subject, None), None),
        (None, Some(rule), Some(key)) => (Erasure::of(&key, Some(&rule)), Some(rule)),
        _ => return Err(Problem::bad_request("whom to forget is a `subject`, or a `rule` and a `key`")),
    };
    let erase = move |host: &carpe::Host| {
        rule.map_or(Ok(()), |rule| known(host, &rule))?;
        host.erase(&erasure, wish.now)
    };
    let position = shown.wish(erase).await?;
    Ok(Json(json!({ "position": position })))
}
