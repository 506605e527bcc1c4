//! The same rule in each language that there is an SDK for, beside a native function.

use std::time::Duration;

use anyhow::{Result, ensure};
use carpe::sandbox::Instance;

use crate::Setup;
use crate::handle::{Inputs, instance, native};
use crate::readings::ABOVE_CM;
use crate::report::{Better, Report, Row};
use crate::times::in_turn;

/// Each language, and where the rule `rising` is in it, from the repository's root.
const LANGUAGES: [(&str, &str); 1] = [("rust", "bench/guests/rising")];
/// Inputs of a batch.
const BATCHES: [usize; 2] = [1, 64];
/// Keys that inputs are about.
const KEYS: usize = 1_000;
/// How long one thing is measured at a time.
const EACH: Duration = Duration::from_millis(100);

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let mut rules = Vec::new();
    for (language, folder) in LANGUAGES {
        let mut rule = instance(setup, folder)?;
        same_moments(language, &mut rule)?;
        rules.push((language, rule));
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
            report.row(Row::new(name, "ns/input", Better::Lower, ours, "native", other));
        }
    }
    Ok(())
}

/// A rule comes to as many states and moments as the function does.
fn same_moments(language: &str, rule: &mut Instance) -> Result<()> {
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
