//! Says all that it is given of each event, in a moment; remembers how many there were, and the last one's note.

use carpe_sdk::prelude::*;

#[derive(Deserialize)]
struct Echo {}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Heard {
    count: u64,
    note: Option<String>,
}

impl Rule for Echo {
    type State = Heard;

    fn on_event(&self, event: &Event, heard: &mut Heard, out: &mut Output) -> Result<()> {
        let attribute = |name| event.attribute(name).map_err(|error| error.to_string());
        heard.count += 1;
        heard.note = attribute("note").ok().map(str::to_owned);
        out.moment("echo.heard").why(event.kind()).data(json!({
            "key": event.key(),
            "subscription": event.subscription(),
            "time": event.time(),
            "now": event.now(),
            "id": attribute("id"),
            "note": attribute("note"),
            "value": event.value("").map_err(|error| error.to_string()),
            "nested": event.value("/a/1").map_err(|error| error.to_string()),
            "binary": event.binary(),
            "count": heard.count,
        }));
        if event.bool("/forget").unwrap_or(false) {
            *heard = Heard::default();
        }
        if event.bool("/fail").unwrap_or(false) {
            return Err(Error::new(format!("told to fail by {}", event.key())));
        }
        Ok(())
    }
}

export_rule!(Echo, on("echo.*").attribute("id").attribute("note").on("hum").attribute("note").moment("echo.heard"));
