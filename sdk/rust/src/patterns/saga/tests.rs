use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::patterns::check::kept;

const SECOND: Duration = Duration::from_secs(1);

const STEPS: [Step<'_>; 4] = [
    Step::new("check", SECOND).without_undo(),
    Step::new("pay", SECOND),
    Step::new("ship", SECOND),
    Step::new("points", SECOND).optional(),
];

fn plan(undo_tries: u8) -> Plan<'static> {
    Plan {
        steps: &STEPS,
        grace: Duration::from_millis(100),
        undo_within: SECOND,
        undo_tries,
        undo_pause: Duration::from_millis(50),
    }
}

/// A run that has come so far that this step is asked for.
fn asked_for(step: usize) -> Saga {
    let mut saga = Saga::default();
    saga.start(1, &plan(2), 0).unwrap();
    for before in &STEPS[..step] {
        answer(&mut saga, &format!("1/{}/0", before.name), Status::Delivered);
    }
    saga
}

/// What it does, in short: `do 1/pay/0`.
fn short(commands: Vec<Command>) -> Vec<String> {
    let short = |command| match command {
        Command::Do { reference, .. } => format!("do {reference}"),
        Command::Undo { reference, .. } => format!("undo {reference}"),
        Command::GaveUp { step } => format!("gave up {}", STEPS[step].name),
        Command::Ended(ended) => format!("{ended:?}"),
    };
    commands.into_iter().map(short).collect()
}

fn answer(saga: &mut Saga, reference: &str, status: Status) -> Vec<String> {
    short(saga.answered(reference, status, &plan(2), 10).unwrap())
}

/// It is kept waiting for as long as it waits.
fn wait(saga: &mut Saga) -> Vec<String> {
    let due = saga.due().unwrap();
    assert_eq!(saga.on_time(&plan(2), due - 1).unwrap(), []);
    short(saga.on_time(&plan(2), due).unwrap())
}

#[test]
fn all_steps_are_taken_in_order() {
    let mut saga = asked_for(3);
    assert_eq!(saga.current(), Some(3));
    assert_eq!(answer(&mut saga, "1/points/0", Status::Delivered), ["Completed"]);
    assert_eq!(saga.current(), None);
    assert_eq!((saga.due(), saga.is_under_way(), saga.is_awaiting()), (None, false, false));
}

#[test]
fn what_was_done_is_undone_in_reverse_and_what_was_not_is_not() {
    for status in [Status::Rejected, Status::Withheld, Status::Expired] {
        let mut saga = asked_for(2);
        assert_eq!(answer(&mut saga, "1/ship/0", status), ["undo 1/pay/1"]);
        assert_eq!(answer(&mut saga, "1/pay/1", Status::Delivered), ["Undone"]);
    }
}

#[test]
fn what_may_have_been_done_is_undone() {
    let mut saga = asked_for(2);
    assert_eq!(answer(&mut saga, "1/ship/0", Status::Failed), ["undo 1/ship/1"]);
    assert_eq!(answer(&mut saga, "1/ship/1", Status::Delivered), ["undo 1/pay/1"]);
    let mut saga = asked_for(2);
    assert_eq!(wait(&mut saga), ["undo 1/ship/1"]);
    assert!(saga.is_awaiting());
}

#[test]
fn undoing_is_tried_again_and_then_given_up_visibly() {
    let mut saga = asked_for(2);
    answer(&mut saga, "1/ship/0", Status::Rejected);
    assert_eq!(answer(&mut saga, "1/pay/1", Status::Rejected), [""; 0]);
    assert_eq!(wait(&mut saga), ["undo 1/pay/2"]);
    assert_eq!(wait(&mut saga), ["gave up pay", "Stuck"]);
    assert_eq!(answer(&mut saga, "1/pay/2", Status::Delivered), ["Undone"]);
    assert_eq!(answer(&mut saga, "1/pay/2", Status::Delivered), [""; 0]);
}

#[test]
fn an_earlier_try_that_was_taken_counts_while_it_pauses_and_while_a_later_one_is_asked_for() {
    let mut saga = asked_for(2);
    answer(&mut saga, "1/ship/0", Status::Rejected);
    assert_eq!(wait(&mut saga), [""; 0]);
    let mut later = saga.clone();
    assert_eq!(answer(&mut saga, "1/pay/1", Status::Delivered), ["Undone"]);
    assert_eq!(wait(&mut later), ["undo 1/pay/2"]);
    assert_eq!(answer(&mut later, "1/pay/1", Status::Failed), [""; 0]);
    assert_eq!(answer(&mut later, "1/pay/1", Status::Delivered), ["Undone"]);
}

#[test]
fn a_step_that_was_taken_late_is_undone_once_more() {
    // While it is being undone.
    let mut saga = asked_for(2);
    wait(&mut saga);
    assert_eq!(answer(&mut saga, "1/ship/0", Status::Delivered), ["undo 1/ship/2"]);
    assert_eq!(answer(&mut saga, "1/ship/1", Status::Delivered), [""; 0]);
    assert_eq!(answer(&mut saga, "1/ship/2", Status::Delivered), ["undo 1/pay/1"]);
    assert_eq!(answer(&mut saga, "1/pay/1", Status::Delivered), ["Undone"]);
    assert_eq!(answer(&mut saga, "1/ship/0", Status::Delivered), [""; 0]);

    // While another is being undone, and after the end.
    for late in [true, false] {
        let mut saga = asked_for(2);
        wait(&mut saga);
        answer(&mut saga, "1/ship/1", Status::Delivered);
        if late {
            assert_eq!(answer(&mut saga, "1/pay/1", Status::Delivered), ["Undone"]);
            assert_eq!(answer(&mut saga, "1/ship/0", Status::Failed), ["undo 1/ship/2"]);
        } else {
            assert_eq!(answer(&mut saga, "1/ship/0", Status::Delivered), [""; 0]);
            assert_eq!(answer(&mut saga, "1/pay/1", Status::Delivered), ["undo 1/ship/2"]);
        }
        assert_eq!(answer(&mut saga, "1/ship/2", Status::Delivered), ["Undone"]);
    }
}

#[test]
fn a_step_that_is_known_late_not_to_have_been_taken_is_not_undone_any_more() {
    let mut saga = asked_for(2);
    wait(&mut saga);
    assert_eq!(answer(&mut saga, "1/ship/0", Status::Rejected), ["undo 1/pay/1"]);

    let mut saga = asked_for(1);
    wait(&mut saga);
    assert_eq!(answer(&mut saga, "1/pay/1", Status::Rejected), [""; 0]);
    assert_eq!(wait(&mut saga), ["undo 1/pay/2"]);
    assert_eq!(answer(&mut saga, "1/pay/2", Status::Rejected), ["gave up pay", "Stuck"]);
    assert_eq!(answer(&mut saga, "1/pay/0", Status::Expired), ["Undone"]);
}

#[test]
fn it_goes_on_without_an_optional_step() {
    let mut saga = asked_for(3);
    assert_eq!(wait(&mut saga), ["Completed"]);
    assert_eq!(answer(&mut saga, "1/points/0", Status::Delivered), [""; 0]);
    assert!(saga.is_taken(3) && !saga.is_awaiting());
}

#[test]
fn it_can_be_taken_back_until_it_is_undone() {
    let mut saga = asked_for(1);
    assert_eq!(short(saga.take_back(&plan(2), 5).unwrap()), ["undo 1/pay/1"]);
    assert_eq!(short(saga.take_back(&plan(2), 6).unwrap()), [""; 0]);
    assert_eq!(answer(&mut saga, "1/pay/0", Status::Rejected), ["Undone"]);
    assert_eq!(short(saga.take_back(&plan(2), 6).unwrap()), [""; 0]);

    let mut saga = asked_for(3);
    answer(&mut saga, "1/points/0", Status::Rejected);
    assert_eq!(short(saga.take_back(&plan(2), 5).unwrap()), ["undo 1/ship/1"]);
}

#[test]
fn what_is_not_of_this_run_changes_nothing() {
    let mut saga = asked_for(1);
    let before = saga.clone();
    for reference in
        ["", "1", "1/pay", "2/pay/0", "1/pay/1", "1/ship/0", "1/rob/0", "1/pay/0/0", "1/pay/x", "1/check/0"]
    {
        assert_eq!(answer(&mut saga, reference, Status::Delivered), [""; 0], "{reference}");
    }
    assert_eq!(saga, before);
    assert_eq!(answer(&mut Saga::default(), "0/pay/0", Status::Delivered), [""; 0]);
}

#[test]
fn a_run_starts_when_the_one_before_is_over() {
    let mut saga = asked_for(3);
    let error = saga.start(2, &plan(2), 5).unwrap_err().to_string();
    assert_eq!(error, "run 1 is not over yet: run 2 cannot start");
    wait(&mut saga);
    assert!(saga.start(2, &plan(2), 5).is_err(), "an outcome is missing");
    answer(&mut saga, "1/points/0", Status::Failed);
    assert_eq!(short(saga.start(2, &plan(2), 5).unwrap()), ["do 2/check/0"]);
}

#[test]
fn a_plan_that_cannot_be_followed_is_refused() {
    let named = |name| [Step::new(name, SECOND)];
    let (empty, slash, twice) = (named(""), named("a/b"), [STEPS[1], STEPS[1]]);
    let many: Vec<Step<'_>> = vec![STEPS[0]; 17];
    for (steps, tries, words) in [
        (&[][..], 1, "1 to 16 steps"),
        (&many, 1, "1 to 16 steps"),
        (&empty, 1, "names no step"),
        (&slash, 1, "names no step"),
        (&twice, 1, "two steps are called `pay`"),
        (&STEPS, 0, "tried 1 to 50 times"),
        (&STEPS, 51, "tried 1 to 50 times"),
    ] {
        let error = Plan { steps, ..plan(tries) }.check().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut saga = asked_for(1);
    let fewer = Plan { steps: &STEPS[..2], ..plan(2) };
    assert!(saga.on_time(&fewer, 10_000).unwrap_err().to_string().contains("must migrate"));
}

#[test]
fn the_largest_fits() {
    let step = Progress { fate: Fate::NotTaken, answered: false, tries: 255, void: 255 };
    let saga = Saga {
        version: Version,
        run: u64::MAX,
        phase: Phase::Pausing(15),
        due: Some(u64::MAX),
        steps: vec![step; MAX_STEPS],
    };
    kept(saga, Saga::MAX_BYTES);
}

/// What becomes of an action.
#[derive(Clone, Copy, Debug)]
struct World {
    status: Option<Status>,
    /// Whether the other side does it, if the status leaves that open.
    is_done: bool,
    /// After how long it is done, and how long after that its outcome comes, in units of 50 ms.
    done_after: u64,
    known_after: u64,
    is_repeated: bool,
}

fn world() -> impl Strategy<Value = World> {
    let status = prop_oneof![
        6 => Just(Some(Status::Delivered)),
        1 => Just(Some(Status::Rejected)),
        1 => Just(Some(Status::Withheld)),
        1 => Just(Some(Status::Expired)),
        2 => Just(Some(Status::Failed)),
        1 => Just(None),
    ];
    (status, any::<bool>(), 0_u64..30, prop_oneof![Just(0_u64), 0_u64..100], any::<bool>()).prop_map(
        |(status, is_done, done_after, known_after, is_repeated)| World {
            status,
            is_done,
            done_after,
            known_after,
            is_repeated,
        },
    )
}

#[derive(Clone, Debug)]
enum Comes {
    /// The other side does, or undoes, a step.
    Effect {
        step: usize,
        is_undoing: bool,
    },
    Answer {
        reference: String,
        status: Status,
    },
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever becomes of each action, and whenever that is known: at the end all is done, or what was done
    /// is undone, or what is not was given up.
    #[test]
    fn nothing_is_left_half_done(worlds in prop::collection::vec(world(), 40), tries in 1_u8..4) {
        let plan = plan(tries);
        let mut fates = worlds.iter().cycle();
        let mut saga = Saga::default();
        let mut comes: BTreeMap<(u64, usize), Comes> = BTreeMap::new();
        let mut references = BTreeSet::new();
        let (mut done, mut times_done, mut given_up) = ([false; 4], [0; 4], [false; 4]);
        let (mut number, mut now, mut last_end) = (0, 1_000, None);
        let mut commands = saga.start(7, &plan, now).unwrap();
        loop {
            for command in commands.drain(..) {
                prop_assert!(references.len() <= 4 * (1 + 2 * usize::from(tries)));
                let (step, reference, until, is_undoing) = match command {
                    Command::Do { step, reference, until } => (step, reference, until, false),
                    Command::Undo { step, reference, until } => (step, reference, until, true),
                    Command::GaveUp { step } => {
                        given_up[step] = true;
                        continue;
                    }
                    Command::Ended(ended) => {
                        last_end = Some(ended);
                        continue;
                    }
                };
                prop_assert!(references.insert(reference.clone()), "{} twice", reference);
                let world = fates.next().unwrap();
                let is_done = match world.status {
                    Some(Status::Delivered) => true,
                    Some(Status::Failed) | None => world.is_done,
                    _ => false,
                };
                // Where nobody ever hears of it, it is done before it has expired, or not at all.
                let mut at = now + 50 * world.done_after;
                if world.status.is_none() {
                    at = at.min(until);
                }
                let mut come = |at, what| {
                    number += 1;
                    comes.insert((at, number), what);
                };
                if is_done {
                    come(at, Comes::Effect { step, is_undoing });
                }
                if let Some(status) = world.status {
                    let known = at + 50 * world.known_after;
                    come(known, Comes::Answer { reference: reference.clone(), status });
                    if world.is_repeated {
                        come(known + 70, Comes::Answer { reference, status });
                    }
                }
            }
            saga = kept(saga, Saga::MAX_BYTES);
            let next = comes.first_key_value().map(|(key, _)| *key);
            match (saga.due(), next) {
                (None, None) => break,
                (Some(due), next) if next.is_none_or(|(at, _)| due <= at) => {
                    now = due;
                    commands = saga.on_time(&plan, now).unwrap();
                }
                (_, Some(key)) => {
                    now = key.0;
                    match comes.remove(&key).unwrap() {
                        Comes::Effect { step, is_undoing } => {
                            done[step] = !is_undoing;
                            times_done[step] += usize::from(!is_undoing);
                        }
                        Comes::Answer { reference, status } => {
                            commands = saga.answered(&reference, status, &plan, now).unwrap();
                        }
                    }
                }
                (Some(_), None) => unreachable!("the guard holds where nothing comes"),
            }
        }
        prop_assert!(times_done.iter().all(|times| *times <= 1), "{:?}", times_done);
        prop_assert_eq!(last_end, saga.ended());
        match last_end {
            Some(Ended::Completed) => prop_assert!(done[0] && done[1] && done[2]),
            Some(Ended::Undone) => prop_assert!(!done[1] && !done[2] && !done[3], "{:?}", done),
            Some(Ended::Stuck) => prop_assert!((1..4).all(|step| given_up[step] || !done[step])),
            None => prop_assert!(false, "it has not come to an end: {:?}", saga),
        }
    }
}
