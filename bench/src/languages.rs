//! The same rule in each language that there is an SDK for, beside a native function, and what a component of it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use carpe::Limits;
use carpe::sandbox::{Instance as Guest, Sandbox, SandboxOptions};

use crate::Setup;
use crate::handle::{Inputs, Silent, native};
use crate::readings::ABOVE_CM;
use crate::report::{Better, Report, Row};
use crate::rules::component;
use crate::times::{in_turn, median};

/// Each language, and where the rule `rising` is in it, from the repository's root.
const LANGUAGES: [(&str, &str); 5] = [
    ("rust", "bench/guests/rising"),
    ("c", "bench/guests/rising-c"),
    ("javascript", "bench/guests/rising-javascript"),
    ("python", "bench/guests/rising-python"),
    ("go", "bench/guests/rising-go"),
];
/// Inputs of a batch.
const BATCHES: [usize; 3] = [1, 64, 1_000];
/// Keys that inputs are about.
const KEYS: usize = 1_000;
/// Instances that are started to see how long that takes.
const STARTS: usize = 9;
/// How long one thing is measured at a time.
const EACH: Duration = Duration::from_millis(100);

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let mut rules = Vec::new();
    let mut taken = Vec::new();
    for (language, folder) in LANGUAGES {
        let bytes = std::fs::read(component(setup, folder)?)?;
        // Without a cache.
        let sandbox = Sandbox::new(SandboxOptions::default())?;
        let begun = Instant::now();
        let loaded = sandbox.load(&bytes)?;
        let compile = begun.elapsed().as_secs_f64() * 1e3;
        let configuration = format!(r#"{{"above_cm":{ABOVE_CM}}}"#);
        let start = || loaded.instantiate(&configuration, &Limits::default(), Arc::new(Silent));
        let (mut rule, _) = start()?;
        let memory = rule.memory_bytes() as f64;
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            let begun = Instant::now();
            drop(start()?);
            starts.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        taken.push([bytes.len() as f64 / 1e3, compile, median(starts), memory / 1024.0]);
        same_moments(language, &mut rule)?;
        rules.push((language, rule));
    }
    let rust = taken[0];
    for ((language, _), taken) in LANGUAGES.iter().zip(&taken) {
        for (what, unit, place) in
            [("size", "kB", 0), ("compile", "ms", 1), ("start", "us", 2), ("memory", "KiB", 3)]
        {
            let name = format!("languages/{language}/{what}");
            report.row(Row::new(name, unit, Better::Lower, taken[place], "Rust", rust[place]).told());
        }
    }
    for count in BATCHES {
        let inputs = Inputs::new(count, KEYS);
        let mut native = || {
            let effects = native::handle(&inputs.batch(), ABOVE_CM);
            assert!(effects.is_ok_and(|effects| !effects.states.is_empty()), "the function handles");
        };
        let mut handlers: Vec<_> = rules
            .iter_mut()
            .map(|(language, rule)| {
                let inputs = &inputs;
                move || {
                    let effects = rule.handle(&inputs.batch());
                    assert!(
                        effects.is_ok_and(|effects| !effects.states.is_empty()),
                        "the rule in {language} handles"
                    );
                }
            })
            .collect();
        let mut things: Vec<&mut dyn FnMut()> = vec![&mut native];
        things.extend(handlers.iter_mut().map(|handler| handler as &mut dyn FnMut()));
        let found = in_turn(setup.runs, EACH, &mut things);
        let per_input = |place: usize| found[place] / count as f64;
        for (place, (language, _)) in LANGUAGES.iter().enumerate() {
            let name = format!("languages/{language}/batch-{count}");
            let (ours, other) = (per_input(place + 1), per_input(0));
            let row = Row::new(name, "ns/input", Better::Lower, ours, "native", other);
            // The others' engines are not ours: to watch them is not for continuous integration.
            report.row(if *language == "rust" { row } else { row.told() });
        }
    }
    Ok(())
}

/// A rule comes to as many states and moments as the function does.
fn same_moments(language: &str, rule: &mut Guest) -> Result<()> {
    // So many that some gauges stand high.
    let inputs = Inputs::new(4_000, 20);
    let (ours, native) = (rule.handle(&inputs.batch())?, native::handle(&inputs.batch(), ABOVE_CM)?);
    ensure!(!native.moments.is_empty(), "no gauge stands high: nothing is compared");
    ensure!(
        (ours.moments.len(), ours.states.len()) == (native.moments.len(), native.states.len()),
        "the rule in {language} comes to other effects"
    );
    Ok(())
}
