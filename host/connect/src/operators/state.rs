//! What rules remember: looked at, put back, forgotten.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use carpe::{Host, OperateError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shown;
use super::key_json::KeyJson;
use super::request::{Asked, Named, Order, Posted};
use crate::server::problem::Problem;

/// So many keys are listed, unless the request says otherwise, and at most.
const USUAL: usize = 100;
const MOST: usize = 10_000;
/// And no more once they have so many bytes.
const PAGE_BYTES: usize = 8 << 20;

pub(super) async fn rules(State(shown): State<Arc<Shown>>) -> Result<Json<Value>, Problem> {
    let rules = shown.ask(|shown| shown.host.rules()).await?;
    let rules: Vec<Value> =
        rules.into_iter().map(|(rule, keys)| json!({ "rule": rule, "keys": keys })).collect();
    Ok(Json(json!({ "rules": rules })))
}

/// Which keys are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    after: Option<String>,
    limit: Option<usize>,
    /// Only this one.
    key: Option<String>,
}

#[derive(Serialize)]
struct Page {
    keys: Vec<KeyJson>,
    /// The last of them, if there are more: the page after it is next.
    next: Option<String>,
}

pub(super) async fn keys(
    State(shown): State<Arc<Shown>>,
    Named(rule): Named<String>,
    Asked(which): Asked<Which>,
) -> Result<Response, Problem> {
    let Which { after, limit, key } = which;
    if let Some(key) = key {
        return Ok(one(shown, rule, key).await?.into_response());
    }
    let limit = limit.unwrap_or(USUAL).clamp(1, MOST);
    let page = move |host: &Host| {
        known(host, &rule)?;
        let (keys, more) = host.keys_page(&rule, after.as_deref(), limit, PAGE_BYTES);
        let next = keys.last().filter(|_| more).map(|info| info.key.clone());
        Ok(Page { keys: keys.iter().map(KeyJson::of).collect(), next })
    };
    Ok(Json(shown.wish(page).await?).into_response())
}

pub(super) async fn key(
    State(shown): State<Arc<Shown>>,
    Named((rule, key)): Named<(String, String)>,
) -> Result<Json<KeyJson>, Problem> {
    one(shown, rule, key).await
}

async fn one(shown: Arc<Shown>, rule: String, key: String) -> Result<Json<KeyJson>, Problem> {
    let look = move |host: &Host| {
        known(host, &rule)?;
        let info = host.key(&rule, &key);
        let info = info.ok_or_else(|| absent(format!("key `{key}` that the rule `{rule}` remembers")))?;
        Ok(KeyJson::of(&info))
    };
    shown.wish(look).await.map(Json)
}

/// What is to be remembered from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    changes: Vec<KeyJson>,
}

impl Order for Changes {
    /// More than any one state has, unless the limits are raised far.
    const BYTES: usize = 32 << 20;
}

pub(super) async fn change(
    State(shown): State<Arc<Shown>>,
    Named(rule): Named<String>,
    Posted(Changes { changes }): Posted<Changes>,
) -> Result<Json<Value>, Problem> {
    let count = changes.len();
    if count == 0 {
        return Err(Problem::bad_request("there are no `changes`"));
    }
    let changes: Result<Vec<_>, _> = changes.into_iter().map(|change| change.change(&rule)).collect();
    let changes = changes.map_err(|error| Problem::bad_request(error.to_string()))?;
    let position = shown.wish(move |host| host.change_keys(&rule, changes)).await?;
    Ok(Json(json!({ "position": position, "changed": count })))
}

/// That a rule runs or ran.
pub(super) fn known(host: &Host, rule: &str) -> Result<(), OperateError> {
    match host.rules().iter().any(|(name, _)| name == rule) {
        true => Ok(()),
        false => Err(absent(format!("rule `{rule}`"))),
    }
}

fn absent(what: String) -> OperateError {
    OperateError::NotFound { what }
}
