//! Errors as people and programs read them: RFC 9457, `application/problem+json`.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What went wrong with a request, and what to do about it.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(flatten)]
    kind: &'static Kind,
    detail: String,
    /// Which event of the batch is the first bad one, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    /// The media types that would have been taken.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    accepted: &'static [&'static str],
    #[serde(skip)]
    retry_after: Option<Duration>,
}

#[derive(Debug, Serialize)]
struct Kind {
    #[serde(rename = "type")]
    uri: &'static str,
    title: &'static str,
    status: u16,
}

/// The kinds of problems, each with its type and its title.
macro_rules! kinds {
    ($($name:ident = $status:ident, $uri:literal, $title:literal;)*) => {
        $(static $name: Kind = Kind {
            uri: concat!("urn:carpe:problem:", $uri),
            title: $title,
            status: StatusCode::$status.as_u16(),
        };)*
    };
}

kinds! {
    BAD_REQUEST = BAD_REQUEST, "bad-request", "The request can't be read";
    INVALID_EVENT = BAD_REQUEST, "invalid-event", "An event is not valid";
    UNAUTHORISED = UNAUTHORIZED, "unauthorised", "A valid token is needed";
    FORBIDDEN = FORBIDDEN, "forbidden", "Not from there";
    CONFLICT = CONFLICT, "conflict", "It can't be done as things are";
    NOT_FOUND = NOT_FOUND, "not-found", "Nothing is here";
    METHOD = METHOD_NOT_ALLOWED, "method", "The method is not possible";
    TOO_SLOW = REQUEST_TIMEOUT, "too-slow", "The body came too slowly";
    TOO_LARGE = PAYLOAD_TOO_LARGE, "too-large", "The request is too large";
    MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE, "media-type", "The media type is not known here";
    BUSY = TOO_MANY_REQUESTS, "busy", "The host is busy";
    UNAVAILABLE = SERVICE_UNAVAILABLE, "unavailable", "The host can't do that now";
}

impl Problem {
    fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Problem { kind, detail: detail.into(), index: None, hint: None, accepted: &[], retry_after: None }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(&BAD_REQUEST, detail)
    }

    pub(crate) fn invalid_event(detail: impl Into<String>) -> Self {
        Problem::new(&INVALID_EVENT, detail)
    }

    pub(crate) fn unauthorised(detail: impl Into<String>) -> Self {
        Problem::new(&UNAUTHORISED, detail)
    }

    pub(crate) fn not_found(path: &str) -> Self {
        Problem::new(&NOT_FOUND, format!("there is nothing at {path}"))
    }

    /// Something else than a path is not there.
    pub(crate) fn absent(detail: impl Into<String>) -> Self {
        Problem::new(&NOT_FOUND, detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Problem::new(&FORBIDDEN, detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Problem::new(&CONFLICT, detail)
    }

    pub(crate) fn method(method: &str) -> Self {
        Problem::new(&METHOD, format!("{method} is not possible here"))
    }

    pub(crate) fn too_slow(timeout: Duration) -> Self {
        Problem::new(&TOO_SLOW, format!("the body had not arrived within {} ms", timeout.as_millis()))
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Problem::new(&TOO_LARGE, detail)
    }

    pub(crate) fn media_type(detail: impl Into<String>, accepted: &'static [&'static str]) -> Self {
        Problem { accepted, ..Problem::new(&MEDIA_TYPE, detail) }
    }

    pub(crate) fn busy(detail: impl Into<String>, retry_after: Duration) -> Self {
        let hint = "send the same again after Retry-After";
        Problem { retry_after: Some(retry_after), ..Problem::new(&BUSY, detail) }.hint(hint)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Problem::new(&UNAVAILABLE, detail)
    }

    /// The sender is to wait so long.
    pub(crate) fn retry_after(self, after: Duration) -> Self {
        Problem { retry_after: Some(after), ..self }
    }

    pub(crate) fn at(self, index: usize) -> Self {
        Problem { index: Some(index), ..self }
    }

    pub(crate) fn hint(self, hint: &'static str) -> Self {
        Problem { hint: Some(hint), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry_after {
            // In whole seconds, upwards: never sooner than the host asked for.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}
