//! Patients with doses: most are taken in time, some late, some never.

use std::collections::BTreeMap;

use carpe::Instant;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Now, TICK_MS, Tick};

pub(in super::super) const PATIENTS: usize = 20;
/// After so long a dose that was due is missed.
const GRACE_MS: u64 = 1_000;
/// Ticks between two doses of a patient.
const DOSE_EVERY_TICKS: u64 = 40;
/// A dose is due so long after it is announced.
const DUE_IN_MS: u64 = 1_500;

/// A dose of a patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Dose {
    pub(in super::super) id: String,
    /// When it is missed, unless it was taken before.
    pub(in super::super) deadline: Instant,
}

pub(super) struct Homes {
    chance: StdRng,
    /// Doses that will be taken, by the tick.
    pills: BTreeMap<u64, Vec<(usize, Dose)>>,
}

pub(in super::super) fn settings() -> String {
    format!("[configuration]\ngrace_seconds = {}\n", GRACE_MS / 1_000)
}

impl Homes {
    pub(super) fn new(chance: StdRng) -> Homes {
        Homes { chance, pills: BTreeMap::new() }
    }

    /// Whether no dose is still to be taken.
    pub(super) fn is_done(&self) -> bool {
        self.pills.is_empty()
    }

    /// Doses that are announced.
    pub(super) fn schedule(&mut self, now: Now, tick: &mut Tick) {
        for patient in 0..PATIENTS {
            let turn = now.tick + patient as u64 * DOSE_EVERY_TICKS / PATIENTS as u64;
            if !turn.is_multiple_of(DOSE_EVERY_TICKS) {
                continue;
            }
            let due = now.at + DUE_IN_MS;
            let id = format!("{}-{}", name(patient), now.tick);
            let dose = Dose { id, deadline: due + GRACE_MS };
            let data = json!({ "dose": dose.id, "due": due });
            let announced =
                now.event("medication.scheduled", "/homes/linden", name(patient), &dose.id, &data);
            tick.events.push(announced);
            let taken_after_ms = match self.chance.random_range(0..10) {
                // In time...
                0..=6 => Some(DUE_IN_MS + self.chance.random_range(0..4) * TICK_MS),
                // ...late...
                7 => Some(DUE_IN_MS + GRACE_MS + 1_000),
                // ...or never.
                _ => None,
            };
            if let Some(after) = taken_after_ms {
                self.pills.entry(now.tick + after / TICK_MS).or_default().push((patient, dose.clone()));
            }
            tick.scheduled.push(dose);
        }
    }

    /// Doses that are taken now. A patient may take two in one tick.
    pub(super) fn take(&mut self, now: Now, tick: &mut Tick) {
        for (patient, dose) in self.pills.remove(&now.tick).unwrap_or_default() {
            let data = json!({ "dose": dose.id });
            tick.events.push(now.event("medication.taken", "/homes/linden", name(patient), &dose.id, &data));
            tick.taken.push(dose);
        }
    }
}

fn name(patient: usize) -> &'static str {
    const NAMES: [&str; PATIENTS] = [
        "anna", "bert", "cleo", "dora", "emil", "fred", "gita", "hugo", "iris", "jonas", "kira", "leo",
        "mira", "nora", "omar", "paul", "rosa", "sara", "tom", "vera",
    ];
    NAMES[patient % PATIENTS]
}
