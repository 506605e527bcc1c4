//! Where an enterprise takes requests: signatures are checked, and what it has answered it answers again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rand::rngs::StdRng;
use standardwebhooks::Webhook;
use tokio::net::{TcpListener, TcpStream};

use super::super::feed::{now, now_ms};
use super::action::{Action, Arrival};
use super::manners::{Manners, Mood};
use super::{Reply, Trade};

#[derive(Clone)]
pub(in super::super) struct Desk(Arc<Inner>);

struct Inner {
    signatures: Webhook,
    manners: Manners,
    state: Mutex<Work>,
}

struct Work {
    trade: Box<dyn Trade>,
    chance: StdRng,
    /// When the first request came.
    first: Option<Instant>,
    /// What was answered, and to what, by idempotency key.
    answered: HashMap<String, (Bytes, Reply)>,
    /// What was asked for, by idempotency key.
    arrived: HashMap<String, Arrival>,
    tally: Tally,
}

/// What a desk saw.
#[derive(Clone, Default)]
pub(in super::super) struct Tally {
    pub(in super::super) requests: u64,
    /// Different actions that were taken, and that were refused.
    pub(in super::super) taken: u64,
    pub(in super::super) refused: u64,
    /// The same action again: allowed, since delivery is at least once.
    pub(in super::super) repeated: u64,
    /// A key that came with another content than before: never allowed.
    pub(in super::super) conflicting: u64,
    /// Requests whose signature was wrong.
    pub(in super::super) forged: u64,
    pub(in super::super) busy: u64,
    pub(in super::super) cut: u64,
    pub(in super::super) late: u64,
    /// Milliseconds from what happened to the arrival of an action that was taken, each once.
    pub(in super::super) latencies_ms: Vec<f64>,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Tally) {
        self.requests += other.requests;
        self.taken += other.taken;
        self.refused += other.refused;
        self.repeated += other.repeated;
        self.conflicting += other.conflicting;
        self.forged += other.forged;
        self.busy += other.busy;
        self.cut += other.cut;
        self.late += other.late;
        self.latencies_ms.extend(&other.latencies_ms);
    }
}

/// The connection is to end without an answer.
#[derive(Clone, Copy)]
struct Cut;

impl Desk {
    pub(super) fn new(
        secret: &str,
        manners: Manners,
        trade: Box<dyn Trade>,
        chance: StdRng,
    ) -> anyhow::Result<Desk> {
        let signatures = Webhook::new(secret).context("the demo's secret is none")?;
        let work = Work {
            trade,
            chance,
            first: None,
            answered: HashMap::new(),
            arrived: HashMap::new(),
            tally: Tally::default(),
        };
        Ok(Desk(Arc::new(Inner { signatures, manners, state: Mutex::new(work) })))
    }

    /// Takes requests on a free port, until the runtime ends.
    pub(super) async fn open(&self) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", post(receive)).with_state(self.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, router.clone()));
            }
        });
        Ok(address)
    }

    pub(super) fn tally(&self) -> Tally {
        self.work().tally.clone()
    }

    /// What it was asked for so far, each once, also if it was too busy to take it.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.work().arrived.values().cloned().collect()
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `axum::serve` always answers; this one can also end the connection.
async fn serve(stream: TcpStream, router: Router) {
    let routed = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let answer = routed.call(request);
        async move {
            let Ok(answer) = answer.await;
            match answer.extensions().get::<Cut>() {
                None => Ok(answer),
                Some(Cut) => Err(std::io::Error::other("the enterprise ends the connection")),
            }
        }
    });
    // It ends as the client or the enterprise wants it.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn receive(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    let (mood, answer) = desk.judge(&headers, &body);
    match mood {
        Mood::Busy | Mood::Well => answer,
        Mood::Late(by) => {
            tokio::time::sleep(by).await;
            answer
        }
        Mood::Cut | Mood::CutAfter => {
            let mut answer = answer;
            answer.extensions_mut().insert(Cut);
            answer
        }
    }
}

impl Desk {
    fn judge(&self, headers: &HeaderMap, body: &Bytes) -> (Mood, Response) {
        let mut work = self.work();
        let Work { trade, chance, first, answered, arrived, tally } = &mut *work;
        tally.requests += 1;
        if self.0.signatures.verify(body, headers).is_err() {
            tally.forged += 1;
            return (Mood::Well, StatusCode::UNAUTHORIZED.into_response());
        }
        let Ok(action) = serde_json::from_slice::<Action>(body) else {
            return (Mood::Well, StatusCode::BAD_REQUEST.into_response());
        };
        if let Some((before, reply)) = answered.get(&action.id) {
            tally.repeated += 1;
            tally.conflicting += u64::from(before != body);
            return (Mood::Well, reply.clone().into_response());
        }
        arrived.entry(action.id.clone()).or_insert_with(|| Arrival { action: action.clone(), at: now() });
        let since = first.get_or_insert_with(Instant::now).elapsed();
        let mood = self.0.manners.mood(since, chance);
        match mood {
            Mood::Well => {}
            Mood::Busy => tally.busy += 1,
            Mood::Cut | Mood::CutAfter => tally.cut += 1,
            Mood::Late(_) => tally.late += 1,
        }
        if matches!(mood, Mood::Busy | Mood::Cut) {
            return (mood, StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        let reply = trade.take(&action, chance);
        match &reply {
            Reply::Taken(_) => {
                tally.taken += 1;
                tally.latencies_ms.push((now_ms() - action.time as f64).max(0.0));
            }
            Reply::Refused(_) => tally.refused += 1,
        }
        answered.insert(action.id, (body.clone(), reply.clone()));
        (mood, reply.into_response())
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Reply::Taken(answer) => Json(answer).into_response(),
            Reply::Refused(answer) => (StatusCode::CONFLICT, Json(answer)).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use serde_json::json;

    use super::super::takers::Takes;
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// A desk with a request, as it comes when all goes well.
    fn desk() -> Desk {
        let trade = Box::new(Takes { refuses: 0.0 });
        Desk::new(SECRET, Manners::PERFECT, trade, StdRng::seed_from_u64(1)).unwrap()
    }

    fn body(data: u64) -> Bytes {
        json!({ "id": "key-1", "type": "lamp.on", "time": "2026-01-01T08:00:00Z", "data": data })
            .to_string()
            .into()
    }

    fn signed(body: &Bytes) -> HeaderMap {
        let seconds = (now_ms() / 1_000.0) as i64;
        let signature = Webhook::new(SECRET).unwrap().sign("key-1", seconds, body).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(standardwebhooks::HEADER_WEBHOOK_ID, "key-1".parse().unwrap());
        headers.insert(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, seconds.into());
        headers.insert(standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signature.parse().unwrap());
        headers
    }

    #[test]
    fn what_comes_again_is_done_once_and_another_content_is_noticed() {
        let (desk, first, other) = (desk(), body(1), body(2));
        for body in [&first, &first, &other] {
            assert_eq!(desk.judge(&signed(body), body).1.status(), StatusCode::OK);
        }
        let tally = desk.tally();
        assert_eq!((tally.requests, tally.taken, tally.repeated, tally.conflicting), (3, 1, 2, 1));
        assert_eq!(desk.arrivals().len(), 1);
    }

    #[test]
    fn what_is_not_signed_is_not_done() {
        let (desk, first, other) = (desk(), body(1), body(2));
        assert_eq!(desk.judge(&signed(&other), &first).1.status(), StatusCode::UNAUTHORIZED);
        let tally = desk.tally();
        assert_eq!((tally.forged, tally.taken), (1, 0));
        assert!(desk.arrivals().is_empty());
    }
}
