//! Runs a rule over a batch: the same code under the host and in a native test.

use std::rc::Rc;

use crate::about::{About, Described, Subscription};
use crate::contract::{Batch, Effects, Input, Payload, StateChange};
use crate::error::{Error, Result};
use crate::event::{Event, Origin, Outcome, Timer};
use crate::output::Output;
use crate::rule::Rule;

/// A rule with its configuration.
pub(crate) struct Runner<R> {
    rule: R,
    about: About,
    subscriptions: Rc<[Subscription]>,
    /// The default state as it would be written: what is equal to it is not kept.
    default: Vec<u8>,
}

impl<R: Rule + Described> Runner<R> {
    pub(crate) fn new(configuration: &str) -> Result<Self> {
        let rule: R = serde_json::from_str(configuration)
            .map_err(|error| Error::new(format!("configuration: {error}")))?;
        rule.check().map_err(|error| Error::new(format!("configuration: {error}")))?;
        let about = R::about();
        let subscriptions = about.subscriptions.clone().into();
        let default =
            write(&R::State::default()).map_err(|error| Error::new(format!("the default state {error}")))?;
        Ok(Runner { rule, about, subscriptions, default })
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// # Errors
    /// A state that an input left behind cannot be written: then nothing of the batch counts, and the host finds
    /// the input by trying again with fewer.
    pub(crate) fn handle(&self, batch: Batch) -> Result<Effects> {
        let mut keys: Vec<Key<R::State>> = batch.keys.into_iter().map(Key::new).collect();
        let mut out = Output::new(Effects::default());
        for (cause, input) in (0..).zip(batch.inputs) {
            out.begin(cause, input.now);
            let key = keys.get_mut(input.key as usize).ok_or_else(|| {
                Error::new(format!("input {cause} is about key {}, which the batch lacks", input.key))
            })?;
            if let Err(error) = self.handle_input(key, input, &mut out) {
                out.undo(error);
            }
        }
        let mut effects = out.effects;
        for (position, key) in (0..).zip(keys) {
            effects.states.extend(self.change_of(position, key)?);
        }
        Ok(effects)
    }

    /// Brings a state of an earlier version along, as bytes; `None`: it is forgotten, or today's default.
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "only a component exports it"))]
    pub(crate) fn migrate(&self, from_version: u32, key: &str, state: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(state) = self.rule.migrate(from_version, key, state)? else { return Ok(None) };
        let bytes = write(&state).map_err(|error| Error::new(format!("the migrated state {error}")))?;
        Ok(Some(bytes).filter(|bytes| *bytes != self.default))
    }

    fn handle_input(&self, key: &mut Key<R::State>, input: Input, out: &mut Output) -> Result<()> {
        let origin = Origin { key: Rc::clone(&key.name), time: input.time, now: input.now };
        // Kept only if the input succeeds: one that fails leaves the state as it was.
        let mut state = key.state()?.clone();
        match input.payload {
            Payload::Event { subscription, attributes, data } => {
                let subscription = subscription as usize;
                if subscription >= self.subscriptions.len() {
                    return Err(Error::new(format!("the rule has no subscription {subscription}")));
                }
                let subscriptions = Rc::clone(&self.subscriptions);
                let event = Event { origin, subscription, subscriptions, attributes, data };
                on_event(&self.rule, &event, &mut state, out)?;
            }
            Payload::Timer { name } => on_timer(&self.rule, &Timer { origin, name }, &mut state, out)?,
            Payload::Outcome { action, reference, status, answer, detail } => {
                let outcome = Outcome { origin, action, reference, status, answer, detail };
                on_outcome(&self.rule, &outcome, &mut state, out)?;
            }
        }
        out.end()?;
        key.current = Some(state);
        Ok(())
    }

    fn change_of(&self, position: u32, key: Key<R::State>) -> Result<Option<StateChange>> {
        let Some(state) = key.current else { return Ok(None) };
        let after =
            write(&state).map_err(|error| Error::new(format!("the state of key `{}` {error}", key.name)))?;
        let after = Some(after).filter(|bytes| *bytes != self.default);
        Ok((after != key.before).then_some(StateChange { key: position, state: after }))
    }
}

// Frames that a backtrace names, with the rule's type: its own code is inlined into them.

#[inline(never)]
fn on_event<R: Rule>(rule: &R, event: &Event, state: &mut R::State, out: &mut Output) -> Result<()> {
    rule.on_event(event, state, out)
}

#[inline(never)]
fn on_timer<R: Rule>(rule: &R, timer: &Timer, state: &mut R::State, out: &mut Output) -> Result<()> {
    rule.on_timer(timer, state, out)
}

#[inline(never)]
fn on_outcome<R: Rule>(rule: &R, outcome: &Outcome, state: &mut R::State, out: &mut Output) -> Result<()> {
    rule.on_outcome(outcome, state, out)
}

/// A key of the batch. Its state is read when the first of its inputs is handled, and written once, at the end.
struct Key<S> {
    name: Rc<str>,
    before: Option<Vec<u8>>,
    current: Option<S>,
}

impl<S: crate::State> Key<S> {
    fn new(keyed: crate::contract::Keyed) -> Self {
        Key { name: keyed.name, before: keyed.state, current: None }
    }

    fn state(&mut self) -> Result<&S> {
        if self.current.is_none() {
            let state = match &self.before {
                Some(bytes) => serde_json::from_slice(bytes).map_err(|error| {
                    Error::new(format!(
                        "the state of key `{}` cannot be read: {error} (if its format changed, let `state_version` \
                         grow and migrate it)",
                        self.name
                    ))
                })?,
                None => S::default(),
            };
            self.current = Some(state);
        }
        Ok(self.current.get_or_insert_default())
    }
}

/// A state as it is kept: JSON.
///
/// JSON has no number that is not finite: serde writes null for it, and could not read it again. So a text with a
/// null in it, which may also be an honest `None`, is tried.
fn write<S: crate::State>(state: &S) -> Result<Vec<u8>, String> {
    let bytes = serde_json::to_vec(state).map_err(|error| format!("cannot be written as JSON: {error}"))?;
    if bytes.windows(4).any(|window| window == b"null") {
        serde_json::from_slice::<S>(&bytes)
            .map_err(|error| format!("could not be read again (is a number not finite?): {error}"))?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
