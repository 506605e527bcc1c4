//! The seam between the generated bindings and the SDK's own types. Here values are moved, not copied.

use std::cell::OnceCell;

use crate::about::{About, Described, KeyedBy};
use crate::bindings::columns::exports::carpe::rule::columns as wit_columns;
use crate::bindings::plugin::carpe::rule::{log as wit_log, types as wit};
use crate::columns::Columns;
use crate::contract::{Batch, Data, Effects, Input, Keyed, MomentEffect, Payload, Status};
use crate::log::Level;
use crate::rule::Rule;
use crate::runner::Runner;
use crate::text::Text;

/// Where an instance keeps its rule between `init` and `handle`.
pub struct Slot<R>(OnceCell<Runner<R>>);

impl<R> Slot<R> {
    pub const fn empty() -> Self {
        Slot(OnceCell::new())
    }
}

/// A rule that has a slot: in the component that exports it.
pub trait Loaded: Rule + Described {
    fn slot<T>(work: impl FnOnce(&Slot<Self>) -> T) -> T;
}

pub fn init<R: Rule + Described>(slot: &Slot<R>, configuration: &str) -> Result<wit::Description, String> {
    // A panic becomes a trap, which says nothing: so its message goes to the log first.
    std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    let runner = Runner::<R>::new(configuration).map_err(|error| error.to_string())?;
    let description = runner.about().clone().into();
    slot.0.set(runner).map_err(|_| "`init` was called before".to_owned())?;
    Ok(description)
}

pub fn handle<R: Rule + Described>(slot: &Slot<R>, batch: wit::Batch) -> Result<wit::Effects, String> {
    match loaded(slot)?.handle(batch.into()) {
        Ok(effects) => Ok(effects.into()),
        Err(error) => Err(error.to_string()),
    }
}

pub fn handle_events<R: Rule + Described>(
    slot: &Slot<R>,
    batch: wit_columns::EventColumns,
) -> Result<wit_columns::EffectColumns, String> {
    let wit_columns::EventColumns { text, states, keys, numbers } = batch;
    let effects = loaded(slot)?
        .handle_events(Columns { text, states, keys, numbers })
        .map_err(|error| error.to_string())?;
    let changes = effects.changes.into_iter().map(|(key, length)| wit_columns::StateLength { key, length });
    let others = wit::Effects::from(effects.others);
    Ok(wit_columns::EffectColumns {
        changes: changes.collect(),
        states: effects.states,
        timers: others.timers,
        moments: others.moments,
        failures: others.failures,
    })
}

pub fn migrate<R: Rule + Described>(
    slot: &Slot<R>,
    from_version: u32,
    key: &str,
    state: &[u8],
) -> Result<Option<Vec<u8>>, String> {
    loaded(slot)?.migrate(from_version, key, state).map_err(|error| error.to_string())
}

fn loaded<R>(slot: &Slot<R>) -> Result<&Runner<R>, String> {
    slot.0.get().ok_or_else(|| "`init` was not called, or it failed".to_owned())
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => wit_log::Level::Debug,
        Level::Info => wit_log::Level::Info,
        Level::Warn => wit_log::Level::Warn,
        Level::Error => wit_log::Level::Error,
    };
    wit_log::write(level, message);
}

impl From<About> for wit::Description {
    fn from(about: About) -> Self {
        let subscriptions = about.subscriptions.into_iter().map(|subscription| wit::Subscription {
            event_type: subscription.event_type,
            filter: subscription.filter,
            keyed_by: match subscription.keyed_by {
                KeyedBy::Attribute(name) => wit::KeyedBy::Attribute(name),
                KeyedBy::Data(pointer) => wit::KeyedBy::Data(pointer),
                KeyedBy::Nothing => wit::KeyedBy::Nothing,
            },
            attributes: subscription.attributes,
        });
        wit::Description {
            name: about.name,
            version: about.version,
            summary: about.summary,
            settings: about.settings,
            subscriptions: subscriptions.collect(),
            moments: about.moments,
            actions: about.actions,
            state_version: about.state_version,
        }
    }
}

impl From<wit::Batch> for Batch {
    fn from(batch: wit::Batch) -> Self {
        let keys = batch
            .keys
            .into_iter()
            .map(|keyed| Keyed { name: Text::Shared(keyed.name.into()), state: keyed.state });
        Batch { keys: keys.collect(), inputs: batch.inputs.into_iter().map(Input::from).collect() }
    }
}

impl From<wit::Input> for Input {
    fn from(input: wit::Input) -> Self {
        let payload = match input.payload {
            wit::Payload::Event(event) => Payload::Event {
                subscription: event.subscription,
                attributes: event.attributes.into_iter().map(|value| value.map(Text::Own)).collect(),
                data: event.data.into(),
            },
            wit::Payload::Timer(timer) => Payload::Timer { name: timer.name },
            wit::Payload::Outcome(outcome) => Payload::Outcome {
                action: outcome.action,
                reference: outcome.reference,
                status: outcome.status.into(),
                answer: outcome.answer.into(),
                detail: outcome.detail,
            },
        };
        Input { key: input.key, time: input.time, now: input.now, payload }
    }
}

impl From<wit::Data> for Data {
    fn from(data: wit::Data) -> Self {
        match data {
            wit::Data::Absent => Data::Absent,
            wit::Data::Json(text) => Data::Json(Text::Own(text)),
            wit::Data::Binary(bytes) => Data::Binary(bytes),
        }
    }
}

impl From<wit::Status> for Status {
    fn from(status: wit::Status) -> Self {
        match status {
            wit::Status::Delivered => Status::Delivered,
            wit::Status::Rejected => Status::Rejected,
            wit::Status::Withheld => Status::Withheld,
            wit::Status::Failed => Status::Failed,
            wit::Status::Expired => Status::Expired,
        }
    }
}

impl From<Effects> for wit::Effects {
    fn from(effects: Effects) -> Self {
        wit::Effects {
            states: effects
                .states
                .into_iter()
                .map(|change| wit::StateChange { key: change.key, state: change.state })
                .collect(),
            timers: effects
                .timers
                .into_iter()
                .map(|change| wit::TimerChange { cause: change.cause, name: change.name, at: change.at })
                .collect(),
            moments: effects.moments.into_iter().map(wit::Moment::from).collect(),
            failures: effects
                .failures
                .into_iter()
                .map(|failure| wit::Failure { input: failure.input, message: failure.message })
                .collect(),
        }
    }
}

impl From<MomentEffect> for wit::Moment {
    fn from(moment: MomentEffect) -> Self {
        let actions = moment.actions.into_iter().map(|action| wit::Action {
            name: action.name,
            reference: action.reference,
            data: action.data,
        });
        wit::Moment {
            cause: moment.cause,
            kind: moment.kind,
            why: moment.why,
            subject: moment.subject,
            data: moment.data,
            expires: moment.expires,
            actions: actions.collect(),
        }
    }
}
