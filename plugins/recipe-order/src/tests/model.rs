//! The rule among enterprises that do what they are asked, or not, and say so early, late, twice, or never.
//!
//! The model knows nothing of the rule: it is what each enterprise has done in the end. Between any two
//! inputs the order's state is written and read again, as it is after a crash.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What becomes of one action.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// None: nobody ever hears of it.
    status: Option<Status>,
    /// It says that it declines.
    declines: bool,
    /// Whether it is done, where the status leaves that open.
    is_done: bool,
    /// After how long it is done, and how long after that it is known.
    done_after_ms: u64,
    known_after_ms: u64,
    /// And how long after that again, if it is told twice.
    again_after_ms: Option<u64>,
}

fn fate() -> impl Strategy<Value = Fate> {
    let status = prop_oneof![
        12 => Just(Some(Status::Delivered)),
        1 => Just(Some(Status::Rejected)),
        1 => Just(Some(Status::Withheld)),
        1 => Just(Some(Status::Expired)),
        2 => Just(Some(Status::Failed)),
        1 => Just(None),
    ];
    // Mostly at once, sometimes later than anybody waits.
    let after = || prop_oneof![4 => 0_u64..2_000, 1 => 0_u64..200_000];
    (
        status,
        prop::bool::weighted(0.05),
        any::<bool>(),
        after(),
        after(),
        prop::option::weighted(0.3, after()),
    )
        .prop_map(|(status, declines, is_done, done_after_ms, known_after_ms, again_after_ms)| Fate {
            status,
            declines,
            is_done,
            done_after_ms,
            known_after_ms,
            again_after_ms,
        })
}

#[derive(Clone, Debug)]
enum Comes {
    /// An enterprise does what it was asked.
    Done(&'static str),
    Outcome {
        action: Action,
        status: Status,
        declines: bool,
    },
    Tap,
}

/// What the enterprises have done.
#[derive(Debug, Default)]
struct Enterprises {
    /// How often each was done, for things that cost something.
    times: BTreeMap<&'static str, u32>,
    /// Whether what was done last is undone.
    is_undone: BTreeMap<&'static str, bool>,
}

impl Enterprises {
    fn does(&mut self, action: &'static str) {
        for (_, does, undoes) in STEPS {
            if action == does {
                *self.times.entry(does).or_default() += 1;
                self.is_undone.insert(does, false);
            } else if undoes == Some(action) {
                // Before there is something to undo, it undoes nothing.
                self.is_undone.entry(does).and_modify(|is_undone| *is_undone = true);
            }
        }
    }

    fn has_done(&self, action: &str) -> bool {
        self.is_undone.get(action) == Some(&false)
    }
}

fn name_of(action: &str) -> Option<&'static str> {
    STEPS.iter().flat_map(|(_, does, undoes)| [Some(*does), *undoes]).flatten().find(|name| *name == action)
}

/// The rule among the enterprises.
struct World<'f> {
    test: RuleTest<RecipeOrder>,
    enterprises: Enterprises,
    fates: Box<dyn Iterator<Item = &'f Fate> + 'f>,
    comes: BTreeMap<(u64, usize), Comes>,
    references: BTreeSet<String>,
    told: Vec<bool>,
    opened: BTreeSet<String>,
    closed: u32,
}

impl World<'_> {
    fn come(&mut self, at: u64, what: Comes) {
        let number = self.comes.keys().map(|(_, number)| number + 1).max().unwrap_or(0);
        self.comes.insert((at, number), what);
    }

    fn take(&mut self, happened: &Happened) {
        assert_eq!(happened.failures, [""; 0]);
        for moment in &happened.moments {
            for action in &moment.actions {
                match (name_of(&action.name), action.name.as_str()) {
                    (Some(name), _) => self.ask(name, action, moment.expires.unwrap_or(u64::MAX)),
                    (None, "viewer.notify") => self.told.push(action.data["ordered"] == true),
                    (None, "support.open") => {
                        self.opened.insert(action.data["step"].as_str().unwrap_or_default().to_owned());
                    }
                    (None, "support.close") => self.closed += 1,
                    (None, other) => panic!("nobody knows {other}"),
                }
            }
        }
    }

    fn ask(&mut self, name: &'static str, action: &Action, expires: u64) {
        let reference = action.reference.clone().expect("its outcome is wanted");
        assert!(self.references.insert(reference), "a reference twice: {action:?}");
        let fate = *self.fates.next().expect("they are without end");
        let is_undoing = STEPS.iter().any(|(_, _, undoes)| *undoes == Some(name));
        let declines = fate.declines && !is_undoing;
        let is_done = match fate.status {
            Some(Status::Delivered) => !declines,
            Some(Status::Failed) | None => fate.is_done,
            Some(Status::Rejected | Status::Withheld | Status::Expired) => false,
        };
        let mut done = self.test.now() + fate.done_after_ms;
        if fate.status.is_none() {
            // The host begins nothing after the expiry; what it began before, it would say.
            done = done.min(expires);
        }
        if is_done {
            self.come(done, Comes::Done(name));
        }
        if let Some(status) = fate.status {
            let known = done + fate.known_after_ms;
            self.come(known, Comes::Outcome { action: action.clone(), status, declines });
            if let Some(later) = fate.again_after_ms {
                self.come(known + later, Comes::Outcome { action: action.clone(), status, declines });
            }
        }
    }

    /// Until nothing comes any more, and all timers but the last are past.
    fn run(&mut self) {
        let mut quiet = 0;
        while quiet < 2 {
            let Some(((at, _), what)) = self.comes.pop_first() else {
                // Longer than all tries to undo anything take.
                let happened = self.test.advance(Duration::from_secs(86_400));
                self.take(&happened);
                quiet += 1;
                continue;
            };
            quiet = 0;
            let happened = self.test.advance_to(at);
            self.take(&happened);
            let happened = match what {
                Comes::Done(name) => {
                    self.enterprises.does(name);
                    continue;
                }
                Comes::Outcome { action, status, declines } => {
                    let answer = declines.then(|| json!({"accepted": false}));
                    self.test.answer(&action, status, answer)
                }
                Comes::Tap => self.test.send(tap("o-1")),
            };
            self.take(&happened);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn never_charged_without_goods_or_refund_never_ordered_twice_always_ended_and_told_once(
        fates in prop::collection::vec(fate(), 30),
        taps in prop::collection::vec(0_u64..600_000, 0..4),
        undo_tries in 1_u8..4,
    ) {
        let configuration = json!({"undo_tries": undo_tries, "undo_seconds": 120, "undo_pause_seconds": 5});
        let mut world = World {
            test: RuleTest::new(configuration),
            enterprises: Enterprises::default(),
            fates: Box::new(fates.iter().cycle()),
            comes: BTreeMap::new(),
            references: BTreeSet::new(),
            told: Vec::new(),
            opened: BTreeSet::new(),
            closed: 0,
        };
        world.come(START, Comes::Tap);
        for after in taps {
            world.come(START + after, Comes::Tap);
        }
        world.run();

        let World { test, enterprises, told, opened, closed, .. } = world;
        let order = test.state("o-1");
        let is_ended = order.saga.ended().is_some() && order.saga.due().is_none();
        prop_assert!(is_ended, "it has an end: {:?}", order);
        prop_assert_eq!(told.len(), 1, "the viewer hears once");
        prop_assert!(enterprises.times.values().all(|times| *times <= 1), "nothing twice: {:?}", enterprises);
        if told[0] {
            for action in &ALL[..4] {
                prop_assert!(enterprises.has_done(action), "{} is missing", action);
            }
            prop_assert!(opened.is_empty());
        } else {
            for (name, does, undoes) in STEPS {
                // What could not be undone is seen to.
                let is_left = undoes.is_some() && enterprises.has_done(does);
                let is_seen_to = opened.contains(name) && closed == 0;
                prop_assert!(!is_left || is_seen_to, "{} is left: {:?}", name, order);
            }
        }
    }
}
