//! `addresses.json` in the data folder: where a host listens, for scripts and for `carpe send` and `status`.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

const NAME: &str = "addresses.json";

/// Where a host listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// Its process.
    pub(crate) pid: u32,
    /// The URL of the listener for events; none: there is none.
    pub(crate) events: Option<String>,
    /// The URL of the operators' listener.
    pub(crate) operators: Option<String>,
}

impl Addresses {
    pub(super) fn new(events: Option<String>, operators: Option<String>) -> Self {
        Addresses { pid: std::process::id(), events, operators }
    }

    /// In one step: who reads the file sees all of it.
    pub(super) fn write(&self, data: &Path) -> anyhow::Result<()> {
        let path = data.join(NAME);
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(data)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.persist(&path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// None: no host listens there, or it has ended without a word.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Option<Self>> {
        let path = data.join(NAME);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        serde_json::from_slice(&text).map(Some).with_context(|| format!("cannot read {}", path.display()))
    }

    pub(super) fn remove(&self, data: &Path) {
        if Addresses::read(data).is_ok_and(|there| there.as_ref() == Some(self)) {
            let _ = std::fs::remove_file(data.join(NAME));
        }
    }
}
