//! The operators' listener: is it alive, is it ready, what is it doing.
//!
//! | path            | what                                                                         |
//! |-----------------|------------------------------------------------------------------------------|
//! | `/healthz`      | `200` while the process serves; for the probe that restarts it. No token.     |
//! | `/readyz`       | `200` when events are taken, else `503`; for the probe that routes. No token. |
//! | `/status`       | The host's status in JSON.                                                       |
//! | `/metrics`      | The same for Prometheus, in the OpenMetrics text format.                      |
//! | `/dead-letters` | Inputs that were set aside, in JSON; `?limit=` says how many of each rule.    |

mod metrics;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use carpe::{Host, Status};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Secret;
use crate::config::Sinks;
use crate::server::auth::authorise;
use crate::server::problem::Problem;
use crate::server::{self, ListenError, Server, ServerLimits};

/// So many dead letters of each rule are listed, unless the request says otherwise, and at most.
const DEAD_LETTERS: usize = 100;
const MOST_DEAD_LETTERS: usize = 10_000;
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
}

impl Operators {
    /// A listener at `address`, with the default limits.
    pub fn new(address: impl Into<String>, token: Option<Secret>) -> Self {
        let limits = ServerLimits { connections: 64, ..ServerLimits::default() };
        Operators { address: address.into(), token, limits }
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
        let shown = Arc::new(Shown { host, sinks, token: self.token });
        Router::new()
            .route("/status", get(status))
            .route("/metrics", get(metrics))
            .route("/dead-letters", get(dead_letters))
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
}

/// What the host is doing, and what only the sinks know.
#[derive(Debug, Serialize)]
struct Snapshot {
    #[serde(flatten)]
    host: Status,
    /// Sinks that nothing is sent to any more, with why.
    stopped_sinks: BTreeMap<String, &'static str>,
}

impl Shown {
    async fn snapshot(self: Arc<Self>) -> Result<Snapshot, Problem> {
        self.ask(|shown| {
            let host = shown.host.status();
            let stopped = host
                .sinks
                .iter()
                .filter_map(|sink| Some((sink.name.clone(), shown.sinks.stopped(&sink.name)?)));
            Snapshot { stopped_sinks: stopped.collect(), host }
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

async fn dead_letters(
    State(shown): State<Arc<Shown>>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<axum::Json<Value>, Problem> {
    let most = match query.get("limit").map(|limit| limit.parse::<usize>()) {
        None => DEAD_LETTERS,
        Some(Ok(most)) => most.min(MOST_DEAD_LETTERS),
        Some(Err(_)) => return Err(Problem::bad_request("`limit` is not a number")),
    };
    let letters = shown.ask(move |shown| shown.host.dead_letters(most)).await?;
    Ok(axum::Json(json!({ "dead_letters": letters })))
}

async fn wrong_method(method: Method) -> Problem {
    Problem::method(method.as_str()).hint("GET it")
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(uri.path()).hint("GET /healthz, /readyz, /status, /metrics or /dead-letters")
}
