//! The rule `rising` over a batch as flat bytes, for hosts without components.
//!
//! Numbers are little-endian; `bytes` is a length as u32 and so many bytes; a list is a count as u32 and so many items.
//!
//! - batch: list of keys (name as bytes, state as bytes), list of inputs (key as u32, time as u64, data as bytes)
//! - effects: list of states (key as u32, state as bytes), list of moments (cause as u32, and kind, why, the action's
//!   name and its data, each as bytes)

use serde::{Deserialize, Serialize};

const ABOVE_CM: i64 = 400;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Gauge {
    cm: i64,
    rises: u32,
}

#[derive(Deserialize)]
struct Reading {
    level: i64,
    n: u64,
}

#[derive(Serialize)]
struct Alert<'a> {
    gauge: &'a str,
    level: i64,
    n: u64,
}

/// Writes the effects of a batch. None: the batch is not well-formed, or there is data that is no reading.
pub fn handle(batch: &[u8], effects: &mut Vec<u8>) -> Option<()> {
    let mut batch = Reader(batch);
    let mut keys = Vec::new();
    for _ in 0..batch.u32()? {
        let (name, state) = (batch.bytes()?, batch.bytes()?);
        keys.push((std::str::from_utf8(name).ok()?, state, None::<Gauge>));
    }
    let mut moments = Vec::new();
    let mut count = 0;
    for cause in 0..batch.u32()? {
        let (key, _time, data) = (batch.u32()?, batch.take(8)?, batch.bytes()?);
        let (name, state, gauge) = keys.get_mut(key as usize)?;
        let gauge = match gauge {
            Some(gauge) => gauge,
            unread if state.is_empty() => unread.insert(Gauge::default()),
            unread => unread.insert(serde_json::from_slice(state).ok()?),
        };
        let Reading { level, n } = serde_json::from_slice(data).ok()?;
        gauge.rises = if gauge.cm > 0 && level > gauge.cm { gauge.rises + 1 } else { 0 };
        gauge.cm = level;
        if gauge.rises >= 3 && level > ABOVE_CM {
            count += 1;
            put_u32(&mut moments, cause);
            put(&mut moments, b"flood.rising");
            put(&mut moments, format!("{level} cm, and rising").as_bytes());
            put(&mut moments, b"alert");
            put(&mut moments, &serde_json::to_vec(&Alert { gauge: name, level, n }).ok()?);
        }
    }
    effects.clear();
    put_u32(effects, u32::try_from(keys.iter().filter(|(_, _, gauge)| gauge.is_some()).count()).ok()?);
    for (key, (_, _, gauge)) in (0..).zip(&keys) {
        if let Some(gauge) = gauge {
            put_u32(effects, key);
            put(effects, &serde_json::to_vec(gauge).ok()?);
        }
    }
    put_u32(effects, count);
    effects.extend_from_slice(&moments);
    Some(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()?;
        self.take(count as usize)
    }
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}
