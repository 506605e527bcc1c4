//! What guardrails promise while much happens at once: no cap is exceeded, whatever crashes or is reloaded, and what is
//! held comes back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carpe::journal::Muted;
use carpe::status::PluginState;
use carpe::{
    Answer, ConsentGiven, Data, Delivery, Event, Host, HostBuilder, MomentFilter, Reply, Route, Sink, Stage,
    Target, Timeline,
};
use carpe_tests::daemon::Home;
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::receiver::Receiver;
use carpe_tests::{settle, wait_for, wait_for_state};
use serde_json::{Value, json};

const SUBJECTS: u64 = 40;
const CAP: usize = 3;

/// Takes actions, and remembers them: their keys, whom they are about, and their numbers.
#[derive(Default)]
struct Books(Mutex<BTreeMap<String, (String, u64)>>);

impl Sink for Books {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        let Data::Json(data) = &delivery.event.data else { panic!("{:?}", delivery.event) };
        let data: Value = serde_json::from_str(data).expect("JSON");
        let subject = delivery.event.subject.as_deref().unwrap_or_default().to_owned();
        let number = data["n"].as_u64().expect("a number");
        self.0.lock().expect("no thread panicked").insert(delivery.id.to_string(), (subject, number));
        reply.send(Answer::Delivered(Data::Absent));
    }
}

impl Books {
    fn numbers(&self) -> Vec<(String, u64)> {
        self.0.lock().expect("no thread panicked").values().cloned().collect()
    }
}

fn host(folder: &Folder, books: &Arc<Books>, guardrails: &str) -> HostBuilder {
    Host::builder()
        .plugins_dir(folder.path())
        .sandbox(sandbox())
        .threads(4)
        .guardrails(toml::from_str(guardrails).expect("guardrails"))
        .sink("books", Arc::clone(books) as Arc<dyn Sink>)
        .route(Route::new("ledger.note", Target::Sink("books".to_owned())))
}

/// An entry that asks for an action.
fn entry(subject: &str, n: u64) -> Event {
    Event::new(format!("{subject}-{n}"), "/tests/guardrails", "ledger.entry")
        .with_subject(subject)
        .with_json(json!({ "n": n, "note": true }).to_string())
}

fn per_subject(numbers: &[(String, u64)]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    numbers.iter().for_each(|(subject, _)| *counts.entry(subject.as_str()).or_default() += 1);
    counts
}

const CAPS: &str = "
    [guardrail.seldom]
    kind = 'frequency'
    at_most = 3
    period_seconds = 86400

    [guardrail.money]
    kind = 'budget'
    amount_pointer = '/n'
    at_most = 450
    period_seconds = 86400
    each = 'all'
";

/// The tables as they stand in `carpe.toml`, for an embedded host.
fn tables(text: &str) -> String {
    text.replace("[guardrail.", "[")
}

#[test]
fn no_cap_is_exceeded_by_many_threads_nor_by_reloads() {
    let (folder, books) = (Folder::new(), Arc::new(Books::default()));
    folder.plugin("ledger", guest("ledger"), "");
    // Less money than there is room for by number.
    let caps = tables(CAPS).replace("450", "150");
    let host = host(&folder, &books, &caps).start().expect("it starts");
    std::thread::scope(|scope| {
        for part in 0..4 {
            let host = &host;
            scope.spawn(move || {
                for n in 1..=10 {
                    let events = (0..SUBJECTS).filter(|subject| subject % 4 == part);
                    let events = events.map(|subject| entry(&format!("person-{subject}"), n)).collect();
                    host.submit_all(events).expect("room").wait().expect("accepted");
                }
            });
        }
        for version in 1..=3 {
            folder.plugin("ledger", guest("ledger"), &format!("[configuration]\nversion = {version}"));
            std::thread::sleep(Duration::from_millis(150));
        }
    });
    wait_for_state(&host, "ledger", PluginState::Active);
    settle(&host);
    let numbers = books.numbers();
    assert!(per_subject(&numbers).values().all(|count| *count <= CAP), "{numbers:?}");
    let sum: u64 = numbers.iter().map(|(_, n)| n).sum();
    // What is left of the budget is less than the dearest that was refused.
    assert!((141..=150).contains(&sum), "{sum}");
    let status = host.status();
    assert_eq!(status.actions["withheld"] as usize + numbers.len(), SUBJECTS as usize * 10);
    let guardrails = &status.guardrails.guardrails;
    assert!(guardrails.iter().map(|guardrail| guardrail.withheld).sum::<u64>() > 200, "{guardrails:?}");
}

#[test]
fn no_cap_is_exceeded_whenever_the_host_is_killed() {
    let receiver = Receiver::start();
    let checkpoints = "[checkpoints]\nevery_ms = 200\n";
    let home = Home::new(&format!("{}{checkpoints}{CAPS}", receiver.configuration(&["ledger.note"])));
    home.plugins.plugin("ledger", guest("ledger"), "");
    let mut pauses = [3u64, 40, 0, 260, 15, 120].into_iter();
    for n in 1..=6 {
        let daemon = home.start();
        let batch: Vec<Value> = (0..SUBJECTS)
            .map(|subject| {
                serde_json::from_str(&entry(&format!("person-{subject}"), n).to_json()).expect("JSON")
            })
            .collect();
        let (status, body) = daemon.send(
            &[("content-type", "application/cloudevents-batch+json")],
            &Value::Array(batch).to_string(),
        );
        assert!(status < 300, "{status} {body}");
        std::thread::sleep(Duration::from_millis(pauses.next().unwrap_or(0)));
        daemon.kill();
    }
    let daemon = home.start();
    daemon.settle();
    wait_for("every action has come to something", || {
        (daemon.status()["sinks"][0]["waiting"] == 0).then_some(())
    });
    let mut taken: BTreeMap<String, (String, u64)> = BTreeMap::new();
    for request in receiver.taken() {
        let subject = request.action["subject"].as_str().unwrap_or_default().to_owned();
        taken.insert(request.id, (subject, request.action["data"]["n"].as_u64().expect("a number")));
    }
    let numbers: Vec<_> = taken.into_values().collect();
    assert!(per_subject(&numbers).values().all(|count| *count <= CAP), "{numbers:?}");
    let sum: u64 = numbers.iter().map(|(_, n)| n).sum();
    assert!(sum <= 450, "{sum}");
    // Nothing was counted that did not go out: what there was room for went.
    assert_eq!((numbers.len(), sum), (SUBJECTS as usize * CAP, SUBJECTS * (1 + 2 + 3)));
}

#[test]
fn what_is_held_comes_back_after_a_restart_and_its_life_is_known() {
    let (folder, books) = (Folder::new(), Arc::new(Books::default()));
    let data = tempfile::tempdir().expect("a folder");
    folder.plugin("ledger", guest("ledger"), "");
    let text = "
        [large]
        kind = 'approval'
        amount_pointer = '/n'
        above = 1
        within_seconds = 3600
        [yes]
        kind = 'consent'
        purposes = { '*' = 'notes' }
        except = ['*.free']
    ";
    let start = || host(&folder, &books, text).data_dir(data.path()).start().expect("it starts");
    let first = start();
    let yes = |subject: &str, given| ConsentGiven {
        subject: subject.to_owned(),
        purpose: "notes".to_owned(),
        given,
        said: None,
    };
    assert_eq!(first.consent(vec![yes("anna", true), yes("bert", true)]).expect("taken"), 2);
    let entries = vec![entry("anna", 1), entry("anna", 2), entry("bert", 2), entry("carl", 1)];
    first.submit_all(entries).expect("room").wait().expect("accepted");
    settle(&first);
    let held = first.held(10);
    assert_eq!(held.iter().filter(|held| held.for_approval).count(), 2, "{held:?}");
    assert_eq!(books.numbers(), [("anna".to_owned(), 1)]);
    let stages = |host: &Host| {
        let mut stages: Vec<(String, Stage)> = host
            .lives(&MomentFilter::default())
            .iter()
            .map(|life| (life.moment.subject().to_owned(), life.stage))
            .collect();
        stages.sort();
        stages
    };
    let named = |name: &str, stage| (name.to_owned(), stage);
    assert_eq!(
        stages(&first),
        [
            named("anna", Stage::Held),
            named("anna", Stage::Done),
            named("bert", Stage::Held),
            named("carl", Stage::Withheld)
        ]
    );
    assert!(first.shutdown(Duration::from_secs(10)).drained);

    let second = start();
    assert_eq!(second.held(10).len(), 2);
    assert_eq!(stages(&second), [named("anna", Stage::Held), named("bert", Stage::Held)]);
    let id = |subject: &str| {
        let held = second.held(10);
        held.into_iter().find(|held| held.subject == subject).expect("it is held").id
    };
    let (anna, bert) = (id("anna"), id("bert"));
    // What was approved goes by what holds by then.
    assert_eq!(second.consent(vec![yes("bert", false)]).expect("taken"), 1);
    second.approve(&anna, true, "by the board").expect("it waits");
    second.approve(&bert, true, "by the board").expect("it waits");
    settle(&second);
    assert!(second.approve(&anna, false, "").is_err(), "it waits no more");
    assert_eq!(stages(&second), [named("anna", Stage::Done), named("bert", Stage::Withheld)]);
    let lives = second.lives(&MomentFilter::default());
    let life = lives.iter().find(|life| life.moment.subject() == "bert").expect("a life");
    let last = life.actions[0].steps.last().expect("a step");
    assert_eq!(last.why, "guardrail `yes`: the subject has said no to `notes`");
    assert_eq!(second.life(&life.moment.id.to_string()).expect("kept"), *life);
    assert_eq!(books.numbers().len(), 2);

    // Muted: nothing of it, until it is unmuted.
    second.mute(Muted::Rule("ledger".to_owned()), None, "a test").expect("muted");
    second.submit(entry("anna", 3)).expect("room").wait().expect("accepted");
    settle(&second);
    assert_eq!(second.status().guardrails.mutes.len(), 1);
    second.unmute(Muted::Rule("ledger".to_owned())).expect("unmuted");
    assert_eq!(books.numbers().len(), 2);

    // Somebody is forgotten: nothing of what was said, either.
    second.erase(&carpe::journal::Erasure::of("anna", None), true).expect("asked for");
    wait_for("the erasure", || second.status().kept.erasures.is_empty().then_some(()));
    assert_eq!(second.consents_of("anna"), []);
    assert_eq!(second.consents_of("bert").len(), 1);
    drop(second);
    assert_eq!(start().consents_of("anna"), []);
}

#[test]
fn what_is_held_goes_by_the_timeline_over_a_change_of_the_clocks() {
    let (folder, books) = (Folder::new(), Arc::new(Books::default()));
    folder.plugin("ledger", guest("ledger"), "");
    let text = "
        [night]
        kind = 'quiet-hours'
        from = '22:00'
        to = '07:00'
        time_zone = 'Europe/Vienna'
    ";
    let at = |text: &str| carpe::parse_instant(text).expect("an instant");
    // In the night to 29 March 2026 an hour is left out, in that to 25 October there is one more.
    for (n, from, before, after) in [
        (1, "2026-03-28T21:30:00Z", "2026-03-29T04:59:59.999Z", "2026-03-29T05:00:00Z"),
        (2, "2026-10-24T20:30:00Z", "2026-10-25T05:59:59.999Z", "2026-10-25T06:00:00Z"),
    ] {
        // Event time goes only so far at once: a host for each.
        let host = host(&folder, &books, text).timeline(Timeline::Event).start().expect("it starts");
        host.submit(entry("anna", n).with_time(at(from))).expect("room").wait().expect("accepted");
        settle(&host);
        host.advance(at(before));
        settle(&host);
        assert_eq!(books.numbers().len() as u64, n - 1, "before {after}");
        assert_eq!(host.held(10)[0].until, at(after));
        host.advance(at(after));
        wait_for("the hours are over", || (books.numbers().len() as u64 == n).then_some(()));
    }
}

#[test]
fn all_sinks_that_routes_lead_to_are_given_an_action_once_and_the_first_decides() {
    #[derive(Default)]
    struct Refuses(Mutex<Vec<String>>);
    impl Sink for Refuses {
        fn deliver(&self, delivery: Delivery, reply: Reply) {
            self.0.lock().expect("no thread panicked").push(delivery.id.to_string());
            reply.send(Answer::Rejected("no".to_owned(), Data::Absent));
        }
    }
    let (folder, books, refuses) = (Folder::new(), Arc::new(Books::default()), Arc::new(Refuses::default()));
    folder.plugin("ledger", guest("ledger"), "");
    let data = tempfile::tempdir().expect("a folder");
    let to = |sink: &str| Target::Sink(sink.to_owned());
    let start = || {
        host(&folder, &books, "")
            .data_dir(data.path())
            .sink("refuses", Arc::clone(&refuses) as Arc<dyn Sink>)
            .route(Route::new("ledger.*", to("refuses")))
            .route(Route::new("ledger.note", to("books")))
            .default_route(to("refuses"))
            .start()
            .expect("it starts")
    };
    let first = start();
    first.submit_all((1..=20).map(|n| entry("anna", n)).collect()).expect("room").wait().expect("accepted");
    settle(&first);
    let status = first.status();
    assert_eq!(status.actions["delivered"] + status.actions["rejected"], 40);
    // What the first sink took counts for the rule.
    let lives = first.lives(&MomentFilter::default());
    assert!(lives.len() == 20 && lives.iter().all(|life| life.stage == Stage::Done), "{lives:?}");
    assert!(first.shutdown(Duration::from_secs(10)).drained);
    let second = start();
    settle(&second);
    let copies: Vec<String> = refuses.0.lock().unwrap().clone();
    let distinct: BTreeSet<&String> = copies.iter().collect();
    assert_eq!((copies.len(), distinct.len()), (20, 20), "each once");
    let keys: BTreeSet<String> = books.0.lock().unwrap().keys().cloned().collect();
    assert_eq!(distinct, keys.iter().collect(), "under the same keys");
}
