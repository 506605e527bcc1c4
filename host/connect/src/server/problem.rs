//! Errors as people and programs read them: RFC 9457, `application/problem+json`.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What went wrong with a request, and what to do about it.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    /// Which event of the batch is the first bad one, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The media types that would have been taken.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    accepted: &'static [&'static str],
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(status: StatusCode, name: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("urn:carpe:problem:{name}"),
            title,
            status,
            detail: detail.into(),
            index: None,
            hint: None,
            accepted: &[],
            retry_after: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", "The request can't be read", detail)
    }

    pub(crate) fn invalid_event(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "invalid-event", "An event is not valid", detail)
    }

    pub(crate) fn unauthorised(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorised", "A valid token is needed", detail)
    }

    pub(crate) fn not_found(path: &str, known: &str) -> Self {
        let detail = format!("there is nothing at {path}");
        Problem::new(StatusCode::NOT_FOUND, "not-found", "Nothing is here", detail).hint(known)
    }

    pub(crate) fn method(method: &str, hint: &str) -> Self {
        let detail = format!("{method} is not possible here");
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "The method is not possible", detail).hint(hint)
    }

    pub(crate) fn too_slow(timeout: Duration) -> Self {
        let detail = format!("the body had not arrived within {} s", timeout.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body came too slowly", detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large", detail)
    }

    pub(crate) fn media_type(detail: impl Into<String>, accepted: &'static [&'static str]) -> Self {
        let title = "The media type is not known here";
        let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", title, detail);
        Problem { accepted, ..problem }
    }

    pub(crate) fn busy(detail: impl Into<String>, retry_after: Duration) -> Self {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", "The host is busy", detail);
        Problem { retry_after: Some(retry_after), ..problem }.hint("send the same again after Retry-After")
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let title = "The host can't take events now";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, detail)
    }

    pub(crate) fn at(self, index: usize) -> Self {
        Problem { index: Some(index), ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Problem { hint: Some(hint.into()), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
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

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
