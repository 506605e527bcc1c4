//! Does whatever a rule must not, when its configuration (`on_load`, `on_event`) or an event's data (`do`) asks for
//! it. Written without the SDK, which would not let it.
//!
//! Events (`hostile.event`, keyed by subject) that ask for nothing are counted: a key's state is that number, as text.

use std::cell::{Cell, OnceCell};

use serde::Deserialize;

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });
}

use bindings::carpe::rule::log;
use bindings::carpe::rule::types::{
    Action, Data, Failure, KeyedBy, Moment, Payload, StateChange, Subscription, TimerChange,
};
use bindings::exports::carpe::rule::rule::{Batch, Description, Effects, Guest};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Configuration {
    /// What to do while the plugin is loaded.
    on_load: Option<Deed>,
    /// What to do on each event that does not say otherwise.
    on_event: Option<Deed>,
    /// The rule's name. Default: `hostile`.
    name: Option<String>,
    /// The filter of its subscription. Default: none.
    filter: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    r#do: Option<Deed>,
}

/// How to misbehave. Numbers are of what is done or returned.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Deed {
    Trap,
    Loop,
    /// Rounds of a loop that cannot be optimised away: some nanoseconds each.
    Work(u64),
    Recurse,
    /// Pages of memory to have, or trap.
    Pages(usize),
    /// Allocates until it traps.
    MemoryBomb,
    Error,
    State(usize),
    /// Keys that states are given for.
    StateOfKey(u32),
    Moments(usize),
    MomentKind(String),
    MomentCause(u32),
    /// Length of a moment's reason.
    Why(usize),
    /// A moment's data.
    MomentData(String),
    /// The instant at which a moment expires.
    Expires(u64),
    Actions(usize),
    ActionName(String),
    /// An action's data.
    ActionData(String),
    /// Timers of different names, due in the year 2100.
    Timers(usize),
    /// Timers of different names, due at once.
    TimersDue(usize),
    TimerCause(u32),
    TimerName(usize),
    TimerAt(u64),
    /// Changes of timers in another order than their causes.
    TimerOrder,
    /// A timer that is due at once, and sets itself again.
    Again,
    Failures(usize),
    FailureInput(u32),
    /// Lines.
    Log(usize),
    /// One line that tries to look like the host's.
    LogForged,
    /// Says how often this instance was asked before, which is nowhere in its state.
    Remembered,
}

const FAR: u64 = 4_102_444_800_000;

thread_local! {
    static CONFIGURATION: OnceCell<Configuration> = const { OnceCell::new() };
    static ASKED: Cell<u32> = const { Cell::new(0) };
}

struct Hostile;

impl Guest for Hostile {
    fn init(configuration: String) -> Result<Description, String> {
        let configuration: Configuration =
            serde_json::from_str(&configuration).map_err(|error| error.to_string())?;
        if let Some(deed) = &configuration.on_load {
            let mut effects = nothing();
            commit_deed(deed, 0, 0, &mut effects)?;
        }
        let description = Description {
            name: configuration.name.clone().unwrap_or_else(|| "hostile".to_owned()),
            version: "1.0.0".to_owned(),
            summary: "Misbehaves when asked.".to_owned(),
            settings: None,
            subscriptions: vec![Subscription {
                event_type: "hostile.event".to_owned(),
                filter: configuration.filter.clone(),
                keyed_by: KeyedBy::Attribute("subject".to_owned()),
                attributes: Vec::new(),
            }],
            moments: vec!["hostile.moment".to_owned()],
            actions: vec!["hostile.act".to_owned()],
            state_version: 1,
        };
        CONFIGURATION.with(|slot| slot.set(configuration)).map_err(|_| "`init` was called twice")?;
        Ok(description)
    }

    fn handle(batch: Batch) -> Result<Effects, String> {
        let mut effects = nothing();
        let mut counts: Vec<Option<u64>> = vec![None; batch.keys.len()];
        for (position, input) in batch.inputs.iter().enumerate() {
            let cause = position as u32;
            match &input.payload {
                Payload::Event(event) => match asked(&event.data)? {
                    Some(deed) => commit_deed(&deed, cause, input.key, &mut effects)?,
                    None => {
                        let before = || count_of(&batch.keys[input.key as usize].state);
                        let count = &mut counts[input.key as usize];
                        *count = Some(count.unwrap_or_else(before) + 1);
                    }
                },
                Payload::Timer(timer) if timer.name == "again" => {
                    commit_deed(&Deed::Again, cause, input.key, &mut effects)?;
                }
                Payload::Timer(_) | Payload::Outcome(_) => {}
            }
        }
        for (key, count) in counts.into_iter().enumerate() {
            if let Some(count) = count {
                let state = Some(count.to_string().into_bytes());
                effects.states.push(StateChange { key: key as u32, state });
            }
        }
        Ok(effects)
    }
}

fn nothing() -> Effects {
    Effects { states: Vec::new(), timers: Vec::new(), moments: Vec::new(), failures: Vec::new() }
}

fn asked(data: &Data) -> Result<Option<Deed>, String> {
    let asked: Asked = match data {
        Data::Json(text) => serde_json::from_str(text).map_err(|error| error.to_string())?,
        Data::Absent | Data::Binary(_) => Asked::default(),
    };
    Ok(asked.r#do.or_else(|| CONFIGURATION.with(|slot| slot.get()?.on_event.clone())))
}

fn count_of(state: &Option<Vec<u8>>) -> u64 {
    let text = state.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    text.parse().unwrap_or(0)
}

fn commit_deed(deed: &Deed, cause: u32, key: u32, effects: &mut Effects) -> Result<(), String> {
    let mut moments = |moment: Moment| effects.moments.push(moment);
    let mut timers = |cause: u32, name: String, at: u64| {
        effects.timers.push(TimerChange { cause, name, at: Some(at) });
    };
    match deed {
        Deed::Trap => trap_as_asked(),
        Deed::Loop => loop {
            std::hint::spin_loop();
        },
        Deed::Work(rounds) => work(*rounds),
        Deed::Recurse => {
            recurse(0);
        }
        Deed::Pages(pages) => have_pages(*pages),
        Deed::MemoryBomb => memory_bomb(),
        Deed::Error => return Err("asked for an error".to_owned()),
        Deed::State(bytes) => effects.states.push(StateChange { key, state: Some(vec![b'x'; *bytes]) }),
        Deed::StateOfKey(key) => effects.states.push(StateChange { key: *key, state: None }),
        Deed::Moments(count) => (0..*count).for_each(|_| moments(moment(cause))),
        Deed::MomentKind(kind) => moments(Moment { kind: kind.clone(), ..moment(cause) }),
        Deed::MomentCause(cause) => moments(moment(*cause)),
        Deed::Why(bytes) => moments(Moment { why: "y".repeat(*bytes), ..moment(cause) }),
        Deed::MomentData(data) => moments(Moment { data: Some(data.clone()), ..moment(cause) }),
        Deed::Expires(at) => moments(Moment { expires: Some(*at), ..moment(cause) }),
        Deed::Actions(count) => {
            moments(Moment { actions: (0..*count).map(|_| action()).collect(), ..moment(cause) });
        }
        Deed::ActionName(name) => {
            let actions = vec![Action { name: name.clone(), ..action() }];
            moments(Moment { actions, ..moment(cause) });
        }
        Deed::ActionData(data) => {
            let actions = vec![Action { data: data.clone(), ..action() }];
            moments(Moment { actions, ..moment(cause) });
        }
        Deed::Timers(count) => (0..*count).for_each(|n| timers(cause, format!("timer-{n}"), FAR)),
        Deed::TimersDue(count) => (0..*count).for_each(|n| timers(cause, format!("due-{n}"), 0)),
        Deed::TimerCause(cause) => timers(*cause, "timer".to_owned(), FAR),
        Deed::TimerName(bytes) => timers(cause, "n".repeat(*bytes), FAR),
        Deed::TimerAt(at) => timers(cause, "timer".to_owned(), *at),
        Deed::TimerOrder => {
            timers(cause + 1, "timer".to_owned(), FAR);
            timers(cause, "timer".to_owned(), FAR);
        }
        Deed::Again => timers(cause, "again".to_owned(), 0),
        Deed::Failures(count) => {
            let failure = || Failure { input: cause, message: "asked to fail".to_owned() };
            (0..*count).for_each(|_| effects.failures.push(failure()));
        }
        Deed::FailureInput(input) => {
            effects.failures.push(Failure { input: *input, message: "asked to fail".to_owned() });
        }
        Deed::Log(lines) => {
            for line in 0..*lines {
                log::write(log::Level::Info, &format!("line {line}"));
            }
        }
        Deed::Remembered => {
            let before = ASKED.replace(ASKED.get() + 1);
            moments(Moment { why: format!("asked {before} times before"), ..moment(cause) });
        }
        Deed::LogForged => {
            log::write(
                log::Level::Info,
                "innocent\n2026-01-01T00:00:00Z ERROR carpe: the host is on fire\x1b[2J",
            );
        }
    }
    Ok(())
}

fn moment(cause: u32) -> Moment {
    Moment {
        cause,
        kind: "hostile.moment".to_owned(),
        why: "asked to".to_owned(),
        subject: None,
        data: None,
        expires: None,
        actions: Vec::new(),
    }
}

fn action() -> Action {
    Action { name: "hostile.act".to_owned(), reference: None, data: "{}".to_owned() }
}

/// Its name is to be found in the backtrace.
#[inline(never)]
fn trap_as_asked() {
    panic!("asked to trap");
}

#[inline(never)]
fn work(rounds: u64) {
    let mut sum = 0_u64;
    for round in 0..rounds {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(round));
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 8]);
    if depth == u64::MAX {
        return 0;
    }
    recurse(depth + 1) + room[(depth % 8) as usize]
}

#[cfg(target_arch = "wasm32")]
fn have_pages(wanted: usize) {
    let pages = core::arch::wasm32::memory_size::<0>();
    assert!(pages <= wanted, "there are {pages} pages already");
    if core::arch::wasm32::memory_grow::<0>(wanted - pages) == usize::MAX {
        core::arch::wasm32::unreachable();
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn have_pages(_wanted: usize) {}

fn memory_bomb() {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&kept);
    }
}

bindings::export!(Hostile with_types_in bindings);
