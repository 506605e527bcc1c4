//! Recorded streams through the file source into a rule: moment for moment what a plain native implementation of
//! the rule finds.

use std::fs;
use std::path::Path;

use carpe::{Host, Instant, Timeline, parse_instant};
use carpe_connect::sources::file::FileSource;
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, root, sandbox};
use carpe_tests::{PATIENCE, settle};
use serde_json::json;

/// A measurement, with the text of its value.
struct Sample {
    time: Instant,
    value: String,
}

fn recorded(file: &str) -> Vec<Sample> {
    let text = fs::read_to_string(root().join("tests/data").join(file)).expect("readable");
    let sample = |line: &str| {
        let (time, value) = line.split_once(',').expect("two fields");
        let time = parse_instant(&format!("{}Z", time.replace(' ', "T"))).expect("a time");
        Sample { time, value: value.to_owned() }
    };
    text.lines().skip(1).map(sample).collect()
}

/// When it was above `most` for the third time in a row.
fn natively(samples: &[Sample], most: f64) -> Vec<Instant> {
    let mut streak = 0;
    let mut found = Vec::new();
    for sample in samples {
        let value: f64 = sample.value.parse().expect("a number");
        streak = if value > most { streak + 1 } else { 0 };
        if streak == 3 {
            found.push(sample.time);
        }
    }
    found
}

/// The samples as events, a line each. Numbered from `first`.
fn as_lines(key: &str, samples: &[Sample], first: usize) -> String {
    let line = |(n, Sample { time, value }): (usize, &Sample)| {
        let mut event = json!({
            "specversion": "1.0", "id": n.to_string(), "source": "/tests/data", "type": "machine.temperature",
            "subject": key, "time": carpe::format_instant(*time), "data": {},
        });
        // The number as it was recorded.
        event["data"] = serde_json::from_str(&format!(r#"{{"celsius": {value}}}"#)).expect("JSON");
        format!("{event}\n")
    };
    samples.iter().enumerate().map(|(place, sample)| line((first + place, sample))).collect()
}

/// Reads `file` to its end with a host that goes on where the one before stopped. Returns the moments.
fn read(data: &Path, plugins: &Folder, file: &Path, threads: usize) -> (u64, Vec<(Instant, String)>) {
    let host = Host::builder()
        .data_dir(data)
        .plugins_dir(plugins.path())
        .sandbox(sandbox())
        .threads(threads)
        .timeline(Timeline::Event)
        .start()
        .expect("starts");
    let mut moments = host.moments();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let source = FileSource::file(file);
    let read = runtime.block_on(source.run(host.clone(), std::future::pending(), |_| {})).expect("read");
    assert_eq!((read.bad_lines, read.repeated), (0, 0));
    settle(&host);
    let mut found = Vec::new();
    while let Some(moment) = moments.try_recv().expect("few enough to keep") {
        assert_eq!(moment.kind, "machine.overheating");
        found.push((moment.time, moment.key.clone()));
    }
    assert!(host.dead_letters(1).is_empty());
    assert!(host.shutdown(PATIENCE).drained);
    (read.events, found)
}

#[track_caller]
fn check(file: &str, key: &str, most: f64, at_least: usize) {
    let samples = recorded(file);
    let expected: Vec<_> = natively(&samples, most).into_iter().map(|time| (time, key.to_owned())).collect();
    assert!(expected.len() >= at_least, "{} moments say little", expected.len());
    let plugins = Folder::new();
    plugins.plugin("overheat", guest("overheat"), &format!("[configuration]\nmax_celsius = {most:?}"));
    for threads in [1, 3] {
        let data = tempfile::tempdir().expect("a folder");
        let stream = data.path().join("stream.jsonl");
        // In two parts, the second after a restart.
        let (first, second) = samples.split_at(samples.len() * 2 / 5);
        fs::write(&stream, as_lines(key, first, 0)).expect("written");
        let (events, mut found) = read(data.path(), &plugins, &stream, threads);
        assert_eq!(events, first.len() as u64);
        let whole = fs::read_to_string(&stream).expect("readable") + &as_lines(key, second, first.len());
        fs::write(&stream, whole).expect("written");
        let (events, rest) = read(data.path(), &plugins, &stream, 4 - threads);
        assert_eq!(events, second.len() as u64, "it goes on where it stopped");
        found.extend(rest);
        assert_eq!(found, expected, "{file} on {threads} threads");
    }
    println!("{file}: {} events, {} moments", samples.len(), expected.len());
}

#[test]
fn a_machines_temperature() {
    check("machine_temperature_system_failure.csv", "machine-1", 95.0, 50);
}

#[test]
fn a_roads_travel_times() {
    check("TravelTime_387.csv", "road-387", 300.0, 20);
}
