//! The enterprises behind their webhooks, each on a port of its own. By chance they refuse, decline, fail, close the
//! connection, answer late or never, and get a request twice; and what they do they do before, or long after, anybody
//! waits for the answer.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::books::{Action, Books, Request, Tapped};
use super::{ANSWER_MS, TRY_MS};
use crate::crash::chance::{Chance, hash};
use crate::crash::webhook::{self, Answered, Arrived, answer, listen};
use crate::receiver::SECRET;

/// Who takes the actions whose names begin so.
const NAMES: [&str; 7] = ["identity", "payment", "grocer", "delivery", "loyalty", "support", "viewer"];

/// All enterprises, whoever sees to what is stuck, and the viewers. They listen until the runtime ends.
pub struct Enterprises {
    urls: Vec<String>,
    desk: Arc<Desk>,
}

/// How often requests for an action were treated in which way.
pub type Counts = BTreeMap<String, BTreeMap<&'static str, u64>>;

struct Desk {
    seed: u64,
    webhook: Webhook,
    books: Arc<Mutex<Books>>,
    counts: Mutex<Counts>,
    /// What was begun, and is not in the books yet.
    busy: AtomicUsize,
    /// Requests that are not as they should be.
    strange: Mutex<Vec<String>>,
}

/// How a request is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Conduct {
    name: &'static str,
    /// After how long it is taken; none: not at all.
    taken_after_ms: Option<u64>,
    /// It is taken as something that is not done.
    declines: bool,
    /// After how long the same request comes once more, as if somebody between had repeated it.
    again_after_ms: Option<u64>,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Answer { after_ms: u64 },
    Say(StatusCode),
    Close,
    Nothing,
}

impl Enterprises {
    /// They begin to listen.
    pub fn open(runtime: &Runtime, seed: u64, books: Arc<Mutex<Books>>) -> Enterprises {
        let desk = Arc::new(Desk {
            seed,
            webhook: Webhook::new(SECRET).expect("a secret"),
            books,
            counts: Mutex::default(),
            busy: AtomicUsize::new(0),
            strange: Mutex::default(),
        });
        let listen_as = |name: &'static str| {
            let desk = Arc::clone(&desk);
            listen(runtime, move |arrived| take(Arc::clone(&desk), name, arrived))
        };
        let urls = NAMES.map(listen_as).into();
        Enterprises { urls, desk }
    }

    /// Their sinks and the routes to them, as in `carpe.toml`.
    pub fn configuration(&self) -> String {
        let sink = |(name, url): (&str, &String)| {
            format!(
                "[sink.{name}]\nkind = 'webhook'\nurl = '{url}'\nsecret = '{SECRET}'\ntimeout_ms = {TRY_MS}\n\
                 [[route]]\naction = '{name}.*'\nsink = '{name}'\n"
            )
        };
        NAMES.into_iter().zip(&self.urls).map(sink).collect()
    }

    /// Whether nothing is begun that is not in the books yet.
    pub fn are_idle(&self) -> bool {
        self.desk.busy.load(Ordering::SeqCst) == 0
    }

    /// How requests were treated.
    pub fn counts(&self) -> Counts {
        self.desk.counts.lock().unwrap().clone()
    }

    /// Requests that were not as they should be.
    pub fn strange(&self) -> Vec<String> {
        self.desk.strange.lock().unwrap().clone()
    }
}

async fn take(desk: Arc<Desk>, enterprise: &'static str, arrived: Arrived) -> Answered {
    let request = match read(&desk.webhook, enterprise, &arrived) {
        Ok(request) => request,
        Err(error) => return Ok(desk.wonder(&error, &arrived)),
    };
    let placed = desk.books.lock().unwrap().arrived(&request);
    let (number, tries) = match placed {
        Ok(place) => place,
        Err(error) => return Ok(desk.wonder(&error, &arrived)),
    };
    let conduct = Conduct::by_chance(desk.seed, &request, number, tries);
    desk.note(&request, tries, &conduct);
    if let Some(after_ms) = conduct.again_after_ms {
        desk.begin(&request, after_ms, conduct.declines);
    }
    let does = match conduct.taken_after_ms {
        Some(after_ms) => desk.begin(&request, after_ms, conduct.declines).await.map_err(io::Error::other)?,
        None => false,
    };
    match conduct.then {
        Then::Answer { after_ms } => {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            Ok(said(&request, does))
        }
        Then::Say(status) => Ok(answer(status)),
        Then::Close => Err(io::Error::other("to be closed")),
        Then::Nothing => std::future::pending().await,
    }
}

/// A request for one of this enterprise's actions, if it is as it should be.
fn read(webhook: &Webhook, enterprise: &str, arrived: &Arrived) -> Result<Request, String> {
    let delivery = webhook::read::<Value>(webhook, arrived)?;
    let action =
        Action::of(&delivery.name).ok_or_else(|| format!("no action is called {}", delivery.name))?;
    if delivery.name.split('.').next() != Some(enterprise) {
        return Err(format!("{} came to {enterprise}", delivery.name));
    }
    let order = delivery.data["order"].as_str().ok_or("it is about no order")?.to_owned();
    Ok(Request { at: arrived.at, key: delivery.id, name: delivery.name, action, order, data: delivery.data })
}

/// What is answered to what was taken: to the first enterprise, who the viewer is to the others.
fn said(request: &Request, does: bool) -> Response<Full<hyper::body::Bytes>> {
    let said = match request.action {
        Action::Does(0) if does => json!({ "customer": Tapped::customer(&request.order) }),
        Action::Does(_) => json!({ "accepted": does }),
        _ => return answer(StatusCode::NO_CONTENT),
    };
    let response = Response::builder().header(CONTENT_TYPE, "application/json");
    response.body(Full::from(said.to_string())).expect("a response")
}

impl Desk {
    /// It is taken after so long, also if by then nobody waits for the answer any more.
    fn begin(self: &Arc<Self>, request: &Request, after_ms: u64, declines: bool) -> JoinHandle<bool> {
        let (desk, request) = (Arc::clone(self), request.clone());
        desk.busy.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            if after_ms > 0 {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
            }
            let does = {
                let mut books = desk.books.lock().unwrap();
                let does = books.take(&request, declines);
                let what = if does { "takes" } else { "declines" };
                books.note(&request.order, webhook::now(), format!("    {what} {}", request.name));
                does
            };
            desk.busy.fetch_sub(1, Ordering::SeqCst);
            does
        })
    }

    fn note(&self, request: &Request, tries: u64, conduct: &Conduct) {
        let Request { name, key, at, data, order, .. } = request;
        let what = format!("{name}, key {key}, request {tries}: {conduct:?}; {data}");
        self.books.lock().unwrap().note(order, *at, what);
        let mut counts = self.counts.lock().unwrap();
        *counts.entry(name.clone()).or_default().entry(conduct.name).or_default() += 1;
    }

    fn wonder(&self, error: &str, arrived: &Arrived) -> Response<Full<hyper::body::Bytes>> {
        let body = String::from_utf8_lossy(&arrived.body);
        self.strange.lock().unwrap().push(format!("{error}: {body}"));
        answer(StatusCode::SERVICE_UNAVAILABLE)
    }
}

impl Conduct {
    const TAKEN: Conduct = Conduct {
        name: "taken",
        taken_after_ms: Some(0),
        declines: false,
        again_after_ms: None,
        then: Then::Answer { after_ms: 0 },
    };

    /// Whether it is refused or declined goes by the order, the action, and which of its keys it is: so it is for
    /// each request of a key. What else befalls it goes by how often it came, too.
    fn by_chance(seed: u64, request: &Request, number: u64, tries: u64) -> Conduct {
        let of_action = seed ^ hash(format!("{} {}", request.order, request.name).as_bytes());
        let mut chance = Chance::new(of_action, 0);
        let refused = Conduct {
            name: "refused",
            taken_after_ms: None,
            then: Then::Say(
                [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::CONFLICT]
                    [usize::try_from(chance.below(3)).unwrap_or(0)],
            ),
            ..Conduct::TAKEN
        };
        let mut declines = false;
        match (request.action, chance.below(100)) {
            (Action::Does(_), 0..3) => return refused,
            (Action::Does(_), 3..7) => declines = true,
            // Nobody is there.
            (Action::Does(_), 7..9) => {
                return Conduct {
                    name: "absent",
                    taken_after_ms: None,
                    then: Then::Nothing,
                    ..Conduct::TAKEN
                };
            }
            // It always takes longer than anybody waits: what undoes it comes first.
            (Action::Does(_), 9..13) => {
                let taken_after_ms = Some(ANSWER_MS + chance.below(ANSWER_MS));
                return Conduct { name: "taken too late", taken_after_ms, ..Conduct::TAKEN };
            }
            (Action::Undoes(_), 0..5) if number == 1 => return refused,
            (Action::Undoes(_), 5..8) => return refused,
            // A viewer can always be told, sooner or later.
            _ => {}
        }
        let conduct = Conduct::of_try(&mut Chance::new(of_action, 1_000 * number + tries));
        if !declines || conduct.taken_after_ms.is_none() {
            return conduct;
        }
        Conduct {
            name: if conduct == Conduct::TAKEN { "declined" } else { conduct.name },
            declines,
            ..conduct
        }
    }

    fn of_try(chance: &mut Chance) -> Conduct {
        let taken = Conduct::TAKEN;
        match chance.below(100) {
            0..56 => taken,
            56..66 => Conduct { name: "slow", then: Then::Answer { after_ms: chance.below(300) }, ..taken },
            66..71 => Conduct {
                name: "failed",
                taken_after_ms: None,
                then: Then::Say(StatusCode::SERVICE_UNAVAILABLE),
                ..taken
            },
            71..75 => Conduct {
                name: "failed after taken",
                then: Then::Say(StatusCode::INTERNAL_SERVER_ERROR),
                ..taken
            },
            75..80 => Conduct { name: "closed", taken_after_ms: None, then: Then::Close, ..taken },
            80..85 => Conduct { name: "closed after taken", then: Then::Close, ..taken },
            85..88 => {
                let after_ms = TRY_MS + chance.below(ANSWER_MS);
                Conduct { name: "answered late", then: Then::Answer { after_ms }, ..taken }
            }
            88..92 => {
                Conduct { name: "taken late", taken_after_ms: Some(chance.below(2 * ANSWER_MS)), ..taken }
            }
            92..94 => Conduct { name: "silent", taken_after_ms: None, then: Then::Nothing, ..taken },
            94..96 => Conduct { name: "silent after taken", then: Then::Nothing, ..taken },
            _ => Conduct { name: "repeated", again_after_ms: Some(chance.below(2 * ANSWER_MS)), ..taken },
        }
    }
}
