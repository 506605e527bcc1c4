//! A batch and its effects as flat bytes, as `bench/guests/flat` has them.

use anyhow::{Context, Result};
use carpe::DataRef;
use carpe::rule::{Batch, Effects, EmittedAction, EmittedMoment, Payload, StateChange};

/// Writes a batch in place of what is there.
pub(crate) fn encode(batch: &Batch<'_>, out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    put_count(out, batch.keys.len())?;
    for key in &batch.keys {
        put(out, key.name.as_bytes())?;
        put(out, key.state.unwrap_or_default())?;
    }
    put_count(out, batch.inputs.len())?;
    for input in &batch.inputs {
        let Payload::Event { data: DataRef::Json(text), .. } = &input.payload else {
            anyhow::bail!("only events of JSON have this form")
        };
        out.extend_from_slice(&input.key.to_le_bytes());
        out.extend_from_slice(&input.time.to_le_bytes());
        put(out, text.as_bytes())?;
    }
    Ok(())
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Effects> {
    let mut reader = Reader(bytes);
    let mut effects = Effects::default();
    for _ in 0..reader.number()? {
        effects.states.push(StateChange { key: reader.number()?, state: Some(reader.bytes()?.to_vec()) });
    }
    for _ in 0..reader.number()? {
        effects.moments.push(EmittedMoment {
            cause: reader.number()?,
            kind: reader.text()?,
            why: reader.text()?,
            subject: None,
            data: None,
            expires: None,
            actions: vec![EmittedAction { name: reader.text()?, reference: None, data: reader.text()? }],
        });
    }
    Ok(effects)
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Result<()> {
    out.extend_from_slice(&u32::try_from(count)?.to_le_bytes());
    Ok(())
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    put_count(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<u32> {
        let (number, rest) = self.0.split_first_chunk().context("a number")?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(length as usize).context("bytes")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String> {
        Ok(std::str::from_utf8(self.bytes()?)?.to_owned())
    }
}
