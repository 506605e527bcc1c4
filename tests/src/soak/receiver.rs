//! The other side of a webhook that takes everything at once, and keeps nothing but the books that were asked for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::Deserialize;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::crash::model::Book;
use crate::receiver::SECRET;

/// Takes actions until the runtime ends.
pub struct Receiver {
    /// Where the webhook leads.
    pub url: String,
    desk: Arc<Desk>,
}

struct Desk {
    webhook: Webhook,
    taken: AtomicU64,
    refused: AtomicU64,
    books: Mutex<BTreeMap<String, (u64, Book)>>,
}

#[derive(Deserialize)]
struct Delivery {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    key: String,
    ask: Option<u64>,
    book: Option<Book>,
}

impl Receiver {
    /// Begins to take actions.
    pub fn start(runtime: &Runtime) -> Receiver {
        let desk = Arc::new(Desk {
            webhook: Webhook::new(SECRET).expect("a secret"),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            books: Mutex::default(),
        });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/actions", listener.local_addr().expect("an address"));
        let router = Router::new().route("/actions", post(take)).with_state(Arc::clone(&desk));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Receiver { url, desk }
    }

    /// Actions that were taken, and those that were not as they should be.
    pub fn counts(&self) -> (u64, u64) {
        (self.desk.taken.load(Ordering::Relaxed), self.desk.refused.load(Ordering::Relaxed))
    }

    /// The answers to a question, if they are there for so many keys.
    pub fn books(&self, ask: u64, keys: usize) -> Option<Vec<Book>> {
        let books = self.desk.books.lock().unwrap();
        let answers = books.values().filter(|(of, _)| *of == ask);
        let answers: Vec<Book> = answers.map(|(_, book)| book.clone()).collect();
        (answers.len() == keys).then_some(answers)
    }
}

async fn take(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signed = desk.webhook.verify(&body, &headers).is_ok();
    let Some(delivery) = serde_json::from_slice::<Delivery>(&body).ok().filter(|_| signed) else {
        desk.refused.fetch_add(1, Ordering::Relaxed);
        return StatusCode::BAD_REQUEST;
    };
    desk.taken.fetch_add(1, Ordering::Relaxed);
    let Data { key, ask, book } = delivery.data;
    if let Some(answer) = ask.zip(book) {
        desk.books.lock().unwrap().insert(key, answer);
    }
    StatusCode::NO_CONTENT
}
