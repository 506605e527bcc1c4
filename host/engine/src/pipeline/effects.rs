//! Checks what a rule returned, before anything of it is applied. Pure.

use super::keys::{Key, KeyState, Keys, Timer};
use super::program::CallFailure;
use super::step::{Plan, Planned, What};
use crate::event::INSTANT_LIMIT;
use crate::journal::InputId;
use crate::limits::Limits;
use crate::rule::{Description, Effects, EmittedMoment, Failure, TimerChange};

/// What a batch comes to for one key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyEffects {
    /// It is remembered as it was.
    Unchanged,
    /// What is to be remembered of it.
    Changed(KeyState),
    /// A timer came in between: nothing of the key's effects counts, and its inputs are given again in smaller
    /// pieces.
    Again,
}

/// Whether the effects keep to the contract and the limits. `Err` says what is wrong.
pub(crate) fn check(
    effects: &Effects,
    plan: &Plan<'_>,
    description: &Description,
    limits: &Limits,
) -> Result<(), CallFailure> {
    let keys = plan.keys.len();
    let inputs = plan.inputs.len();
    let broken = |reason: String| Err(CallFailure::broken(reason));
    let position = |what: &str, field: &str, found: u32, bound: usize| {
        broken(format!("{what} names {field} {found}, but the batch has {bound} (positions count from 0)"))
    };
    let most = |what: &str, found: usize, per_input: usize, name: &str| {
        broken(format!(
            "returned {found} {what} for {inputs} inputs, more than {per_input} for each (limit `{name}`)"
        ))
    };
    if effects.moments.len() > limits.moments_per_input.saturating_mul(inputs) {
        return most("moments", effects.moments.len(), limits.moments_per_input, "moments_per_input");
    }
    if effects.timers.len() > limits.timers_per_input.saturating_mul(inputs) {
        return most("timer changes", effects.timers.len(), limits.timers_per_input, "timers_per_input");
    }
    if effects.failures.len() > inputs {
        return most("failures", effects.failures.len(), 1, "one failure per input");
    }
    for change in &effects.states {
        if change.key as usize >= keys {
            return position("a state change", "key", change.key, keys);
        }
        let length = change.state.as_ref().map_or(0, Vec::len);
        if length > limits.state_bytes {
            return broken(format!(
                "returned a state of {length} bytes for one key, more than the limit `state_bytes` of {}",
                limits.state_bytes
            ));
        }
    }
    let mut last_cause = 0;
    for change in &effects.timers {
        if change.cause as usize >= inputs {
            return position("a timer change", "cause", change.cause, inputs);
        }
        if change.cause < last_cause {
            return broken("returned timer changes that are not in the order of their causes".to_owned());
        }
        last_cause = change.cause;
        if change.name.len() > 256 {
            return broken("named a timer with more than 256 bytes".to_owned());
        }
        if change.at.is_some_and(|at| at >= INSTANT_LIMIT) {
            return broken(format!("set the timer `{}` to an instant past 2^53 ms", change.name));
        }
    }
    for moment in &effects.moments {
        if moment.cause as usize >= inputs {
            return position("a moment", "cause", moment.cause, inputs);
        }
        check_moment(moment, description, limits)?;
    }
    for failure in &effects.failures {
        if failure.input as usize >= inputs {
            return position("a failure", "input", failure.input, inputs);
        }
    }
    Ok(())
}

fn check_moment(
    moment: &EmittedMoment,
    description: &Description,
    limits: &Limits,
) -> Result<(), CallFailure> {
    let broken = |reason: String| Err(CallFailure::broken(reason));
    if !description.moments.contains(&moment.kind) {
        return broken(format!(
            "returned a moment of kind `{}`, which its description does not declare",
            moment.kind.escape_debug()
        ));
    }
    if moment.expires.is_some_and(|at| at >= INSTANT_LIMIT) {
        return broken(format!("returned a moment `{}` that expires past 2^53 ms", moment.kind));
    }
    if moment.actions.len() > limits.actions_per_moment {
        return broken(format!(
            "returned {} actions for one moment, more than the limit `actions_per_moment` of {}",
            moment.actions.len(),
            limits.actions_per_moment
        ));
    }
    if let Some(data) = &moment.data {
        check_json(data, || format!("the data of the moment `{}`", moment.kind))?;
    }
    for action in &moment.actions {
        if !description.actions.contains(&action.name) {
            return broken(format!(
                "returned an action `{}`, which its description does not declare",
                action.name.escape_debug()
            ));
        }
        check_json(&action.data, || format!("the data of the action `{}`", action.name))?;
    }
    Ok(())
}

fn check_json(text: &str, what: impl Fn() -> String) -> Result<(), CallFailure> {
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(drop)
        .map_err(|error| CallFailure::broken(format!("{} is not JSON: {error}", what())))
}

/// What checked effects come to, key by key. `known`: what the keys of the plan were.
///
/// A timer that a batch set may be due before a later input of its key in the same batch, or a batch may
/// cancel or move one that it gives later: then nothing of that key's effects counts.
pub(crate) fn by_key(
    effects: &mut Effects,
    plan: &Plan<'_>,
    keys: &Keys,
    known: &[Option<&KeyState>],
    description: &Description,
    limits: &Limits,
) -> Result<Vec<KeyEffects>, CallFailure> {
    let timers = keys.timers() > 0
        || !effects.timers.is_empty()
        || plan.inputs.iter().any(|input| matches!(input.what, What::Timer(_)));
    if timers {
        return with_timers(effects, plan, keys, description, limits);
    }
    let before = |known: &Option<&KeyState>| match known {
        // An entry begins its count of timers anew.
        Some(known) if known.fired != (0, 0) => {
            KeyEffects::Changed(KeyState { fired: (0, 0), ..(*known).clone() })
        }
        _ => KeyEffects::Unchanged,
    };
    let mut found: Vec<KeyEffects> = known.iter().map(before).collect();
    for change in &mut effects.states {
        let place = change.key as usize;
        let state = change.state.take().map(Vec::into_boxed_slice);
        let state = KeyState { state, state_version: description.state_version, ..KeyState::default() };
        found[place] =
            if known[place] == Some(&state) { KeyEffects::Unchanged } else { KeyEffects::Changed(state) };
    }
    Ok(found)
}

/// The same, where a key has timers, or is given some.
fn with_timers(
    effects: &mut Effects,
    plan: &Plan<'_>,
    keys: &Keys,
    description: &Description,
    limits: &Limits,
) -> Result<Vec<KeyEffects>, CallFailure> {
    let mut states: Vec<KeyState> =
        plan.keys.iter().map(|key| keys.get(key).cloned().unwrap_or_default()).collect();
    let mut conflicts = vec![false; states.len()];
    let mut changes = effects.timers.iter().peekable();
    for (cause, input) in (0u32..).zip(&plan.inputs) {
        let state = &mut states[input.key as usize];
        let conflict = &mut conflicts[input.key as usize];
        *conflict |= !comes_next(state, input);
        match &input.what {
            What::Timer(timer) => {
                state.change_timer(&timer.name, None);
                let count = if state.fired.0 == input.position { state.fired.1 } else { 0 };
                state.fired = (input.position, count + 1);
            }
            What::Entry { .. } => state.fired = (0, 0),
        }
        while let Some(change) = changes.next_if(|change| change.cause == cause) {
            state.change_timer(&change.name, change.at.map(|at| timer_of(change, at, input)));
        }
        if !*conflict && state.timers.len() > limits.timers_per_key {
            return Err(CallFailure::broken(format!(
                "set more timers for one key than the limit `timers_per_key` of {}",
                limits.timers_per_key
            )));
        }
    }
    for change in &mut effects.states {
        let state = &mut states[change.key as usize];
        state.state = change.state.take().map(Vec::into_boxed_slice);
        state.state_version = description.state_version;
    }
    let of_key = |((key, state), conflict): ((&&Key, KeyState), bool)| match conflict {
        true => KeyEffects::Again,
        false if keys.get(key) == Some(&state) => KeyEffects::Unchanged,
        false => KeyEffects::Changed(state),
    };
    Ok(plan.keys.iter().zip(states).zip(conflicts).map(of_key).collect())
}

/// Whether `input` is what comes next for its key, after what the inputs before it changed.
fn comes_next(state: &KeyState, input: &Planned<'_>) -> bool {
    let still_set = match &input.what {
        What::Timer(timer) => state.timers.iter().any(|known| known == timer),
        What::Entry { .. } => true,
    };
    still_set && !state.timers.first().is_some_and(|first| input.comes_after(first))
}

fn timer_of(change: &TimerChange, at: u64, input: &Planned<'_>) -> Timer {
    // One set by a timer's input is due at least 1 ms after that timer's.
    let due = match &input.what {
        What::Timer(timer) => at.max(timer.due + 1),
        What::Entry { .. } => at,
    };
    Timer {
        due,
        name: change.name.as_str().into(),
        id: InputId::of_timer(input.id(), &change.name),
        set_at: input.position,
        set_now: input.now,
    }
}

/// The failures whose inputs' keys are not given again.
pub(crate) fn failures<'a>(
    effects: &'a Effects,
    plan: &'a Plan<'a>,
    by_key: &'a [KeyEffects],
) -> impl Iterator<Item = (&'a Planned<'a>, &'a Failure)> {
    effects.failures.iter().filter_map(|failure| {
        let input = plan.inputs.get(failure.input as usize)?;
        let counts = *by_key.get(input.key as usize)? != KeyEffects::Again;
        counts.then_some((input, failure))
    })
}
