//! Runs a rule over a batch: the same code under the host and in a native test.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use serde_json::ser::Formatter;

use crate::about::{About, Described, Subscription};
use crate::contract::{Batch, Effects, Input, Payload, StateChange};
use crate::error::{Error, Result};
use crate::event::{Event, Origin, Outcome, Timer};
use crate::output::Output;
use crate::rule::Rule;
use crate::text::Text;

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
        let mut json = serde_json::Deserializer::from_str(configuration);
        let rule: R = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let (path, reason) = (error.path().to_string(), error.inner());
            // Where a whole object is at fault, the reason names the field.
            let at = if path == "." { String::new() } else { format!("`{path}`: ") };
            Error::new(format!("configuration: {at}{reason}"))
        })?;
        rule.check().map_err(|error| Error::new(format!("configuration: {error}")))?;
        let about = R::about();
        let subscriptions = about.subscriptions.clone().into();
        let mut default = Vec::new();
        write(&R::State::default(), &mut default)
            .map_err(|error| Error::new(format!("the default state {error}")))?;
        Ok(Runner { rule, about, subscriptions, default })
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// # Errors
    /// A state that an input left behind cannot be written: then nothing of the batch counts, and the host finds
    /// the input by trying again with fewer.
    pub(crate) fn handle(&self, batch: Batch) -> Result<Effects> {
        let keys = batch.keys.iter().map(|keyed| Key::new(keyed.name.clone(), keyed.state.as_deref()));
        let mut keys: Vec<Key<'_, R::State>> = keys.collect();
        let mut out = Output::new(Effects::default());
        for (cause, input) in (0..).zip(batch.inputs) {
            self.handle_next(&mut keys, cause, input, &mut out)?;
        }
        let mut effects = out.effects;
        for (position, key) in (0..).zip(keys) {
            let mut state = Vec::new();
            let state = match self.write_change(key, &mut state)? {
                Change::None => continue,
                Change::Forgotten => None,
                Change::Written => Some(state),
            };
            effects.states.push(StateChange { key: position, state });
        }
        Ok(effects)
    }

    /// One input of a batch. What is wrong with it alone becomes a failure.
    pub(crate) fn handle_next(
        &self,
        keys: &mut [Key<'_, R::State>],
        cause: u32,
        input: Input,
        out: &mut Output,
    ) -> Result<()> {
        out.begin(cause, input.now);
        let key = keys.get_mut(input.key as usize).ok_or_else(|| {
            Error::new(format!("input {cause} is about key {}, which the batch lacks", input.key))
        })?;
        if let Err(error) = self.handle_input(key, input, out) {
            out.undo(error);
        }
        Ok(())
    }

    /// Brings a state of an earlier version along, as bytes; `None`: it is forgotten, or today's default.
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "only a component exports it"))]
    pub(crate) fn migrate(&self, from_version: u32, key: &str, state: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(state) = self.rule.migrate(from_version, key, state)? else { return Ok(None) };
        let mut bytes = Vec::new();
        write(&state, &mut bytes).map_err(|error| Error::new(format!("the migrated state {error}")))?;
        Ok(Some(bytes).filter(|bytes| *bytes != self.default))
    }

    /// The state counts only if the input succeeds: one that fails leaves it as it was.
    fn handle_input(&self, key: &mut Key<'_, R::State>, input: Input, out: &mut Output) -> Result<()> {
        match &mut key.current {
            Some(current) => {
                let mut state = current.clone();
                self.decide(key.name.clone(), input, &mut state, out)?;
                *current = state;
            }
            // If it fails, the next input reads it again.
            None => {
                let mut state = key.read()?;
                self.decide(key.name.clone(), input, &mut state, out)?;
                key.current = Some(state);
            }
        }
        Ok(())
    }

    fn decide(&self, key: Text, input: Input, state: &mut R::State, out: &mut Output) -> Result<()> {
        let origin = Origin { key, time: input.time, now: input.now };
        match input.payload {
            Payload::Event { subscription, attributes, data } => {
                let subscription = subscription as usize;
                if subscription >= self.subscriptions.len() {
                    return Err(Error::new(format!("the rule has no subscription {subscription}")));
                }
                let subscriptions = Rc::clone(&self.subscriptions);
                let event = Event { origin, subscription, subscriptions, attributes, data };
                on_event(&self.rule, &event, state, out)?;
            }
            Payload::Timer { name } => on_timer(&self.rule, &Timer { origin, name }, state, out)?,
            Payload::Outcome { action, reference, status, answer, detail } => {
                let outcome = Outcome { origin, action, reference, status, answer, detail };
                on_outcome(&self.rule, &outcome, state, out)?;
            }
        }
        out.end()
    }

    /// Writes the state that a key has at the end, if it is to be kept and is another than before.
    pub(crate) fn write_change(&self, key: Key<'_, R::State>, to: &mut Vec<u8>) -> Result<Change> {
        let Some(state) = key.current else { return Ok(Change::None) };
        let begin = to.len();
        write(&state, to)
            .map_err(|error| Error::new(format!("the state of key `{}` {error}", &*key.name)))?;
        let after = to.get(begin..).filter(|bytes| *bytes != self.default);
        let change = match (key.before, after) {
            (before, after) if before == after => Change::None,
            (_, Some(_)) => return Ok(Change::Written),
            (_, None) => Change::Forgotten,
        };
        to.truncate(begin);
        Ok(change)
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
pub(crate) struct Key<'b, S> {
    name: Text,
    before: Option<&'b [u8]>,
    current: Option<S>,
}

/// What becomes of a key's state.
pub(crate) enum Change {
    /// It stays as it is.
    None,
    /// It is none any more.
    Forgotten,
    /// It is what was written.
    Written,
}

impl<'b, S: crate::State> Key<'b, S> {
    pub(crate) fn new(name: Text, before: Option<&'b [u8]>) -> Self {
        Key { name, before, current: None }
    }

    fn read(&self) -> Result<S> {
        let Some(bytes) = self.before else { return Ok(S::default()) };
        serde_json::from_slice(bytes).map_err(|error| {
            Error::new(format!(
                "the state of key `{}` cannot be read: {error} (if its format changed, let `state_version` grow and \
                 migrate it)",
                &*self.name
            ))
        })
    }
}

/// A state as it is kept: JSON.
///
/// JSON has no number that is not finite: serde writes null for it, and could not read it again. So a text with a
/// null in it, which may also be an honest `None`, is tried.
fn write<S: crate::State>(state: &S, to: &mut Vec<u8>) -> Result<(), String> {
    let begin = to.len();
    let nulls = Cell::new(false);
    state
        .serialize(&mut serde_json::Serializer::with_formatter(&mut *to, NoticeNulls(&nulls)))
        .map_err(|error| format!("cannot be written as JSON: {error}"))?;
    if nulls.get() {
        serde_json::from_slice::<S>(to.get(begin..).unwrap_or_default())
            .map_err(|error| format!("could not be read again (is a number not finite?): {error}"))?;
    }
    Ok(())
}

/// Writes JSON without spaces, and notices whether a null is among it.
struct NoticeNulls<'n>(&'n Cell<bool>);

impl Formatter for NoticeNulls<'_> {
    fn write_null<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.set(true);
        writer.write_all(b"null")
    }
}

#[cfg(test)]
mod tests;
