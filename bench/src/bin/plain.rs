//! The limit: the rule `rising` as a plain program, with no sandbox, no journal and no state that outlives it.
//!
//! `plain FILE`: reads CloudEvents from a file, and prints alerts.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};

use serde::Deserialize;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    data: Reading,
}

#[derive(Deserialize)]
struct Reading {
    level: i64,
    n: u64,
}

#[derive(Default)]
struct Gauge {
    cm: i64,
    rises: u32,
}

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| io::Error::other("which file?"))?;
    let mut input = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut gauges: HashMap<String, Gauge> = HashMap::new();
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let event: Event<'_> = serde_json::from_str(&line)?;
        if event.kind == "gauge.level" {
            let Reading { level, n } = event.data;
            if !gauges.contains_key(event.subject) {
                gauges.insert(event.subject.to_owned(), Gauge::default());
            }
            let Some(gauge) = gauges.get_mut(event.subject) else { continue };
            gauge.rises = if gauge.cm > 0 && level > gauge.cm { gauge.rises + 1 } else { 0 };
            gauge.cm = level;
            if gauge.rises >= 3 && level > 400 {
                writeln!(out, r#"{{"gauge":"{}","level":{level},"n":{n}}}"#, event.subject)?;
            }
        }
        line.clear();
    }
    out.flush()
}
