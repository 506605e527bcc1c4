//! From what a guest returned to the host's own types. Nothing is checked here but the types.

use super::types;
use crate::rule::{
    Description, Effects, EmittedAction, EmittedMoment, Failure, KeyedBy, StateChange, Subscription,
    TimerChange,
};

impl From<types::Description> for Description {
    fn from(description: types::Description) -> Self {
        Description {
            name: description.name,
            version: description.version,
            summary: description.summary,
            settings: description.settings,
            subscriptions: convert(description.subscriptions),
            moments: description.moments,
            actions: description.actions,
            state_version: description.state_version,
        }
    }
}

impl From<types::Subscription> for Subscription {
    fn from(subscription: types::Subscription) -> Self {
        Subscription {
            event_type: subscription.event_type,
            filter: subscription.filter,
            keyed_by: match subscription.keyed_by {
                types::KeyedBy::Attribute(name) => KeyedBy::Attribute(name),
                types::KeyedBy::Data(pointer) => KeyedBy::Data(pointer),
                types::KeyedBy::Nothing => KeyedBy::Nothing,
            },
            attributes: subscription.attributes,
        }
    }
}

impl From<types::Effects> for Effects {
    fn from(effects: types::Effects) -> Self {
        Effects {
            states: convert(effects.states),
            timers: convert(effects.timers),
            moments: convert(effects.moments),
            failures: convert(effects.failures),
        }
    }
}

impl From<types::StateChange> for StateChange {
    fn from(types::StateChange { key, state }: types::StateChange) -> Self {
        StateChange { key, state }
    }
}

impl From<types::TimerChange> for TimerChange {
    fn from(types::TimerChange { cause, name, at }: types::TimerChange) -> Self {
        TimerChange { cause, name, at }
    }
}

impl From<types::Moment> for EmittedMoment {
    fn from(moment: types::Moment) -> Self {
        EmittedMoment {
            cause: moment.cause,
            kind: moment.kind,
            why: moment.why,
            subject: moment.subject,
            data: moment.data,
            expires: moment.expires,
            actions: convert(moment.actions),
        }
    }
}

impl From<types::Action> for EmittedAction {
    fn from(types::Action { name, reference, data }: types::Action) -> Self {
        EmittedAction { name, reference, data }
    }
}

impl From<types::Failure> for Failure {
    fn from(types::Failure { input, message }: types::Failure) -> Self {
        Failure { input, message }
    }
}

pub(super) fn convert<A, B: From<A>>(list: Vec<A>) -> Vec<B> {
    list.into_iter().map(B::from).collect()
}
