//! Every event is a moment, with an action that says which.

use carpe_sdk::prelude::*;

#[derive(Deserialize)]
struct Every {}

#[derive(Deserialize)]
struct Reading {
    n: u64,
}

impl Rule for Every {
    type State = ();

    fn on_event(&self, event: &Event, _: &mut (), out: &mut Output) -> Result<()> {
        let Reading { n } = event.data()?;
        out.moment("gauge.read").action("alert", json!({"n": n}));
        Ok(())
    }
}

export_rule!(Every, on("gauge.level").moment("gauge.read").action("alert"));
