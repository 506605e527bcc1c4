//! What was measured, as lines, as a table and as JSON.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Which way a ratio is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// Ours is to be much: events per second.
    Higher,
    /// Ours is to be little: time, bytes.
    Lower,
}

/// One figure beside its baseline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// `GROUP/WHAT`, stable: what a recorded report is compared by.
    pub(crate) name: String,
    pub(crate) ours: f64,
    pub(crate) other: f64,
    /// `ours / other`.
    pub(crate) ratio: f64,
    /// Of `ours` and `other`, e.g. `ns/input`.
    pub(crate) unit: String,
    /// What `other` is.
    pub(crate) baseline: String,
    pub(crate) better: Better,
    /// What the ratio is to reach.
    pub(crate) target: Option<f64>,
    /// Whether a recorded ratio binds: not where the ratio is of the machine rather than of the code.
    pub(crate) binding: bool,
}

impl Row {
    /// A figure and its baseline.
    pub(crate) fn new(
        name: impl Into<String>,
        unit: &str,
        better: Better,
        ours: f64,
        baseline: &str,
        other: f64,
    ) -> Row {
        let ratio = if other == 0.0 { 0.0 } else { ours / other };
        let (name, unit, baseline) = (name.into(), unit.to_owned(), baseline.to_owned());
        Row { name, ours, other, ratio, unit, baseline, better, target: None, binding: true }
    }

    /// The same, with what the ratio is to reach.
    pub(crate) fn target(mut self, target: f64) -> Row {
        self.target = Some(target);
        self
    }

    /// The same, but told only: it is never compared with what was recorded.
    pub(crate) fn told(mut self) -> Row {
        self.binding = false;
        self
    }

    fn verdict(&self) -> &'static str {
        match (self.target, self.better) {
            (None, _) => "",
            (Some(target), Better::Higher) if self.ratio >= target => "reached",
            (Some(target), Better::Lower) if self.ratio <= target => "reached",
            _ => "missed",
        }
    }

    fn wanted(&self) -> String {
        let sign = if self.better == Better::Higher { "≥" } else { "≤" };
        self.target.map_or_else(String::new, |target| format!("{sign} {}", number(target)))
    }
}

/// All figures of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The machine and the versions, as `name: value` lines.
    pub(crate) machine: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
    /// What is worth knowing beside the figures.
    pub(crate) notes: Vec<String>,
}

/// Between these the table stands in a Markdown file.
const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";

impl Report {
    pub(crate) fn new(machine: Vec<(String, String)>) -> Report {
        Report { machine, rows: Vec::new(), notes: Vec::new() }
    }

    /// Takes a figure, and prints its line.
    pub(crate) fn row(&mut self, row: Row) {
        println!(
            "bench: {} ours={} other={} ratio={:.3}",
            row.name,
            number(row.ours),
            number(row.other),
            row.ratio
        );
        self.rows.push(row);
    }

    /// A name that more than one figure has: which of them a recorded ratio is compared with would be a guess.
    pub(crate) fn twice(&self) -> Option<&str> {
        let mut known = HashSet::new();
        self.rows.iter().map(|row| row.name.as_str()).find(|name| !known.insert(*name))
    }

    /// Takes a remark, and prints it.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        println!("note: {note}");
        self.notes.push(note);
    }

    /// As Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.machine {
            let _ = writeln!(text, "- {name}: {value}");
        }
        text.push_str(
            "\n| what | unit | Carpe | baseline | | ratio | target | |\n|---|---|--:|---|--:|--:|--:|---|\n",
        );
        for row in &self.rows {
            let (ours, other, ratio) = (number(row.ours), number(row.other), number(row.ratio));
            let Row { name, unit, baseline, .. } = row;
            let (wanted, verdict) = (row.wanted(), row.verdict());
            let _ = writeln!(
                text,
                "| {name} | {unit} | {ours} | {baseline} | {other} | {ratio} | {wanted} | {verdict} |"
            );
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn read_json(path: &Path) -> Result<Report> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no report", path.display()))
    }

    pub(crate) fn write_markdown(&self, path: &Path) -> Result<()> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let Some((before, (_, after))) = text.split_once(BEGIN).zip(text.split_once(END)) else {
            bail!("{} has no `{BEGIN}` and `{END}`", path.display());
        };
        let text = format!("{}{BEGIN}\n\n{}\n{END}{after}", before.0, self.table());
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Ratios that are worse by more than a third than recorded ones of the same name.
    pub(crate) fn worse_than(&self, recorded: &Report) -> Vec<String> {
        let mut worse = Vec::new();
        for row in self.rows.iter().filter(|row| row.binding) {
            let Some(before) = recorded.rows.iter().find(|before| before.name == row.name) else { continue };
            let fell = match row.better {
                Better::Higher => row.ratio < before.ratio / 1.5,
                Better::Lower => row.ratio > before.ratio * 1.5,
            };
            if fell {
                worse.push(format!("{}: {:.3}, and {:.3} is recorded", row.name, row.ratio, before.ratio));
            }
        }
        worse
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e7 => format!("{:.1} M", value / 1e6),
        size if size >= 100.0 || value == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(better: Better, ours: f64) -> Report {
        let mut report = Report::new(Vec::new());
        report.rows.push(Row::new("g/x", "ns", better, ours, "native", 100.0));
        report
    }

    #[test]
    fn only_what_fell_by_more_than_a_third_is_worse() {
        for (better, recorded, now, worse) in [
            (Better::Lower, 200.0, 290.0, 0),
            (Better::Lower, 200.0, 310.0, 1),
            (Better::Lower, 200.0, 50.0, 0),
            (Better::Higher, 200.0, 140.0, 0),
            (Better::Higher, 200.0, 130.0, 1),
            (Better::Higher, 200.0, 900.0, 0),
        ] {
            let found = report(better, now).worse_than(&report(better, recorded));
            assert_eq!(found.len(), worse, "{better:?} {recorded} {now}");
        }
    }

    #[test]
    fn a_name_that_is_there_twice_is_found() {
        let mut report = report(Better::Lower, 1.0);
        report.rows.push(Row::new("g/y", "ns", Better::Lower, 1.0, "native", 1.0));
        assert_eq!(report.twice(), None);
        report.rows.push(Row::new("g/x", "ns", Better::Lower, 2.0, "native", 1.0));
        assert_eq!(report.twice(), Some("g/x"));
    }

    #[test]
    fn the_table_replaces_the_one_before() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("a\n{BEGIN}\nold\n{END}\nb\n")).unwrap();
        for _ in 0..2 {
            report(Better::Lower, 1.0).write_markdown(file.path()).unwrap();
        }
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.starts_with("a\n") && text.ends_with("b\n") && !text.contains("old"), "{text}");
        assert_eq!(text.matches("| g/x |").count(), 1, "{text}");
    }
}
