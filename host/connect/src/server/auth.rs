//! Bearer tokens (RFC 6750).

use axum::http::{HeaderMap, header};

use crate::Secret;
use crate::server::problem::Problem;

/// Whether the request may pass: it carries the token, or none is asked for.
pub(crate) fn authorise(headers: &HeaderMap, token: Option<&Secret>) -> Result<(), Problem> {
    let Some(token) = token else { return Ok(()) };
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(Problem::unauthorised("one header `Authorization: Bearer TOKEN` is needed"));
    };
    match bearer(value.as_bytes()) {
        Some(given) if token.matches(given) => Ok(()),
        Some(_) => Err(Problem::unauthorised("the token in `Authorization` is not the one of this host")),
        None => Err(Problem::unauthorised("`Authorization` must be `Bearer TOKEN`")),
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_token_passes() {
        let token = Secret::new("abc");
        let passes = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            authorise(&headers, Some(&token)).is_ok()
        };
        assert!(passes(&["Bearer abc"]) && passes(&["bearer  abc"]));
        for wrong in ["Bearer abd", "Bearer ", "Bearer", "Basic abc", "abc", "", "Bearer abc x"] {
            assert!(!passes(&[wrong]), "{wrong:?}");
        }
        assert!(!passes(&[]) && !passes(&["Bearer abc", "Bearer abc"]));
        assert!(authorise(&HeaderMap::new(), None).is_ok());
    }
}
