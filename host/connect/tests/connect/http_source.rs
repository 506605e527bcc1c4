use std::time::Duration;

use carpe::{Data, SubmitError};
use carpe_connect::sources::http::HttpSource;
use carpe_connect::{Bounds, Secret, Server};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::intake::Recorder;
use crate::wire::{answer, get, post, request};

const STRUCTURED: &str = "content-type: application/cloudevents+json";
const BATCH: &str = "content-type: application/cloudevents-batch+json; charset=UTF-8";
const BINARY: &str = "ce-specversion: 1.0\nce-id: 1\nce-source: /s\nce-type: t";

async fn start(intake: &Recorder) -> Server {
    HttpSource::new("127.0.0.1:0", None).start(intake.clone()).await.unwrap()
}

fn event(id: &str) -> String {
    json!({"specversion": "1.0", "id": id, "source": "/s", "type": "t", "data": {"x": 1}}).to_string()
}

#[tokio::test]
async fn events_are_taken_in_all_three_modes() {
    let intake = Recorder::new();
    let server = start(&intake).await;
    let at = server.address();

    let headers = format!("{BINARY}\nce-subject: a%20b%C3%A4\nce-hops: 3\ncontent-type: application/json");
    let taken = post(at, &headers, br#"{"x": 1.50}"#).await;
    assert_eq!((taken.status, taken.json()), (202, json!({"accepted": 1, "repeated": 0})));
    let first = &intake.events()[0];
    assert_eq!((first.id.as_str(), first.source.as_str(), first.kind.as_str()), ("1", "/s", "t"));
    assert_eq!(first.subject.as_deref(), Some("a bä"));
    assert_eq!(first.extension("hops"), Some("3"));
    assert_eq!(first.datacontenttype.as_deref(), Some("application/json"));
    assert_eq!(first.data, Data::Json(r#"{"x": 1.50}"#.into()), "as it came");

    assert_eq!(post(at, STRUCTURED, event("2")).await.status, 202);
    let batch = format!("[{},{}]", event("2"), event("3"));
    assert_eq!(post(at, BATCH, batch).await.json(), json!({"accepted": 1, "repeated": 1}));
    assert_eq!(post(at, BATCH, "[]").await.json(), json!({"accepted": 0, "repeated": 0}));
    assert_eq!(intake.ids(), ["1", "2", "3"]);

    let fourth = event("4");
    let head = format!("POST /events HTTP/1.1\n{STRUCTURED}\ncontent-length: {}", fourth.len());
    assert_eq!(request(at, &head, fourth.as_bytes()).await.status, 202);
    assert!(server.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn binary_data_and_header_forms() {
    let intake = Recorder::new();
    let server = start(&intake).await;
    let at = server.address();
    let of =
        |id: u32, more: &str| format!("ce-specversion: 1.0\nce-id: {id}\nce-source: /s\nce-type: t\n{more}");

    assert_eq!(post(at, &of(1, "content-type: image/png"), b"\x89PNG").await.status, 202);
    assert_eq!(post(at, &of(2, "ce-subject: \"a \\\"b\\\" %22c%22\""), b"").await.status, 202);
    assert_eq!(post(at, &of(3, "content-type: text/plain"), "grüß").await.status, 202);
    let events = intake.events();
    assert_eq!(events[0].data, Data::Binary(b"\x89PNG".as_slice().into()));
    assert_eq!((&events[1].data, events[1].subject.as_deref()), (&Data::Absent, Some("a \"b\" \"c\"")));
    assert_eq!(events[1].datacontenttype, None);
    assert_eq!(events[2].data, Data::Binary("grüß".into()));

    // A structured event may repeat its attributes as headers.
    let headers = format!("{STRUCTURED}\nce-id: 4\nce-type: t");
    assert_eq!(post(at, &headers, event("4")).await.status, 202);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let intake = Recorder::new();
    let server = start(&intake).await;
    let at = server.address();

    let no_id = post(at, "ce-specversion: 1.0\nce-source: /s\nce-type: t", "{}").await;
    assert_eq!(no_id.detail(400), "header `ce-id` is missing or empty: every event needs it");
    let version = post(at, "ce-specversion: 0.3\nce-id: 1\nce-source: /s\nce-type: t", "{}").await;
    assert_eq!(version.detail(400), "header `ce-specversion` is not 1.0: other versions are not known");
    let none = post(at, "ce-id: 1\nce-source: /s\nce-type: t", "{}").await;
    assert_eq!(none.detail(400), "header `ce-specversion` is missing: it has to be 1.0");
    let twice = post(at, &format!("{BINARY}\nce-id: 2"), "").await;
    assert_eq!(twice.detail(400), "header `ce-id` is given twice");
    let utf8 = post(at, &format!("{BINARY}\nce-subject: %FF"), "").await;
    assert_eq!(utf8.detail(400), "header `ce-subject` is not UTF-8 when percent-decoded");
    let content_type = post(at, &format!("{BINARY}\nce-datacontenttype: text/plain"), "").await;
    assert!(content_type.detail(400).contains("is the header `content-type`"));
    let json = post(at, &format!("{BINARY}\ncontent-type: application/json"), b"{\"a\":\"\xff\"}").await;
    assert_eq!(json.detail(400), "the data is called JSON, but is not UTF-8 at byte 6");

    let mixed = post(at, &format!("{STRUCTURED}\nce-id: other"), event("1")).await;
    assert!(mixed.detail(400).starts_with("two modes are mixed: header `ce-id`"));
    let mixed = post(at, &format!("{BATCH}\nce-id: 1"), "[]").await;
    assert!(mixed.detail(400).starts_with("a batch can't have `ce-` headers"));

    let broken = post(at, STRUCTURED, "{\"specversion\": \"1.0\",\n \"id\": }").await.detail(400);
    assert!(broken.contains("line 2") && broken.contains("column"), "{broken}");
    let second = post(at, BATCH, format!("[{},{{\"specversion\":\"1.0\",\"id\":\"2\"}}]", event("1"))).await;
    second.detail(400);
    assert_eq!(second.json()["index"], 1);
    post(at, STRUCTURED, "").await.detail(400);
    post(at, STRUCTURED, format!("[{}]", event("1"))).await.detail(400);
    post(at, BATCH, event("1")).await.detail(400);

    let get = get(at, "/", "").await;
    assert_eq!(get.detail(405), "GET is not possible here");
    assert_eq!(get.header("allow"), Some("POST"));
    let missing = request(at, "POST /event HTTP/1.1\ncontent-length: 0", b"").await;
    assert_eq!(missing.detail(404), "there is nothing at /event");
    assert_eq!(missing.json()["hint"], "POST events to / or /events");
    assert!(intake.events().is_empty());
}

#[tokio::test]
async fn other_media_types_are_refused_with_those_that_are_known() {
    let intake = Recorder::new();
    let server = start(&intake).await;
    for headers in [
        "",
        "content-type: application/json",
        "content-type: application/cloudevents+avro",
        "content-type: application/cloudevents+json; charset=utf-16",
        "content-type: application/cloudevents+json\ncontent-encoding: gzip",
    ] {
        let refused = post(server.address(), headers, event("1")).await;
        refused.detail(415);
        assert!(refused.text().contains("application/cloudevents-batch+json"), "{}", refused.text());
    }
    let charset = "content-type: Application/CloudEvents+JSON ; Charset=\"UTF-8\"";
    assert_eq!(post(server.address(), charset, event("1")).await.status, 202);
}

#[tokio::test]
async fn bodies_are_bounded_with_and_without_a_length() {
    let intake = Recorder::with(Bounds { event_bytes: 1000, batch_events: 3 });
    let mut source = HttpSource::new("127.0.0.1:0", None);
    source.batch_bytes = 3000;
    let server = source.start(intake.clone()).await.unwrap();
    let at = server.address();

    let binary = |size: usize| post(at, BINARY, vec![b'x'; size]);
    assert_eq!(binary(800).await.status, 202);
    assert_eq!(binary(1001).await.detail(413), "an event's data may be 1000 bytes long");
    assert_eq!(post(at, STRUCTURED, vec![b' '; 1001]).await.detail(413), "an event may be 1000 bytes long");
    assert_eq!(post(at, BATCH, vec![b' '; 3001]).await.detail(413), "a batch may be 3000 bytes long");
    // Far more than is read to the end: the answer arrives all the same, or the connection ends.
    assert_eq!(post(at, BATCH, vec![b' '; 2 << 20]).await.status, 413);

    let chunked = |body: String| async move {
        let head = format!("POST / HTTP/1.1\n{BATCH}\ntransfer-encoding: chunked");
        request(at, &head, body.as_bytes()).await
    };
    let batch = format!("[{}]", event("2"));
    assert_eq!(chunked(format!("{:x}\r\n{batch}\r\n0\r\n\r\n", batch.len())).await.status, 202);
    let piece = format!("3e8\r\n{}\r\n", " ".repeat(1000));
    let refused = chunked(format!("{}0\r\n\r\n", piece.repeat(4))).await;
    assert_eq!(refused.detail(413), "a batch may be 3000 bytes long");
    chunked("zz\r\n".to_owned()).await.detail(400);
}

#[tokio::test]
async fn only_the_token_opens_it_and_it_is_never_said() {
    let intake = Recorder::new();
    let token = Some(Secret::new("s3cret"));
    let server = HttpSource::new("127.0.0.1:0", token).start(intake.clone()).await.unwrap();
    let at = server.address();
    for wrong in ["", "authorization: Bearer s3cre", "authorization: Basic s3cret"] {
        let refused = post(at, &format!("{STRUCTURED}\n{wrong}"), event("1")).await;
        refused.detail(401);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        assert!(!refused.text().contains("s3cre"));
    }
    // Also before anything else is told about the request.
    post(at, "content-type: text/plain", "").await.detail(401);
    let headers = format!("{STRUCTURED}\nauthorization: Bearer s3cret");
    assert_eq!(post(at, &headers, event("1")).await.status, 202);
}

#[tokio::test]
async fn other_machines_need_a_token() {
    let intake = Recorder::new();
    let open = HttpSource::new("0.0.0.0:0", None).start(intake.clone()).await.unwrap_err();
    assert_eq!(
        open.to_string(),
        "`listen.events` is `0.0.0.0:0`, which other machines can reach, and no token is set: \
         set `listen.token_file` (or `listen.token`), or bind to 127.0.0.1"
    );
    HttpSource::new("0.0.0.0:0", Some(Secret::new("x"))).start(intake.clone()).await.unwrap();
    HttpSource::new("localhost:0", None).start(intake.clone()).await.unwrap();
    let bad = HttpSource::new("8480", None).start(intake.clone()).await.unwrap_err();
    assert!(bad.to_string().contains("is no address"), "{bad}");
    let server = start(&intake).await;
    let taken = HttpSource::new(server.address().to_string(), None).start(intake).await.unwrap_err();
    assert!(taken.to_string().starts_with("cannot listen on 127.0.0.1:"), "{taken}");
}

#[tokio::test]
async fn a_busy_or_stopping_host_says_so() {
    let intake = Recorder::new();
    let server = start(&intake).await;
    let at = server.address();
    intake.refuse(SubmitError::Busy { retry_after: Duration::from_millis(1200) });
    let busy = post(at, STRUCTURED, event("1")).await;
    busy.detail(429);
    assert_eq!(busy.header("retry-after"), Some("2"));
    intake.refuse(SubmitError::Stopped);
    let stopping = post(at, STRUCTURED, event("1")).await;
    assert_eq!(stopping.detail(503), "the host is stopping");
    assert_eq!(stopping.header("retry-after"), Some("5"));
    intake.refuse(SubmitError::TooMany { count: 7, limit: 5 });
    assert_eq!(
        post(at, BATCH, format!("[{}]", event("1"))).await.detail(413),
        "the batch holds 7 events, 5 are allowed"
    );
    intake.refuse_id("2");
    let invalid = post(at, BATCH, format!("[{},{}]", event("1"), event("2"))).await;
    invalid.detail(400);
    assert_eq!(invalid.json()["index"], 1);
    let invalid = post(at, STRUCTURED, event("2")).await;
    invalid.detail(400);
    assert!(invalid.json().get("index").is_none());
}

/// What that is, ends by itself: the sender is to come back.
#[tokio::test]
async fn while_the_journal_cannot_be_written_senders_are_told_to_come_back() {
    let intake = Recorder::new();
    let server = start(&intake).await;
    let at = server.address();
    let failed = || SubmitError::Journal("/secret/place: disk full".into());
    let batch = || format!("[{},{}]", event("1"), event("2"));
    intake.refuse(failed());
    let refused = post(at, BATCH, batch()).await;
    assert_eq!(refused.detail(503), "the host's journal cannot be written: nothing of this was kept");
    intake.fail(failed());
    let uncertain = post(at, BATCH, batch()).await;
    assert!(uncertain.detail(503).ends_with("the events may have been kept or not"));
    for answer in [refused, uncertain] {
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert!(!answer.text().contains("/secret/place"));
    }
    assert_eq!(intake.ids(), [""; 0], "a batch is taken whole or not at all");
    assert_eq!(post(at, BATCH, batch()).await.json()["accepted"], 2);
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_durable() {
    let intake = Recorder::new();
    let server = start(&intake).await;
    intake.open(false);
    let asked = tokio::spawn(post(server.address(), STRUCTURED, event("1")));
    intake.taken(1).await;
    // It was taken; the answer waits. Stopping waits for it too.
    assert!(!asked.is_finished());
    let stopped = tokio::spawn(server.stop(Duration::from_secs(30)));
    tokio::task::yield_now().await;
    assert!(!asked.is_finished() && !stopped.is_finished());
    intake.open(true);
    assert_eq!(asked.await.unwrap().status, 202);
    assert!(stopped.await.unwrap());
}

#[tokio::test]
async fn a_slow_journal_is_not_waited_for_without_end() {
    let intake = Recorder::new();
    intake.open(false);
    let mut source = HttpSource::new("127.0.0.1:0", None);
    source.accept_timeout = Duration::from_millis(1);
    let server = source.start(intake.clone()).await.unwrap();
    let slow = post(server.address(), STRUCTURED, event("1")).await;
    assert!(slow.detail(503).starts_with("the journal is slow"));
}

#[tokio::test]
async fn slow_senders_are_cut_off() {
    let intake = Recorder::new();
    let mut source = HttpSource::new("127.0.0.1:0", None);
    source.body_timeout = Duration::from_millis(20);
    source.limits.head_timeout = Duration::from_millis(20);
    let server = source.start(intake.clone()).await.unwrap();

    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: carpe\r\nconnection: close\r\n{STRUCTURED}\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    answer(stream).await.detail(408);

    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: ca").await.unwrap();
    let mut rest = Vec::new();
    // It ends, whether with an answer or without.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("202"));
}

#[tokio::test]
async fn connections_and_bytes_under_way_are_bounded() {
    let intake = Recorder::new();
    let mut source = HttpSource::new("127.0.0.1:0", None);
    source.limits.connections = 2;
    source.reading_bytes = 16 << 10;
    let server = source.start(intake.clone()).await.unwrap();
    let at = server.address();
    // One connection announces all the bytes that there may be, and then says nothing.
    let mut idle = TcpStream::connect(at).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: carpe\r\nexpect: 100-continue\r\n{BATCH}\r\ncontent-length: 16384\r\n\r\n"
    );
    idle.write_all(head.as_bytes()).await.unwrap();
    // The server reads the body now: it said so.
    let mut said = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut idle, &mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 100");
    let busy = post(at, STRUCTURED, event("1")).await;
    assert!(busy.detail(429).contains("being received"));
    assert_eq!(busy.header("retry-after"), Some("1"));

    // A second idle one takes the last slot: a third is served only once one of them has gone.
    let other = TcpStream::connect(at).await.unwrap();
    let third = tokio::spawn(async move { get(at, "/", "").await });
    tokio::task::yield_now().await;
    assert!(!third.is_finished());
    drop(other);
    assert_eq!(third.await.unwrap().status, 405);
    drop(idle);
    // With their sender gone, the bytes are free again.
    while post(at, STRUCTURED, event("1")).await.status != 202 {}
    // A connection that says nothing doesn't hold up the end: it is idle, or cut off.
    let _silent = TcpStream::connect(at).await.unwrap();
    server.stop(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(at).await.is_err());
}
