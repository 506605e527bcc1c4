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
        // Each has two numbers.
        let count = (batch.keys as usize).min(batch.numbers.len() / 2);
        let mut keys: Vec<Key<'_, R::State>> = Vec::with_capacity(count);
        for _ in 0..batch.keys {
            keys.push(reader.key().ok_or_else(broken)?);
        }
        let mut out = Output::new(Effects::default());
        let mut cause = 0;
        while !reader.numbers.as_slice().is_empty() {
            let input = reader.input().ok_or_else(broken)?;
            self.handle_next(&mut keys, cause, input, &mut out)?;
            cause += 1;
        }
        if !reader.is_at_the_end() {
            return Err(broken());
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
        let count = usize::try_from(*self.numbers.next()?).ok()?;
        let attributes = (0..count).map(|_| self.text()).collect::<Option<_>>()?;
        Some(Input {
            key: key.try_into().ok()?,
            time: time.try_into().ok()?,
            now: now.try_into().ok()?,
            payload: Payload::Event { subscription: subscription.try_into().ok()?, attributes, data },
        })
    }

    fn is_at_the_end(&self) -> bool {
        self.numbers.as_slice().is_empty() && self.states.is_empty() && self.text_read == self.text.len()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Batch, Keyed, StateChange};
    use crate::prelude::*;

    /// Says what it is given.
    #[derive(Deserialize)]
    struct Parrot {}

    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Sum {
        sum: i64,
    }

    impl Rule for Parrot {
        type State = Sum;

        fn on_event(&self, event: &Event, sum: &mut Sum, out: &mut Output) -> Result<()> {
            sum.sum += event.integer("/add")?;
            let note = event.attribute("note").ok();
            out.moment("parrot.spoke").data(json!([event.key(), event.time(), event.now(), note, sum.sum]));
            Ok(())
        }
    }

    export_rule!(Parrot, on("said").attribute("note").on("heard").moment("parrot.spoke"));

    /// `a` in the states 5 and then 0, which is not kept; `ä` without a state; and `b`, which fails.
    fn columns() -> Columns {
        let text = r#"aäb{"add":-5}x{"add":2}{}"#.to_owned();
        let states = br#"{"sum":5}not a state"#.to_vec();
        let keys = [1, 9, 2, -1, 1, 11];
        let inputs =
            [0, 10, 20, 0, 10, 1, 1, 1, 11, 21, 1, 9, 0, 2, 12, 22, 1, 2, 0, 1, 13, 23, 0, -1, 1, -1];
        Columns { text, states, keys: 3, numbers: [&keys[..], &inputs].concat() }
    }

    fn records() -> Batch {
        let keyed = |name: &str, state: Option<&str>| Keyed {
            name: name.to_owned().into(),
            state: state.map(|text| text.as_bytes().to_vec()),
        };
        let input = |key, subscription, attributes: &[Option<&str>], data: Option<&str>| Input {
            key,
            time: 10,
            now: 20,
            payload: Payload::Event {
                subscription,
                attributes: attributes
                    .iter()
                    .map(|value| value.map(|value| value.to_owned().into()))
                    .collect(),
                data: data.map_or(Data::Absent, |text| Data::Json(text.to_owned().into())),
            },
        };
        let mut inputs = vec![
            input(0, 0, &[Some("x")], Some(r#"{"add":-5}"#)),
            input(1, 1, &[], Some(r#"{"add":2}"#)),
            input(2, 1, &[], Some("{}")),
            input(1, 0, &[None], None),
        ];
        for (place, input) in (0..).zip(&mut inputs) {
            input.time += place;
            input.now += place;
        }
        let keys = vec![keyed("a", Some(r#"{"sum":5}"#)), keyed("ä", None), keyed("b", Some("not a state"))];
        Batch { keys, inputs }
    }

    #[test]
    fn columns_mean_what_records_mean() {
        let runner = Runner::<Parrot>::new("{}").unwrap();
        let ColumnEffects { changes, states, mut others } = runner.handle_events(columns()).unwrap();
        let mut rest = &states[..];
        for (key, length) in changes {
            let state = usize::try_from(length).ok().map(|length| {
                let (state, others) = rest.split_at(length);
                rest = others;
                state.to_vec()
            });
            others.states.push(StateChange { key, state });
        }
        assert!(rest.is_empty());
        let expected = runner.handle(records()).unwrap();
        assert_eq!((expected.states.len(), expected.moments.len(), expected.failures.len()), (2, 2, 2));
        assert_eq!(others, expected);
    }

    #[test]
    fn columns_that_do_not_add_up_are_refused() {
        let runner = Runner::<Parrot>::new("{}").unwrap();
        for place in 0..columns().numbers.len() {
            for number in [-2, 1 << 40, i64::MIN, i64::MAX] {
                let mut columns = columns();
                columns.numbers[place] = number;
                // Nothing but an error, where an error is due; an instant may be any.
                let _ = runner.handle_events(columns);
            }
            let mut columns = columns();
            columns.numbers.truncate(place);
            // Without the last input, whose text is empty, nothing is left over.
            assert_eq!(runner.handle_events(columns).is_err(), place != 25, "{place}");
        }
        for (text, states) in [(1, 0), (0, 1)] {
            let mut columns = columns();
            columns.text.truncate(columns.text.len() - text);
            columns.states.truncate(columns.states.len() - states);
            assert!(runner.handle_events(columns).is_err());
        }
    }
}
