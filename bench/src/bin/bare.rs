//! The limit of intake: events over HTTP, parsed and thrown away, by a handler that does nothing else.
//!
//! `bare`: prints where it listens, and serves until it is killed.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::io::{self, Write};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// As Carpe has it, so that it makes no difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is parsed is only looked at by the optimiser")]
struct Event {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: Option<String>,
    time: Option<String>,
    data: Option<Box<RawValue>>,
}

#[expect(dead_code, reason = "what is read is only looked at by the optimiser")]
struct Binary {
    specversion: String,
    id: String,
    source: String,
    kind: String,
    subject: Option<String>,
    time: Option<String>,
    data: Bytes,
}

fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut out = io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        let router = Router::new().route("/", post(take)).layer(DefaultBodyLimit::max(8 << 20));
        axum::serve(listener, router).await
    })
}

async fn take(headers: HeaderMap, body: Bytes) -> StatusCode {
    let parsed = match headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes()) {
        Some(b"application/cloudevents-batch+json") => {
            serde_json::from_slice::<Vec<Event>>(&body).is_ok_and(|events| !black_box(events).is_empty())
        }
        Some(b"application/cloudevents+json") => {
            serde_json::from_slice::<Event>(&body).map(black_box).is_ok()
        }
        _ => binary(&headers, body).map(black_box).is_some(),
    };
    if parsed { StatusCode::ACCEPTED } else { StatusCode::BAD_REQUEST }
}

fn binary(headers: &HeaderMap, data: Bytes) -> Option<Binary> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Some(Binary {
        specversion: text("ce-specversion")?,
        id: text("ce-id")?,
        source: text("ce-source")?,
        kind: text("ce-type")?,
        subject: text("ce-subject"),
        time: text("ce-time"),
        data,
    })
}
