//! A dose was due and was not taken by its time plus grace: the nursing organisation is reminded. What did not happen
//! is told by a timer. See README.md.

use std::collections::BTreeMap;

use carpe_sdk::patterns::{Absence, Came};
use carpe_sdk::prelude::*;

#[cfg(test)]
mod tests;

const DAY_MS: u64 = 86_400_000;
/// How many doses of one patient may be on the books.
const MAX_DOSES: usize = 200;
/// How far ahead a dose may be due.
const MAX_AHEAD_MS: u64 = 366 * DAY_MS;

/// The operator's configuration.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Medication {
    /// How long after its time a dose may still be taken without anybody being reminded.
    grace_seconds: u64,
}

impl Default for Medication {
    fn default() -> Self {
        Medication { grace_seconds: 1_800 }
    }
}

/// A patient's doses by their ids, until a day after they are settled: so that a late or repeated event about one
/// is known for what it is. Each has a timer of its name: for the reminder, then for forgetting it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Doses {
    by_id: BTreeMap<String, Dose>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Dose {
    /// When it is due; none, if it was taken before its schedule came.
    due: Option<Instant>,
    /// It is expected until its time plus grace.
    coming: Absence,
    taken: bool,
    /// What became of the reminder, if there was one.
    reminder: Option<Reminder>,
}

/// What became of a reminder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reminder {
    /// That is not known yet.
    Asked,
    /// It was given; or it may have been.
    Given,
    /// Nobody got it: it was withheld or refused, or came too late.
    Unheard,
}

/// What version 1 remembered of a dose.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Version1 {
    Waiting { due: Instant },
    Taken,
    Missed { due: Instant },
}

#[derive(Deserialize)]
struct Scheduled {
    dose: String,
    due: Due,
}

/// Milliseconds since the Unix epoch, or RFC 3339.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`due` must be an RFC 3339 text, or whole milliseconds since the Unix epoch")]
enum Due {
    Milliseconds(u64),
    Text(String),
}

impl Rule for Medication {
    type State = Doses;

    fn check(&self) -> Result<()> {
        if self.grace_seconds > 86_400 {
            return Err(Error::new(format!(
                "`grace_seconds` is {}: it must be at most a day, 86400",
                self.grace_seconds
            )));
        }
        Ok(())
    }

    fn on_event(&self, event: &Event, doses: &mut Doses, out: &mut Output) -> Result<()> {
        match event.kind() {
            "medication.scheduled" => self.scheduled(event, doses, out),
            _ => self.taken(event, doses, out),
        }
    }

    fn on_timer(&self, timer: &Timer, doses: &mut Doses, out: &mut Output) -> Result<()> {
        let id = timer.name();
        let Some(dose) = doses.by_id.get_mut(id) else { return Ok(()) };
        if let (true, Some(due)) = (dose.coming.is_missed(timer.now()), dose.due) {
            dose.reminder = Some(Reminder::Asked);
            out.timer(id).after(Duration::from_millis(DAY_MS));
            out.moment("medication.missed")
                .why(format!("dose {id} was due and not taken within {}", self.grace()))
                .data(json!({"dose": id, "due": due}))
                .expires_at(due.saturating_add(DAY_MS).max(timer.now().saturating_add(self.grace_ms())))
                .action_with_outcome(
                    "remind.nursing",
                    format!("{due}/{id}"),
                    json!({"patient": timer.key(), "dose": id, "due": due}),
                );
        } else if dose.reminder == Some(Reminder::Asked) {
            // It may still be given, and then have to be withdrawn.
            out.timer(id).after(Duration::from_millis(DAY_MS));
        } else {
            doses.by_id.remove(id);
        }
        Ok(())
    }

    fn on_outcome(&self, outcome: &Outcome, doses: &mut Doses, out: &mut Output) -> Result<()> {
        let Some((due, id)) = outcome.reference().split_once('/') else { return Ok(()) };
        let Some(dose) = doses.by_id.get_mut(id) else { return Ok(()) };
        let is_its = dose.due.is_some_and(|known| known.to_string() == due);
        if !is_its || dose.reminder != Some(Reminder::Asked) {
            return Ok(()); // It has been moved meanwhile: another reminder counts.
        }
        let (reminder, why) = match outcome.status() {
            Status::Delivered | Status::Failed => (Reminder::Given, ""),
            Status::Withheld => (Reminder::Unheard, "withheld"),
            Status::Rejected => (Reminder::Unheard, "refused"),
            Status::Expired => (Reminder::Unheard, "too late"),
        };
        dose.reminder = Some(reminder);
        if dose.taken {
            dose.taken_late(id, outcome.key(), out);
        } else if reminder == Reminder::Unheard {
            out.moment("medication.unheard")
                .why(format!("nobody was reminded of dose {id}: that was {why}"))
                .action("notify.operations", dose.facts(id, outcome.key()));
        }
        Ok(())
    }

    fn migrate(&self, _from_version: u32, _key: &str, state: &[u8]) -> Result<Option<Doses>> {
        let doses: BTreeMap<String, Version1> = serde_json::from_slice(state)?;
        let today = |dose: Version1| match dose {
            Version1::Waiting { due } => self.awaited(due),
            Version1::Taken => Dose { taken: true, ..Dose::default() },
            Version1::Missed { due } => {
                let mut missed = self.awaited(due);
                missed.coming.is_missed(Instant::MAX);
                // What became of it was not asked for.
                missed.reminder = Some(Reminder::Given);
                missed
            }
        };
        Ok(Some(Doses { by_id: doses.into_iter().map(|(id, dose)| (id, today(dose))).collect() }))
    }
}

impl Medication {
    fn scheduled(&self, event: &Event, doses: &mut Doses, out: &mut Output) -> Result<()> {
        let Scheduled { dose: id, due } = event.data()?;
        let due = due.instant()?;
        if due > event.now().saturating_add(MAX_AHEAD_MS) {
            return Err(Error::new(format!("dose {id} is due in more than a year")));
        }
        if due.saturating_add(DAY_MS) < event.now() {
            return Err(Error::new(format!(
                "dose {id} was due more than a day ago: too late for a reminder"
            )));
        }
        doses.make_room_for(&id)?;
        if let Some(known) = doses.by_id.get(&id) {
            let is_missed = known.coming.due().is_none() && known.due == Some(due);
            if known.taken || is_missed {
                return Ok(()); // It was taken before we heard of it, or this is a repeat.
            }
        }
        // One that is on the books with another time has been moved.
        out.timer(&id).at(due.saturating_add(self.grace_ms()));
        doses.by_id.insert(id, self.awaited(due));
        Ok(())
    }

    fn taken(&self, event: &Event, doses: &mut Doses, out: &mut Output) -> Result<()> {
        let id = event.string("/dose")?;
        doses.make_room_for(&id)?;
        let dose = doses.by_id.entry(id.clone()).or_default();
        if std::mem::replace(&mut dose.taken, true) {
            return Ok(());
        }
        // As long as nobody knows whether the reminder is given, there may be nothing to withdraw.
        if dose.coming.came() == Came::AfterAll && dose.reminder != Some(Reminder::Asked) {
            dose.taken_late(&id, event.key(), out);
        }
        // Until its schedule can no longer be repeated.
        let settled = dose.due.unwrap_or(0).max(event.now());
        out.timer(id).at(settled.saturating_add(DAY_MS).saturating_add(self.grace_ms()));
        Ok(())
    }

    fn awaited(&self, due: Instant) -> Dose {
        let mut dose = Dose { due: Some(due), ..Dose::default() };
        dose.coming.expect(due.saturating_add(self.grace_ms()));
        dose
    }

    /// For people.
    fn grace(&self) -> String {
        match self.grace_seconds {
            seconds if seconds >= 120 && seconds % 60 == 0 => format!("{} minutes", seconds / 60),
            seconds => format!("{seconds} s"),
        }
    }

    fn grace_ms(&self) -> u64 {
        self.grace_seconds * 1_000
    }
}

impl Dose {
    /// What was told to be missing was taken after all: who was reminded is told.
    fn taken_late(&self, id: &str, patient: &str, out: &mut Output) {
        let mut moment = out.moment("medication.taken-late");
        moment.why(format!("dose {id} was taken after all"));
        if self.reminder == Some(Reminder::Given) {
            moment.action("withdraw.reminder", self.facts(id, patient));
        }
    }

    fn facts(&self, id: &str, patient: &str) -> impl Serialize {
        json!({"patient": patient, "dose": id, "due": self.due})
    }
}

impl Doses {
    fn make_room_for(&self, id: &str) -> Result<()> {
        if id.is_empty() || id.len() > 200 {
            return Err(Error::new("`dose` must be an id of 1 to 200 bytes"));
        }
        if self.by_id.len() >= MAX_DOSES && !self.by_id.contains_key(id) {
            return Err(Error::new(format!(
                "the patient has {MAX_DOSES} doses on the books: no room for dose {id}"
            )));
        }
        Ok(())
    }
}

impl Due {
    fn instant(self) -> Result<Instant> {
        match self {
            Due::Milliseconds(instant) => Ok(instant),
            Due::Text(text) => {
                let timestamp: jiff::Timestamp =
                    text.parse().map_err(|error| Error::new(format!("`due` is `{text}`: {error}")))?;
                u64::try_from(timestamp.as_millisecond())
                    .map_err(|_| Error::new(format!("`due` is before 1970: {text}")))
            }
        }
    }
}

export_rule!(
    Medication,
    migrates,
    on("medication.scheduled")
        .state_version(2)
        .on("medication.taken")
        .moment("medication.missed")
        .moment("medication.unheard")
        .moment("medication.taken-late")
        .action("remind.nursing")
        .action("notify.operations")
        .action("withdraw.reminder")
);
