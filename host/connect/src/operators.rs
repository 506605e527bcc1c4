//! The operators' listener: is it alive, is it ready, what is it doing.
//!
//! | path            | what                                                                         |
//! |-----------------|------------------------------------------------------------------------------|
//! | `/healthz`      | `200` while the process serves; for the probe that restarts it. No token.     |
//! | `/readyz`       | `200` when events are taken, else `503`; for the probe that routes. No token. |
//! | `/status`       | [`StatusView`] in JSON.                                                       |
//! | `/metrics`      | The same for Prometheus, in the OpenMetrics text format.                      |
//! | `/dead-letters` | Inputs that were set aside, in JSON; `?limit=` says how many.                 |

mod metrics;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

pub use self::view::{
    HandleView, IntakeView, JournalView, PluginState, PluginView, SinkView, StatusView, TimelineView,
};
use crate::Secret;
use crate::server::auth::authorise;
use crate::server::problem::Problem;
use crate::server::{self, ListenError, Server, ServerLimits};

/// So many dead letters are listed unless the request says otherwise, and at most.
const DEAD_LETTERS: usize = 100;
const MOST_DEAD_LETTERS: usize = 10_000;
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the operators' listener shows.
pub trait Operated: Send + Sync + 'static {
    /// What the host is doing now. Called for each request: it must be quick.
    fn status(&self) -> StatusView;

    /// The newest inputs that were set aside, at most `most`.
    fn dead_letters(&self, most: usize) -> Vec<Value>;
}

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
    pub async fn start(self, operated: impl Operated) -> Result<Server, ListenError> {
        let protected = self.token.is_some();
        let bound = server::bind("listen.operators", &self.address, "listen.token", protected).await?;
        let limits = self.limits;
        Ok(bound.serve(self.router(operated), limits))
    }

    /// The routes alone, for a service that has a listener of its own.
    pub fn router(self, operated: impl Operated) -> Router {
        let shown = Arc::new(Shown { operated: Box::new(operated), token: self.token });
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
    operated: Box<dyn Operated>,
    token: Option<Secret>,
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

async fn readyz(State(shown): State<Arc<Shown>>, headers: HeaderMap) -> Response {
    let status = shown.operated.status();
    let code = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // A probe needs no reasons, and not everybody needs to know them.
    let answer = match authorise(&headers, shown.token.as_ref()) {
        Ok(()) => json!({ "ready": status.ready, "not_ready_because": status.not_ready_because }),
        Err(_) => json!({ "ready": status.ready }),
    };
    (code, axum::Json(answer)).into_response()
}

async fn status(State(shown): State<Arc<Shown>>) -> axum::Json<StatusView> {
    axum::Json(shown.operated.status())
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    match metrics::encode(shown.operated.status()) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
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
    Ok(axum::Json(json!({ "dead_letters": shown.operated.dead_letters(most) })))
}

async fn wrong_method(method: Method) -> Problem {
    Problem::method(method.as_str(), "GET it")
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(uri.path(), "GET /healthz, /readyz, /status, /metrics or /dead-letters")
}
