//! Does nothing with what it is told: there are many of it.

use carpe_sdk::prelude::*;

#[derive(Deserialize)]
struct Small {}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Nothing {}

impl Rule for Small {
    type State = Nothing;

    fn on_event(&self, _event: &Event, _nothing: &mut Nothing, _out: &mut Output) -> Result<()> {
        Ok(())
    }
}

export_rule!(Small, on("other.event"));
