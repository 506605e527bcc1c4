//! What requests say: names in paths, queries, and the bodies of those that change something.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Shown;
use crate::server::body::linger;
use crate::server::problem::Problem;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the path names.
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named = Path::from_request_parts(parts, state).await;
        named.map(|Path(named)| Named(named)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// What the query asks for.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let asked = Query::from_request_parts(parts, state).await;
        asked.map(|Query(asked)| Asked(asked)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// What a request wants to have changed.
pub(super) trait Order: DeserializeOwned {
    /// Bytes that it may have.
    const BYTES: usize = 64 << 10;
}

/// An order that says all by its path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoMore {}

impl Order for NoMore {}

/// The body of a request that changes something.
///
/// Where no token is asked for, whoever can connect may send one, so also each web page that is open in a browser on
/// this machine. A browser says with every POST from which page it comes, and asks first before it sends JSON to
/// somewhere else; both are refused.
pub(super) struct Posted<T>(pub(super) T);

impl<T: Order> FromRequest<Arc<Shown>> for Posted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shown: &Arc<Shown>) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let room = from_no_page(&head.headers)
            .and_then(|()| shown.budget.reserve(&head.headers, T::BYTES, "the body"));
        let room = match room {
            Ok(room) => room,
            Err(problem) => {
                linger(body).await;
                return Err(problem);
            }
        };
        let bytes = room.read(body, BODY_TIMEOUT).await?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let order = serde_json::from_slice(text);
        order.map(Posted).map_err(|error| Problem::bad_request(format!("the body can't be read: {error}")))
    }
}

fn from_no_page(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Problem::forbidden("a web page may change nothing here: there is an `Origin`"));
    }
    let of_type = |value: &str| value.split(';').next().map(|name| name.trim().to_ascii_lowercase());
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| of_type(value.to_str().ok()?));
    if given.as_deref() != Some("application/json") {
        let detail = "what changes something needs `Content-Type: application/json`";
        return Err(Problem::media_type(detail, &["application/json"]));
    }
    Ok(())
}
