//! Events given to instances of a rule, batch by batch, as a host would cut them, and how long each call takes.
//!
//! A rule gets its states back as a host gives them. Timers do not come due, and no outcome is told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use carpe::rule::{Batch, Description, Effects, Input, Keyed, Payload};
use carpe::sandbox::{CallError, Component, GuestLog, Instance, LogLevel};
use carpe::{Instant as EventTime, Limits, PackedEvent};
use serde::Serialize;

use super::Configuration;

/// Instances that are started to see how long that takes.
const STARTS: usize = 9;

/// A rule with one configuration, and what it is given.
pub(super) struct Tried<'a> {
    component: &'a Component,
    configuration: &'a Configuration,
    limits: &'a Limits,
    pub(super) description: Description,
    pub(super) took_to_start: Duration,
    given: Vec<Given<'a>>,
}

/// An input on its way into a batch.
struct Given<'a> {
    /// Streams have nothing to do with each other: a key of one is another key than the same of another.
    stream: usize,
    key: String,
    time: EventTime,
    payload: Payload<'a>,
}

/// How long calls with one size of batch took.
#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) batch: usize,
    pub(super) ns_per_input: u64,
    pub(super) inputs: u64,
    pub(super) longest_us: u64,
}

/// The most that was seen of all that is limited.
#[derive(Default, Serialize)]
pub(super) struct Extremes {
    pub(super) memory_bytes: u64,
    pub(super) state_bytes: u64,
    /// Of one call; by the lengths of all texts and lists of bytes in it.
    pub(super) returned_bytes: u64,
    pub(super) moments: u64,
    pub(super) actions: u64,
    pub(super) timers: u64,
    pub(super) failures: u64,
    pub(super) first_failure: Option<String>,
}

struct Silent;

impl GuestLog for Silent {
    fn line(&self, _: LogLevel, _: &str) {}
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl<'a> Tried<'a> {
    pub(super) fn start(
        component: &'a Component,
        configuration: &'a Configuration,
        limits: &'a Limits,
        streams: &'a [Vec<PackedEvent>],
    ) -> anyhow::Result<Tried<'a>> {
        let start = || component.instantiate(configuration.as_str(), limits, Arc::new(Silent));
        let (_, description) = start().context("the rule does not start")?;
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            let begun = Instant::now();
            drop(start().context("the rule does not start")?);
            starts.push(begun.elapsed());
        }
        starts.sort();
        let took_to_start = starts.get(STARTS / 2).copied().unwrap_or_default();
        let mut given = Vec::new();
        for (stream, events) in streams.iter().enumerate() {
            let mut now = 0;
            for event in events {
                now = event.time().unwrap_or(now).max(now);
                given.extend(description.given(event).into_iter().map(|(key, payload)| Given {
                    stream,
                    key,
                    time: event.time().unwrap_or(now),
                    payload,
                }));
            }
        }
        Ok(Tried { component, configuration, limits, description, took_to_start, given })
    }

    pub(super) fn inputs(&self) -> usize {
        self.given.len()
    }

    fn instance(&self) -> anyhow::Result<Instance> {
        let started = self.component.instantiate(self.configuration.as_str(), self.limits, Arc::new(Silent));
        Ok(started.context("the rule does not start")?.0)
    }
}

/// Measures one size of batch, for about so long.
pub(super) fn measure(
    tried: &[Tried<'_>],
    batch: usize,
    time: Duration,
    extremes: &mut Extremes,
) -> anyhow::Result<Measured> {
    let share = time / u32::try_from(tried.len().max(1)).unwrap_or(u32::MAX);
    let (mut took, mut inputs, mut longest) = (Duration::ZERO, 0, Duration::ZERO);
    for tried in tried.iter().filter(|tried| tried.inputs() > 0) {
        let mut round = Round::new(tried, tried.instance()?);
        let begun = Instant::now();
        let mut spent = Duration::ZERO;
        // What is done between calls is not measured, but takes its time too.
        while spent < share && begun.elapsed() < 4 * share || spent.is_zero() {
            let call = round.next(batch, extremes)?;
            spent += call;
            longest = longest.max(call);
            inputs += batch as u64;
        }
        took += spent;
    }
    let ns_per_input = u64::try_from(took.as_nanos() / u128::from(inputs.max(1))).unwrap_or(u64::MAX);
    Ok(Measured { batch, ns_per_input, inputs, longest_us: micros(longest) })
}

/// A rule that is given the same again and again, each time about keys that are new.
struct Round<'a> {
    tried: &'a Tried<'a>,
    instance: Instance,
    lap: usize,
    place: usize,
    /// By lap, stream and key.
    states: HashMap<(usize, usize, &'a str), Vec<u8>>,
}

impl<'a> Round<'a> {
    fn new(tried: &'a Tried<'a>, instance: Instance) -> Round<'a> {
        Round { tried, instance, lap: 0, place: 0, states: HashMap::new() }
    }

    /// Gives it the next inputs. Returns how long the call took.
    fn next(&mut self, count: usize, extremes: &mut Extremes) -> anyhow::Result<Duration> {
        let lap_before = self.lap;
        let mut keys = Vec::new();
        let mut places = HashMap::new();
        let mut inputs = Vec::with_capacity(count);
        while inputs.len() < count {
            let Some(given) = self.tried.given.get(self.place) else {
                (self.lap, self.place) = (self.lap + 1, 0);
                continue;
            };
            let id = (self.lap, given.stream, given.key.as_str());
            let key = *places.entry(id).or_insert_with(|| {
                keys.push(id);
                keys.len() - 1
            });
            inputs.push((key, given));
            self.place += 1;
        }
        let names = names(&keys);
        let keyed = |(name, id): (&'_ String, &_)| (name.clone(), self.states.get(id).cloned());
        let keyed: Vec<(String, Option<Vec<u8>>)> = names.iter().zip(&keys).map(keyed).collect();
        let batch = Batch {
            keys: keyed.iter().map(|(name, state)| Keyed { name, state: state.as_deref() }).collect(),
            inputs: inputs.iter().map(|&(key, given)| input(key, given)).collect(),
        };
        let begun = Instant::now();
        let effects = self.instance.handle(&batch);
        let took = begun.elapsed();
        let effects = effects.map_err(|error| failed(error, count, &names))?;
        extremes.see(&effects, count, &self.instance);
        for change in effects.states {
            let Some(&id) = keys.get(change.key as usize) else { continue };
            match change.state {
                Some(state) => self.states.insert(id, state),
                None => self.states.remove(&id),
            };
        }
        if self.lap > lap_before {
            let lap = self.lap;
            self.states.retain(|id, _| id.0 == lap);
        }
        Ok(took)
    }
}

fn failed(error: CallError, count: usize, names: &[String]) -> anyhow::Error {
    let about = names.first().map_or("", String::as_str);
    anyhow::Error::new(error)
        .context(format!("the rule cannot handle {count} inputs, of which the first is about `{about}`"))
}

/// The keys' own names where a batch has each once, else with something behind them.
fn names(keys: &[(usize, usize, &str)]) -> Vec<String> {
    let mut taken = HashSet::new();
    let name = |&(lap, stream, key): &(usize, usize, &str)| {
        let own = key.to_owned();
        if taken.insert(own.clone()) { own } else { format!("{key}~{lap}~{stream}") }
    };
    keys.iter().map(name).collect()
}

fn input<'a>(key: usize, given: &Given<'a>) -> Input<'a> {
    let key = u32::try_from(key).unwrap_or(u32::MAX);
    Input { key, time: given.time, now: given.time, payload: given.payload.clone() }
}

impl Extremes {
    fn see(&mut self, effects: &Effects, inputs: usize, instance: &Instance) {
        let per_input = |count: usize| count.div_ceil(inputs) as u64;
        let most = |so_far: &mut u64, found: u64| *so_far = found.max(*so_far);
        most(&mut self.memory_bytes, instance.memory_bytes() as u64);
        most(&mut self.moments, per_input(effects.moments.len()));
        most(&mut self.timers, per_input(effects.timers.len()));
        let mut returned = 0;
        for state in effects.states.iter().filter_map(|change| change.state.as_ref()) {
            most(&mut self.state_bytes, state.len() as u64);
            returned += state.len();
        }
        for moment in &effects.moments {
            most(&mut self.actions, moment.actions.len() as u64);
            let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            returned += moment.kind.len() + moment.why.len() + length(&moment.subject) + length(&moment.data);
            let action = |action: &carpe::rule::EmittedAction| {
                action.name.len() + length(&action.reference) + action.data.len()
            };
            returned += moment.actions.iter().map(action).sum::<usize>();
        }
        returned += effects.timers.iter().map(|timer| timer.name.len()).sum::<usize>();
        returned += effects.failures.iter().map(|failure| failure.message.len()).sum::<usize>();
        most(&mut self.returned_bytes, returned as u64);
        self.failures += effects.failures.len() as u64;
        if let (None, Some(failure)) = (&self.first_failure, effects.failures.first()) {
            self.first_failure = Some(failure.message.clone());
        }
    }
}
