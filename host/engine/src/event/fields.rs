//! How an event is written, and its fields, found in those bytes without reading all of them.
//!
//! It is what `postcard` makes of an [`Event`](super::Event): see <https://postcard.jamesmunns.com/wire-format>.

use std::borrow::Cow;

use super::{DataRef, EventRef, format_instant};

/// The fields of an event. Only as far as what is asked for are its bytes looked at.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Of what was written of an event.
    pub(crate) fn of(written: &'a [u8]) -> Self {
        Fields(written)
    }

    /// The attribute `type`.
    pub(crate) fn kind(&self) -> &'a str {
        self.required(2).map(text).unwrap_or_default()
    }

    pub(crate) fn source_and_id(&self) -> (&'a [u8], &'a [u8]) {
        let mut reader = Reader(self.0);
        let id = reader.bytes().unwrap_or_default();
        (reader.bytes().unwrap_or_default(), id)
    }

    pub(crate) fn data(&self) -> DataRef<'a> {
        // Only what was written from an event, or has been read as one, is held.
        self.find_data().unwrap_or_default()
    }

    /// As [`Event::attribute`](super::Event::attribute).
    pub(crate) fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        let found = match name {
            "subject" => Reader::behind_required(self.0)?.option(Reader::bytes)?,
            "time" => return self.time().map(|time| Cow::Owned(format_instant(time))),
            "specversion" => return Some(Cow::Borrowed("1.0")),
            "id" => self.required(0),
            "source" => self.required(1),
            "type" => self.required(2),
            "datacontenttype" => Reader::behind_time(self.0)?.option(Reader::bytes)?,
            "dataschema" => {
                let mut reader = Reader::behind_time(self.0)?;
                reader.option(Reader::bytes)?;
                reader.option(Reader::bytes)?
            }
            _ => self.extension(name),
        };
        found.map(|found| Cow::Borrowed(text(found)))
    }

    fn required(&self, before: usize) -> Option<&'a [u8]> {
        let mut reader = Reader(self.0);
        (0..before).try_for_each(|_| reader.bytes().map(drop))?;
        reader.bytes()
    }

    fn time(&self) -> Option<u64> {
        let mut reader = Reader::behind_required(self.0)?;
        reader.option(Reader::bytes)?;
        reader.option(Reader::number)?
    }

    fn extension(&self, wanted: &str) -> Option<&'a [u8]> {
        let (count, mut reader) = Reader::at_extensions(self.0)?;
        for _ in 0..count {
            let (name, value) = (reader.bytes()?, reader.bytes()?);
            if name == wanted.as_bytes() {
                return Some(value);
            }
        }
        None
    }

    fn find_data(&self) -> Option<DataRef<'a>> {
        let (count, mut reader) = Reader::at_extensions(self.0)?;
        for _ in 0..count {
            reader.bytes()?;
            reader.bytes()?;
        }
        match reader.byte()? {
            1 => reader.bytes().map(|bytes| DataRef::Json(text(bytes))),
            2 => reader.bytes().map(DataRef::Binary),
            _ => Some(DataRef::Absent),
        }
    }
}

fn text(bytes: &[u8]) -> &str {
    // It was one before it was written.
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Writes an event behind what is there.
pub(super) fn write(event: &EventRef<'_>, bytes: &mut Vec<u8>) {
    bytes.reserve(event.size());
    for text in [event.id, event.source, event.kind] {
        put_bytes(text.as_bytes(), bytes);
    }
    put_option(event.subject, bytes);
    match event.time {
        Some(time) => {
            bytes.push(1);
            put_number(time, bytes);
        }
        None => bytes.push(0),
    }
    put_option(event.datacontenttype, bytes);
    put_option(event.dataschema, bytes);
    put_number(event.extensions.len() as u64, bytes);
    for (name, value) in &event.extensions {
        put_bytes(name.as_bytes(), bytes);
        put_bytes(value.as_bytes(), bytes);
    }
    let (kind, data) = match event.data {
        DataRef::Absent => return bytes.push(0),
        DataRef::Json(text) => (1, text.as_bytes()),
        DataRef::Binary(binary) => (2, binary),
    };
    bytes.push(kind);
    put_bytes(data, bytes);
}

fn put_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_bytes(text: &[u8], bytes: &mut Vec<u8>) {
    put_number(text.len() as u64, bytes);
    bytes.extend_from_slice(text);
}

fn put_option(text: Option<&str>, bytes: &mut Vec<u8>) {
    bytes.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_bytes(text.as_bytes(), bytes);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Behind `id`, `source` and `type`.
    #[inline]
    fn behind_required(written: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(written);
        (0..3).try_for_each(|_| reader.bytes().map(drop))?;
        Some(reader)
    }

    /// Behind `subject` and `time` too.
    #[inline]
    fn behind_time(written: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::behind_required(written)?;
        reader.option(Reader::bytes)?;
        reader.option(Reader::number)?;
        Some(reader)
    }

    /// How many extensions there are; it stands at the first.
    #[inline]
    fn at_extensions(written: &'a [u8]) -> Option<(u64, Self)> {
        let mut reader = Reader::behind_time(written)?;
        reader.option(Reader::bytes)?;
        reader.option(Reader::bytes)?;
        Some((reader.number()?, reader))
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// In groups of seven bits, the lowest first; all but the last have the eighth set.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        let mut number = u64::from(first & 0x7F);
        let (mut more, mut shift) = (first & 0x80 != 0, 7);
        while more {
            let next = self.byte()?;
            number |= u64::from(next & 0x7F).checked_shl(shift)?;
            (more, shift) = (next & 0x80 != 0, shift + 7);
        }
        Some(number)
    }

    #[inline]
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    #[inline]
    fn option<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            _ => read(self).map(Some),
        }
    }
}
