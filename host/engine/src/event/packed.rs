//! Events one behind the other in memory, as the journal writes them.
//!
//! An event passes several threads, and each needs only some of it. So it is written once, where it is read, and from there on
//! shared: what a thread touches of it lies in one row, nothing is allocated for it alone, and the journal copies it as it is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fields::{Fields, write};
use super::json::usual;
use super::{AdmitError, Data, Event, Instant, format_instant};

/// No batch takes more: the journal takes no more at once.
const BATCH_LIMIT_BYTES: usize = 256 << 20;

/// An [`Event`], borrowed from where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventRef<'a> {
    /// See [`Event::id`].
    pub id: &'a str,
    /// See [`Event::source`].
    pub source: &'a str,
    /// See [`Event::kind`].
    pub kind: &'a str,
    /// See [`Event::subject`].
    #[serde(borrow)]
    pub subject: Option<&'a str>,
    /// See [`Event::time`].
    pub time: Option<Instant>,
    /// See [`Event::datacontenttype`].
    #[serde(borrow)]
    pub datacontenttype: Option<&'a str>,
    /// See [`Event::dataschema`].
    #[serde(borrow)]
    pub dataschema: Option<&'a str>,
    /// See [`Event::extensions`].
    #[serde(borrow)]
    pub extensions: Vec<(&'a str, &'a str)>,
    /// See [`Event::data`].
    #[serde(borrow)]
    pub data: DataRef<'a>,
}

/// [`Data`], borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataRef<'a> {
    /// There is none.
    #[default]
    Absent,
    /// JSON text.
    Json(&'a str),
    /// Anything else.
    Binary(&'a [u8]),
}

impl DataRef<'_> {
    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        match self {
            DataRef::Absent => 0,
            DataRef::Json(text) => text.len(),
            DataRef::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether it holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a Data> for DataRef<'a> {
    fn from(data: &'a Data) -> Self {
        match data {
            Data::Absent => DataRef::Absent,
            Data::Json(text) => DataRef::Json(text),
            Data::Binary(bytes) => DataRef::Binary(bytes),
        }
    }
}

impl From<DataRef<'_>> for Data {
    fn from(data: DataRef<'_>) -> Self {
        match data {
            DataRef::Absent => Data::Absent,
            DataRef::Json(text) => Data::Json(text.to_owned()),
            DataRef::Binary(bytes) => Data::Binary(bytes.to_vec().into()),
        }
    }
}

impl<'a> From<&'a Event> for EventRef<'a> {
    fn from(event: &'a Event) -> Self {
        EventRef {
            id: &event.id,
            source: &event.source,
            kind: &event.kind,
            subject: event.subject.as_deref(),
            time: event.time,
            datacontenttype: event.datacontenttype.as_deref(),
            dataschema: event.dataschema.as_deref(),
            extensions: event.extensions.iter().map(|(name, value)| (&**name, &**value)).collect(),
            data: (&event.data).into(),
        }
    }
}

impl From<&EventRef<'_>> for Event {
    fn from(event: &EventRef<'_>) -> Self {
        let EventRef { id, source, kind, subject, time, datacontenttype, dataschema, .. } = *event;
        Event {
            id: id.into(),
            source: source.into(),
            kind: kind.into(),
            subject: subject.map(Into::into),
            time,
            datacontenttype: datacontenttype.map(Into::into),
            dataschema: dataschema.map(Into::into),
            extensions: event.extensions.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            data: event.data.into(),
        }
    }
}

impl<'a> EventRef<'a> {
    /// With nothing in it.
    pub(crate) fn empty() -> Self {
        EventRef {
            id: "",
            source: "",
            kind: "",
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: Vec::new(),
            data: DataRef::Absent,
        }
    }

    /// The value of a context or extension attribute by its CloudEvents name, `time` in RFC 3339.
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        match name {
            "specversion" => Some(Cow::Borrowed("1.0")),
            "id" => Some(Cow::Borrowed(self.id)),
            "source" => Some(Cow::Borrowed(self.source)),
            "type" => Some(Cow::Borrowed(self.kind)),
            "subject" => self.subject.map(Cow::Borrowed),
            "datacontenttype" => self.datacontenttype.map(Cow::Borrowed),
            "dataschema" => self.dataschema.map(Cow::Borrowed),
            "time" => self.time.map(|time| Cow::Owned(format_instant(time))),
            _ => self.extension(name).map(Cow::Borrowed),
        }
    }

    /// The value of an extension attribute.
    pub fn extension(&self, name: &str) -> Option<&'a str> {
        self.extensions.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// See [`Event::size`].
    pub fn size(&self) -> usize {
        let length = |text: Option<&str>| text.map_or(0, str::len);
        let extensions: usize =
            self.extensions.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        super::STRUCT_BYTES
            + self.id.len()
            + self.source.len()
            + self.kind.len()
            + length(self.subject)
            + length(self.datacontenttype)
            + length(self.dataschema)
            + extensions
            + self.data.len()
    }
}

/// Events that were checked, to be submitted together. What it holds is shared: to clone it copies nothing.
#[derive(Clone, Debug)]
pub struct EventBatch {
    packed: Arc<Packed>,
    max_event_bytes: usize,
}

/// Events, one behind the other.
#[derive(Clone, Default)]
struct Packed {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Where an event lies.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
    time: Option<Instant>,
}

impl Packed {
    fn bytes_of(&self, at: usize) -> &[u8] {
        self.places.get(at).map_or(&[], |place| &self.bytes[place.start as usize..place.end as usize])
    }

    fn event(&self, at: usize) -> EventRef<'_> {
        // Only what was written from one, or has been read as one, is held.
        postcard::from_bytes(self.bytes_of(at)).unwrap_or_else(|_| EventRef::empty())
    }

    fn push(&mut self, event: &EventRef<'_>) -> Result<(), AdmitError> {
        let start = self.bytes.len();
        write(event, &mut self.bytes);
        if self.bytes.len() > BATCH_LIMIT_BYTES {
            self.bytes.truncate(start);
            return Err(AdmitError::BatchFull { limit: BATCH_LIMIT_BYTES });
        }
        // They fit: the limit is far below.
        self.places.push(Place { start: start as u32, end: self.bytes.len() as u32, time: event.time });
        Ok(())
    }
}

impl EventBatch {
    /// Without events. Each of those that it takes may have at most `max_event_bytes`.
    pub fn new(max_event_bytes: usize) -> Self {
        EventBatch { packed: Arc::default(), max_event_bytes }
    }

    /// Checks an event and takes it.
    ///
    /// # Errors
    /// If it is not valid (see [`Event::validate`]), or the batch is full.
    pub fn push(&mut self, event: &Event) -> Result<(), AdmitError> {
        self.push_ref(&EventRef::from(event))
    }

    fn push_ref(&mut self, event: &EventRef<'_>) -> Result<(), AdmitError> {
        event.validate(self.max_event_bytes)?;
        Arc::make_mut(&mut self.packed).push(event)
    }

    /// Reads an event as [`Event::from_json`] does, and takes it.
    ///
    /// # Errors
    /// What is wrong with it, and where; or the batch is full.
    pub fn push_json(&mut self, text: &[u8]) -> Result<(), AdmitError> {
        if let Some(event) = super::json::small_enough(text, self.max_event_bytes)
            .and_then(|text| usual::read(text, self.max_event_bytes))
        {
            return Arc::make_mut(&mut self.packed).push(&event);
        }
        self.push(&Event::from_json(text, self.max_event_bytes)?)
    }

    /// Reads a JSON array of at most `max_events` events, each of at most `max_event_bytes`; how long `text` is, is
    /// the caller's to bound.
    ///
    /// # Errors
    /// The index of the first bad event from 0, what is wrong with it, and where.
    pub fn from_json(
        text: &[u8],
        max_event_bytes: usize,
        max_events: usize,
    ) -> Result<Self, (usize, AdmitError)> {
        let mut batch = EventBatch::new(max_event_bytes);
        // Their names and signs are not written.
        Arc::make_mut(&mut batch.packed).bytes.reserve(text.len() / 2);
        let usual = std::str::from_utf8(text).ok().and_then(|text| {
            let packed = Arc::make_mut(&mut batch.packed);
            usual::read_batch(text, max_event_bytes, max_events, &mut |event| packed.push(event).is_ok())
        });
        if usual.is_none() {
            batch = EventBatch::new(max_event_bytes);
            super::json::read_batch(text, max_event_bytes, max_events, &mut |event| batch.push(&event))?;
        }
        Ok(batch)
    }

    /// How many events it has.
    pub fn len(&self) -> usize {
        self.packed.places.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.packed.places.is_empty()
    }

    /// About how many bytes its events take.
    pub fn bytes(&self) -> usize {
        self.packed.bytes.len() + super::STRUCT_BYTES * self.len()
    }

    /// The event at `index`.
    pub fn get(&self, index: usize) -> Option<EventRef<'_>> {
        (index < self.len()).then(|| self.packed.event(index))
    }

    /// Its events, in order.
    pub fn iter(&self) -> impl Iterator<Item = EventRef<'_>> {
        (0..self.len()).map(|index| self.packed.event(index))
    }

    /// Those of its events whose indexes are `wanted`.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(usize) -> bool) -> Self {
        let mut kept = Packed::default();
        for at in (0..self.len()).filter(|at| wanted(*at)) {
            let start = kept.bytes.len() as u32;
            kept.bytes.extend_from_slice(self.packed.bytes_of(at));
            kept.places.push(Place {
                start,
                end: kept.bytes.len() as u32,
                time: self.packed.places[at].time,
            });
        }
        EventBatch { packed: Arc::new(kept), max_event_bytes: self.max_event_bytes }
    }

    /// Checks its events again if they may be larger than this.
    pub(crate) fn check(&self, max_event_bytes: usize) -> Result<(), (usize, AdmitError)> {
        if self.max_event_bytes <= max_event_bytes {
            return Ok(());
        }
        self.iter()
            .enumerate()
            .try_for_each(|(index, event)| event.validate(max_event_bytes).map_err(|error| (index, error)))
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = Fields<'_>> {
        (0..self.len()).map(|at| Fields::of(self.packed.bytes_of(at)))
    }

    pub(crate) fn times(&self) -> impl Iterator<Item = Option<Instant>> {
        self.packed.places.iter().map(|place| place.time)
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = PackedEvent> {
        (0..self.len()).map(|at| PackedEvent { packed: Arc::clone(&self.packed), at })
    }
}

/// One of a batch of events, which it shares. It is as the journal writes it.
#[derive(Clone)]
pub struct PackedEvent {
    packed: Arc<Packed>,
    at: usize,
}

impl PackedEvent {
    /// Its fields.
    pub fn get(&self) -> EventRef<'_> {
        self.packed.event(self.at)
    }

    /// Its fields, each read when it is asked for.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields::of(self.written())
    }

    /// [`EventRef::time`].
    pub fn time(&self) -> Option<Instant> {
        self.packed.places.get(self.at).and_then(|place| place.time)
    }

    /// The same, on its own.
    pub fn to_event(&self) -> Event {
        Event::from(&self.get())
    }

    /// The same without the rest of its batch, for who holds it for long.
    #[must_use]
    pub fn alone(&self) -> Self {
        let bytes = self.written().to_vec();
        let place = Place { start: 0, end: bytes.len() as u32, time: self.time() };
        PackedEvent { packed: Arc::new(Packed { bytes, places: vec![place] }), at: 0 }
    }

    /// Bytes that it keeps in memory, of all the batch, with a number that stands for that.
    pub(crate) fn holds(&self) -> (usize, usize) {
        (Arc::as_ptr(&self.packed).addr(), self.packed.bytes.len())
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        super::STRUCT_BYTES + self.written().len()
    }

    /// As the journal writes it.
    pub(crate) fn written(&self) -> &[u8] {
        self.packed.bytes_of(self.at)
    }
}

impl From<&Event> for PackedEvent {
    fn from(event: &Event) -> Self {
        let mut packed = Packed::default();
        // Past the limit it is as one that is empty; the journal takes no such event.
        let _ = packed.push(&EventRef::from(event));
        PackedEvent { packed: Arc::new(packed), at: 0 }
    }
}

impl From<Event> for PackedEvent {
    fn from(event: Event) -> Self {
        PackedEvent::from(&event)
    }
}

/// Events of a group of the journal, as they are found in its bytes.
pub(crate) struct Unpacked(Packed);

impl Unpacked {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Unpacked(Packed { bytes, places: Vec::new() })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Notes an event; `false`: there is none, or not only one.
    pub(crate) fn note(&mut self, range: std::ops::Range<usize>) -> bool {
        let Some(bytes) = self.0.bytes.get(range.clone()) else { return false };
        let Ok((EventRef { time, .. }, [])) = postcard::take_from_bytes(bytes) else { return false };
        let (Ok(start), Ok(end)) = (u32::try_from(range.start), u32::try_from(range.end)) else {
            return false;
        };
        self.0.places.push(Place { start, end, time });
        true
    }

    /// All of them, in order.
    pub(crate) fn events(self) -> impl Iterator<Item = PackedEvent> {
        let count = self.0.places.len();
        let packed = Arc::new(self.0);
        (0..count).map(move |at| PackedEvent { packed: Arc::clone(&packed), at })
    }
}

impl PartialEq for PackedEvent {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl Eq for PackedEvent {}

impl fmt::Debug for PackedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.places.len()).map(|at| self.event(at))).finish()
    }
}

impl Serialize for PackedEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PackedEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Event::deserialize(deserializer).map(PackedEvent::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        let mut full = Event::new("1", "/s", "t").with_subject("é").with_time(7).with_json(r#"{"a":1}"#);
        full.extensions = vec![("a".into(), "1".into()), ("b".into(), "x".repeat(300).into())];
        let mut binary = Event::new("2", "/s", "t");
        binary.data = Data::Binary(vec![0, 255, 7].into());
        vec![full, binary, Event::new("3", "/s", "t").with_json("")]
    }

    #[test]
    fn they_are_written_as_events_are() {
        let mut batch = EventBatch::new(1_000);
        events().iter().for_each(|event| batch.push(event).unwrap());
        for (event, packed) in events().iter().zip(batch.events()) {
            assert_eq!(packed.written(), postcard::to_stdvec(event).unwrap());
            assert_eq!(packed.to_event(), *event);
            assert_eq!(packed.time(), event.time);
            assert_eq!(packed.get().size(), event.size());
            let fields = packed.fields();
            assert_eq!((fields.kind(), fields.data()), (event.kind.as_str(), DataRef::from(&event.data)));
            assert_eq!(fields.source_and_id(), (event.source.as_bytes(), event.id.as_bytes()));
            let names =
                ["id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "a", "b", "c"];
            for name in names {
                assert_eq!(fields.attribute(name), event.attribute(name), "{name}");
            }
        }
        let kept = batch.only(|at| at != 1);
        assert_eq!(kept.iter().map(|event| event.id).collect::<Vec<_>>(), ["1", "3"]);
    }

    #[test]
    fn they_are_found_in_the_bytes_of_a_group() {
        let mut bytes = Vec::new();
        let mut ranges = Vec::new();
        for event in events() {
            bytes.push(9);
            let start = bytes.len();
            bytes.extend(postcard::to_stdvec(&event).unwrap());
            ranges.push(start..bytes.len());
        }
        let mut found = Unpacked::new(bytes);
        assert!(!found.note(0..ranges[0].end), "another byte before it");
        assert!(!found.note(ranges[1].start..ranges[1].end + 1), "another byte behind it");
        assert!(!found.note(ranges[2].start..ranges[2].end - 1), "a byte too few");
        assert!(ranges.into_iter().all(|range| found.note(range)));
        let found: Vec<Event> = found.events().map(|event| event.to_event()).collect();
        assert_eq!(found, events());
    }

    #[test]
    fn a_larger_limit_does_not_let_larger_events_in() {
        let mut batch = EventBatch::new(1_000);
        batch.push(&Event::new("1", "/s", "t")).unwrap();
        batch.push(&Event::new("2", "/s", "t").with_json("x".repeat(100))).unwrap();
        assert!(batch.check(1_000).is_ok());
        assert!(matches!(batch.check(99), Err((1, AdmitError::TooLarge { .. }))));
        assert!(batch.push(&Event::new("3", "/s", "t").with_json("x".repeat(1_000))).is_err());
        assert_eq!(batch.len(), 2);
    }
}
