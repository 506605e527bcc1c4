//! What is decided, with time passed in; then the outbox of a whole host.

mod guarded;
mod host;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};

use super::queue::{NamedSink, SinkQueue};
use super::retry::Retry;
use super::state::{Deed, Ending, State, Try};
use crate::event::{Data, Instant};
use crate::guardrail::rows::GuardRows;
use crate::guardrail::{Guard, Guardrail, Judged};
use crate::journal::{ActionId, Body, Decision, Entry, MomentId, OutcomeEntry};
use crate::moment::{Moment, MomentAction};
use crate::route::{Route, Target};
use crate::rule::Status;
use crate::sink::{Answer, Delivery, Reply, Sink, SinkOptions, WhenFull};
use crate::status::{BreakerState, SinkStatus};

const RETRY: Retry = Retry {
    first: Duration::from_millis(100),
    longest: Duration::from_millis(1_000),
    give_up_after: Duration::from_secs(60),
    timeout: Duration::from_secs(10),
};

/// Is never called: tries are answered by the test.
struct Silent(usize);

impl Sink for Silent {
    fn deliver(&self, _: Delivery, _: Reply) {}

    fn concurrency(&self) -> usize {
        self.0
    }
}

fn id(n: u8) -> ActionId {
    ActionId([n; 16])
}

/// A moment of the rule `r` with one action, to be tried at a sink of its name.
fn moment(n: u8, sink: &str, key: &str) -> Moment {
    Moment {
        id: MomentId([n; 16]),
        rule: "r".to_owned(),
        key: key.to_owned(),
        kind: "k".to_owned(),
        why: String::new(),
        subject: None,
        data: None,
        time: 0,
        now: 0,
        expires: None,
        position: u64::from(n),
        hops: 0,
        order: 0,
        actions: vec![MomentAction {
            id: id(n),
            name: sink.to_owned(),
            reference: None,
            data: "{}".to_owned(),
            copy: None,
        }],
    }
}

/// An outbox without threads: the test's clock is its own.
struct Bench {
    state: State,
    now: Monotonic,
    timeline: Instant,
    /// Tries that were begun and not answered.
    tries: Vec<Try>,
    /// What came of actions, in the journal's order.
    outcomes: Vec<(u8, Status, String)>,
    /// While the journal is not written: what waits for it.
    unwritten: Option<Vec<(ActionId, Ending)>>,
    /// Entries that guardrails have folded.
    journal: Vec<Entry>,
}

impl Bench {
    fn new(options: impl IntoIterator<Item = (&'static str, SinkOptions)>) -> Self {
        Bench::guarded(options, BTreeMap::new(), &[])
    }

    /// With guardrails, which have taken in a journal.
    fn guarded(
        options: impl IntoIterator<Item = (&'static str, SinkOptions)>,
        guardrails: BTreeMap<String, Guardrail>,
        journal: &[Entry],
    ) -> Self {
        let guard = Arc::new(Guard::new(guardrails, GuardRows::default(), 0));
        guard.fold(journal);
        let sinks = options.into_iter().map(|(name, options)| {
            SinkQueue::new(NamedSink { name: name.to_owned(), sink: Arc::new(Silent(4)), options })
        });
        let sinks: Vec<_> = sinks.collect();
        let routes = sinks
            .iter()
            .map(|sink| Route::new(sink.name.as_str(), Target::Sink(sink.name.clone())))
            .collect();
        Bench {
            state: State::new(sinks, routes, None, guard, HashMap::new(), true),
            now: Monotonic::now(),
            timeline: 1_000,
            tries: Vec::new(),
            outcomes: Vec::new(),
            unwritten: None,
            journal: journal.to_vec(),
        }
    }

    fn one(options: SinkOptions) -> Self {
        let mut bench = Bench::new([("s", options)]);
        bench.release();
        bench
    }

    fn release(&mut self) {
        let deeds = self.state.release(self.timeline);
        self.act(deeds);
        self.run();
    }

    fn take(&mut self, moment: Moment) {
        self.take_maybe_tried(moment, false);
    }

    fn take_maybe_tried(&mut self, moment: Moment, maybe_tried: bool) {
        let give_up_at = self.now.checked_add(RETRY.give_up_after);
        let deeds = self.state.take(&Arc::new(moment), 0, maybe_tried, give_up_at, self.timeline);
        self.act(deeds);
        self.run();
    }

    /// What the outbox's thread does.
    fn run(&mut self) {
        loop {
            let mut deeds = self.state.due(self.now, self.timeline, &RETRY);
            deeds.extend(self.state.next_try(self.now, self.timeline, &RETRY));
            if deeds.is_empty() {
                return;
            }
            self.act(deeds);
        }
    }

    fn act(&mut self, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Try(begun) => self.tries.push(begun),
                Deed::Judge(judged) => self.judge(judged),
                Deed::Journal(id, ending) => match &mut self.unwritten {
                    Some(unwritten) => unwritten.push((id, ending)),
                    None => self.write(id, ending),
                },
            }
        }
    }

    fn write(&mut self, id: ActionId, ending: Ending) {
        let Ending::Outcome { status, detail, .. } = ending else { panic!("{ending:?}") };
        let outcome = OutcomeEntry {
            id,
            rule: "r".to_owned(),
            key: String::new(),
            action: String::new(),
            reference: None,
            status,
            answer: Data::Absent,
            detail: detail.clone(),
        };
        self.journal(Body::Outcome(Box::new(outcome)));
        self.outcomes.push((id.0[0], status, detail));
        assert_eq!(self.state.close(id, status).as_deref(), Some("r"));
    }

    /// What guardrails said is durable at once.
    fn judge(&mut self, judged: Vec<Judged>) {
        let ids: Vec<ActionId> = judged.iter().map(|judged| judged.judgement.id).collect();
        for Judged { rule, judgement } in judged {
            self.journal(Body::Decision { rule, decision: Box::new(Decision::Judged(judgement)) });
        }
        for id in ids {
            let deeds = self.state.judged(id, Ok(self.timeline), (self.now, &RETRY));
            self.act(deeds);
        }
    }

    fn journal(&mut self, body: Body) {
        let position = self.journal.len() as u64;
        let entry = Entry { position, epoch: 1, instant: self.timeline, body };
        self.state.guard.fold([&entry]);
        self.journal.push(entry);
    }

    /// Both clocks, a millisecond at a time for the one as for the other.
    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.timeline += ms;
        self.run();
    }

    /// Which actions are being tried, for the how manieth time.
    fn trying(&self) -> Vec<(u8, u32)> {
        self.tries.iter().map(|begun| (begun.id.0[0], begun.attempt)).collect()
    }

    fn answer(&mut self, n: u8, answer: Answer) {
        let place = self.tries.iter().position(|begun| begun.id == id(n)).expect("it is being tried");
        let begun = self.tries.remove(place);
        self.answer_to(&begun, answer);
    }

    fn answer_to(&mut self, begun: &Try, answer: Answer) {
        let at = (self.now, self.timeline);
        let deed = self.state.answered(begun.id, begun.attempt, answer, at, &RETRY);
        self.act(deed.into_iter().collect());
        self.run();
    }

    fn fail(&mut self, n: u8) {
        self.answer(n, Answer::Again { reason: "503".to_owned(), after: None });
    }

    fn deliver(&mut self, n: u8) {
        self.answer(n, Answer::Delivered(Data::Absent));
    }

    fn status(&self) -> SinkStatus {
        self.state.sinks[0].status(self.now)
    }

    fn statuses(&self) -> Vec<(u8, Status)> {
        self.outcomes.iter().map(|(n, status, _)| (*n, *status)).collect()
    }
}

fn expiring(n: u8, expires: Instant) -> Moment {
    Moment { expires: Some(expires), ..moment(n, "s", "k") }
}

fn options(set: impl FnOnce(&mut SinkOptions)) -> SinkOptions {
    let mut options = SinkOptions::default();
    set(&mut options);
    options
}

// ---- tries ----

#[test]
fn a_try_that_fails_is_repeated_until_there_is_an_answer() {
    let mut bench = Bench::one(SinkOptions::default());
    bench.take(moment(1, "s", "k"));
    for attempt in 1..4 {
        assert_eq!(bench.trying(), [(1, attempt)]);
        bench.fail(1);
        assert_eq!(bench.trying(), []);
        bench.pass(400);
    }
    bench.answer(1, Answer::Rejected("no".to_owned(), Data::Absent));
    assert_eq!(bench.outcomes, [(1, Status::Rejected, "no".to_owned())]);
    let status = bench.status();
    assert_eq!((status.waiting, status.in_flight, status.rejected, status.retries), (0, 0, 1, 3));
    assert_eq!(bench.state.next_wake(), None, "nothing is left behind");
}

#[test]
fn no_more_tries_are_under_way_than_the_sink_takes_and_sinks_take_turns() {
    let mut bench = Bench::new([("s", SinkOptions::default()), ("t", SinkOptions::default())]);
    (1..7).for_each(|n| bench.take(moment(n, "s", "k")));
    (11..17).for_each(|n| bench.take(moment(n, "t", "k")));
    bench.release();
    let begun: Vec<u8> = bench.trying().into_iter().map(|(n, _)| n).collect();
    assert_eq!(begun, [1, 11, 2, 12, 3, 13, 4, 14]);
    bench.deliver(2);
    assert_eq!(bench.trying().last(), Some(&(5, 1)));
}

#[test]
fn an_action_is_given_up_on_in_time_whatever_it_waits_for() {
    let mut bench = Bench::one(options(|options| {
        options.breaker_failures = 1;
        options.ordered = true;
    }));
    bench.take(moment(1, "s", "k"));
    bench.take(moment(2, "s", "k"));
    bench.take(moment(3, "s", "other"));
    bench.fail(1);
    // 2 is behind 1, and 3 is never answered.
    bench.pass(60_000);
    bench.outcomes.sort_by_key(|(n, ..)| *n);
    assert_eq!(bench.statuses(), [1, 2, 3].map(|n| (n, Status::Failed)));
    let details: Vec<&str> = bench.outcomes.iter().map(|(.., detail)| detail.as_str()).collect();
    // One that was never tried says what the sink's last failure was.
    let never = "given up on after 0 tries: the sink gave no answer in time";
    let silent = "given up on after 1 try: the sink gave no answer in time";
    assert_eq!(details, ["given up on after 1 try: 503", never, silent]);
    assert!(bench.state.open.is_empty());
}

#[test]
fn however_soon_it_is_given_up_on_each_action_gets_one_try() {
    let mut bench = Bench::one(SinkOptions::default());
    for n in 1..7 {
        let deed =
            bench.state.take(&Arc::new(moment(n, "s", "k")), 0, false, Some(bench.now), bench.timeline);
        bench.act(deed.into_iter().collect());
    }
    bench.run();
    bench.pass(5_000);
    for n in 1..5 {
        assert_eq!(bench.trying()[0], (n, 1));
        bench.fail(n);
        assert_eq!(bench.statuses().last(), Some(&(n, Status::Failed)));
    }
    assert_eq!(bench.trying(), [(5, 1), (6, 1)]);
    bench.deliver(6);
    bench.fail(5);
    assert!(bench.state.open.is_empty() && bench.state.next_wake().is_none());
}

#[test]
fn a_try_that_is_not_answered_ends_by_its_time_out_and_a_late_answer_counts() {
    let mut bench = Bench::one(SinkOptions::default());
    bench.take(moment(1, "s", "k"));
    bench.take(moment(2, "s", "k"));
    assert_eq!(bench.tries[0].timeout, RETRY.timeout);
    bench.pass(10_999);
    assert_eq!(bench.status().in_flight, 2);
    bench.pass(1);
    assert_eq!(bench.status().in_flight, 0);
    let late: Vec<Try> = bench.tries.drain(..).collect();
    // That it was taken is the truth, late as it is; that it is to be tried again is known.
    bench.answer_to(&late[0], Answer::Delivered(Data::Absent));
    bench.answer_to(&late[1], Answer::Again { reason: "late".to_owned(), after: None });
    assert_eq!(bench.statuses(), [(1, Status::Delivered)]);
    bench.pass(100);
    assert_eq!(bench.trying(), [(2, 2)]);
    // Of a try that has a successor, nothing counts.
    bench.answer_to(&late[1], Answer::Rejected("late".to_owned(), Data::Absent));
    assert_eq!((bench.status().in_flight, bench.outcomes.len()), (1, 1));
    bench.deliver(2);
    assert_eq!(bench.status().in_flight, 0);
}

// ---- expiry ----

#[test]
fn a_moment_that_expires_before_the_first_try_is_expired() {
    let mut bench = Bench::one(SinkOptions::default());
    (1..5).for_each(|n| bench.take(moment(n, "s", "k")));
    bench.take(expiring(5, 1_050));
    bench.pass(50);
    assert_eq!(bench.statuses(), [], "until then it may be taken");
    bench.pass(1);
    assert_eq!(bench.outcomes, [(5, Status::Expired, "the moment expired before the first try".to_owned())]);
    bench.take(expiring(6, 1_000));
    assert_eq!(bench.statuses()[1], (6, Status::Expired));
    assert_eq!((bench.status().expired, bench.status().missed), (2, 2));
}

#[test]
fn a_moment_that_expires_after_a_try_is_failed_also_if_that_was_not_taken() {
    let mut bench = Bench::one(SinkOptions::default());
    bench.take(expiring(1, 1_030));
    bench.take(expiring(2, 1_030));
    // A try's time-out does not reach past the expiry.
    assert_eq!(bench.tries[0].timeout, Duration::from_millis(30));
    bench.fail(1);
    bench.pass(31);
    assert_eq!(bench.statuses(), [(1, Status::Failed)], "at once, not when it would be tried again");
    // This one is still being tried: what comes of it counts.
    assert_eq!(bench.trying(), [(2, 1)]);
    bench.fail(2);
    assert_eq!(bench.statuses()[1], (2, Status::Failed));
    assert!(bench.outcomes[1].2.starts_with("the moment expired after 1 try"));
    bench.take(expiring(3, 2_000));
    bench.pass(970);
    bench.deliver(3);
    assert_eq!(bench.statuses()[2], (3, Status::Delivered));
    assert_eq!((bench.status().failed, bench.status().missed), (2, 2));
}

#[test]
fn after_a_restart_an_action_without_outcome_counts_as_tried() {
    let mut bench = Bench::new([("s", SinkOptions::default())]);
    bench.take_maybe_tried(expiring(1, 900), true);
    bench.take_maybe_tried(expiring(2, 900), false);
    bench.release();
    assert_eq!(bench.statuses(), [(1, Status::Failed), (2, Status::Expired)]);
}

// ---- the circuit breaker ----

#[test]
fn an_open_breaker_lets_one_probe_through_and_the_others_spend_no_attempts() {
    let mut bench = Bench::one(SinkOptions::default());
    (1..12).for_each(|n| bench.take(moment(n, "s", "k")));
    for n in 1..5 {
        bench.fail(n);
    }
    assert_eq!(bench.trying(), [(5, 1), (6, 1), (7, 1), (8, 1)]);
    bench.fail(5);
    let breaker = bench.status().breaker;
    assert_eq!((breaker.state, breaker.failures, breaker.opened), (BreakerState::Open, 5, 1));
    assert!(breaker.until.is_some());
    // Those that were under way end, and nothing new begins.
    (6..9).for_each(|n| bench.fail(n));
    assert_eq!(bench.trying(), []);
    // The one that was tried least.
    bench.pass(100);
    assert_eq!(bench.trying(), [(9, 1)]);
    bench.pass(5_000);
    assert_eq!(bench.trying(), [(9, 1)], "one at a time");
    bench.fail(9);
    bench.pass(99);
    assert_eq!(bench.trying(), [], "the pause has doubled");
    bench.pass(101);
    assert_eq!(bench.trying(), [(10, 1)]);
    bench.deliver(10);
    assert_eq!(bench.status().breaker.state, BreakerState::Closed);
    assert_eq!(bench.trying().len(), 4);
    // A refusal is an answer too.
    let first = bench.trying()[0].0;
    bench.answer(first, Answer::Rejected("no".to_owned(), Data::Absent));
    assert_eq!(bench.status().breaker.failures, 0);
}

#[test]
fn while_the_breaker_is_open_moments_expire_in_time() {
    let mut bench = Bench::one(options(|options| options.breaker_failures = 1));
    bench.take(expiring(1, 1_020));
    bench.answer(1, Answer::Again { reason: "503".to_owned(), after: Some(Duration::from_secs(30)) });
    bench.take(expiring(2, 1_010));
    bench.take(moment(3, "s", "k"));
    bench.pass(11);
    assert_eq!(bench.statuses(), [(2, Status::Expired)]);
    bench.pass(10);
    assert_eq!(bench.statuses(), [(2, Status::Expired), (1, Status::Failed)]);
    // What the sink asked one action to wait holds for all.
    bench.pass(29_978);
    assert_eq!(bench.trying(), []);
    bench.pass(1);
    assert_eq!(bench.trying(), [(3, 1)]);
}

// ---- bounds ----

#[test]
fn who_feeds_a_full_sink_rests_and_nobody_else() {
    let two = options(|options| options.max_waiting = 2);
    let mut bench = Bench::new([("s", two), ("t", SinkOptions::default())]);
    bench.release();
    bench.take(moment(1, "s", "k"));
    assert!(!bench.state.holds_up_any());
    bench.take(moment(2, "s", "k"));
    // What a batch has returned is taken all the same.
    bench.take(moment(3, "s", "k"));
    let why = bench.state.holds_up("r").expect("it rests");
    assert!(why.starts_with("the sink `s` has as many actions waiting as it may, 2:"), "{why}");
    assert_eq!(bench.state.holds_up("another"), None);
    assert_eq!((bench.status().waiting, bench.status().max_waiting), (3, 2));
    (1..3).for_each(|n| bench.deliver(n));
    assert!(bench.state.holds_up("r").is_some(), "half of them wait");
    bench.deliver(3);
    assert!(!bench.state.holds_up_any());
}

#[test]
fn what_finds_no_room_is_set_aside_if_the_operator_wants_it_so() {
    let mut bench = Bench::one(options(|options| {
        options.max_waiting = 2;
        options.when_full = WhenFull::SetAside;
    }));
    (1..4).for_each(|n| bench.take(moment(n, "s", "k")));
    let detail = "the sink `s` had no room: 2 actions waited for it".to_owned();
    assert_eq!(bench.outcomes, [(3, Status::Failed, detail)]);
    assert!(!bench.state.holds_up_any());
    let status = bench.status();
    assert_eq!((status.waiting, status.failed, status.set_aside), (2, 1, 1));
    bench.deliver(1);
    bench.take(moment(4, "s", "k"));
    assert_eq!((bench.status().waiting, bench.outcomes.len()), (2, 2));
}

#[test]
fn what_waited_before_a_restart_is_not_set_aside_by_it() {
    let full = options(|options| {
        options.max_waiting = 1;
        options.when_full = WhenFull::SetAside;
    });
    let mut bench = Bench::new([("s", full)]);
    (1..4).for_each(|n| bench.take_maybe_tried(moment(n, "s", "k"), true));
    bench.release();
    assert_eq!((bench.status().waiting, bench.outcomes.len()), (3, 0));
}

#[test]
fn what_goes_nowhere_is_bounded_while_the_journal_is_not_written() {
    let mut bench = Bench::one(SinkOptions::default());
    bench.unwritten = Some(Vec::new());
    for n in 0..10_000_u32 {
        let mut moment = moment(0, "nowhere", "k");
        moment.actions[0].id.0[..4].copy_from_slice(&n.to_le_bytes());
        bench.take(moment);
    }
    assert!(bench.state.holds_up("r").is_some_and(|why| why.contains("to be journaled")));
    for (id, ending) in bench.unwritten.take().into_iter().flatten() {
        bench.write(id, ending);
    }
    assert_eq!((bench.state.holds_up("r"), bench.outcomes.len()), (None, 10_000));
}

// ---- the journal ----

#[test]
fn what_cannot_be_journaled_is_tried_again_and_nothing_is_lost() {
    let mut bench = Bench::one(options(|options| options.ordered = true));
    bench.take(moment(1, "s", "k"));
    bench.take(moment(2, "s", "k"));
    bench.unwritten = Some(Vec::new());
    bench.deliver(1);
    for _ in 0..3 {
        let (written, ending) = bench.unwritten.as_mut().expect("closed").pop().expect("it is tried");
        let again = bench.now + Duration::from_millis(50);
        bench.state.not_written(written, ending, again);
        bench.pass(49);
        assert!(bench.unwritten.as_ref().is_some_and(Vec::is_empty));
        bench.pass(1);
    }
    assert_eq!(bench.trying(), [], "no outcome yet");
    let (written, ending) = bench.unwritten.take().expect("closed").pop().expect("it is tried");
    bench.write(written, ending);
    bench.run();
    assert_eq!((bench.statuses(), bench.trying()), (vec![(1, Status::Delivered)], vec![(2, 1)]));
}

// ---- order ----

#[test]
fn in_order_the_next_of_a_key_is_begun_when_the_one_before_has_an_outcome() {
    let mut bench = Bench::one(options(|options| options.ordered = true));
    for (n, key) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "b")] {
        bench.take(moment(n, "s", key));
    }
    assert_eq!(bench.trying(), [(1, 1), (3, 1)]);
    bench.fail(1);
    bench.deliver(3);
    assert_eq!(bench.trying(), [(5, 1)], "other keys go on");
    bench.pass(100);
    bench.answer(1, Answer::Rejected(String::new(), Data::Absent));
    assert_eq!(bench.trying(), [(5, 1), (2, 1)]);
    bench.deliver(2);
    assert_eq!(bench.trying(), [(5, 1), (4, 1)]);
}

#[test]
fn in_order_one_that_expires_lets_the_next_go() {
    let mut bench = Bench::one(options(|options| options.ordered = true));
    bench.take(expiring(1, 1_010));
    bench.take(expiring(2, 1_005));
    bench.take(moment(3, "s", "k"));
    bench.fail(1);
    bench.pass(6);
    assert_eq!((bench.statuses(), bench.trying()), (vec![(2, Status::Expired)], vec![]));
    bench.pass(5);
    assert_eq!((bench.statuses()[1], bench.trying()), ((1, Status::Failed), vec![(3, 1)]));
}

#[test]
fn order_holds_over_a_restart() {
    let mut bench = Bench::new([("s", options(|options| options.ordered = true))]);
    // As they come from checkpoints: in no order, and two of one entry.
    for (n, order) in [(4, 0), (2, 7 << 16), (3, 0), (1, 3 << 16)] {
        let position = if n < 3 { 1 } else { u64::from(n) };
        bench.take_maybe_tried(Moment { position, order, ..moment(n, "s", "k") }, true);
    }
    bench.release();
    for n in 1..5 {
        assert_eq!(bench.trying(), [(n, 1)]);
        bench.deliver(n);
    }
}
