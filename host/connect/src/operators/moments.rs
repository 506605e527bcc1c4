//! What became of moments.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use carpe::{MomentFilter, Stage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shown;
use super::life_json::LifeJson;
use super::request::{Asked, Named};
use crate::server::problem::Problem;

/// So many are listed, unless the request says otherwise, and at most.
const USUAL: usize = 100;
const MOST: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    rule: Option<String>,
    subject: Option<String>,
    stage: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(shown): State<Arc<Shown>>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let mut filter = MomentFilter::default();
    filter.stage = which.stage.as_deref().map(Stage::parse).transpose().map_err(Problem::bad_request)?;
    filter.rule = which.rule;
    filter.subject = which.subject;
    filter.limit = Some(which.limit.unwrap_or(USUAL).min(MOST));
    let lives = shown.ask(move |shown| shown.host.lives(&filter)).await?;
    let lives: Vec<LifeJson> = lives.iter().map(|life| LifeJson::of(life, false)).collect();
    Ok(Json(json!({ "moments": lives })))
}

pub(super) async fn show(
    State(shown): State<Arc<Shown>>,
    Named(id): Named<String>,
) -> Result<Json<LifeJson>, Problem> {
    let asked = id.clone();
    let life = shown.ask(move |shown| shown.host.life(&id)).await?;
    life.map(|life| Json(LifeJson::of(&life, true))).ok_or_else(|| {
        Problem::absent(format!("there is no moment `{}` (any more)", asked.escape_debug()))
            .hint("of those that are at an end only the last 10,000 are kept; `carpe moments --replay` computes all again")
    })
}
