//! What the journals' tests share: entries of all kinds, and a list as the model.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::event::{Data, Event};
use crate::rule::Status;

/// Groups of (milliseconds since the entry before, kind of body).
pub(crate) type Groups = Vec<Vec<(u64, usize)>>;

pub(crate) fn groups(most: usize) -> impl Strategy<Value = Groups> {
    let entry = (prop_oneof![Just(0u64), 0..5u64, Just(100_000)], 0..bodies().len());
    prop::collection::vec(prop::collection::vec(entry, 1..12), 0..most)
}

/// The same, stamped. Each group has an epoch of its own.
pub(crate) fn entries(groups: &Groups) -> Vec<Vec<Arc<Entry>>> {
    let bodies = bodies();
    let (mut position, mut instant) = (0, 1_700_000_000_000);
    let mut stamp = |epoch: usize, &(since, kind): &(u64, usize)| {
        instant += since;
        position += 1;
        let body = bodies[kind % bodies.len()].clone();
        Arc::new(Entry { position: position - 1, epoch: epoch as u64 * 77, instant, body })
    };
    groups
        .iter()
        .enumerate()
        .map(|(epoch, group)| group.iter().map(|entry| stamp(epoch, entry)).collect())
        .collect()
}

/// Everything that a journal says, against the list.
pub(crate) fn check(journal: &dyn Journal, model: &[Arc<Entry>]) {
    check_from(journal, 0, model);
}

/// The same of a journal that keeps only what is at or after `start`.
pub(crate) fn check_from(journal: &dyn Journal, start: Position, model: &[Arc<Entry>]) {
    let end = model.len() as Position;
    assert_eq!((journal.start(), journal.end()), (start, end));
    assert_eq!(journal.last(), model.last().map(|entry| (entry.instant, entry.epoch)));
    let kept = &model[start as usize..];
    let third = |thirds| start + (end - start) * thirds / 3;
    for (from, max_bytes) in
        [(start, usize::MAX), (start, 0), (third(2), usize::MAX), (third(1), 700), (end, 10)]
    {
        let read = journal.read(from, max_bytes).unwrap();
        assert_eq!(read[..], model[from as usize..from as usize + read.len()]);
        assert_eq!(read.is_empty(), from == end);
        if max_bytes == usize::MAX {
            assert_eq!(read.len() as u64, end - from);
        }
    }
    for outside in [Some(end + 1), start.checked_sub(1)].into_iter().flatten() {
        assert!(matches!(journal.read(outside, 1), Err(JournalError::OutOfRange { .. })));
    }
    let instants = kept.iter().flat_map(|entry| [entry.instant - 1, entry.instant, entry.instant + 1]);
    for instant in instants.chain([0, u64::MAX]) {
        let first = kept.iter().find(|entry| entry.instant >= instant);
        let expected = first.map(|entry| (entry.position, entry.instant));
        assert_eq!(journal.at_or_after(instant).unwrap(), expected, "at {instant}");
    }
    for from in [0, start, third(1), third(2), end, end + 1] {
        let mut visited = Vec::new();
        let mut visit = |entry| {
            visited.push(entry);
            Ok(())
        };
        journal.visit_decisions(from, &mut visit).unwrap();
        let decisions = kept.iter().filter(|entry| !matches!(entry.body, Body::Event(_) | Body::Tick));
        let decisions: Vec<_> = decisions.filter(|entry| entry.position >= from).cloned().collect();
        assert_eq!(visited, decisions);
    }
}

/// One of every kind, with every field set and not set.
pub(crate) fn bodies() -> Vec<Body> {
    let id = InputId([1; 16]);
    let action = ActionId([2; 16]);
    let input = InputRef { id, position: 300, subscription: Some(2), timer: None };
    let timer = InputRef { id, position: 301, subscription: None, timer: Some("due".into()) };
    let decision = |decision| Body::Decision { rule: "flood".into(), decision: Box::new(decision) };
    let mut full = Event::new("1", "/gauge", "gauge.level")
        .with_subject("elbe")
        .with_time(1_700_000_000_123)
        .with_json("{\"level\": 7}");
    full.dataschema = Some("urn:x".into());
    full.extensions = vec![("a".into(), "b".into()), ("c".into(), "".into())];
    let mut binary = Event::new("2", "/cam", "picture");
    binary.data = Data::Binary(Bytes::from_static(&[0, 255, 7]));
    let outcome = |status, reference, answer| {
        let (rule, key, name, detail) = ("r".into(), "k".into(), "a.b".into(), "d".into());
        Body::Outcome(Box::new(OutcomeEntry {
            id: action,
            rule,
            key,
            action: name,
            reference,
            status,
            answer,
            detail,
        }))
    };
    let image = KeyImage { state: Some(vec![9, 8]), state_version: 2, timers: vec![("t".into(), 400)] };
    let given_again = |given| decision(Decision::GivenAgain { input: timer.clone(), key: "k".into(), given });
    let mut bodies = vec![
        Body::Event(full.into()),
        Body::Event(binary.into()),
        Body::Event(Event::new("3", "/s", "t").into()),
        Body::Tick,
        Body::Started { host: "0.1.0".into(), timeline: "received".into() },
        Body::SourceRead(SourceRead { source: "file:/e".into(), cursor: "99".into() }.into()),
        Body::KeyChange(KeyChange { rule: "r".into(), key: "k".into(), to: Some(image) }.into()),
        Body::KeyChange(KeyChange { rule: "r".into(), key: "k".into(), to: None }.into()),
        decision(Decision::Switch {
            at: 5,
            to: VersionRecord { component: [3; 32], configuration: "{}".into(), limits: "{}".into() },
            version: "1.2.3".into(),
        }),
        decision(Decision::Unload { at: 6 }),
        decision(Decision::SetAside {
            input: input.clone(),
            key: "k".into(),
            reason: "trap".into(),
            backtrace: vec!["f".into(), "g".into()],
        }),
        decision(Decision::Verdict { id: action, at: 7, withheld: Some("no consent".into()) }),
        decision(Decision::Verdict { id: action, at: 7, withheld: None }),
        given_again(Given::Timer("due".into())),
        given_again(Given::Event(Event::new("3", "/s", "t").into())),
        given_again(Given::Outcome(OutcomeEntry {
            id: action,
            rule: "r".into(),
            key: "k".into(),
            action: "a.b".into(),
            reference: None,
            status: Status::Failed,
            answer: Data::Absent,
            detail: String::new(),
        })),
        decision(Decision::Dropped { input }),
        decision(Decision::LeftBehind { from: 8, to: 900 }),
        Body::Erased,
        Body::ErasureAsked(Erasure { name_hash: [4; 32], rule: None }.into()),
        Body::ErasureAsked(Erasure { name_hash: [4; 32], rule: Some("r".into()) }.into()),
        Body::ErasureDone { asked: 9 },
    ];
    bodies.extend(Status::ALL.map(|status| outcome(status, None, Data::Absent)));
    bodies.push(outcome(Status::Delivered, Some("ref".into()), Data::Json("1".into())));
    bodies.extend(guarded().into_iter().map(|verdict| {
        let judgement = Judgement { id: action, at: 7, now: 1_000, subject: [5; 32], key: [6; 32], verdict };
        decision(Decision::Judged(judgement))
    }));
    bodies.extend(told(action).into_iter().map(|change| Body::Guard(change.into())));
    bodies
}

/// What guardrails say.
fn guarded() -> Vec<Verdict> {
    let counted = |subject| Counted { guardrail: "seldom".into(), subject, amount: 1, period_ms: 60_000 };
    let held = |contender| Verdict::Held {
        guardrail: "night".into(),
        reason: "quiet".into(),
        until: 2_000,
        passed: vec!["first".into()],
        contender,
    };
    vec![
        Verdict::Allowed { counted: vec![counted(None), counted(Some([5; 32]))] },
        held(None),
        held(Some(Contender { rank: 2, moment: MomentId([7; 16]) })),
        Verdict::Withheld { guardrail: "yes".into(), reason: "no".into() },
    ]
}

/// What they are told.
fn told(action: ActionId) -> Vec<GuardChange> {
    let muted = [Muted::Rule("r".into()), Muted::Moment("m.*".into()), Muted::Subject([5; 32])];
    let mut told = vec![
        GuardChange::Consent { subject: [5; 32], purpose: "offers".into(), given: true, said: 900 },
        GuardChange::Approval { id: action, approved: false, why: "no".into() },
        GuardChange::Mute { what: muted[0].clone(), until: Some(3_000), why: "so".into() },
    ];
    told.extend(muted.into_iter().map(|what| GuardChange::Unmute { what }));
    told
}
