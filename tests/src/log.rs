//! What rules write to the log.

use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A line of a rule, as the host logs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The rule, in the host's words.
    pub rule: String,
    /// What it wrote.
    pub text: String,
}

#[derive(Default)]
struct Lines(Mutex<Vec<Line>>);

static LINES: OnceLock<&Lines> = OnceLock::new();

/// Begins to keep the lines of rules, for all hosts of this process: have rules of your own name.
pub fn keep() {
    LINES.get_or_init(|| {
        let lines: &Lines = Box::leak(Box::default());
        tracing::subscriber::set_global_default(lines).expect("no other subscriber");
        lines
    });
}

/// The lines of a rule so far.
pub fn lines_of(rule: &str) -> Vec<String> {
    let lines = LINES.get().expect("`keep` comes first").0.lock().unwrap();
    lines.iter().filter(|line| line.rule == rule).map(|line| line.text.clone()).collect()
}

impl Subscriber for &'static Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "carpe::guest"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line { rule: String::new(), text: String::new() };
        event.record(&mut line);
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "rule" {
            self.rule = value.to_owned();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.text, "{value:?}");
        }
    }
}
