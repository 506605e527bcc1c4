//! The rule `counter` again, with less to say and another format of its state: `"events last_n"`, a text. It brings the
//! earlier one along, except for a key named `unlucky`.

use carpe_sdk::prelude::*;

#[derive(Deserialize)]
struct Counter {}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Count {
    text: String,
}

/// The fields of version 1 that are still wanted.
#[derive(Deserialize)]
struct Earlier {
    events: u64,
    last_n: u64,
}

impl Rule for Counter {
    type State = Count;

    fn on_event(&self, event: &Event, count: &mut Count, out: &mut Output) -> Result<()> {
        let (events, last_n) = count.text.split_once(' ').unwrap_or(("0", "0"));
        let events = events.parse::<u64>()? + 1;
        let n = event.integer("/n").map_or(last_n.to_owned(), |n| n.to_string());
        count.text = format!("{events} {n}");
        out.moment("counter.counted").why(format!("event {events} of {}", event.key())).action(
            "count.report",
            json!({"key": event.key(), "count": events, "n": n.parse::<i64>()?, "version": "migrating"}),
        );
        Ok(())
    }

    fn migrate(&self, from_version: u32, key: &str, state: &[u8]) -> Result<Option<Count>> {
        if from_version != 1 || key == "unlucky" {
            return Err(Error::new(format!(
                "the count of {key} cannot be brought along from version {from_version}"
            )));
        }
        let Earlier { events, last_n } = serde_json::from_slice(state)?;
        Ok(Some(Count { text: format!("{events} {last_n}") }))
    }
}

export_rule!(
    Counter,
    migrates,
    on("count.event").named("counter").state_version(2).moment("counter.counted").action("count.report")
);
