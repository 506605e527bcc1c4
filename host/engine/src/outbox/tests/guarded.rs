//! The outbox with guardrails before it: what is held, withheld and counted.

use super::*;
use crate::journal::{Erasure, GuardChange, Muted};

const DAY: u64 = 24 * 3_600_000;

fn bench(guardrails: &str) -> Bench {
    again(guardrails, &[])
}

/// The same with what the journal holds of before.
fn again(guardrails: &str, journal: &[Entry]) -> Bench {
    let guardrails = read(guardrails);
    let mut bench = Bench::guarded([("s", SinkOptions::default())], guardrails, journal);
    bench.timeline = 20_000 * DAY;
    bench.release();
    bench
}

fn read(guardrails: &str) -> BTreeMap<String, Guardrail> {
    toml::from_str(guardrails).expect("guardrails")
}

/// A moment about somebody, of a kind, with an action with data.
fn about(n: u8, subject: &str, kind: &str, data: &str) -> Moment {
    let mut moment = moment(n, "s", "key");
    moment.subject = Some(subject.to_owned());
    moment.kind = kind.to_owned();
    moment.actions[0].data = data.to_owned();
    moment
}

fn offer(n: u8) -> Moment {
    about(n, "anna", "shop.near", "{}")
}

impl Bench {
    fn tell(&mut self, change: GuardChange) {
        self.journal(Body::Guard(Box::new(change)));
    }

    fn says(&mut self, subject: &str, given: bool) {
        let change = GuardChange::Consent {
            subject: Erasure::hash(subject),
            purpose: "offers".to_owned(),
            given,
            said: self.timeline,
        };
        self.tell(change);
    }

    fn approve(&mut self, n: u8, approved: bool) {
        self.tell(GuardChange::Approval { id: id(n), approved, why: "by the board".to_owned() });
        let deeds = self.state.judge_again(id(n), self.timeline);
        self.act(deeds);
        self.run();
    }

    /// Lets hours pass on the timeline.
    fn hours(&mut self, hours: u64) {
        self.timeline += hours * 3_600_000;
        self.run();
    }

    fn last(&self) -> (u8, Status, &str) {
        let (n, status, detail) = self.outcomes.last().expect("an outcome");
        (*n, *status, detail)
    }

    fn sent(&mut self) -> Vec<u8> {
        let sent: Vec<u8> = self.tries.iter().map(|begun| begun.id.0[0]).collect();
        for n in &sent {
            self.deliver(*n);
        }
        sent
    }
}

#[test]
fn without_a_yes_for_the_purpose_nothing_goes_out() {
    let mut bench = bench("[a]\nkind = \"consent\"\npurposes = { \"s\" = \"offers\", \"t*\" = \"adverts\" }");
    bench.take(offer(1));
    assert_eq!(
        bench.last(),
        (1, Status::Withheld, "guardrail `a`: the subject has given no yes for `offers`")
    );
    bench.says("anna", true);
    bench.take(offer(2));
    bench.take(about(3, "bert", "shop.near", "{}"));
    assert_eq!(bench.sent(), [2]);
    bench.timeline += 1;
    bench.says("anna", false);
    bench.take(offer(4));
    assert_eq!(bench.last(), (4, Status::Withheld, "guardrail `a`: the subject has said no to `offers`"));
    // What was said before that changes nothing.
    bench.timeline -= 1;
    bench.says("anna", true);
    bench.take(offer(5));
    assert_eq!(bench.last().1, Status::Withheld);
    // Nobody is no one who could have said yes.
    bench.take(Moment { key: String::new(), subject: None, ..offer(6) });
    assert!(bench.last().2.contains("neither a subject nor a key"), "{:?}", bench.last());
}

#[test]
fn no_more_than_so_many_in_a_period_each() {
    let text = "[a]\nkind = \"frequency\"\nat_most = 2\nperiod_seconds = 3600";
    let mut first = bench(text);
    (1..=3).for_each(|n| first.take(offer(n)));
    first.take(about(4, "bert", "shop.near", "{}"));
    assert_eq!(first.sent(), [1, 2, 4]);
    assert_eq!(
        first.outcomes[0],
        (3, Status::Withheld, "guardrail `a`: 2 in an hour are as many as may be".to_owned())
    );
    // The same from the journal alone.
    let mut later = again(text, &first.journal);
    later.take(offer(5));
    assert_eq!(later.last().1, Status::Withheld);
    later.timeline += 3_600_000;
    later.take(offer(6));
    assert_eq!(later.sent(), [6]);
}

#[test]
fn a_budget_is_a_sum_and_what_has_no_amount_is_not_spent() {
    let text = "[a]\nkind = \"budget\"\namount_pointer = \"/total\"\nat_most = 10\nperiod_seconds = 3600\neach = \"all\"";
    let mut bench = bench(text);
    let spend = |n, data: &str| about(n, "machine", "m", data);
    bench.take(spend(1, "{\"total\": 6.5}"));
    bench.take(spend(2, "{\"total\": 3.500001}"));
    bench.take(spend(3, "{\"total\": 3.5}"));
    assert_eq!(bench.outcomes[0].2, "guardrail `a`: 3.500001 more would be over the budget of 10 in an hour");
    for (n, data) in [(4, "{}"), (5, "{\"total\": -1}"), (6, "{\"total\": \"1\"}"), (7, "nothing")] {
        bench.take(spend(n, data));
        assert_eq!(bench.last().1, Status::Withheld, "{data}");
    }
    bench.take(spend(8, "{\"total\": 0}"));
    assert_eq!(bench.sent(), [1, 3, 8]);
}

#[test]
fn a_person_approves_or_refuses_or_does_not_answer() {
    let text = "[a]\nkind = \"approval\"\namount_pointer = \"/total\"\nabove = 50\nwithin_seconds = 3600";
    let mut first = bench(text);
    let order = |n, data: &str| about(n, "machine", "m", data);
    first.take(order(1, "{\"total\": 50}"));
    assert_eq!(first.sent(), [1]);
    (2..=5).for_each(|n| first.take(order(n, "{\"total\": 50.01}")));
    first.take(Moment { expires: Some(first.timeline + 1_000), ..order(6, "{\"total\": 51}") });
    assert!(first.tries.is_empty() && first.state.detained.len() == 5);
    first.approve(2, true);
    assert_eq!(first.sent(), [2]);
    first.approve(3, false);
    assert_eq!(first.last(), (3, Status::Withheld, "guardrail `a`: refused: by the board"));
    first.pass(1_001);
    assert_eq!(first.last(), (6, Status::Expired, "the moment expired before the first try"));
    // What was approved while the host was down, so to speak: the answer is in the journal, the action comes again.
    first.tell(GuardChange::Approval { id: id(4), approved: true, why: String::new() });
    let mut later = again(text, &first.journal);
    later.take(order(4, "{\"total\": 50.01}"));
    assert_eq!(later.sent(), [4]);
    later.take(order(5, "{\"total\": 50.01}"));
    later.hours(2);
    assert_eq!(later.last(), (5, Status::Withheld, "guardrail `a`: nobody approved it in time"));
}

#[test]
fn of_moments_close_to_each_other_the_most_important_acts() {
    let text = "[a]\nkind = \"exclusive\"\nwindow_ms = 1000\norder = [\"flood.*\", \"shop.*\"]";
    let mut first = bench(text);
    first.take(about(1, "anna", "other", "{}"));
    first.take(about(2, "anna", "shop.near", "{}"));
    first.take(about(3, "bert", "shop.near", "{}"));
    first.pass(500);
    first.take(about(4, "anna", "flood.rising", "{}"));
    first.take(about(5, "anna", "flood.falling", "{}"));
    // A second action of the moment that wins.
    let mut more = about(6, "anna", "flood.rising", "{}");
    more.id = MomentId([4; 16]);
    more.position = 4;
    first.take(more.clone());
    let until_here = first.journal.clone();
    first.pass(499);
    assert!(first.tries.is_empty());
    first.pass(1);
    let mut sent = first.sent();
    sent.sort_unstable();
    assert_eq!(sent, [3, 4, 6]);
    let mut withheld: Vec<u8> =
        first.outcomes.iter().filter(|o| o.1 == Status::Withheld).map(|o| o.0).collect();
    withheld.sort_unstable();
    assert_eq!(withheld, [1, 2, 5]);
    // A new window.
    first.take(offer(7));
    first.pass(1_000);
    assert_eq!(first.sent(), [7]);
    // The host was killed before the window's end, and finds the actions one by one; a better one last.
    let mut later = again(text, &until_here);
    later.timeline += 2_000;
    later.take(about(1, "anna", "other", "{}"));
    assert_eq!(later.last().1, Status::Withheld);
    later.take(about(4, "anna", "flood.rising", "{}"));
    later.take(about(5, "anna", "flood.falling", "{}"));
    later.take(about(2, "anna", "shop.near", "{}"));
    later.take(more);
    assert_eq!(later.sent(), [4, 6]);
    assert_eq!(later.outcomes.iter().filter(|outcome| outcome.1 == Status::Withheld).count(), 3);
}

#[test]
fn quiet_hours_hold_until_they_end() {
    let text = "[a]\nkind = \"quiet-hours\"\nfrom = \"22:00\"\nto = \"07:00\"\ntime_zone = \"UTC\"\ntime_zone_pointer = \"/zone\"";
    let mut bench = bench(text);
    bench.timeline = 20_000 * DAY + 21 * 3_600_000;
    bench.take(offer(1));
    bench.take(about(2, "anna", "m", "{\"zone\": \"Asia/Kathmandu\"}"));
    assert_eq!(bench.sent(), [1]);
    bench.hours(1);
    bench.take(offer(3));
    bench.hours(3);
    // 07:00 in Kathmandu is 01:15 in UTC.
    assert!(bench.tries.is_empty());
    bench.pass(15 * 60_000);
    assert_eq!(bench.sent(), [2]);
    bench.hours(5);
    assert!(bench.tries.is_empty());
    bench.hours(1);
    assert_eq!(bench.sent(), [3]);
    assert!(bench.state.open.is_empty() && bench.state.detained.is_empty());
}

#[test]
fn a_sink_is_given_no_more_than_so_many() {
    let text = "[a]\nkind = \"rate\"\nsink = \"s\"\nat_most = 2\nperiod_seconds = 60";
    let mut bench = bench(text);
    (1..=5).for_each(|n| bench.take(offer(n)));
    assert_eq!(bench.sent(), [1, 2]);
    bench.timeline += 59_999;
    bench.run();
    assert!(bench.tries.is_empty());
    bench.pass(1);
    assert_eq!(bench.sent(), [3, 4]);
    bench.pass(60_000);
    assert_eq!(bench.sent(), [5]);
}

#[test]
fn what_is_muted_is_withheld_for_a_time() {
    let mut bench = bench("[x]\nkind = \"mute\"\nmoments = [\"advert.*\"]\nuntil = \"2030-01-01T00:00:00Z\"");
    let until = Some(bench.timeline + 1_000);
    let subject = Muted::Subject(Erasure::hash("anna"));
    bench.tell(GuardChange::Mute { what: subject, until, why: "asked".to_owned() });
    bench.tell(GuardChange::Mute {
        what: Muted::Moment("flood.*".to_owned()),
        until: None,
        why: String::new(),
    });
    bench.take(offer(1));
    assert!(
        bench.last().2.ends_with("the subject is muted until 2024-10-04T00:00:01.000Z: asked"),
        "{:?}",
        bench.last()
    );
    bench.take(about(2, "bert", "flood.rising", "{}"));
    assert_eq!(bench.last().2, "guardrail `carpe mute`: the kind of moment is muted");
    bench.take(about(3, "bert", "advert.new", "{}"));
    assert_eq!(bench.last().2, "guardrail `x`: muted until 2030-01-01T00:00:00.000Z");
    bench.pass(1_000);
    bench.take(offer(4));
    bench.tell(GuardChange::Unmute { what: Muted::Moment("flood.*".to_owned()) });
    bench.take(about(5, "bert", "flood.rising", "{}"));
    bench.tell(GuardChange::Mute { what: Muted::Rule("r".to_owned()), until: None, why: String::new() });
    bench.take(offer(6));
    assert_eq!(bench.sent(), [4, 5]);
}

#[test]
fn an_erasure_leaves_nothing_of_somebody() {
    let text = "[a]\nkind = \"consent\"\npurposes = { \"*\" = \"offers\" }\n[b]\nkind = \"frequency\"\nat_most = 1\nperiod_seconds = 60";
    let mut bench = bench(text);
    bench.says("anna", true);
    bench.take(offer(1));
    assert_eq!(bench.sent(), [1]);
    let asked = bench.journal.len() as u64;
    bench.journal(Body::ErasureAsked(Box::new(Erasure::of("anna", None))));
    let later = |n| Moment { position: asked + u64::from(n), ..offer(n) };
    bench.take(later(2));
    assert_eq!(bench.last().2, "guardrail `a`: the subject has given no yes for `offers`");
    bench.says("anna", true);
    bench.take(later(3));
    assert_eq!(bench.sent(), [3]);
    // What came from before and was on its way leaves nothing.
    bench.take(offer(4));
    assert_eq!(bench.state.guard.verdict(id(4)), None);
}
