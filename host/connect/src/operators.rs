//! The operators' listener: is it alive, is it ready, what is it doing.
//!
//! | path                          | what                                                                |
//! |-------------------------------|---------------------------------------------------------------------|
//! | `/healthz`                    | `200` while the process serves; for the probe that restarts it. No token. |
//! | `/readyz`                     | `200` when events are taken, else `503`; for the probe that routes. No token. |
//! | `/status`                     | The host's status in JSON.                                          |
//! | `/metrics`                    | The same for Prometheus, in the OpenMetrics text format.            |
//! | `/dead-letters`               | Inputs that were set aside; `?limit=` of each rule, `?rule=`.       |
//! | `/dead-letters/ID`            | One, with its input.                                                |
//! | `/dead-letters/ID/again`, `/dead-letters/ID/drop` | POST: given again as a new input; dropped.      |
//! | `/rules`                      | Rules that run or ran, and how many keys each remembers.            |
//! | `/state/RULE`                 | Its keys in order; `?after=KEY&limit=` goes on. POST: see [`KeyJson`]. |
//! | `/state/RULE/KEY`             | One of them; `/state/RULE?key=KEY` too, since no URL can end in the key `..`. |
//! | `/erasures`                   | Those that are not done. POST: whom to forget.                      |
//! | `/moments`                    | The last moments and how far they have come; `?rule=&subject=&stage=&limit=`. See [`LifeJson`]. |
//! | `/moments/ID`                 | One, with all data.                                                 |
//! | `/held`                       | Actions that guardrails hold, in the order in which they are let go; `?limit=`. See [`HeldJson`]. |
//! | `/held/ID/approve`, `/held/ID/refuse` | POST: one that waits for a person; `{"why": ".."}`.         |
//! | `/consents`                   | What a person has said, `?subject=`. POST: `{"consents": [..]}`, see [`ConsentJson`](crate::ConsentJson). |
//! | `/mutes`                      | What is muted. POST: a `rule`, a `moment` or a `subject`, `until` or `for_seconds`, `why`. |
//! | `/mutes/end`                  | POST: one of the same names.                                        |
//!
//! What changes something is a POST of JSON, refused if a web page sent it.

mod dead_letters;
mod erasures;
mod guardrails;
mod key_json;
mod life_json;
mod metrics;
mod moments;
mod request;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use carpe::{Host, OperateError, Status, SubmitError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Sinks;
use crate::server::auth::authorise;
use crate::server::body::BodyBudget;
use crate::server::problem::Problem;
use crate::server::{self, ListenError, Server, ServerLimits};
use crate::{ConsentFile, ConsentFileStatus, Secret};

pub use key_json::{KeyJson, KeyJsonError, TimerJson};
pub use life_json::{ActionLifeJson, HeldJson, LifeJson, LifeStepJson, MuteJson};

/// Bytes of all requests that are being received.
const REQUESTS_BYTES: usize = 64 << 20;
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The operators' listener.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Operators {
    /// Where it listens.
    pub address: String,
    /// What each request must carry as `Authorization: Bearer TOKEN`. Needed unless `address` is loopback.
    pub token: Option<Secret>,
    /// What the listener allows.
    pub limits: ServerLimits,
    /// The file of consents that the host reads, so that the status says how it stands.
    pub consent_file: Option<ConsentFile>,
}

impl Operators {
    /// A listener at `address`, with the default limits.
    pub fn new(address: impl Into<String>, token: Option<Secret>) -> Self {
        let limits = ServerLimits { connections: 64, ..ServerLimits::default() };
        Operators { address: address.into(), token, limits, consent_file: None }
    }

    /// Binds and serves, on the tokio runtime that it is called on.
    ///
    /// # Errors
    /// If the address is not loopback and there is no token, and if it can't be bound.
    pub async fn start(self, host: Host, sinks: Sinks) -> Result<Server, ListenError> {
        let protected = self.token.is_some();
        let bound = server::bind("listen.operators", &self.address, "listen.token", protected).await?;
        let limits = self.limits;
        Ok(bound.serve(self.router(host, sinks), limits))
    }

    /// The routes alone, for a service that has a listener of its own.
    pub fn router(self, host: Host, sinks: Sinks) -> Router {
        let budget = BodyBudget::new(REQUESTS_BYTES);
        let shown =
            Arc::new(Shown { host, sinks, token: self.token, budget, consent_file: self.consent_file });
        Router::new()
            .route("/status", get(status))
            .route("/metrics", get(metrics))
            .route("/dead-letters", get(dead_letters::list))
            .route("/dead-letters/{id}", get(dead_letters::show))
            .route("/dead-letters/{id}/again", post(dead_letters::again))
            .route("/dead-letters/{id}/drop", post(dead_letters::drop))
            .route("/rules", get(state::rules))
            .route("/state/{rule}", get(state::keys).post(state::change))
            .route("/state/{rule}/{key}", get(state::key))
            .route("/erasures", get(erasures::pending).post(erasures::ask))
            .route("/moments", get(moments::list))
            .route("/moments/{id}", get(moments::show))
            .route("/held", get(guardrails::held))
            .route("/held/{id}/approve", post(guardrails::approve))
            .route("/held/{id}/refuse", post(guardrails::refuse))
            .route("/consents", get(guardrails::consents).post(guardrails::consent))
            .route("/mutes", get(guardrails::mutes).post(guardrails::mute))
            .route("/mutes/end", post(guardrails::unmute))
            .route_layer(middleware::from_fn_with_state(shown.clone(), only_with_token))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .method_not_allowed_fallback(wrong_method)
            .fallback(not_found)
            .with_state(shown)
    }
}

struct Shown {
    host: Host,
    sinks: Sinks,
    token: Option<Secret>,
    budget: BodyBudget,
    consent_file: Option<ConsentFile>,
}

/// What the host is doing, and what only the sinks know.
#[derive(Debug, Serialize)]
struct Snapshot {
    #[serde(flatten)]
    host: Status,
    /// Sinks that nothing is sent to any more, with why.
    stopped_sinks: BTreeMap<String, &'static str>,
    /// How the file of consents stands, if there is one.
    consent_file: Option<ConsentFileStatus>,
}

impl Shown {
    async fn snapshot(self: Arc<Self>) -> Result<Snapshot, Problem> {
        self.ask(|shown| {
            let host = shown.host.status();
            let stopped = host
                .sinks
                .iter()
                .filter_map(|sink| Some((sink.name.clone(), shown.sinks.stopped(&sink.name)?)));
            let consent_file = shown.consent_file.as_ref().map(ConsentFile::status);
            Snapshot { stopped_sinks: stopped.collect(), consent_file, host }
        })
        .await
    }

    /// Asks the host, which may take a moment.
    async fn ask<T: Send + 'static>(
        self: Arc<Self>,
        question: impl FnOnce(&Shown) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let answer = tokio::task::spawn_blocking(move || question(&self)).await;
        answer.map_err(|_| Problem::unavailable("the host can't be asked: it is ending"))
    }

    /// Asks the host for something that it may refuse.
    async fn wish<T: Send + 'static>(
        self: Arc<Self>,
        wish: impl FnOnce(&Host) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.ask(move |shown| wish(&shown.host)).await?.map_err(refused)
    }
}

fn refused(error: OperateError) -> Problem {
    match error {
        OperateError::NotFound { .. } => Problem::absent(error.describe()),
        OperateError::Refused { .. } => Problem::conflict(error.describe()),
        OperateError::Journal(SubmitError::Busy { retry_after }) => {
            Problem::busy("as much as the host may hold is waiting to be journaled", retry_after)
        }
        error => Problem::unavailable(error.describe()),
    }
}

async fn only_with_token(State(shown): State<Arc<Shown>>, request: Request, next: Next) -> Response {
    match authorise(request.headers(), shown.token.as_ref()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn healthz() -> axum::Json<Value> {
    axum::Json(json!({ "alive": true }))
}

async fn readyz(State(shown): State<Arc<Shown>>, headers: HeaderMap) -> Result<Response, Problem> {
    // A probe needs no reasons, and not everybody needs to know them.
    let trusted = authorise(&headers, shown.token.as_ref()).is_ok();
    let Status { ready, not_ready_because, .. } = shown.snapshot().await?.host;
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = if trusted {
        json!({ "ready": ready, "not_ready_because": not_ready_because })
    } else {
        json!({ "ready": ready })
    };
    Ok((code, axum::Json(answer)).into_response())
}

async fn status(State(shown): State<Arc<Shown>>) -> Result<axum::Json<Snapshot>, Problem> {
    shown.snapshot().await.map(axum::Json)
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Result<Response, Problem> {
    match metrics::encode(shown.snapshot().await?) {
        Ok(text) => Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics");
            Err(Problem::unavailable("the metrics can't be written"))
        }
    }
}

async fn wrong_method(method: Method) -> Problem {
    Problem::method(method.as_str()).hint("GET what is looked at, POST what is changed")
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(uri.path()).hint(
        "there are /healthz, /readyz, /status, /metrics, /moments, /held, /consents, /mutes, /dead-letters, /rules, \
         /state/RULE and /erasures",
    )
}
