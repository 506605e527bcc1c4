//! Actions to a webhook: a CloudEvent in JSON, signed as Standard Webhooks asks
//! (<https://www.standardwebhooks.com>).

mod retry_after;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carpe::{Answer, Data, Delivery, Reply, Sink};
use reqwest::{Client, Response, StatusCode, Url, header};
use tokio::runtime::Handle;

use super::text::printable;
use crate::Secret;
use crate::media_type::is_json;

/// What is kept of an answer; one that is longer is not kept at all.
const ANSWER_BYTES: usize = 64 << 10;
const ANSWER_SHOWN: usize = 200;
/// Standard Webhooks: a key has 24 to 64 bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const USER_AGENT: &str = concat!("carpe/", env!("CARGO_PKG_VERSION"));

/// Sends each action to a URL by POST.
///
/// - `2xx`: delivered, with the answer's body (up to 64 KiB) for the rule.
/// - `410 Gone`: rejected, and so is every later action until the host starts again, without a request:
///   the receiver wants no more. See [`Webhook::is_gone`].
/// - other `4xx`, except 408, 425 and 429: rejected, since the same request would be refused again.
/// - anything else, and no answer: again, not before `Retry-After` if the answer has one. Redirects are
///   not followed: a signed request goes to whom it was meant for.
#[derive(Clone)]
pub struct Webhook(Arc<Inner>);

struct Inner {
    name: String,
    url: Url,
    signer: Option<standardwebhooks::Webhook>,
    timeout: Duration,
    client: Client,
    runtime: Handle,
    gone: AtomicBool,
}

/// Why a webhook can't be set up. None of these shows the URL's path, which may hold a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// Not a URL to send to.
    #[error("its `url` is not an http or https URL: {reason}")]
    Url {
        /// What's wrong.
        reason: String,
    },
    /// Not a Standard Webhooks secret.
    #[error(
        "its `secret` is not `whsec_` and then 24 to 64 bytes in base64: \
         make one by `echo whsec_$(head -c 32 /dev/urandom | base64)`"
    )]
    Secret,
    /// TLS can't be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl Webhook {
    /// A webhook that is called `name` in the log. `secret` is `whsec_...`; none: requests are not signed.
    /// A try takes at most `timeout`. Requests run on `runtime`.
    pub fn new(
        name: impl Into<String>,
        url: &str,
        secret: Option<&Secret>,
        timeout: Duration,
        runtime: Handle,
    ) -> Result<Self, WebhookError> {
        let url = Url::parse(url).map_err(|error| WebhookError::Url { reason: error.to_string() })?;
        let client = match url.scheme() {
            "https" => Client::builder(),
            // Without TLS the system's certificates need not be there.
            "http" => Client::builder().tls_certs_only([]),
            other => return Err(WebhookError::Url { reason: format!("its scheme is `{other}`") }),
        };
        let client = client
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            // No variable of the environment says where a signed request goes.
            .no_proxy()
            .referer(false)
            .build()
            .map_err(WebhookError::Client)?;
        let signer = secret.map(signer).transpose()?;
        let (name, gone) = (name.into(), AtomicBool::new(false));
        Ok(Webhook(Arc::new(Inner { name, url, signer, timeout, client, runtime, gone })))
    }

    /// Whether the receiver has answered `410 Gone` since the host started: then nothing is sent any more.
    pub fn is_gone(&self) -> bool {
        self.0.gone.load(Ordering::Relaxed)
    }
}

impl Sink for Webhook {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        if self.is_gone() {
            return reply.send(Answer::Rejected(
                "the receiver has answered 410 Gone: nothing is sent to it until the host starts again"
                    .into(),
                Data::Absent,
            ));
        }
        let webhook = self.0.clone();
        // A task that is dropped, because the runtime ends, drops the reply, which is an answer too.
        self.0.runtime.spawn(async move { reply.send(webhook.send(&delivery).await) });
    }
}

impl Inner {
    async fn send(&self, delivery: &Delivery) -> Answer {
        let body = delivery.event.to_json();
        let timeout = self.timeout.min(delivery.timeout);
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(timeout)
            .header(header::CONTENT_TYPE, "application/cloudevents+json; charset=UTF-8")
            .header(standardwebhooks::HEADER_WEBHOOK_ID, delivery.event.id.as_str());
        if let Some(signer) = &self.signer {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            match signer.sign(&delivery.event.id, seconds, body.as_bytes()) {
                Ok(signature) => {
                    request = request
                        .header(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, seconds)
                        .header(standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signature);
                }
                Err(error) => return again(format!("cannot sign the request: {error}"), None),
            }
        }
        match request.body(body).send().await {
            Ok(response) => self.answer(response).await,
            Err(error) => again(in_words(error, timeout), None),
        }
    }

    async fn answer(&self, response: Response) -> Answer {
        let status = response.status();
        let after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| retry_after::parse(value.to_str().ok()?, SystemTime::now()));
        match class(status) {
            Class::Taken => Answer::Delivered(read(response).await),
            Class::Refused => {
                if status == StatusCode::GONE && !self.gone.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        sink = self.name,
                        "the receiver answered 410 Gone: nothing is sent to it any more"
                    );
                }
                let answer = read(response).await;
                Answer::Rejected(format!("answered {status}{}", quoted(&answer)), answer)
            }
            Class::Moved => again(format!("answered {status}; redirects are not followed"), after),
            Class::Later => {
                let answer = read(response).await;
                again(format!("answered {status}{}", quoted(&answer)), after)
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Taken,
    Refused,
    Moved,
    Later,
}

fn class(status: StatusCode) -> Class {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => Class::Later,
        _ if status.is_success() => Class::Taken,
        _ if status.is_client_error() => Class::Refused,
        _ if status.is_redirection() => Class::Moved,
        _ => Class::Later,
    }
}

/// The answer's body. It is for the rule, if it wants it: if it can't be read, the action was taken all the
/// same.
async fn read(mut response: Response) -> Data {
    let json =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value.to_str().is_ok_and(is_json));
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        if body.len() + piece.len() > ANSWER_BYTES {
            return Data::Absent;
        }
        body.extend_from_slice(&piece);
    }
    if body.is_empty() {
        return Data::Absent;
    }
    if json && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() {
        return match String::from_utf8(body) {
            Ok(text) => Data::Json(text),
            Err(error) => Data::Binary(error.into_bytes().into()),
        };
    }
    Data::Binary(body.into())
}

fn quoted(answer: &Data) -> String {
    let text = match answer {
        Data::Absent => return String::new(),
        Data::Json(text) => text.into(),
        Data::Binary(bytes) => String::from_utf8_lossy(bytes),
    };
    format!(": {}", printable(text.trim(), ANSWER_SHOWN))
}

fn again(reason: String, after: Option<Duration>) -> Answer {
    Answer::Again { reason, after }
}

fn in_words(error: reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {} ms", timeout.as_millis());
    }
    // The URL may hold a secret.
    let error = error.without_url();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

fn signer(secret: &Secret) -> Result<standardwebhooks::Webhook, WebhookError> {
    let base64 = secret.expose().strip_prefix("whsec_").ok_or(WebhookError::Secret)?;
    let bytes = base64.trim_end_matches('=').len() * 3 / 4;
    if !KEY_BYTES.contains(&bytes) {
        return Err(WebhookError::Secret);
    }
    // Its error says which character is wrong: that is part of the secret.
    standardwebhooks::Webhook::new(secret.expose()).map_err(|_| WebhookError::Secret)
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path and the query may hold a secret.
        let origin = self.0.url.origin().ascii_serialization();
        f.debug_struct("Webhook").field("name", &self.0.name).field("origin", &origin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_a_class() {
        for (status, expected) in [
            (200, Class::Taken),
            (204, Class::Taken),
            (302, Class::Moved),
            (400, Class::Refused),
            (404, Class::Refused),
            (410, Class::Refused),
            (408, Class::Later),
            (425, Class::Later),
            (429, Class::Later),
            (500, Class::Later),
            (503, Class::Later),
        ] {
            assert_eq!(class(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }

    #[test]
    fn only_a_proper_secret_signs() {
        let of = |text: &str| signer(&Secret::new(text)).is_ok();
        assert!(of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        assert!(!of("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "no prefix");
        assert!(!of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa"), "22 bytes");
        assert!(!of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL!Sw"), "not base64");
        assert!(!of(&format!("whsec_{}", "A".repeat(100))), "75 bytes");
    }
}
