//! The listening side of a webhook, which may do what a web framework never does: close a connection without an answer.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A request whose body is there.
pub struct Arrived {
    /// When its head was read: milliseconds since the Unix epoch.
    pub at: u64,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An action, as it comes. `D` is its data.
#[derive(Deserialize)]
pub struct Delivery<D> {
    /// Its idempotency key.
    pub id: String,
    /// Which action it is.
    #[serde(rename = "type")]
    pub name: String,
    /// When its moment expires.
    pub expirytime: Option<String>,
    /// What it says.
    pub data: D,
}

/// What is answered. `Err`: the connection is closed.
pub type Answered = io::Result<Response<Full<Bytes>>>;

/// Listens on a free port until the runtime ends. Returns the URL. An answer that nobody waits for any more is not
/// worked out to its end.
pub fn listen<A>(runtime: &Runtime, answer: impl Fn(Arrived) -> A + Clone + Send + 'static) -> String
where
    A: Future<Output = Answered> + Send + 'static,
{
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let url = format!("http://{}/actions", listener.local_addr().expect("an address"));
    runtime.spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.expect("a connection");
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| take(answer.clone(), request));
                // An error is a connection that is to be closed, or whose other end was killed.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
            });
        }
    });
    url
}

async fn take<A: Future<Output = Answered>>(
    answer: impl Fn(Arrived) -> A,
    request: Request<Incoming>,
) -> Answered {
    let at = now();
    let (head, body) = request.into_parts();
    // Killed in the middle: that was no request.
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    answer(Arrived { at, headers: head.headers, body }).await
}

/// An action, if the request is as it should be.
pub fn read<D: DeserializeOwned>(webhook: &Webhook, arrived: &Arrived) -> Result<Delivery<D>, String> {
    webhook.verify(&arrived.body, &arrived.headers).map_err(|error| error.to_string())?;
    let delivery: Delivery<D> = serde_json::from_slice(&arrived.body).map_err(|error| error.to_string())?;
    if arrived.headers["webhook-id"] != delivery.id[..] {
        return Err("the id of the request is not that of the action".to_owned());
    }
    Ok(delivery)
}

/// An answer with no body.
pub fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// The wall clock, which the host goes by too.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("in this age")
}
