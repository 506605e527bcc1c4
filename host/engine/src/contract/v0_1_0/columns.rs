//! A batch of events in columns, and what a guest returns in columns: both checked, neither costing more than a
//! few copies of memory to pass.

use super::wit_columns::{EffectColumns, EventColumns};
use crate::event::DataRef;
use crate::rule::{Batch, Effects, Input, Payload, StateChange};

/// What stands for the length of what is not there.
const NONE: i64 = -1;

/// Numbers of a key, and of an input without its attributes.
const PER_KEY: usize = 2;
const PER_INPUT: usize = 6;

/// Bytes that a column may hold on to from one call to the next.
const KEPT_BYTES: usize = 1 << 20;

/// The columns of a batch.
#[derive(Default)]
pub(super) struct Columns {
    text: String,
    states: Vec<u8>,
    numbers: Vec<i64>,
}

impl Columns {
    /// Writes a batch into columns and lends them. None: it holds what columns have no place for.
    pub(super) fn lend(&mut self, batch: &Batch<'_>) -> Option<EventColumns<'_>> {
        self.clear();
        let keys = u32::try_from(batch.keys.len()).ok()?;
        self.numbers.reserve(PER_KEY * batch.keys.len() + PER_INPUT * batch.inputs.len());
        for key in &batch.keys {
            self.text.push_str(key.name);
            self.states.extend_from_slice(key.state.unwrap_or_default());
            self.numbers.extend([length(key.name.len())?, length_or_none(key.state.map(<[u8]>::len))?]);
        }
        for input in &batch.inputs {
            self.push(input)?;
        }
        Some(EventColumns { text: &self.text, states: &self.states, keys, numbers: &self.numbers })
    }

    fn push(&mut self, input: &Input<'_>) -> Option<()> {
        let Payload::Event { subscription, attributes, data } = &input.payload else { return None };
        let data = match *data {
            DataRef::Absent => None,
            DataRef::Json(text) => Some(text),
            DataRef::Binary(_) => return None,
        };
        self.text.push_str(data.unwrap_or_default());
        self.numbers.extend([
            i64::from(input.key),
            i64::try_from(input.time).ok()?,
            i64::try_from(input.now).ok()?,
            i64::from(*subscription),
            length_or_none(data.map(str::len))?,
            length(attributes.len())?,
        ]);
        for value in attributes {
            self.text.push_str(value.as_deref().unwrap_or_default());
            self.numbers.push(length_or_none(value.as_ref().map(|value| value.len()))?);
        }
        Some(())
    }

    /// Makes room, and gives back what only an unusually large batch needed.
    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES);
        self.states.clear();
        self.states.shrink_to(KEPT_BYTES);
        self.numbers.clear();
        self.numbers.shrink_to(KEPT_BYTES / size_of::<i64>());
    }
}

fn length(bytes: usize) -> Option<i64> {
    i64::try_from(bytes).ok()
}

fn length_or_none(bytes: Option<usize>) -> Option<i64> {
    bytes.map_or(Some(NONE), length)
}

/// What a guest returned for a batch of so many keys. What is checked is what the columns add to the contract's
/// other types.
///
/// # Errors
/// What is wrong with the columns.
pub(super) fn effects(columns: EffectColumns, keys: usize) -> Result<Effects, String> {
    let EffectColumns { changes, states: bytes, timers, moments, failures } = columns;
    if changes.len() > keys {
        return Err(format!("it returned states for {} keys, and the batch has {keys}", changes.len()));
    }
    let mut states = Vec::with_capacity(changes.len());
    let mut rest = &bytes[..];
    for change in changes {
        let state = match change.length {
            -1 => None,
            length => {
                let (state, others) =
                    usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)).ok_or_else(
                        || {
                            format!(
                                "it returned a state of {length} bytes for key {}, and {} bytes are left of its states",
                                change.key,
                                rest.len()
                            )
                        },
                    )?;
                rest = others;
                Some(state.to_vec())
            }
        };
        states.push(StateChange { key: change.key, state });
    }
    if !rest.is_empty() {
        return Err(format!("it returned {} bytes of states more than their lengths add up to", rest.len()));
    }
    Ok(Effects {
        states,
        timers: super::effects::convert(timers),
        moments: super::effects::convert(moments),
        failures: super::effects::convert(failures),
    })
}
