//! What guardrails hold, what people have said, and what is muted.
//!
//! Names of people stand in no log line, and in no answer to whoever does not name them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use carpe::journal::{Erasure, Muted};
use carpe::{CONSENTS_AT_ONCE, Instant, parse_instant};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shown;
use super::life_json::{HeldJson, MuteJson};
use super::request::{Asked, Named, Order, Posted};
use crate::consents::ConsentJson;
use crate::server::problem::Problem;

/// So many are listed, unless the request says otherwise, and at most.
const USUAL: usize = 100;
const MOST: usize = 10_000;
/// And no more once their data has so many bytes.
const PAGE_BYTES: usize = 8 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HowMany {
    limit: Option<usize>,
}

pub(super) async fn held(
    State(shown): State<Arc<Shown>>,
    Asked(HowMany { limit }): Asked<HowMany>,
) -> Result<Json<Value>, Problem> {
    let limit = limit.unwrap_or(USUAL).min(MOST);
    let held = shown.ask(move |shown| shown.host.held(limit)).await?;
    let mut bytes = 0;
    let page = held.into_iter().take_while(|held| {
        let fits = bytes < PAGE_BYTES;
        bytes += held.data.len();
        fits
    });
    let page: Vec<HeldJson> = page.map(HeldJson::from).collect();
    Ok(Json(json!({ "held": page })))
}

/// A person's word about what is held.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Word {
    /// Why, or by whom.
    #[serde(default)]
    why: String,
}

impl Order for Word {}

pub(super) async fn approve(
    State(shown): State<Arc<Shown>>,
    Named(id): Named<String>,
    Posted(word): Posted<Word>,
) -> Result<Json<Value>, Problem> {
    decide(shown, id, true, word).await
}

pub(super) async fn refuse(
    State(shown): State<Arc<Shown>>,
    Named(id): Named<String>,
    Posted(word): Posted<Word>,
) -> Result<Json<Value>, Problem> {
    decide(shown, id, false, word).await
}

async fn decide(
    shown: Arc<Shown>,
    id: String,
    approved: bool,
    Word { why }: Word,
) -> Result<Json<Value>, Problem> {
    let position = shown.wish(move |host| host.approve(&id, approved, &why)).await?;
    Ok(Json(json!({ "position": position })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    subject: String,
}

pub(super) async fn consents(
    State(shown): State<Arc<Shown>>,
    Asked(Whose { subject }): Asked<Whose>,
) -> Result<Json<Value>, Problem> {
    let consents = shown.ask(move |shown| shown.host.consents_of(&subject)).await?;
    let consents: Vec<ConsentJson> = consents.into_iter().map(ConsentJson::from).collect();
    Ok(Json(json!({ "consents": consents })))
}

/// What people have said yes or no to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Consents {
    consents: Vec<ConsentJson>,
}

impl Order for Consents {
    /// As many as may come at once, with names as they usually are.
    const BYTES: usize = CONSENTS_AT_ONCE * 512;
}

pub(super) async fn consent(
    State(shown): State<Arc<Shown>>,
    Posted(Consents { consents }): Posted<Consents>,
) -> Result<Json<Value>, Problem> {
    let read = |(index, consent): (usize, ConsentJson)| {
        consent.read().map_err(|reason| Problem::bad_request(reason).at(index))
    };
    let consents: Result<Vec<_>, _> = consents.into_iter().enumerate().map(read).collect();
    let consents = consents?;
    if consents.is_empty() {
        return Err(Problem::bad_request("there are no `consents`"));
    }
    let changed = shown.wish(move |host| host.consent(consents)).await?;
    Ok(Json(json!({ "changed": changed })))
}

pub(super) async fn mutes(State(shown): State<Arc<Shown>>) -> Result<Json<Value>, Problem> {
    let mutes = shown.ask(|shown| shown.host.status().guardrails.mutes).await?;
    let mutes: Vec<MuteJson> =
        mutes.iter().map(|mute| MuteJson::of(mute.sort, &mute.name, mute.until, &mute.why)).collect();
    Ok(Json(json!({ "mutes": mutes })))
}

/// What is muted, or to be heard again, by one of its names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct What {
    rule: Option<String>,
    moment: Option<String>,
    subject: Option<String>,
}

impl Order for What {}

impl What {
    fn read(self) -> Result<Muted, Problem> {
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        match (named(self.rule), named(self.moment), named(self.subject)) {
            (Some(rule), None, None) => Ok(Muted::Rule(rule)),
            (None, Some(kind), None) => Ok(Muted::Moment(kind)),
            (None, None, Some(subject)) => Ok(Muted::Subject(Erasure::hash(&subject))),
            _ => Err(Problem::bad_request("what to mute is a `rule`, a `moment` (its kind) or a `subject`")),
        }
    }
}

/// What is to be muted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mute {
    rule: Option<String>,
    moment: Option<String>,
    subject: Option<String>,
    /// Until when; neither: until it is ended.
    until: Option<String>,
    for_seconds: Option<u64>,
    #[serde(default)]
    why: String,
}

impl Order for Mute {}

/// When a mute ends.
enum End {
    Never,
    /// So many milliseconds from where the timeline stands.
    After(u64),
    At(Instant),
}

pub(super) async fn mute(
    State(shown): State<Arc<Shown>>,
    Posted(Mute { rule, moment, subject, until, for_seconds, why }): Posted<Mute>,
) -> Result<Json<Value>, Problem> {
    let what = What { rule, moment, subject }.read()?;
    let end = match (until, for_seconds) {
        (None, None) => End::Never,
        (None, Some(seconds)) => End::After(seconds.saturating_mul(1_000)),
        (Some(until), None) => End::At(parse_instant(&until).ok_or_else(|| {
            let until = until.escape_debug();
            Problem::bad_request(format!(
                "`until` is `{until}`: it must be an instant such as 2026-03-01T12:00:00Z"
            ))
        })?),
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("there are `until` and `for_seconds`: leave one out"));
        }
    };
    let (position, until) = shown
        .wish(move |host| {
            let until = match end {
                End::Never => None,
                End::After(milliseconds) => Some(host.timeline_now().saturating_add(milliseconds)),
                End::At(instant) => Some(instant),
            };
            host.mute(what, until, &why).map(|position| (position, until))
        })
        .await?;
    Ok(Json(json!({ "position": position, "until": until.map(carpe::format_instant) })))
}

pub(super) async fn unmute(
    State(shown): State<Arc<Shown>>,
    Posted(what): Posted<What>,
) -> Result<Json<Value>, Problem> {
    let what = what.read()?;
    let position = shown.wish(move |host| host.unmute(what)).await?;
    Ok(Json(json!({ "position": position })))
}
