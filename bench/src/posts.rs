//! Requests with events, sent over connections that are kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long whoever is told to come back waits.
const WAIT: Duration = Duration::from_millis(5);

/// A request that is prepared.
pub(crate) struct Post {
    headers: HeaderMap,
    body: Bytes,
}

impl Post {
    pub(crate) fn new(headers: &[(&'static str, &str)], body: String) -> Result<Post> {
        let mut map = HeaderMap::new();
        map.insert(HOST, HeaderValue::from_static("localhost"));
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
        }
        Ok(Post { headers: map, body: body.into() })
    }

    /// One event in JSON.
    pub(crate) fn structured(event: String) -> Result<Post> {
        Post::new(&[("content-type", "application/cloudevents+json")], event)
    }
}

/// A connection.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// To an address, with or without `http://`.
    pub(crate) async fn open(address: &str) -> Result<Connection> {
        let address: SocketAddr = address.trim_start_matches("http://").trim_end_matches('/').parse()?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection(sender))
    }

    /// Sends until it is accepted. Returns how often it was told to come back.
    pub(crate) async fn send(&mut self, post: &Post) -> Result<usize> {
        let mut refused = 0;
        loop {
            let mut request = Request::new(Full::new(post.body.clone()));
            *request.method_mut() = Method::POST;
            request.headers_mut().clone_from(&post.headers);
            self.0.ready().await?;
            let answer = self.0.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            match status {
                StatusCode::ACCEPTED => return Ok(refused),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => refused += 1,
                _ => bail!("the answer is {status}: {}", String::from_utf8_lossy(&body)),
            }
            tokio::time::sleep(WAIT).await;
        }
    }
}

/// Sends all over so many connections, each the next when the last is answered. Returns how long it took.
pub(crate) async fn send_all(address: &str, connections: usize, posts: &Arc<Vec<Post>>) -> Result<Duration> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let senders: Vec<_> = open
        .into_iter()
        .map(|mut connection| {
            let (posts, next) = (Arc::clone(posts), Arc::clone(&next));
            tokio::spawn(async move {
                while let Some(post) = posts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    connection.send(post).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for sender in senders {
        sender.await.context("a sender")??;
    }
    Ok(begun.elapsed())
}

/// What all of it runs on.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
