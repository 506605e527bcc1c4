//! A flaky webhook receiver: by chance it takes an action, refuses it, says that it cannot now, closes the connection,
//! or answers late. It tells the model of all that it sees.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::Deserialize;
use standardwebhooks::Webhook;
use tokio::runtime::Runtime;

use super::chance::{Chance, hash};
use super::model::{self, Action, Book, Model, Request};
use super::webhook::{self, Answered, Arrived, Delivery, answer};
use crate::receiver::SECRET;

/// Takes actions until the runtime ends.
pub struct Receiver {
    /// Where the webhook leads.
    pub url: String,
    desk: Arc<Desk>,
}

struct Desk {
    seed: u64,
    webhook: Webhook,
    model: Arc<Mutex<Model>>,
    calm: AtomicBool,
    watch: Watch,
    /// How often each action came.
    tries: Mutex<HashMap<String, u64>>,
    /// The books that were asked for: by question, then by key.
    books: Mutex<BTreeMap<u64, BTreeMap<String, Book>>>,
    /// Requests that are none of the ledger's.
    strange: Mutex<Vec<String>>,
}

/// What to do about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Take { after_ms: u64 },
    Refuse,
    NotNow,
    Close { after_ms: u64 },
}

#[derive(Deserialize)]
struct Data {
    key: String,
    n: Option<u64>,
    ask: Option<u64>,
    book: Option<Book>,
}

impl Receiver {
    /// Begins to take actions.
    pub fn start(runtime: &Runtime, seed: u64, model: Arc<Mutex<Model>>) -> Receiver {
        let desk = Arc::new(Desk {
            seed,
            webhook: Webhook::new(SECRET).expect("a secret"),
            model,
            calm: AtomicBool::new(false),
            watch: Watch::start(),
            tries: Mutex::default(),
            books: Mutex::default(),
            strange: Mutex::default(),
        });
        let served = Arc::clone(&desk);
        let url = webhook::listen(runtime, move |arrived| take(Arc::clone(&served), arrived));
        Receiver { url, desk }
    }

    /// From now on it takes or refuses everything at once.
    pub fn calm_down(&self) {
        self.desk.calm.store(true, Ordering::Relaxed);
    }

    /// Panics if a request came that is not as it should be.
    pub fn check(&self) {
        let strange = self.desk.strange.lock().unwrap();
        assert!(strange.is_empty(), "requests are not as they should be: {strange:?}");
    }

    /// The answers to a question, if all these keys' are there.
    pub fn books(&self, ask: u64, keys: usize) -> Option<BTreeMap<String, Book>> {
        let mut books = self.desk.books.lock().unwrap();
        let there = books.get(&ask).is_some_and(|of_ask| of_ask.len() == keys);
        if there { books.remove(&ask) } else { None }
    }

    /// How many requests came, and how many different actions.
    pub fn counts(&self) -> (u64, usize) {
        let tries = self.desk.tries.lock().unwrap();
        (tries.values().sum(), tries.len())
    }
}

async fn take(desk: Arc<Desk>, arrived: Arrived) -> Answered {
    let (delivery, expires) = match read(&desk.webhook, &arrived) {
        Ok(read) => read,
        Err(error) => {
            let body = String::from_utf8_lossy(&arrived.body);
            desk.strange.lock().unwrap().push(format!("{error}: {body}"));
            return Ok(answer(StatusCode::SERVICE_UNAVAILABLE));
        }
    };
    let Data { key, n, ask, book } = delivery.data;
    let action = match (&delivery.name[..], n, ask.zip(book)) {
        ("ledger.answer", None, Some((ask, book))) => {
            desk.books.lock().unwrap().entry(ask).or_default().insert(key, book);
            return Ok(answer(StatusCode::NO_CONTENT));
        }
        ("ledger.note", Some(n), None) => Action::Note(key, n),
        ("ledger.ring", Some(n), None) => Action::Ring(key, n),
        (other, ..) => {
            desk.strange.lock().unwrap().push(format!("no action of the ledger: {other}"));
            return Ok(answer(StatusCode::SERVICE_UNAVAILABLE));
        }
    };
    let may_refuse = matches!(action, Action::Note(..));
    let decided = desk.decide(&delivery.id, may_refuse);
    let request = Request {
        id: delivery.id,
        action,
        body: hash(&arrived.body),
        expires,
        arrived: arrived.at,
        held_up_ms: desk.watch.held_up_ms(),
    };
    let became = match decided {
        Answer::Take { .. } => model::Answered::Taken,
        Answer::Refuse => model::Answered::Refused,
        Answer::NotNow | Answer::Close { .. } => model::Answered::Failed,
    };
    // Before the answer: the host may be killed, or give up, before it hears it.
    desk.model.lock().unwrap().request(request, became);
    match decided {
        Answer::Take { after_ms } => {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            Ok(answer(StatusCode::OK))
        }
        Answer::Refuse => Ok(answer(StatusCode::UNPROCESSABLE_ENTITY)),
        Answer::NotNow => Ok(answer(StatusCode::SERVICE_UNAVAILABLE)),
        Answer::Close { after_ms } => {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            Err(io::Error::other("to be closed"))
        }
    }
}

/// An action and when it expires, if the request is as it should be.
fn read(webhook: &Webhook, arrived: &Arrived) -> Result<(Delivery<Data>, Option<u64>), String> {
    let delivery: Delivery<Data> = webhook::read(webhook, arrived)?;
    let instant = |text: &str| carpe::parse_instant(text).ok_or("its expiry is no instant");
    let expires = delivery.expirytime.as_deref().map(instant).transpose()?;
    Ok((delivery, expires))
}

impl Desk {
    /// By the action and how often it came; whether it is refused, by the action alone.
    fn decide(&self, id: &str, may_refuse: bool) -> Answer {
        let tries = {
            let mut tries = self.tries.lock().unwrap();
            let tries = tries.entry(id.to_owned()).or_default();
            *tries += 1;
            *tries
        };
        let of_action = self.seed ^ hash(id.as_bytes());
        if may_refuse && Chance::new(of_action, 0).percent(4) {
            return Answer::Refuse;
        }
        if self.calm.load(Ordering::Relaxed) {
            return Answer::Take { after_ms: 0 };
        }
        let mut chance = Chance::new(of_action, tries);
        match chance.below(100) {
            0..70 => Answer::Take { after_ms: 0 },
            70..76 => Answer::Take { after_ms: chance.below(100) },
            // Past the time that the host gives a try.
            76 => Answer::Take { after_ms: super::site::TRY_MS + 50 },
            77..90 => Answer::NotNow,
            90..97 => Answer::Close { after_ms: 0 },
            _ => Answer::Close { after_ms: chance.below(50) },
        }
    }
}

/// Knows for how long threads of this process were lately not run though they should have been: a thread that wants to
/// be woken every few milliseconds, and sees by how much it overslept.
struct Watch(Arc<Mutex<VecDeque<(Instant, u64)>>>);

impl Watch {
    const EVERY: Duration = Duration::from_millis(5);
    const LATELY: Duration = Duration::from_secs(2);

    fn start() -> Watch {
        let held_up = Arc::<Mutex<VecDeque<(Instant, u64)>>>::default();
        let noted: Weak<_> = Arc::downgrade(&held_up);
        std::thread::spawn(move || {
            loop {
                let begun = Instant::now();
                std::thread::sleep(Watch::EVERY);
                let Some(held_up) = noted.upgrade() else { return };
                let overslept = begun.elapsed().saturating_sub(Watch::EVERY);
                let mut held_up = held_up.lock().unwrap();
                held_up.push_back((begun, u64::try_from(overslept.as_millis()).unwrap_or(u64::MAX)));
                while held_up.front().is_some_and(|(at, _)| at.elapsed() > Watch::LATELY) {
                    held_up.pop_front();
                }
            }
        });
        Watch(held_up)
    }

    fn held_up_ms(&self) -> u64 {
        self.0.lock().unwrap().iter().map(|(_, ms)| *ms).max().unwrap_or(0)
    }
}
