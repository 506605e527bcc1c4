//! A batch of events in columns (`wit/columns.wit`): read where they lie, without a copy or an allocation for each value.

use std::rc::Rc;

use crate::about::Described;
use crate::contract::{Data, Effects, Input, Payload};
use crate::error::{Error, Result};
use crate::output::Output;
use crate::rule::Rule;
use crate::runner::{Change, Key, Runner};
use crate::text::Text;

/// What stands for the length of what is not there.
const NONE: i64 = -1;

/// See `columns.event-columns`.
pub(crate) struct Columns {
    pub(crate) text: String,
    pub(crate) states: Vec<u8>,
    pub(crate) keys: u32,
    pub(crate) numbers: Vec<i64>,
}

/// See `columns.effect-columns`.
pub(crate) struct ColumnEffects {
    /// Keys, and the lengths of their new states.
    pub(crate) changes: Vec<(u32, i32)>,
    pub(crate) states: Vec<u8>,
    /// All but the states.
    pub(crate) others: Effects,
}

impl<R: Rule + Described> Runner<R> {
    /// As [`Runner::handle`], for events in columns.
    ///
    /// # Errors
    /// As there; also if the columns are not what the contract says.
    pub(crate) fn handle_events(&self, batch: Columns) -> Result<ColumnEffects> {
        let mut reader = Reader {
            text: Rc::new(batch.text),
            text_read: 0,
            states: &batch.states,
            numbers: batch.numbers.iter(),
        };
        let keys = (0..batch.keys).map(|_| reader.key());
        let mut keys: Vec<Key<'_, R::State>> = keys.collect::<Option<_>>().ok_or_else(broken)?;
        let mut out = Output::new(Effects::default());
        let mut cause = 0;
        while !reader.numbers.as_slice().is_empty() {
            let input = reader.input().ok_or_else(broken)?;
            self.handle_next(&mut keys, cause, input, &mut out)?;
            cause += 1;
        }
        let mut changes = Vec::with_capacity(keys.len());
        let mut states = Vec::with_capacity(batch.states.len() + batch.states.len() / 8 + 64);
        for (position, key) in (0..).zip(keys) {
            let before = states.len();
            match self.write_change(key, &mut states)? {
                Change::None => {}
                Change::Forgotten => changes.push((position, -1)),
                Change::Written => {
                    let length = i32::try_from(states.len() - before)
                        .map_err(|_| Error::new("a state is too long"))?;
                    changes.push((position, length));
                }
            }
        }
        Ok(ColumnEffects { changes, states, others: out.effects })
    }
}

/// Reads columns from their beginnings on. Each method gives `None` if the rest of them does not hold what it should.
struct Reader<'b> {
    text: Rc<String>,
    text_read: usize,
    states: &'b [u8],
    numbers: std::slice::Iter<'b, i64>,
}

impl<'b> Reader<'b> {
    fn key<S: crate::State>(&mut self) -> Option<Key<'b, S>> {
        let name = self.text()??;
        let state = match *self.numbers.next()? {
            NONE => None,
            length => {
                let (state, others) = self.states.split_at_checked(usize::try_from(length).ok()?)?;
                self.states = others;
                Some(state)
            }
        };
        Some(Key::new(name, state))
    }

    fn input(&mut self) -> Option<Input> {
        let &[key, time, now, subscription] = self.numbers.as_slice().first_chunk()?;
        self.numbers.nth(3);
        let data = self.text()?.map_or(Data::Absent, Data::Json);
        // An empty list, which is the most frequent one, allocates nothing.
        let attributes = (0..*self.numbers.next()?).map(|_| self.text()).collect::<Option<_>>()?;
        Some(Input {
            key: key.try_into().ok()?,
            time: time.try_into().ok()?,
            now: now.try_into().ok()?,
            payload: Payload::Event { subscription: subscription.try_into().ok()?, attributes, data },
        })
    }

    /// The next text, by its length.
    fn text(&mut self) -> Option<Option<Text>> {
        let length = match *self.numbers.next()? {
            NONE => return Some(None),
            length => usize::try_from(length).ok()?,
        };
        let range = self.text_read..self.text_read.checked_add(length)?;
        self.text.get(range.clone())?;
        self.text_read = range.end;
        Some(Some(Text::Part(Rc::clone(&self.text), range)))
    }
}

fn broken() -> Error {
    Error::new("the batch's columns are not what the contract says")
}
