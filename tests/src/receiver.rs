//! A webhook's other side: it takes actions, and verifies who signed them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What the receivers of tests share with their senders.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request that was signed as it should be.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its `webhook-id`: the action's idempotency key.
    pub id: String,
    /// The action, as a CloudEvent in JSON.
    pub action: Value,
    /// How it was answered.
    pub answer: StatusCode,
}

/// Takes actions over HTTP until it is dropped.
pub struct Receiver {
    url: String,
    requests: Arc<Requests>,
    _runtime: Runtime,
}

/// The answer to an action, by its name and by how often it came before.
type Answering = dyn Fn(&str, usize) -> StatusCode + Send + Sync;

struct Requests {
    webhook: Webhook,
    taken: Mutex<Vec<Request>>,
    unsigned: Mutex<Vec<String>>,
    answer: Box<Answering>,
}

impl Receiver {
    /// Takes every action at once.
    pub fn start() -> Receiver {
        Receiver::answering(|_, _| StatusCode::NO_CONTENT)
    }

    /// Answers by the action's name, and by how often it came before.
    pub fn answering(answer: impl Fn(&str, usize) -> StatusCode + Send + Sync + 'static) -> Receiver {
        let requests = Arc::new(Requests {
            webhook: Webhook::new(SECRET).expect("a secret"),
            taken: Mutex::default(),
            unsigned: Mutex::default(),
            answer: Box::new(answer),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/actions", listener.local_addr().expect("an address"));
        let router = Router::new().route("/actions", post(take)).with_state(Arc::clone(&requests));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Receiver { url, requests, _runtime: runtime }
    }

    /// The sink `hook` that leads here, and the routes of these actions to it, as in `carpe.toml`.
    pub fn configuration(&self, actions: &[&str]) -> String {
        let sink = format!("[sink.hook]\nkind = 'webhook'\nurl = '{}'\nsecret = '{SECRET}'\n", self.url);
        let route = |action: &&str| format!("[[route]]\naction = '{action}'\nsink = 'hook'\n");
        sink + &actions.iter().map(route).collect::<String>()
    }

    /// All requests so far, in order. Panics if one was not signed as it should be.
    pub fn requests(&self) -> Vec<Request> {
        let unsigned = self.requests.unsigned.lock().unwrap();
        assert!(unsigned.is_empty(), "not signed as it should be: {unsigned:?}");
        self.requests.taken.lock().unwrap().clone()
    }

    /// The requests that were taken.
    pub fn taken(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.answer.is_success()).collect()
    }
}

async fn take(State(requests): State<Arc<Requests>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let verified = requests.webhook.verify(&body, &headers).map_err(|error| error.to_string());
    let action =
        verified.and_then(|()| serde_json::from_slice::<Value>(&body).map_err(|error| error.to_string()));
    let action = match action {
        Ok(action) => action,
        Err(error) => {
            requests.unsigned.lock().unwrap().push(format!("{error}: {}", String::from_utf8_lossy(&body)));
            return StatusCode::UNAUTHORIZED;
        }
    };
    let id = headers["webhook-id"].to_str().unwrap_or_default().to_owned();
    let mut taken = requests.taken.lock().unwrap();
    let before = taken.iter().filter(|request| request.id == id).count();
    let name = action["type"].as_str().unwrap_or_default();
    let answer = (requests.answer)(name, before);
    taken.push(Request { id, action, answer });
    answer
}
