//! From the host's batch to the contract's, without copying a byte of it.

use super::types;
use crate::event::DataRef;
use crate::rule::{Batch, Input, Payload, Status};

/// Lends `batch` to `call` in the contract's form.
///
/// The contract's records hold slices, so what they point to is built first: one list of all
/// attributes, then the inputs, which each take their part of it.
pub(super) fn lend<R>(batch: &Batch<'_>, call: impl FnOnce(types::Batch<'_>) -> R) -> R {
    let keys: Vec<types::Keyed<'_>> =
        batch.keys.iter().map(|key| types::Keyed { name: key.name, state: key.state }).collect();
    let attributes: Vec<Option<&str>> = batch
        .inputs
        .iter()
        .flat_map(|input| attributes_of(&input.payload))
        .map(|value| value.as_deref())
        .collect();
    let mut rest = attributes.as_slice();
    let inputs: Vec<types::Input<'_>> = batch
        .inputs
        .iter()
        .map(|input| {
            let (own, others) = rest.split_at(attributes_of(&input.payload).len());
            rest = others;
            lend_input(input, own)
        })
        .collect();
    call(types::Batch { keys: &keys, inputs: &inputs })
}

fn attributes_of<'a, 'b>(payload: &'b Payload<'a>) -> &'b [Option<std::borrow::Cow<'a, str>>] {
    match payload {
        Payload::Event { attributes, .. } => attributes,
        Payload::Timer { .. } | Payload::Outcome { .. } => &[],
    }
}

fn lend_input<'b>(input: &'b Input<'_>, attributes: &'b [Option<&'b str>]) -> types::Input<'b> {
    let payload = match &input.payload {
        Payload::Event { subscription, attributes: _, data } => types::Payload::Event(types::Event {
            subscription: *subscription,
            attributes,
            data: lend_data(*data),
        }),
        Payload::Timer { name } => types::Payload::Timer(types::Timer { name }),
        Payload::Outcome { action, reference, status, answer, detail } => {
            types::Payload::Outcome(types::Outcome {
                action,
                reference,
                status: types::Status::from(*status),
                answer: lend_data(*answer),
                detail,
            })
        }
    };
    types::Input { key: input.key, time: input.time, now: input.now, payload }
}

fn lend_data(data: DataRef<'_>) -> types::Data<'_> {
    match data {
        DataRef::Absent => types::Data::Absent,
        DataRef::Json(text) => types::Data::Json(text),
        DataRef::Binary(bytes) => types::Data::Binary(bytes),
    }
}

impl From<Status> for types::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Delivered => types::Status::Delivered,
            Status::Rejected => types::Status::Rejected,
            Status::Withheld => types::Status::Withheld,
            Status::Failed => types::Status::Failed,
            Status::Expired => types::Status::Expired,
        }
    }
}
