//! Where the demo's actions arrive: a webhook receiver that checks every signature.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use carpe::{Instant, parse_instant};
use serde::Deserialize;
use standardwebhooks::Webhook;

/// What has arrived.
#[derive(Default)]
pub(super) struct Arrived {
    ids: HashSet<String>,
    /// The same action again: allowed, since delivery is at least once.
    pub(super) repeated: u64,
    /// Requests whose signature was wrong.
    pub(super) forged: u64,
    /// Milliseconds from what happened to the arrival of the action, each action once.
    pub(super) latencies_ms: Vec<f64>,
    /// Actions by name.
    pub(super) actions: BTreeMap<String, u64>,
    /// Doses that nurses were reminded of.
    pub(super) reminders: BTreeSet<String>,
}

impl Arrived {
    /// Different actions.
    pub(super) fn count(&self) -> u64 {
        self.ids.len() as u64
    }
}

/// A receiver that runs until the runtime ends.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    /// What requests are signed with.
    pub(super) secret: String,
    arrived: Arc<Mutex<Arrived>>,
}

/// The action as it comes.
#[derive(Deserialize)]
struct Action {
    id: String,
    #[serde(rename = "type")]
    name: String,
    time: String,
    data: Details,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    dose: Option<String>,
}

struct Desk {
    signatures: Webhook,
    arrived: Arc<Mutex<Arrived>>,
}

impl Receiver {
    pub(super) async fn start() -> anyhow::Result<Receiver> {
        let key: [u8; 32] = rand::random();
        let secret = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(key));
        let arrived = Arc::<Mutex<Arrived>>::default();
        let signatures = Webhook::new(&secret).context("the demo's secret is none")?;
        let desk = Arc::new(Desk { signatures, arrived: arrived.clone() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.context("cannot listen for the demo's webhook")?;
        let address = listener.local_addr().context("cannot listen for the demo's webhook")?;
        let router = Router::new().route("/", post(receive)).with_state(desk);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Receiver { address, secret, arrived })
    }

    pub(super) fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let now = now_ms();
    let mut arrived = desk.arrived.lock().unwrap_or_else(PoisonError::into_inner);
    if desk.signatures.verify(&body, &headers).is_err() {
        arrived.forged += 1;
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(action) = serde_json::from_slice::<Action>(&body) else { return StatusCode::BAD_REQUEST };
    if !arrived.ids.insert(action.id) {
        arrived.repeated += 1;
        return StatusCode::OK;
    }
    if let Some(happened) = parse_instant(&action.time) {
        arrived.latencies_ms.push((now - happened as f64).max(0.0));
    }
    if action.name == "remind.nursing" {
        arrived.reminders.extend(action.data.dose);
    }
    *arrived.actions.entry(action.name).or_default() += 1;
    StatusCode::OK
}

/// The wall clock, in milliseconds with fractions.
pub(super) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// The same, as events have it.
pub(super) fn now() -> Instant {
    now_ms() as Instant
}
