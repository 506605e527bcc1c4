//! What an event tells the rule to do.

use serde_json::{Map, Value, json};

use crate::carpe::rule::types::{Action, Data, Event, Input};
use crate::{Configuration, Done, Kept};

/// An event, and what it is to be seen with.
pub(crate) struct Told<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) key: &'a str,
    pub(crate) input: &'a Input,
    pub(crate) event: &'a Event,
}

type Deed = Map<String, Value>;

/// Counts the event, and does what it says.
pub(crate) fn perform(told: &Told<'_>, kept: &mut Kept, done: &mut Done) -> Result<(), String> {
    kept.count += 1;
    let limit = told.configuration.limit;
    if kept.count > limit {
        return Err(format!("more than {limit} events"));
    }
    let data = data(&told.event.data)?;
    let nothing = Vec::new();
    let deeds = match data.get("do") {
        Some(deeds) => deeds.as_array().ok_or("`do` is no list")?,
        None => &nothing,
    };
    let mut forgotten = false;
    for deed in deeds {
        let deed = deed.as_object().ok_or("a deed is no object")?;
        forgotten |= deed.get("forget") == Some(&Value::Bool(true));
        perform_one(told, &data, deed, kept, done)?;
    }
    if forgotten {
        *kept = Kept::default();
    }
    Ok(())
}

fn data(data: &Data) -> Result<Deed, String> {
    match data {
        Data::Json(text) => {
            serde_json::from_str(text).map_err(|error| format!("the data is no JSON object: {error}"))
        }
        Data::Absent => Err("there is no data".to_owned()),
        Data::Binary(_) => Err("the data is no JSON".to_owned()),
    }
}

fn perform_one(
    told: &Told<'_>,
    data: &Deed,
    deed: &Deed,
    kept: &mut Kept,
    done: &mut Done,
) -> Result<(), String> {
    let is_true = |name: &str| deed.get(name) == Some(&Value::Bool(true));
    if deed.contains_key("say") {
        let said = done.moment("conform.said", text(deed, "say")?);
        said.data = deed.get("data").filter(|data| !data.is_null()).map(Value::to_string);
    } else if is_true("greet") {
        done.moment("conform.said", format!("{}, {}", told.configuration.greeting, told.key));
    } else if is_true("show") {
        done.said("state", &json!({"count": kept.count, "value": kept.value, "key": told.key}));
    } else if deed.get("show").is_some_and(|show| show == "event") {
        done.said("event", &shown(told, data));
    } else if let Some(value) = deed.get("set") {
        kept.value = value.clone();
    } else if deed.contains_key("timer") {
        let at = match deed.get("at") {
            Some(_) => instant(deed, "at")?,
            None => told.input.now + instant(deed, "in")?,
        };
        done.timer(text(deed, "timer")?, Some(at));
    } else if deed.contains_key("cancel") {
        done.timer(text(deed, "cancel")?, None);
    } else if deed.contains_key("act") {
        act(deed, done)?;
    } else if deed.contains_key("fail") {
        return Err(text(deed, "fail")?.to_owned());
    } else if !is_true("forget") {
        return Err("there is no such deed".to_owned());
    }
    Ok(())
}

fn act(deed: &Deed, done: &mut Done) -> Result<(), String> {
    let reference = text(deed, "act")?.to_owned();
    let acted = done.moment("conform.acted", "acted");
    if deed.contains_key("about") {
        acted.subject = Some(text(deed, "about")?.to_owned());
    }
    if deed.contains_key("expires") {
        acted.expires = Some(instant(deed, "expires")?);
    }
    let data = deed.get("data").unwrap_or(&Value::Null).to_string();
    acted.actions = vec![
        Action { name: "conform.do".to_owned(), reference: Some(reference), data },
        Action { name: "conform.tell".to_owned(), reference: None, data: "{}".to_owned() },
    ];
    Ok(())
}

fn shown(told: &Told<'_>, data: &Deed) -> Value {
    // The second subscription asks for none.
    let attribute = |place: usize| told.event.attributes.get(place).cloned().flatten();
    json!({
        "subscription": told.event.subscription,
        "time": told.input.time,
        "now": told.input.now,
        "id": attribute(0),
        "type": attribute(1),
        "note": attribute(2),
        "data": data,
    })
}

fn text<'a>(deed: &'a Deed, name: &str) -> Result<&'a str, String> {
    deed.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is no text"))
}

fn instant(deed: &Deed, name: &str) -> Result<u64, String> {
    deed.get(name).and_then(Value::as_u64).ok_or_else(|| format!("`{name}` is no whole number from 0 on"))
}
