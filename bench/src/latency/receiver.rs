//! Where actions arrive: an endpoint in this process, which notes when.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver as Queue, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use serde::Deserialize;

/// An endpoint for webhooks.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    arrivals: Queue<(u64, Instant)>,
    seen: HashMap<u64, Instant>,
}

#[derive(Deserialize)]
struct Action {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    n: u64,
}

impl Receiver {
    pub(super) async fn open() -> Result<Receiver> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (sender, arrivals) = channel();
        let router = Router::new().route("/", post(take)).with_state(sender);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Receiver { address, arrivals, seen: HashMap::new() })
    }

    /// When each of so many arrived first. `None` if for some time none has.
    pub(super) fn all_of(&mut self, first: u64, count: u64, wait: Duration) -> Result<Option<Vec<Instant>>> {
        loop {
            if self.seen.len() as u64 == count {
                let all =
                    (first..first + count).filter_map(|n| self.seen.get(&n).copied()).collect::<Vec<_>>();
                self.seen.clear();
                if all.len() as u64 != count {
                    bail!("others arrived than {first} and {count} from there");
                }
                return Ok(Some(all));
            }
            match self.arrivals.recv_timeout(wait) {
                // One that comes again is of a load before, or not the first.
                Ok((n, _)) if n < first => {}
                Ok((n, at)) => {
                    self.seen.entry(n).or_insert(at);
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => bail!("the receiver has ended"),
            }
        }
    }
}

async fn take(State(arrivals): State<Sender<(u64, Instant)>>, body: Bytes) -> StatusCode {
    let at = Instant::now();
    match serde_json::from_slice::<Action>(&body) {
        Ok(action) if arrivals.send((action.data.n, at)).is_ok() => StatusCode::NO_CONTENT,
        _ => StatusCode::BAD_REQUEST,
    }
}
