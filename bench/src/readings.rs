//! The stream that pipelines are measured with: readings of 1,000 gauges, each a CloudEvent in JSON of about 216 bytes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};

/// How many gauges there are.
const GAUGES: usize = 1_000;
/// The first reading: 2026-03-01T00:00:00Z.
const BEGINNING: i64 = 1_772_323_200_000;

/// A level above is high: what the rule is configured with.
pub(crate) const ABOVE_CM: i64 = 400;

/// The file of `count` readings, made if it is not there.
pub(crate) fn file(folder: &Path, count: u64) -> Result<PathBuf> {
    let path = folder.join(format!("readings-{count}.jsonl"));
    if !path.exists() {
        let half = path.with_extension("half");
        write(&half, count).with_context(|| format!("cannot write {}", half.display()))?;
        std::fs::rename(&half, &path)?;
    }
    Ok(path)
}

fn write(path: &Path, count: u64) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut readings = Readings::new();
    for _ in 0..count {
        writeln!(out, "{}", readings.next_event())?;
    }
    out.flush()
}

/// Readings, the same ones each time.
pub(crate) struct Readings {
    random: SmallRng,
    levels: Vec<i64>,
    time: i64,
    count: u64,
}

impl Readings {
    pub(crate) fn new() -> Readings {
        let mut random = SmallRng::seed_from_u64(7);
        let levels = (0..GAUGES).map(|_| random.random_range(150..350)).collect();
        Readings { random, levels, time: BEGINNING, count: 0 }
    }

    /// The data of the next reading, of which gauge, and when.
    pub(crate) fn next_reading(&mut self) -> (usize, i64, String) {
        let random = &mut self.random;
        let gauge = random.random_range(0..GAUGES);
        // Drawn back to 250 cm, so that few stand high. The sum of four has about the shape of a bell.
        let step: i64 = (0..4).map(|_| random.random_range(-19..=19)).sum();
        let level = (self.levels[gauge] + (250 - self.levels[gauge]) / 20 + step).max(1);
        self.levels[gauge] = level;
        self.time += random.random_range(1..=20);
        let (n, battery, km) = (self.count, random.random_range(20..=100), gauge * 3);
        self.count += 1;
        let data =
            format!(r#"{{"level":{level},"n":{n},"unit":"cm","battery":{battery},"station":"km {km}"}}"#);
        (gauge, self.time, data)
    }

    /// The next event, in the JSON format.
    pub(crate) fn next_event(&mut self) -> String {
        let id = self.count;
        let (gauge, time, data) = self.next_reading();
        let time = jiff::Timestamp::from_millisecond(time).unwrap_or_default();
        format!(
            r#"{{"specversion":"1.0","id":"r{id:07}","source":"/gauges","type":"gauge.level","subject":"gauge-{gauge:04}","time":"{time:.3}","data":{data}}}"#
        )
    }
}
