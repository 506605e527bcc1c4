//! What a planned batch is in the rule's terms. It borrows from the lane: nothing is copied.

use super::keys::{Key, KeyState};
use super::program::Version;
use super::step::{Plan, Planned, What};
use crate::event::{Fields, PackedEvent};
use crate::journal::{Body, Given, OutcomeEntry};
use crate::rule::{Batch, Input, Keyed, Payload};

/// The batch that a plan is; `known` are its keys' states.
pub(super) fn batch_of<'a>(
    plan: &'a Plan<'a>,
    known: &[Option<&'a KeyState>],
    version: &Version,
) -> Batch<'a> {
    let keyed = |(key, known): (&&'a Key, &Option<&'a KeyState>)| Keyed {
        name: key,
        state: known.and_then(|known| known.state.as_deref()),
    };
    let input = |input: &'a Planned<'a>| Input {
        key: input.key,
        time: input.time,
        now: input.now,
        payload: payload_of(input, version),
    };
    Batch {
        keys: plan.keys.iter().zip(known).map(keyed).collect(),
        inputs: plan.inputs.iter().map(input).collect(),
    }
}

fn payload_of<'a>(input: &'a Planned<'a>, version: &Version) -> Payload<'a> {
    match &input.what {
        What::Timer(timer) => Payload::Timer { name: &timer.name },
        What::Entry { entry, subscription } => match &entry.body {
            Body::Event(event) => event_payload(event, *subscription, version),
            Body::Outcome(outcome) => outcome_payload(outcome),
            body => match body.given_again() {
                Some(Given::Event(event)) => event_payload(event, *subscription, version),
                Some(Given::Outcome(outcome)) => outcome_payload(outcome),
                Some(Given::Timer(name)) => Payload::Timer { name },
                // The router gives lanes nothing else.
                None => Payload::Timer { name: "" },
            },
        },
    }
}

fn event_payload<'a>(event: &'a PackedEvent, subscription: Option<u32>, version: &Version) -> Payload<'a> {
    let subscription = subscription.unwrap_or(0);
    let wanted = version.description.subscriptions.get(subscription as usize);
    let attributes = wanted.map_or(&[][..], |wanted| &wanted.attributes);
    payload(&event.fields(), subscription, attributes)
}

/// An event, as a subscription that asks for these attributes is given it.
pub(crate) fn payload<'a>(event: &Fields<'a>, subscription: u32, attributes: &[String]) -> Payload<'a> {
    let attributes = attributes.iter().map(|name| event.attribute(name)).collect();
    Payload::Event { subscription, attributes, data: event.data() }
}

fn outcome_payload(outcome: &OutcomeEntry) -> Payload<'_> {
    Payload::Outcome {
        action: &outcome.action,
        reference: outcome.reference.as_deref().unwrap_or(""),
        status: outcome.status,
        answer: (&outcome.answer).into(),
        detail: &outcome.detail,
    }
}
