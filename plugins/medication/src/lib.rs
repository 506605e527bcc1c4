//! A dose was due and was not taken by its time plus grace: the nursing organisation is reminded. What did not happen
//! is told by a timer. See README.md.

use std::collections::BTreeMap;

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

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dose {
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
#[serde(untagged)]
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
        let Some(&Dose::Waiting { due }) = doses.by_id.get(id) else {
            doses.by_id.remove(id);
            return Ok(());
        };
        doses.by_id.insert(id.to_owned(), Dose::Missed { due });
        out.timer(id).after(Duration::from_millis(DAY_MS));
        out.moment("medication.missed")
            .why(format!("dose {id} was due and not taken within {}", self.grace()))
            .data(json!({"dose": id, "due": due}))
            .expires_at(due.saturating_add(DAY_MS).max(timer.now().saturating_add(self.grace_ms())))
            .action("remind.nursing", json!({"patient": timer.key(), "dose": id, "due": due}));
        Ok(())
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
        match doses.by_id.get(&id) {
            // It was taken before we heard of it, or this is a repeat.
            Some(Dose::Taken) => return Ok(()),
            Some(Dose::Missed { due: known }) if *known == due => return Ok(()),
            _ => {}
        }
        // One that is on the books with another time has been moved.
        doses.by_id.insert(id.clone(), Dose::Waiting { due });
        out.timer(id).at(due.saturating_add(self.grace_ms()));
        Ok(())
    }

    fn taken(&self, event: &Event, doses: &mut Doses, out: &mut Output) -> Result<()> {
        let id = event.string("/dose")?;
        doses.make_room_for(&id)?;
        let known = doses.by_id.insert(id.clone(), Dose::Taken);
        if let Some(Dose::Missed { due }) = known {
            out.moment("medication.taken-late")
                .why(format!("dose {id} was taken after all"))
                .action("withdraw.reminder", json!({"patient": event.key(), "dose": id, "due": due}));
        }
        let settled = match known {
            Some(Dose::Taken) => return Ok(()),
            // Until its schedule can no longer be repeated.
            Some(Dose::Waiting { due } | Dose::Missed { due }) => due.max(event.now()),
            None => event.now(),
        };
        out.timer(id).at(settled.saturating_add(DAY_MS).saturating_add(self.grace_ms()));
        Ok(())
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
    on("medication.scheduled")
        .on("medication.taken")
        .moment("medication.missed")
        .moment("medication.taken-late")
        .action("remind.nursing")
        .action("withdraw.reminder")
);
