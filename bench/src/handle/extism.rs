//! The rule `rising` as a plug-in of Extism, called by a Python script with the same batches.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Inputs, flat};
use crate::peers::{self, Peer};
use crate::report::Report;
use crate::times::median;
use crate::{Setup, process, rules};

/// The nanoseconds of a call for each of several batches. None: Extism is not to be had; a remark says why.
pub(crate) fn measure(
    setup: &Setup,
    report: &mut Report,
    batches: &[(usize, usize)],
) -> Result<Option<Vec<f64>>> {
    let Some(peer) = peers::extism(setup, report)? else { return Ok(None) };
    match calls(setup, &peer, batches) {
        Ok(found) => Ok(Some(found)),
        Err(error) => {
            report.note(format!("Extism is left out: {error:#}"));
            Ok(None)
        }
    }
}

fn calls(setup: &Setup, peer: &Peer, batches: &[(usize, usize)]) -> Result<Vec<f64>> {
    let plugin = rules::module(setup, "rising-extism")?;
    let mut files: Vec<PathBuf> = Vec::new();
    for &(count, keys) in batches {
        let mut bytes = Vec::new();
        flat::encode(&Inputs::new(count, keys).batch(), &mut bytes)?;
        let file = setup.folder.join(format!("batch-{count}-{keys}"));
        std::fs::write(&file, bytes)?;
        files.push(file);
    }
    let mut found: Vec<Vec<f64>> = vec![Vec::new(); batches.len()];
    let output = setup.folder.join("extism");
    for _ in 0..setup.runs {
        process::run(peer.command().arg(&plugin).args(&files), &output)?;
        let text = std::fs::read_to_string(&output)?;
        let mut lines = text.lines();
        for found in &mut found {
            found.push(lines.next().context("too few lines")?.trim().parse()?);
        }
    }
    Ok(found.into_iter().map(median).collect())
}
