//! Sending changes of keys to a host, many at once.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::Context;
use carpe_connect::operators::KeyJson;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::{HostClient, block_on};
use crate::failure::{Explain, Failure};
use crate::output::{counted, is_stdout};

/// So many keys, or bytes, go in one request: a host takes more, but each is one group of its journal.
const KEYS: usize = 1_000;
const BYTES: usize = 4 << 20;

/// Changes on their way.
#[derive(Default)]
pub(super) struct Import {
    waiting: Vec<Box<RawValue>>,
    bytes: usize,
    /// Keys that are changed.
    pub(super) keys: u64,
}

#[derive(Serialize)]
struct Changes<'a> {
    changes: &'a [Box<RawValue>],
}

impl Import {
    /// Adds a change, a [`KeyJson`] in one line.
    pub(super) async fn add(&mut self, host: &HostClient, rule: &str, line: String) -> Result<(), Failure> {
        if self.waiting.len() >= KEYS || self.bytes + line.len() > BYTES {
            self.send(host, rule).await?;
        }
        self.bytes += line.len();
        let line = line.trim().to_owned();
        self.waiting.push(RawValue::from_string(line).context("a change is no JSON")?);
        Ok(())
    }

    /// Sends what waits.
    pub(super) async fn send(&mut self, host: &HostClient, rule: &str) -> Result<(), Failure> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let changes = Changes { changes: &self.waiting };
        let sent = host.change::<Value>(&["state", rule], &changes).await;
        sent.map_err(|failure| match self.keys {
            0 => failure,
            done => {
                let before = format!("{} before were changed", counted(done, "key"));
                Failure { error: failure.error.context(before), ..failure }
            }
        })?;
        self.keys += self.waiting.len() as u64;
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Has a host remember what the lines of a file say. All lines are looked at before the first is sent.
pub(super) fn import(host: &HostClient, rule: &str, file: &Path) -> Result<Import, Failure> {
    let mut piped = Vec::new();
    let name = match is_stdout(file) {
        true => {
            std::io::stdin().read_to_end(&mut piped).context("cannot read standard input")?;
            "standard input".to_owned()
        }
        false => file.display().to_string(),
    };
    let open = || match is_stdout(file) {
        true => Ok(Box::new(Cursor::new(&piped)) as Box<dyn BufRead + '_>),
        false => File::open(file)
            .map(|opened| Box::new(BufReader::new(opened)) as Box<dyn BufRead + '_>)
            .with_context(|| format!("cannot open {name}")),
    };
    for line in lines(open()?, &name) {
        let (place, line) = line?;
        let key: KeyJson = serde_json::from_str(&line)
            .with_context(|| format!("{place} is no key"))
            .hint("lines are as `carpe state export` writes them; nothing was imported")?;
        key.change(rule)
            .with_context(|| format!("{place} cannot be imported"))
            .hint("nothing was imported")?;
    }
    block_on(async {
        let mut import = Import::default();
        for line in lines(open()?, &name) {
            import.add(host, rule, line?.1).await?;
        }
        import.send(host, rule).await?;
        Ok(import)
    })
}

/// Lines that are not blank, each with its place.
fn lines<'a>(
    from: Box<dyn BufRead + 'a>,
    name: &'a str,
) -> impl Iterator<Item = anyhow::Result<(String, String)>> + 'a {
    from.lines().zip(1..).filter_map(move |(line, number)| {
        let place = format!("{name}:{number}");
        match line {
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => Some(Ok((place, line))),
            Err(error) => Some(Err(anyhow::Error::new(error).context(format!("cannot read {place}")))),
        }
    })
}
