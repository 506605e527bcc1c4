//! What must be so of each order when nothing is under way any more: from the books of the enterprises, and from what the
//! rule remembers. It knows nothing of the host, and is pure.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::books::{Account, Entry, REQUIRED, STEPS};

/// What is wrong with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Something was done twice, or asked for as if it were another.
    Twice,
    /// It was charged for without goods or refund, or something else is left of it, and nobody is to see to it.
    HalfDone,
    /// It was not brought to an end.
    Unended,
    /// The viewer has not heard of it, or more than once, or something that is not so.
    Mistold,
    /// An enterprise was asked for something else than it should be, or before its turn.
    Misasked,
    /// What the rule remembers is not what the enterprises have written down.
    Misremembered,
}

/// What should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Of which sort.
    pub wrong: Wrong,
    /// In words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.wrong, self.what)
    }
}

/// What the rule remembers of an order, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the operators' listener says what they are")]
pub struct Remembered {
    pub key: String,
    pub timers: Vec<Timer>,
    pub state: Order,
}

/// A timer that is set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the operators' listener says what it is")]
pub struct Timer {
    pub name: String,
}

/// The state of the rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the rule says what they are")]
pub struct Order {
    pub saga: Saga,
    pub told: bool,
    pub stuck: bool,
}

/// The state of the SDK's `Saga`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the SDK says what they are")]
pub struct Saga {
    pub phase: Value,
    pub due: Option<u64>,
    pub steps: Vec<Progress>,
}

/// What is known of a step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the SDK says what they are")]
pub struct Progress {
    pub fate: Fate,
    pub answered: bool,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the SDK says what they are")]
pub enum Fate {
    Open,
    Taken,
    Unknown,
    NotTaken,
    Undone,
    GaveUp,
}

impl Remembered {
    /// Whether nothing is to come any more but that it is forgotten.
    pub fn is_over(&self) -> bool {
        self.open_ends().is_empty()
    }

    /// How many steps could not be undone.
    pub fn given_up(&self) -> usize {
        self.state.saga.steps.iter().filter(|step| step.fate == Fate::GaveUp).count()
    }

    fn is_ordered(&self) -> bool {
        self.state.saga.phase == "completed"
    }

    fn open_ends(&self) -> Vec<String> {
        let Saga { phase, due, steps } = &self.state.saga;
        let mut open = Vec::new();
        if *phase != "completed" && *phase != "undone" {
            open.push(format!("it is still {phase}"));
        }
        if due.is_some() {
            open.push("it still waits for an instant".to_owned());
        }
        for (step, progress) in STEPS.iter().zip(steps) {
            if progress.fate != Fate::Open && !progress.answered {
                open.push(format!("the outcome of {} has not come", step.does));
            }
        }
        let timers: Vec<&str> = self.timers.iter().map(|timer| &timer.name[..]).collect();
        if timers != ["forget"] {
            open.push(format!("its timers are {timers:?}, and not the one that has it forgotten"));
        }
        open
    }
}

/// All that is wrong with an order.
pub fn judge(account: &Account, remembered: Option<&Remembered>) -> Vec<Violation> {
    let mut found = account.violations.clone();
    let mut wrong = |wrong, what: String| found.push(Violation { wrong, what });
    for (step, entry) in STEPS.iter().zip(&account.steps) {
        if entry.times > 1 {
            wrong(Wrong::Twice, format!("{} was done {} times", step.does, entry.times));
        }
    }
    let Some(remembered) = remembered else {
        if account.is_accepted {
            wrong(Wrong::Unended, "it was accepted, and the rule knows nothing of it".to_owned());
        }
        return found;
    };
    for open in remembered.open_ends() {
        wrong(Wrong::Unended, open);
    }
    let told: Vec<bool> = account.told.values().map(|(is_ordered, _)| *is_ordered).collect();
    if told != [remembered.is_ordered()] {
        let end = if remembered.is_ordered() { "ordered" } else { "not ordered" };
        wrong(Wrong::Mistold, format!("it is {end}, and the viewer has heard {told:?}"));
    }
    judge_steps(account, remembered, &mut wrong);
    judge_support(account, remembered, &mut wrong);
    found
}

/// All is done, or what was done is undone, or somebody is to see to it; and the rule knows which.
fn judge_steps(account: &Account, remembered: &Remembered, wrong: &mut impl FnMut(Wrong, String)) {
    let Order { saga, stuck, .. } = &remembered.state;
    for (at, (step, entry)) in STEPS.iter().zip(&account.steps).enumerate() {
        let Entry { times, is_held, .. } = *entry;
        let is_seen_to = *stuck && account.opened.values().any(|opened| opened == step.name);
        if remembered.is_ordered() && at < REQUIRED && !is_held {
            wrong(Wrong::HalfDone, format!("it is ordered, and {} is missing", step.does));
        }
        let has_cost = step.undoes.is_some() || at >= REQUIRED;
        if !remembered.is_ordered() && has_cost && is_held && !is_seen_to {
            wrong(Wrong::HalfDone, format!("it is not ordered, and {} is left", step.does));
        }
        let Some(fate) = saga.steps.get(at).map(|progress| progress.fate) else {
            wrong(Wrong::Misremembered, format!("{} is none of its steps", step.name));
            continue;
        };
        let is_so = match fate {
            Fate::Open => times == 0,
            Fate::Taken => is_held,
            Fate::NotTaken => !is_held,
            // Who the viewer is was said, and that is not undone.
            Fate::Undone => !is_held || step.undoes.is_none(),
            Fate::Unknown => at >= REQUIRED,
            Fate::GaveUp => true,
        };
        if !is_so {
            let held = if is_held { "it is done" } else { "it is not done" };
            wrong(Wrong::Misremembered, format!("{} is remembered as {fate:?}, and {held}", step.does));
        }
    }
}

/// Somebody is to see to what could not be undone, and to nothing else.
fn judge_support(account: &Account, remembered: &Remembered, wrong: &mut impl FnMut(Wrong, String)) {
    let Order { saga, stuck, .. } = &remembered.state;
    for (step, progress) in STEPS.iter().zip(&saga.steps) {
        if progress.fate == Fate::GaveUp && !account.opened.values().any(|opened| opened == step.name) {
            wrong(Wrong::HalfDone, format!("undoing {} was given up, and nobody was told", step.does));
        }
    }
    if *stuck != (remembered.given_up() > 0) {
        wrong(
            Wrong::Misremembered,
            format!("stuck is {stuck}, with {} steps given up", remembered.given_up()),
        );
    }
    if !stuck && !account.opened.is_empty() && account.closed.is_empty() {
        wrong(Wrong::HalfDone, "all is undone, and who was to see to it has not heard".to_owned());
    }
}
