//! A gauge has risen in three readings in a row, and stands high.

use carpe_sdk::prelude::*;

#[derive(Deserialize)]
struct Rising {
    above_cm: i64,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Gauge {
    cm: i64,
    rises: u32,
}

#[derive(Deserialize)]
struct Reading {
    level: i64,
    n: u64,
}

impl Rule for Rising {
    type State = Gauge;

    fn on_event(&self, event: &Event, gauge: &mut Gauge, out: &mut Output) -> Result<()> {
        let Reading { level, n } = event.data()?;
        gauge.rises = if gauge.cm > 0 && level > gauge.cm { gauge.rises + 1 } else { 0 };
        gauge.cm = level;
        if gauge.rises >= 3 && level > self.above_cm {
            let data = json!({"gauge": event.key(), "n": n, "level": level});
            out.moment("flood.rising").why(format!("{level} cm, and rising")).action("alert", data);
        }
        Ok(())
    }
}

export_rule!(Rising, on("gauge.level").moment("flood.rising").action("alert"));
