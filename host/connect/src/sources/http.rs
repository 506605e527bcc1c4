//! Events over HTTP: CloudEvents 1.0 in binary, structured and batch mode.
//!
//! `202` is answered only once the events are durable; a batch is taken whole or not at all. Whatever is
//! wrong is answered as `application/problem+json`, with what to do about it.

mod decode;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use carpe::{Accepted, SubmitError};
use serde::Serialize;

use crate::Secret;
use crate::intake::Intake;
use crate::server::auth::authorise;
use crate::server::body::{self, BodyBudget};
use crate::server::problem::Problem;
use crate::server::{self, ListenError, Server, ServerLimits};

use self::decode::{Mode, bad_event};

/// When a sender may try again whom the host cannot serve now: it looks for room as often.
const LATER: Duration = Duration::from_secs(5);

/// How events are taken in over HTTP.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpSource {
    /// Where it listens.
    pub address: String,
    /// What each request must carry as `Authorization: Bearer TOKEN`. Needed unless `address` is loopback.
    pub token: Option<Secret>,
    /// Bytes of a batch, as it is sent.
    pub batch_bytes: usize,
    /// Bytes of all requests that are being read at once; a request that doesn't fit is told to come back.
    pub reading_bytes: usize,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// How long the host may take to make events durable, before their sender is told to try again.
    pub accept_timeout: Duration,
    /// What the listener allows.
    pub limits: ServerLimits,
}

impl HttpSource {
    /// A source that listens at `address`, with the default limits.
    pub fn new(address: impl Into<String>, token: Option<Secret>) -> Self {
        HttpSource {
            address: address.into(),
            token,
            batch_bytes: 8 << 20,
            reading_bytes: 64 << 20,
            body_timeout: Duration::from_secs(30),
            accept_timeout: Duration::from_secs(30),
            limits: ServerLimits::default(),
        }
    }

    /// Binds and serves, on the tokio runtime that it is called on.
    ///
    /// # Errors
    /// If the address is not loopback and there is no token, and if it can't be bound.
    pub async fn start(self, intake: impl Intake) -> Result<Server, ListenError> {
        let protected = self.token.is_some();
        let bound = server::bind("listen.events", &self.address, "listen.token", protected).await?;
        let limits = self.limits;
        Ok(bound.serve(self.router(intake), limits))
    }

    /// The routes alone, for a service that has a listener of its own: `POST /` and `POST /events`.
    pub fn router(self, intake: impl Intake) -> Router {
        let taken = Arc::new(Taken { budget: BodyBudget::new(self.reading_bytes), source: self, intake });
        Router::new()
            .route("/", post(take))
            .route("/events", post(take))
            .method_not_allowed_fallback(wrong_method)
            .fallback(not_found)
            .with_state(taken)
    }
}

struct Taken<I> {
    source: HttpSource,
    intake: I,
    budget: BodyBudget,
}

/// What is answered with `202`.
#[derive(Default, Serialize)]
struct Answer {
    accepted: usize,
    repeated: usize,
}

async fn take<I: Intake>(State(taken): State<Arc<Taken<I>>>, request: Request) -> Response {
    match taken.take(request).await {
        Ok(answer) => (StatusCode::ACCEPTED, Json(answer)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

impl<I: Intake> Taken<I> {
    async fn take(&self, request: Request) -> Result<Answer, Problem> {
        let bounds = self.intake.bounds();
        let (head, body) = request.into_parts();
        let judged = authorise(&head.headers, self.source.token.as_ref())
            .and_then(|()| Mode::of(&head.headers))
            .and_then(|mode| {
                let limit = mode.body_limit(bounds, self.source.batch_bytes);
                let reservation = self.budget.reserve(&head.headers, limit, mode.noun())?;
                Ok((mode, reservation))
            });
        let (mode, reservation) = match judged {
            Ok(judged) => judged,
            Err(problem) => {
                body::linger(body).await;
                return Err(problem);
            }
        };
        let bytes = reservation.read(body, self.source.body_timeout).await?;
        let batch = mode.decode(&head.headers, bytes, bounds)?;
        if batch.is_empty() {
            return Ok(Answer::default());
        }
        let one = !matches!(mode, Mode::Batch);
        let receipt = self.intake.submit(&batch, None).map_err(|error| refused(error, one))?;
        match tokio::time::timeout(self.source.accept_timeout, receipt).await {
            Ok(Ok(Accepted { accepted, repeated, .. })) => Ok(Answer { accepted, repeated }),
            // It was on its way: a part of the write may have reached the disk.
            Ok(Err(SubmitError::Journal(reason))) => Err(uncertain(logged(&reason))),
            Ok(Err(error)) => Err(refused(error, one)),
            Err(_) => Err(uncertain("the journal is slow")),
        }
    }
}

/// What the host refused. `one`: there is no batch that an index could point into.
fn refused(error: SubmitError, one: bool) -> Problem {
    match error {
        SubmitError::Busy { retry_after } => {
            Problem::busy("as many events as the host may hold are waiting to be handled", retry_after)
        }
        SubmitError::Invalid { index, error } => {
            let problem = bad_event(&error);
            if one { problem } else { problem.at(index) }
        }
        SubmitError::TooMany { count, limit } => {
            Problem::too_large(format!("the batch holds {count} events, {limit} are allowed"))
                .hint("send them in smaller batches")
        }
        SubmitError::Stopped => Problem::unavailable("the host is stopping")
            .hint("send the same again when it is back")
            .retry_after(LATER),
        SubmitError::Journal(reason) => Problem::unavailable(format!(
            "{}: nothing of this was kept",
            logged(&reason)
        ))
        .hint("send the same again after Retry-After: when there is room again, the host goes on by itself")
        .retry_after(LATER),
        error => uncertain(logged(&error.to_string())),
    }
}

/// What the operating system said may name paths: that is for the operator's log.
fn logged(reason: &str) -> &'static str {
    tracing::error!(reason, "events could not be journaled");
    "the host's journal cannot be written"
}

fn uncertain(what: &str) -> Problem {
    Problem::unavailable(format!("{what}: the events may have been kept or not"))
        .hint("send the same again: what was kept is not taken twice, by `source` and `id`")
        .retry_after(LATER)
}

async fn wrong_method(method: Method) -> Problem {
    Problem::method(method.as_str()).hint("POST a CloudEvent here")
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(uri.path()).hint("POST events to / or /events")
}
