//! Rules on recorded streams, scored against the windows in which people marked that something was really going on, beside two
//! detectors that everybody knows: `docs/scores.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use carpe::plugin::Configuration;
use carpe::{Event, Host, Instant, Manifest, Timeline, parse_instant};
use serde_json::json;

use crate::guests::{component, root, sandbox};
use crate::settle;

const HOUR_MS: u64 = 3_600_000;
/// Alarms that follow another within so long are the same one: for all detectors.
const SAME_ALARM_MS: u64 = 12 * HOUR_MS;
/// Values that a moving score goes by: a day of them.
const MOVING: usize = 288;
/// What a moving score is compared with, if nobody tries others.
const USUAL_SCORE: f64 = 3.0;

/// A recorded stream, and the rule for it.
struct Stream {
    name: &'static str,
    what: &'static str,
    rule: &'static str,
    event_type: &'static str,
    field: &'static str,
    /// What the rule calls an alarm.
    moment: &'static str,
    configuration: &'static str,
    /// Whether values that are low are of interest too.
    both_ways: bool,
}

const STREAMS: [Stream; 3] = [
    Stream {
        name: "machine_temperature_system_failure",
        what: "a machine's temperature",
        rule: "self-maintenance",
        event_type: "machine.reading",
        field: "value",
        moment: "service.needed",
        // The stream passes faster than any workshop answers.
        configuration: r#"{"answer_minutes":100000}"#,
        both_ways: true,
    },
    Stream {
        name: "Twitter_volume_GOOG",
        what: "mentions of Google",
        rule: "viral-video",
        event_type: "video.mentioned",
        field: "count",
        moment: "video.rising",
        configuration: "{}",
        both_ways: false,
    },
    Stream {
        name: "Twitter_volume_KO",
        what: "mentions of Coca-Cola",
        rule: "viral-video",
        event_type: "video.mentioned",
        field: "count",
        moment: "video.rising",
        configuration: "{}",
        both_ways: false,
    },
];

/// Where the page stands.
pub fn path() -> PathBuf {
    root().join("docs/scores.md")
}

/// The page, made anew.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let windows = windows();
    for stream in &STREAMS {
        let values = values(stream.name);
        let marked = &windows[&format!("{}.csv", stream.name)];
        let score = |alarms: Vec<Instant>| Score::of(&alarms, marked);
        let best_threshold =
            thresholds(&values, stream.both_ways).map(|threshold| score(threshold.alarms(&values)));
        let best_moving =
            (4..=20).map(|halves| score(moving(&values, f64::from(halves) / 2.0, stream.both_ways)));
        let rows = [
            (format!("**[{0}](../plugins/{0})**", stream.rule), score(alarms_of(stream, &values))),
            ("fixed threshold, the best in hindsight".to_owned(), best(best_threshold)),
            (
                format!("moving z-score above {USUAL_SCORE}"),
                score(moving(&values, USUAL_SCORE, stream.both_ways)),
            ),
            ("moving z-score, the best in hindsight".to_owned(), best(best_moving)),
        ];
        for (detector, score) in rows {
            let _ = writeln!(page, "| {} | {detector} | {score}", stream.what);
        }
    }
    page + TAIL
}

const HEAD: &str = "\
# How well rules detect

Recorded streams ([tests/data](../tests/data)) through the host into rules as they are delivered, with their default
thresholds, and scored against the windows in which people marked that something was really going on. Made by `cargo run -p
carpe-tests --bin score`; a test makes it again.

- **found**: marked windows with an alarm in them, of all (recall). **alarms**: all of them; **right**: those inside a window
  (precision). One that follows another within 12 hours is the same, for all detectors.
- **ahead**: from the first alarm in a window to the window's middle, where what was marked happened, in hours: the median of those
  found.
- **Fixed threshold**: the value crosses a level. **Moving z-score**: the value is so many standard deviations from the mean of
  the day before. *The best in hindsight* has tried a hundred levels, or seventeen scores, on the very stream that it is then scored on,
  and has the best F1 of all: whoever sets one beforehand cannot do better.

| stream | detector | found | alarms | right | precision | recall | F1 | ahead, h |
|---|---|--:|--:|--:|--:|--:|--:|--:|
";

const TAIL: &str = "
What the table does not say: the thresholds of `self-maintenance` were chosen while looking at this machine, as those of the best in
hindsight were; `viral-video` was first tried on the mentions of Google, and never on those of Coca-Cola before it was scored. Of the
windows that are marked on mentions, one of Google's is of fewer than usual: no rise, and none is told.
";

/// How alarms and marked windows go together.
struct Score {
    windows: usize,
    found: usize,
    alarms: usize,
    right: usize,
    ahead_hours: Option<f64>,
}

impl Score {
    fn of(alarms: &[Instant], marked: &[(Instant, Instant)]) -> Score {
        let inside = |at: &Instant, (from, until): &(Instant, Instant)| (from..=until).contains(&at);
        let first = |window| alarms.iter().find(|at| inside(at, window)).map(|at| (window, *at));
        let firsts: Vec<(&(Instant, Instant), Instant)> = marked.iter().filter_map(first).collect();
        let mut ahead: Vec<f64> = firsts
            .iter()
            .map(|((from, until), at)| (from.midpoint(*until) as f64 - *at as f64) / HOUR_MS as f64)
            .collect();
        ahead.sort_by(f64::total_cmp);
        Score {
            windows: marked.len(),
            found: firsts.len(),
            alarms: alarms.len(),
            right: alarms.iter().filter(|at| marked.iter().any(|window| inside(at, window))).count(),
            ahead_hours: ahead.get(ahead.len() / 2).copied(),
        }
    }

    fn precision(&self) -> f64 {
        self.right as f64 / self.alarms.max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.found as f64 / self.windows as f64
    }

    fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Score { windows, found, alarms, right, ahead_hours } = self;
        let ahead = ahead_hours.map_or("-".to_owned(), |hours| format!("{hours:.1}"));
        write!(
            f,
            "{found} of {windows} | {alarms} | {right} | {:.2} | {:.2} | {:.2} | {ahead} |",
            self.precision(),
            self.recall(),
            self.f1()
        )
    }
}

fn best(scores: impl Iterator<Item = Score>) -> Score {
    scores.max_by(|one, other| one.f1().total_cmp(&other.f1())).expect("there are some")
}

/// When the rule says so, in a real host.
fn alarms_of(stream: &Stream, values: &[(Instant, f64)]) -> Vec<Instant> {
    let mut manifest = Manifest::default();
    manifest.configuration =
        Configuration::from_json(stream.configuration.to_owned()).expect("a configuration");
    let builder = Host::builder().sandbox(sandbox()).timeline(Timeline::Event).threads(1);
    let rule = component(&format!("plugins/{}", stream.rule)).to_vec();
    let host = builder.plugin("rule", rule, manifest).start().expect("the host starts");
    let mut moments = host.moments();
    let of_value = |(n, &(time, value)): (usize, &(Instant, f64))| {
        // Of what is counted, nothing is no event.
        let data = if value.fract() == 0.0 && !stream.both_ways {
            json!({ stream.field: value as u64 })
        } else {
            json!({ stream.field: value })
        };
        let event = Event::new(n.to_string(), "/recorded", stream.event_type).with_subject(stream.name);
        (stream.both_ways || value > 0.0).then(|| event.with_time(time).with_json(data.to_string()))
    };
    let events: Vec<Event> = values.iter().enumerate().filter_map(of_value).collect();
    let mut alarms = Vec::new();
    for events in events.chunks(1_000) {
        host.submit_all(events.to_vec()).expect("room").wait().expect("accepted");
        settle(&host);
        while let Ok(Some(moment)) = moments.try_recv() {
            if moment.kind == stream.moment {
                alarms.push(moment.time);
            }
        }
    }
    assert_eq!(host.dead_letters(1).len(), 0, "{}: inputs were set aside", stream.name);
    without_repeats(alarms)
}

/// A level that is crossed, upwards or downwards.
struct Threshold {
    level: f64,
    below: bool,
}

impl Threshold {
    fn alarms(&self, values: &[(Instant, f64)]) -> Vec<Instant> {
        let is_past = |value: f64| if self.below { value < self.level } else { value > self.level };
        let crosses = |pair: &[(Instant, f64)]| !is_past(pair[0].1) && is_past(pair[1].1);
        without_repeats(values.windows(2).filter(|pair| crosses(pair)).map(|pair| pair[1].0).collect())
    }
}

/// A hundred levels, from the lowest to the highest value by rank.
fn thresholds(values: &[(Instant, f64)], both_ways: bool) -> impl Iterator<Item = Threshold> {
    let mut sorted: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    sorted.sort_by(f64::total_cmp);
    (0..100).flat_map(move |rank| {
        // More of them where values are rare.
        let share = 0.5 + 0.5 * (1.0 - (1.0 - f64::from(rank) / 100.0).powi(4));
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        let above = Threshold { level: at(share), below: false };
        let below = both_ways.then(|| Threshold { level: at(1.0 - share), below: true });
        std::iter::once(above).chain(below).collect::<Vec<_>>()
    })
}

/// Where a value is so many standard deviations from the mean of those before it.
fn moving(values: &[(Instant, f64)], score: f64, both_ways: bool) -> Vec<Instant> {
    let mut alarms = Vec::new();
    for (place, &(time, value)) in values.iter().enumerate().skip(MOVING) {
        let before = &values[place - MOVING..place];
        let mean = before.iter().map(|(_, value)| value).sum::<f64>() / MOVING as f64;
        let variance = before.iter().map(|(_, value)| (value - mean).powi(2)).sum::<f64>() / MOVING as f64;
        let distance = (value - mean) / variance.sqrt().max(f64::EPSILON);
        if distance > score || (both_ways && -distance > score) {
            alarms.push(time);
        }
    }
    without_repeats(alarms)
}

fn without_repeats(alarms: Vec<Instant>) -> Vec<Instant> {
    let mut kept: Vec<Instant> = Vec::new();
    let mut last: Option<Instant> = None;
    for at in alarms {
        if last.is_none_or(|last| at.saturating_sub(last) > SAME_ALARM_MS) {
            kept.push(at);
        }
        last = Some(at);
    }
    kept
}

/// When, and what was measured.
fn values(name: &str) -> Vec<(Instant, f64)> {
    let path = root().join("tests/data").join(name).with_extension("csv");
    let text = std::fs::read_to_string(path).expect("a recorded stream");
    let line = |line: &str| {
        let (time, value) = line.split_once(',').expect("two columns");
        (instant(time), value.parse().expect("a number"))
    };
    text.lines().skip(1).map(line).collect()
}

fn windows() -> BTreeMap<String, Vec<(Instant, Instant)>> {
    let text = std::fs::read_to_string(root().join("tests/data/windows.json")).expect("the marked windows");
    let windows: BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(&text).expect("windows");
    let of = |marked: Vec<(String, String)>| {
        marked.into_iter().map(|(from, until)| (instant(&from), instant(&until))).collect()
    };
    windows.into_iter().map(|(file, marked)| (file, of(marked))).collect()
}

fn instant(time: &str) -> Instant {
    parse_instant(&format!("{}Z", time.replace(' ', "T"))).expect("an instant")
}
