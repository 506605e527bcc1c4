//! The outbox of a host that keeps its journal in memory and has no rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Monotonic};

use super::{id, moment, options};
use crate::event::Data;
use crate::host::{Host, HostBuilder};
use crate::journal::{ActionId, Body, OutcomeEntry};
use crate::moment::Moment;
use crate::pipeline::timeline::Timeline;
use crate::route::{Route, Target};
use crate::rule::Status;
use crate::sink::{Answer, Delivery, Reply, Sink};

/// Keeps tries until the test answers them.
#[derive(Default)]
struct Held(Mutex<Vec<(Delivery, Reply)>>);

impl Sink for Held {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        self.0.lock().unwrap().push((delivery, reply));
    }
}

impl Held {
    fn next(&self) -> (Delivery, Reply) {
        wait_for("a try", || self.0.lock().unwrap().pop())
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Monotonic::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Monotonic::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn builder() -> HostBuilder {
    let second = Duration::from_secs(1);
    Host::builder().threads(1).timeline(Timeline::Event).retries(
        Duration::from_millis(1),
        60 * second,
        30 * second,
    )
}

fn to(action: &str, to: Target) -> Route {
    Route::new(action, to)
}

fn take(host: &Host, moment: Moment) {
    host.shared().outbox.take(&Arc::new(moment), false);
}

fn outcomes(host: &Host) -> BTreeMap<ActionId, OutcomeEntry> {
    let entries = host.shared().journal.read(0, usize::MAX).unwrap();
    let outcome = |body: &Body| match body {
        Body::Outcome(outcome) => Some((outcome.id, OutcomeEntry::clone(outcome))),
        _ => None,
    };
    entries.iter().filter_map(|entry| outcome(&entry.body)).collect()
}

fn settle(host: &Host) {
    assert!(host.settle(Duration::from_secs(30)), "{:?}", host.status().sinks);
}

#[test]
fn a_request_says_until_when_and_a_reply_that_is_dropped_is_a_failed_try() {
    let sink = Arc::new(Held::default());
    let host =
        builder().sink("s", sink.clone()).route(to("s", Target::Sink("s".to_owned()))).start().unwrap();
    host.advance(1_000);
    settle(&host);
    take(&host, Moment { expires: Some(61_000), ..moment(1, "s", "k") });
    let (delivery, reply) = sink.next();
    assert_eq!((delivery.attempt, delivery.timeout), (1, Duration::from_secs(30)));
    assert_eq!(delivery.event.extension("expirytime"), Some("1970-01-01T00:01:01.000Z"));
    drop(reply);
    let (delivery, reply) = sink.next();
    assert_eq!((delivery.attempt, delivery.id), (2, id(1)));
    host.advance(60_998);
    settle_journal(&host);
    drop(reply);
    // Its time-out ends where the moment does.
    let (delivery, reply) = sink.next();
    assert_eq!((delivery.attempt, delivery.timeout), (3, Duration::from_millis(2)));
    host.advance(61_001);
    settle_journal(&host);
    reply.send(Answer::Again { reason: "503".to_owned(), after: None });
    settle(&host);
    assert_eq!(outcomes(&host)[&id(1)].status, Status::Failed);
    assert!(sink.0.lock().unwrap().is_empty());
    let status = &host.status().sinks[0];
    assert_eq!((status.failed, status.missed, status.retries), (1, 1, 2));
}

fn settle_journal(host: &Host) {
    wait_for("the journal is written", || host.shared().intake.is_idle().then_some(()));
}

/// Not by the wall clock: an event, or a tick, that moves the timeline ends what has expired.
#[test]
fn what_waits_expires_when_the_timeline_moves() {
    struct Closed;
    impl Sink for Closed {
        fn deliver(&self, _: Delivery, reply: Reply) {
            reply
                .send(Answer::Again { reason: "closed".to_owned(), after: Some(Duration::from_secs(3_000)) });
        }
    }
    let host = builder()
        .sink_with("s", Arc::new(Closed), options(|options| options.breaker_failures = 1))
        .route(to("s", Target::Sink("s".to_owned())))
        .start()
        .unwrap();
    host.advance(1_000);
    settle(&host);
    take(&host, Moment { expires: Some(5_000), ..moment(1, "s", "k") });
    wait_for("the breaker is open", || (host.status().sinks[0].breaker.opened > 0).then_some(()));
    take(&host, Moment { expires: Some(5_000), ..moment(2, "s", "k") });
    host.advance(5_000);
    settle_journal(&host);
    assert_eq!(host.shared().outbox.open_actions(), 2);
    host.advance(5_001);
    settle(&host);
    let outcomes = outcomes(&host);
    assert_eq!((outcomes[&id(1)].status, outcomes[&id(2)].status), (Status::Failed, Status::Expired));
}

#[test]
fn what_comes_back_into_the_host_is_journaled_with_its_outcome_or_has_expired() {
    let back = Target::Host { event_type: Some("came.back".to_owned()) };
    let host = builder().route(to("back", back)).start().unwrap();
    host.advance(1_000);
    settle(&host);
    take(&host, Moment { expires: Some(1_000), ..moment(1, "back", "k") });
    take(&host, Moment { expires: Some(999), ..moment(2, "back", "k") });
    // Also one that was there before the start: had it been delivered, the journal would say so.
    host.shared().outbox.take(&Arc::new(Moment { expires: Some(999), ..moment(3, "back", "k") }), true);
    take(&host, Moment { hops: 8, ..moment(4, "back", "k") });
    take(&host, moment(5, "nowhere", "k"));
    settle(&host);
    let statuses: Vec<Status> = outcomes(&host).values().map(|outcome| outcome.status).collect();
    use Status::{Delivered, Expired, Withheld};
    assert_eq!(statuses, [Delivered, Expired, Expired, Withheld, Withheld]);
    let entries = host.shared().journal.read(0, usize::MAX).unwrap();
    let events: Vec<_> = entries
        .iter()
        .filter(|entry| matches!(&entry.body, Body::Event(event) if event.get().kind == "came.back"))
        .collect();
    assert_eq!(events.len(), 1);
    let after = &entries[events[0].position as usize + 1];
    assert!(matches!(&after.body, Body::Outcome(outcome) if outcome.id == id(1)), "{after:?}");
}

#[test]
fn a_long_answer_is_left_out_and_the_outcome_says_so() {
    let sink = Arc::new(Held::default());
    let host =
        builder().sink("s", sink.clone()).route(to("*", Target::Sink("s".to_owned()))).start().unwrap();
    take(&host, moment(1, "s", "k"));
    sink.next().1.send(Answer::Delivered(Data::Json(format!("\"{}\"", "x".repeat(64 << 10)))));
    settle(&host);
    let outcome = &outcomes(&host)[&id(1)];
    assert_eq!((outcome.status, &outcome.answer), (Status::Delivered, &Data::Absent));
    assert!(outcome.detail.contains("65538 bytes is left out"), "{}", outcome.detail);
}
