//! Whatever way the same inputs are cut into batches, spread over threads, delayed or given again: the same
//! states, timers, moments and idempotency keys. Compared with a model that knows of no batches.

mod chronicle;
mod model;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use self::chronicle::{Chronicle, EVENT_TYPE, version};
use self::model::model;
use super::lane::{DeadLetter, Halt, Lane, LaneWorld};
use super::program::CallFailure;
use super::step::{Planned, Step};
use crate::event::{Event, Instant};
use crate::host::Host;
use crate::journal::{ActionId, Body, Decision, Entry, Position};
use crate::moment::Moment;
use crate::pipeline::timeline::Timeline;

/// One event: how much later than the one before, about which key, and what the rule is to do.
#[derive(Clone, Debug)]
struct Told {
    later: u64,
    key: u8,
    deeds: Vec<String>,
}

type Kept = (Option<Vec<u8>>, Vec<(Instant, String)>);

/// What all of it came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// By key: the state, and the timers that are set.
    keys: BTreeMap<String, Kept>,
    /// By key, in order: why, time, now, and the action's id.
    moments: BTreeMap<String, Vec<(String, Instant, Instant, ActionId)>>,
    /// By key, in order: the reason.
    letters: BTreeMap<String, Vec<(Position, String)>>,
}

fn told() -> impl Strategy<Value = Vec<Told>> {
    let name = prop_oneof![Just("a"), Just("b"), Just("r3"), Just("r1")];
    let deed = prop_oneof![
        3 => (name.clone(), 0..40u64).prop_map(|(name, after)| format!("set {name} {after}")),
        1 => (name.clone(), 0..20u64).prop_map(|(name, before)| format!("past {name} {before}")),
        1 => name.prop_map(|name| format!("cancel {name}")),
        2 => Just("moment".to_owned()),
        1 => Just("forget".to_owned()),
        1 => Just("fail".to_owned()),
        1 => Just("boom".to_owned()),
    ];
    let one = (
        prop_oneof![3 => Just(0u64), 3 => 1..4u64, 1 => 10..60u64],
        0..4u8,
        prop::collection::vec(deed, 0..3),
    );
    let one = one.prop_map(|(later, key, deeds)| Told { later, key, deeds });
    prop::collection::vec(one, 1..60)
}

fn events(told: &[Told]) -> Vec<Event> {
    let mut now = 1_000;
    let mut events = Vec::new();
    for (number, told) in told.iter().enumerate() {
        now += told.later;
        let event = Event::new(number.to_string(), "/test", EVENT_TYPE)
            .with_subject(format!("key-{}", told.key))
            .with_time(now)
            .with_json(serde_json::to_string(&told.deeds).unwrap());
        events.push(event);
    }
    events
}

fn entries(events: &[Event]) -> Vec<Arc<Entry>> {
    let entry = |(position, event): (u64, &Event)| {
        Arc::new(Entry { position, epoch: 7, instant: event.time.unwrap(), body: Body::Event(event.into()) })
    };
    (0..).zip(events).map(entry).collect()
}

#[derive(Default)]
struct Observed {
    moments: Mutex<Vec<Arc<Moment>>>,
    letters: Mutex<Vec<DeadLetter>>,
    instants: Vec<Instant>,
}

impl LaneWorld for Observed {
    fn rule(&self) -> &str {
        "chronicle"
    }

    fn reached(&self, instant: Instant) -> Option<(Position, Instant)> {
        let place = self.instants.partition_point(|known| *known < instant);
        self.instants.get(place).map(|found| (place as u64, *found))
    }

    fn was_set_aside(&self, _: &Planned<'_>) -> Option<DeadLetter> {
        None
    }

    fn set_aside(&self, letter: DeadLetter) -> Result<(), Halt> {
        self.failed(letter);
        Ok(())
    }

    fn failed(&self, letter: DeadLetter) {
        self.letters.lock().unwrap().push(letter);
    }

    fn halted(&self) -> Option<Halt> {
        None
    }

    fn emit(&self, moment: Moment) -> Arc<Moment> {
        let moment = Arc::new(moment);
        self.moments.lock().unwrap().push(Arc::clone(&moment));
        moment
    }

    fn called(&self, _: usize, _: Duration, _: Option<&CallFailure>) {}
}

fn collect(moments: &[Arc<Moment>], letters: &[DeadLetter]) -> Outcome {
    let mut result = Outcome::default();
    for moment in moments {
        let shown = (moment.why.clone(), moment.time, moment.now, moment.actions[0].id);
        result.moments.entry(moment.key.clone()).or_default().push(shown);
    }
    for letter in letters {
        result
            .letters
            .entry(letter.key.clone())
            .or_default()
            .push((letter.input.position, letter.reason.clone()));
    }
    result
}

/// Runs a lane as a worker does, with turns and batches of the sizes given.
fn by_lane(entries: &[Arc<Entry>], turns: &[usize], batch: usize) -> Outcome {
    let observed =
        Observed { instants: entries.iter().map(|entry| entry.instant).collect(), ..Observed::default() };
    let mut lane = Lane::new(Some(Arc::new(version())), 0, false);
    lane.batch = batch;
    let mut sizes = turns.iter().cycle();
    let mut rest = entries;
    while !rest.is_empty() {
        let (now, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = later;
        let step = |entry: &Arc<Entry>| {
            let Body::Event(event) = &entry.body else { unreachable!() };
            let key = event.get().subject.unwrap().into();
            Step::Entry { key, entry: Arc::clone(entry), subscription: Some(0) }
        };
        let steps: VecDeque<Step> = now.iter().map(step).collect();
        assert!(lane.run(steps, &observed).is_ok());
        let until = now.last().unwrap().instant;
        loop {
            let due = lane.keys.due_keys(until, 3);
            if due.is_empty() {
                break;
            }
            let steps = due.into_iter().map(|key| Step::Timers { key, until }).collect();
            assert!(lane.run(steps, &observed).is_ok());
        }
    }
    let mut result = collect(&observed.moments.lock().unwrap(), &observed.letters.lock().unwrap());
    for (key, state) in lane.keys.iter() {
        let timers = state.timers.iter().map(|timer| (timer.due, timer.name.to_string())).collect();
        result.keys.insert(key.to_string(), (state.state.as_deref().map(<[u8]>::to_vec), timers));
    }
    result
}

/// Runs a whole host, on a journal in memory. Lanes hold so little in tests that the rule lags; it is reloaded
/// before every part whose number is in `reloads`.
fn by_host(events: &[Event], threads: usize, parts: usize, reloads: &[usize]) -> Outcome {
    let host = Host::builder().threads(threads).timeline(Timeline::Event).start().unwrap();
    host.run_native("chronicle", version());
    let mut moments = host.moments();
    let mut receipts = Vec::new();
    for (number, part) in events.chunks(parts).enumerate() {
        if reloads.contains(&number) {
            host.run_native("chronicle", version());
        }
        receipts.push(host.submit_all(part.to_vec()).unwrap());
    }
    receipts.into_iter().for_each(|receipt| assert!(receipt.wait().is_ok()));
    assert!(host.settle(Duration::from_secs(5)), "{:?} {:?}", host.status(), host.stuck());
    let mut seen = Vec::new();
    while let Some(moment) = moments.try_recv().unwrap() {
        seen.push(moment);
    }
    let mut result = collect(&seen, &[]);
    for letter in host.dead_letters(usize::MAX) {
        result.letters.entry(letter.key).or_default().push((letter.position, letter.reason));
    }
    for key in host.states("chronicle") {
        result.keys.insert(key.key, (key.state, key.timers));
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_into_batches_comes_to_the_same(
        told in told(),
        turns in prop::collection::vec(1..70usize, 1..5),
        batch in prop_oneof![Just(1usize), 2..9usize, Just(256)],
    ) {
        let entries = entries(&events(&told));
        let expected = model(&entries);
        prop_assert_eq!(by_lane(&entries, &[1], 1), model(&entries));
        prop_assert_eq!(by_lane(&entries, &turns, batch), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn any_number_of_threads_comes_to_the_same(
        told in told(),
        parts in 1..20usize,
        reloads in prop::collection::vec(0..20usize, 0..4),
    ) {
        let events = events(&told);
        // The epoch is random and the positions are others: ids differ, all else must not.
        let strip = |mut result: Outcome| {
            result.moments.values_mut().flatten().for_each(|moment| moment.3 = ActionId([0; 16]));
            result.letters.values_mut().flatten().for_each(|letter| letter.0 = 0);
            result
        };
        let expected = strip(model(&entries(&events)));
        for threads in [1, 2, 8] {
            prop_assert_eq!(&strip(by_host(&events, threads, parts, &reloads)), &expected, "{} threads", threads);
        }
    }
}

#[test]
fn the_test_rule_does_what_its_events_ask_for() {
    let told = [
        Told { later: 0, key: 1, deeds: vec!["moment".into(), "set a 5".into()] },
        Told { later: 9, key: 2, deeds: vec!["boom".into()] },
    ];
    let result = by_lane(&entries(&events(&told)), &[2], 256);
    assert_eq!(result.moments["key-1"].len(), 2, "the event's and the timer's: {result:?}");
    assert_eq!(result.letters["key-2"].len(), 1);
    assert_eq!(Chronicle.handle(&super::super::rule::Batch::default()), Ok(Default::default()));
}

/// The decisions to switch that a host has journaled: at which positions, and from where on they hold.
fn switches(host: &Host) -> Vec<(Position, Position)> {
    let mut found = Vec::new();
    let visited = host.shared().journal.visit_decisions(0, &mut |entry| {
        if let Body::Decision { decision, .. } = &entry.body
            && let Decision::Switch { at, .. } = &**decision
        {
            found.push((entry.position, *at));
        }
        Ok(())
    });
    assert!(visited.is_ok(), "{visited:?}");
    found
}

#[test]
fn a_rule_that_keeps_up_is_switched_right_behind_the_decision() {
    let told = [0, 1, 2].map(|key| Told { later: 1, key, deeds: vec!["moment".into()] });
    let host = Host::builder().threads(2).timeline(Timeline::Event).start().unwrap();
    host.run_native("chronicle", version());
    for event in events(&told) {
        assert!(host.submit(event).unwrap().wait().is_ok());
        assert!(host.settle(Duration::from_secs(5)));
        host.run_native("chronicle", version());
    }
    let switches = switches(&host);
    assert_eq!(switches.len(), 4, "{switches:?}");
    assert!(switches[1..].iter().all(|(position, at)| *at == position + 1), "{switches:?}");
}
