//! Stands in for what the engine is about to have. Removed when it has it.
#![allow(missing_docs, clippy::allow_attributes)]

use std::time::Duration;

use carpe::{Data, Event};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub accepted: usize,
    pub repeated: usize,
}

#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    #[error("busy")]
    Busy { retry_after: Duration },
    #[error("event {index}: {error}")]
    Invalid { index: usize, error: AdmitError },
    #[error("{count} events, limit {limit}")]
    TooMany { count: usize, limit: usize },
    #[error("stopped")]
    Stopped,
    #[error("journal: {0}")]
    Journal(String),
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct AdmitError(pub String);

pub trait EventText: Sized {
    fn from_json(text: &[u8], max_bytes: usize) -> Result<Event, AdmitError>;
    fn batch_from_json(
        text: &[u8],
        max_bytes_each: usize,
        max_events: usize,
    ) -> Result<Vec<Event>, (usize, AdmitError)>;
    fn to_json(&self) -> String;
    fn set_attribute(&mut self, name: &str, value: String) -> Result<(), AdmitError>;
    fn validate(&self, max_bytes: usize) -> Result<(), AdmitError>;
}

impl EventText for Event {
    fn from_json(text: &[u8], max_bytes: usize) -> Result<Event, AdmitError> {
        let map: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(text).map_err(|error| AdmitError(format!("not JSON: {error}")))?;
        let mut event = Event::new("", "", "");
        for (name, value) in map {
            match name.as_str() {
                "data" => event.data = Data::Json(value.to_string()),
                "specversion" => {}
                _ => event.set_attribute(&name, value.as_str().unwrap_or_default().to_owned())?,
            }
        }
        event.validate(max_bytes)?;
        Ok(event)
    }

    fn batch_from_json(
        text: &[u8],
        max_bytes_each: usize,
        max_events: usize,
    ) -> Result<Vec<Event>, (usize, AdmitError)> {
        let all: Vec<Box<serde_json::value::RawValue>> =
            serde_json::from_slice(text).map_err(|error| (0, AdmitError(format!("not JSON: {error}"))))?;
        if all.len() > max_events {
            return Err((max_events, AdmitError("too many".into())));
        }
        let parse = |(index, one): (usize, &Box<serde_json::value::RawValue>)| {
            Self::from_json(one.get().as_bytes(), max_bytes_each).map_err(|error| (index, error))
        };
        all.iter().enumerate().map(parse).collect()
    }

    fn to_json(&self) -> String {
        let mut map = serde_json::Map::new();
        for name in ["specversion", "id", "source", "type", "subject", "time", "datacontenttype"] {
            if let Some(value) = self.attribute(name) {
                map.insert(name.into(), value.into());
            }
        }
        for (name, value) in &self.extensions {
            map.insert(name.clone(), value.clone().into());
        }
        if let Data::Json(text) = &self.data {
            map.insert("data".into(), serde_json::from_str(text).unwrap_or_default());
        }
        serde_json::Value::Object(map).to_string()
    }

    fn set_attribute(&mut self, name: &str, value: String) -> Result<(), AdmitError> {
        match name {
            "id" => self.id = value,
            "source" => self.source = value,
            "type" => self.kind = value,
            "subject" => self.subject = Some(value),
            "time" => {
                let time = carpe::parse_instant(&value);
                self.time = Some(time.ok_or_else(|| AdmitError(format!("attribute `time` is {value}")))?);
            }
            "datacontenttype" => self.datacontenttype = Some(value),
            "dataschema" => self.dataschema = Some(value),
            _ => self.extensions.push((name.to_owned(), value)),
        }
        Ok(())
    }

    fn validate(&self, max_bytes: usize) -> Result<(), AdmitError> {
        for (name, value) in [("id", &self.id), ("source", &self.source), ("type", &self.kind)] {
            if value.is_empty() {
                return Err(AdmitError(format!("attribute `{name}` is missing")));
            }
        }
        if self.size() > max_bytes {
            return Err(AdmitError(format!("takes {} bytes, limit {max_bytes}", self.size())));
        }
        Ok(())
    }
}
