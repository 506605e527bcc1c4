//! What the tools say, for people: without their own insides, and with the lines of the rule's sources.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde::Deserialize;

/// Which lines of a bundle came from where: `rolldown.config.mjs` writes it.
#[derive(Deserialize)]
struct Lines {
    sources: Vec<String>,
    /// Line of the bundle, source, line of the source; lines from 1.
    runs: Vec<(usize, i64, usize)>,
}

/// What a tool that was run in the folder `work` said is wrong.
pub(super) fn readable(output: &Output, work: &Path) -> String {
    let lines =
        fs::read(work.join("lines.json")).ok().and_then(|text| serde_json::from_slice::<Lines>(&text).ok());
    let said =
        if output.stderr.is_empty() && !output.status.success() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(said);
    let text = text.replace(
        "Error: : Failed to evaluate user JavaScript module: Failed to finish JavaScript module evaluation: ",
        "",
    );
    let mut kept: Vec<String> = Vec::new();
    for line in text.lines() {
        let is_frame = line.trim_start().starts_with("at ");
        if is_frame
            && (line.contains("node_modules/") || line.contains("(node:") || line.contains("(native)"))
        {
            continue;
        }
        // One empty line is enough.
        if line.trim().is_empty() && kept.last().is_none_or(String::is_empty) {
            continue;
        }
        kept.push(match &lines {
            Some(lines) if is_frame => lines.place(line).unwrap_or_else(|| line.to_owned()),
            _ => line.trim_end().to_owned(),
        });
    }
    kept.join("\n").trim().to_owned()
}

impl Lines {
    /// A line of a stack, as `    at rule (/rule.js:487:136)`, with the place in the source.
    fn place(&self, frame: &str) -> Option<String> {
        let (before, place) = frame.rsplit_once("/rule.js:")?;
        let line: usize = place.split([':', ')']).next()?.parse().ok()?;
        let run = self.runs.iter().rev().find(|(first, ..)| *first <= line)?;
        let source = self.sources.get(usize::try_from(run.1).ok()?)?;
        let end = if place.ends_with(')') { ")" } else { "" };
        Some(format!("{before}{source}:{}{end}", run.2 + line - run.0))
    }
}
