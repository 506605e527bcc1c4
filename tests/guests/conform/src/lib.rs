//! The rule of `tests/conformance`, with the Rust SDK.

use carpe_sdk::prelude::*;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conform {
    greeting: String,
    #[serde(default = "thousand")]
    limit: u64,
}

fn thousand() -> u64 {
    1_000
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    count: u64,
    value: Value,
}

// Serde would read a struct from a list too.
type Object = Map<String, Value>;

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Deed {
    Say {
        say: String,
        data: Option<Value>,
    },
    Greet {
        greet: bool,
    },
    Show {
        show: Value,
    },
    // An option would take `null` for nothing.
    Set {
        #[serde(deserialize_with = "Value::deserialize")]
        set: Value,
    },
    TimerAt {
        timer: String,
        at: Instant,
    },
    TimerIn {
        timer: String,
        r#in: u64,
    },
    Cancel {
        cancel: String,
    },
    Act {
        act: String,
        #[serde(default)]
        data: Value,
        about: Option<String>,
        expires: Option<Instant>,
    },
    Forget {
        forget: bool,
    },
    Fail {
        fail: String,
    },
}

impl Rule for Conform {
    type State = Kept;

    fn check(&self) -> Result<()> {
        if self.greeting.is_empty() {
            return Err(Error::new("`greeting` is empty"));
        }
        Ok(())
    }

    fn on_event(&self, event: &Event, kept: &mut Kept, out: &mut Output) -> Result<()> {
        kept.count += 1;
        if kept.count > self.limit {
            return Err(Error::new(format!("more than {} events", self.limit)));
        }
        let mut told: Object = event.data()?;
        let deeds: Vec<Object> = told.remove("do").map_or(Ok(Vec::new()), serde_json::from_value)?;
        let mut forgotten = false;
        for deed in deeds {
            match serde_json::from_value(Value::Object(deed))? {
                Deed::Say { say, data } => {
                    let mut said = out.moment("conform.said");
                    said.why(say);
                    if let Some(data) = data {
                        said.data(data);
                    }
                }
                Deed::Greet { greet: true } => {
                    out.moment("conform.said").why(format!("{}, {}", self.greeting, event.key()));
                }
                Deed::Show { show } if show == "event" => {
                    out.moment("conform.said").why("event").data(shown(event)?);
                }
                Deed::Show { show: Value::Bool(true) } => {
                    let data = json!({"count": kept.count, "value": kept.value, "key": event.key()});
                    out.moment("conform.said").why("state").data(data);
                }
                Deed::Set { set } => kept.value = set,
                Deed::TimerAt { timer, at } => out.timer(timer).at(at),
                Deed::TimerIn { timer, r#in } => out.timer(timer).after(Duration::from_millis(r#in)),
                Deed::Cancel { cancel } => out.timer(cancel).cancel(),
                Deed::Act { act, data, about, expires } => {
                    let mut moment = out.moment("conform.acted");
                    moment
                        .why("acted")
                        .action_with_outcome("conform.do", act, data)
                        .action("conform.tell", json!({}));
                    if let Some(subject) = about {
                        moment.subject(subject);
                    }
                    if let Some(expires) = expires {
                        moment.expires_at(expires);
                    }
                }
                Deed::Forget { forget: true } => forgotten = true,
                Deed::Fail { fail } => return Err(Error::new(fail)),
                Deed::Show { .. } | Deed::Greet { .. } | Deed::Forget { .. } => {
                    return Err(Error::new("there is no such deed"));
                }
            }
        }
        if forgotten {
            *kept = Kept::default();
        }
        Ok(())
    }

    fn on_timer(&self, timer: &Timer, kept: &mut Kept, out: &mut Output) -> Result<()> {
        let data =
            json!({"count": kept.count, "value": kept.value, "time": timer.time(), "now": timer.now()});
        out.moment("conform.said").why(format!("timer {}", timer.name())).data(data);
        if timer.name() == "again" && kept.count > 0 {
            kept.count -= 1;
            out.timer("again").at(timer.time() + 1_000);
        }
        Ok(())
    }

    fn on_outcome(&self, outcome: &Outcome, _: &mut Kept, out: &mut Output) -> Result<()> {
        let answer: Value = outcome.answer().unwrap_or_default();
        out.moment("conform.said")
            .why(format!("outcome {}", outcome.status()))
            .data(json!({"action": outcome.action(), "reference": outcome.reference(), "answer": answer}));
        Ok(())
    }

    /// Version 1 was the count, as decimal digits and nothing else.
    fn migrate(&self, from_version: u32, _: &str, state: &[u8]) -> Result<Option<Kept>> {
        let text = std::str::from_utf8(state).unwrap_or_default();
        if from_version == 1 && text == "forget" {
            return Ok(None);
        }
        let is_count = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let count = text.parse().ok().filter(|_| from_version == 1 && is_count);
        let count = count.ok_or_else(|| Error::new("the state is no count"))?;
        Ok(Some(Kept { count, value: Value::Null }))
    }
}

fn shown(event: &Event) -> Result<Value> {
    let attribute = |name| event.attribute(name).ok();
    Ok(json!({
        "subscription": event.subscription(),
        "time": event.time(),
        "now": event.now(),
        "id": attribute("id"),
        "type": attribute("type"),
        "note": attribute("note"),
        "data": event.value("")?,
    }))
}

export_rule!(
    Conform,
    migrates,
    on("conform.*")
        .attribute("id")
        .attribute("type")
        .attribute("note")
        .on("other")
        .keyed_by_data("/about/id")
        .moment("conform.said")
        .moment("conform.acted")
        .action("conform.do")
        .action("conform.tell")
        .state_version(2)
);
