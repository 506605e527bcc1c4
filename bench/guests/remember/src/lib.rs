//! Counts what it hears of each key, and keeps a note beside: a state of about 100 bytes that every event changes.

use carpe_sdk::prelude::*;

/// 77 bytes.
const NOTE: &str = "on the left bank, 200 m above the bridge; read by radar; the gate is locked..";

#[derive(Deserialize)]
struct Remember {}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Heard {
    count: u64,
    note: String,
}

impl Rule for Remember {
    type State = Heard;

    fn on_event(&self, _: &Event, heard: &mut Heard, _: &mut Output) -> Result<()> {
        heard.count += 1;
        if heard.note.is_empty() {
            NOTE.clone_into(&mut heard.note);
        }
        Ok(())
    }
}

export_rule!(Remember, on("gauge.level"));
