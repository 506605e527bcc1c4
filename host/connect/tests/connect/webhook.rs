use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use carpe::journal::ActionId;
use carpe::{Answer, Data, Delivery, Event, Reply, Sink};
use carpe_connect::Secret;
use carpe_connect::sinks::Webhook;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver that answers as it is told, in turn, and remembers what it got.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    got: Vec<(HeaderMap, Bytes)>,
    answers: Vec<fn() -> Response>,
}

impl Receiver {
    /// Its URL, and itself.
    async fn start(answers: Vec<fn() -> Response>) -> (String, Self) {
        let receiver = Receiver::default();
        receiver.0.lock().unwrap().answers = answers;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook/t0ken", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/hook/t0ken", post(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, receiver)
    }

    fn got(&self) -> Vec<(HeaderMap, Bytes)> {
        self.0.lock().unwrap().got.clone()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let mut inner = receiver.0.lock().unwrap();
    inner.got.push((headers, body));
    if inner.answers.is_empty() { StatusCode::OK.into_response() } else { inner.answers.remove(0)() }
}

fn webhook(url: &str) -> Webhook {
    Webhook::new("ops", url, Some(&Secret::new(SECRET)), Duration::from_secs(10), Handle::current()).unwrap()
}

async fn deliver(sink: &impl Sink) -> Answer {
    let id = ActionId([7; 16]);
    let event =
        Event::new("0707-key", "/carpe/flood-alert", "residents.notify").with_json(r#"{"level": 4.20}"#);
    let (sender, receiver) = oneshot::channel();
    let reply = Reply::new(|answer| sender.send(answer).unwrap());
    sink.deliver(Delivery::new(id, Arc::new(event), Duration::from_secs(10)), reply);
    receiver.await.unwrap()
}

#[tokio::test]
async fn an_action_arrives_signed_and_its_answer_comes_back() {
    let (url, receiver) = Receiver::start(vec![
        || ([("content-type", "application/json")], r#"{"ticket": 1.0}"#).into_response(),
        || StatusCode::NO_CONTENT.into_response(),
        || "thanks".into_response(),
        || ([("content-type", "application/json")], "{broken").into_response(),
        || vec![b'x'; 70_000].into_response(),
    ])
    .await;
    let sink = webhook(&url);
    assert_eq!(deliver(&sink).await, Answer::Delivered(Data::Json(r#"{"ticket": 1.0}"#.into())));
    assert_eq!(deliver(&sink).await, Answer::Delivered(Data::Absent));
    assert_eq!(deliver(&sink).await, Answer::Delivered(Data::Binary("thanks".into())));
    assert_eq!(deliver(&sink).await, Answer::Delivered(Data::Binary("{broken".into())));
    assert_eq!(deliver(&sink).await, Answer::Delivered(Data::Absent), "longer than is kept");

    for (headers, body) in receiver.got() {
        standardwebhooks::Webhook::new(SECRET).unwrap().verify(&body, &headers).unwrap();
        assert_eq!(headers["webhook-id"], "0707-key");
        assert_eq!(headers["content-type"], "application/cloudevents+json; charset=UTF-8");
        let event = Event::from_json(&body, 10_000).unwrap();
        assert_eq!((event.id.as_str(), event.kind.as_str()), ("0707-key", "residents.notify"));
        assert_eq!(event.data, Data::Json(r#"{"level": 4.20}"#.into()));
    }
}

#[tokio::test]
async fn refusals_are_for_good_and_troubles_are_not() {
    let (url, receiver) = Receiver::start(vec![
        || (StatusCode::UNPROCESSABLE_ENTITY, "no such\nresident").into_response(),
        || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], "").into_response(),
        || StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        || {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")], "")
                .into_response()
        },
        || (StatusCode::TEMPORARY_REDIRECT, [("location", "/hook/t0ken")], "").into_response(),
        || StatusCode::GONE.into_response(),
    ])
    .await;
    let sink = webhook(&url);
    let again = |reason: &str, after| Answer::Again { reason: reason.into(), after };
    let refused = deliver(&sink).await;
    let words = "answered 422 Unprocessable Entity: no such\\nresident";
    assert_eq!(refused, Answer::Rejected(words.into(), Data::Binary("no such\nresident".into())));
    assert_eq!(deliver(&sink).await, again("answered 429 Too Many Requests", Some(Duration::from_secs(7))));
    assert_eq!(deliver(&sink).await, again("answered 500 Internal Server Error", None));
    assert_eq!(deliver(&sink).await, again("answered 503 Service Unavailable", Some(Duration::ZERO)));
    let moved = "answered 307 Temporary Redirect; redirects are not followed";
    assert_eq!(deliver(&sink).await, again(moved, None));

    assert!(!sink.is_gone());
    assert!(matches!(deliver(&sink).await, Answer::Rejected(..)));
    assert!(sink.is_gone());
    assert!(matches!(deliver(&sink).await, Answer::Rejected(..)));
    assert_eq!(receiver.got().len(), 6, "after 410 nothing is sent");
}

#[tokio::test]
async fn no_answer_and_a_late_one_mean_again_and_name_no_secret() {
    // Nobody listens where somebody did just now.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/t0ken", listener.local_addr().unwrap());
    let late = Webhook::new("late", &url, None, Duration::from_millis(20), Handle::current()).unwrap();
    let begun = Instant::now();
    assert_eq!(deliver(&late).await, Answer::Again { reason: "no answer within 20 ms".into(), after: None });
    assert!(begun.elapsed() < Duration::from_secs(9), "the sink's timeout, not the delivery's");
    drop(listener);
    let Answer::Again { reason, after: None } = deliver(&webhook(&url)).await else { panic!("again") };
    assert!(!reason.contains("t0ken"), "{reason}");
    let shown = format!("{:?}", webhook(&url));
    assert!(!shown.contains("t0ken") && !shown.contains("whsec") && shown.contains("127.0.0.1"), "{shown}");
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed() {
    let (url, receiver) = Receiver::start(Vec::new()).await;
    let sink = Webhook::new("open", &url, None, Duration::from_secs(10), Handle::current()).unwrap();
    assert_eq!(deliver(&sink).await, Answer::Delivered(Data::Absent));
    let (headers, _) = &receiver.got()[0];
    assert!(headers.contains_key("webhook-id") && !headers.contains_key("webhook-signature"));
}
