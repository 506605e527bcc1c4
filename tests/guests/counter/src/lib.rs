//! Counts the events of each key and checks their order, so that a test can tell whether one was lost, repeated or
//! overtaken. Misbehaves when its configuration or an event asks for it.
//!
//! Events (`count.event`, keyed by subject): `{"n": 1}`, numbered from 1 per key; both fields may be absent.
//! `"do"` asks for one of [`Deed`]'s; `{"do": "timer", "after_ms": 500}` sets a timer, which is counted as `timers`.
//! Action `count.report`: `{"key", "count", "n", "out_of_order", "repeated", "timers", "version"}`.

use carpe_sdk::prelude::*;

/// The operator's configuration.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Counter {
    /// Comes back in each report: tells which configuration, or build, an event was handled by.
    version: u64,
    /// Reports each n-th event of a key. 0: never. Absent: each.
    every: Option<u64>,
    /// Whether reports ask for their outcome, which is then counted.
    outcomes: bool,
    /// What to do while the plugin is loaded.
    on_load: Option<Deed>,
    /// Rounds of a loop while the plugin is loaded, some nanoseconds each: a slow start.
    load_rounds: u64,
    /// What to do on every event that doesn't say otherwise.
    on_event: Option<Deed>,
}

/// How to misbehave.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Deed {
    /// Panic: a trap.
    Trap,
    /// Never return.
    Loop,
    /// Return an error: the input is set aside, and changes nothing.
    Error,
    /// Set the input aside, but count it.
    Fail,
    /// Set the timer `later`.
    Timer,
    /// Cancel the timer `later`.
    Cancel,
    /// Go back to the state of a key that was never seen.
    Forget,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Count {
    events: u64,
    last_n: u64,
    out_of_order: u64,
    repeated: u64,
    timers: u64,
    delivered: u64,
    undelivered: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    n: Option<u64>,
    r#do: Option<Deed>,
    after_ms: u64,
}

impl Rule for Counter {
    type State = Count;

    fn check(&self) -> Result<()> {
        for round in 0..self.load_rounds {
            std::hint::black_box(round);
        }
        match self.on_load {
            Some(Deed::Trap) => panic!("asked to trap while loading"),
            Some(Deed::Loop) => endless(),
            Some(_) => Err(Error::new("`on_load` asks for an error")),
            None => Ok(()),
        }
    }

    fn on_event(&self, event: &Event, count: &mut Count, out: &mut Output) -> Result<()> {
        let data: Data = event.data()?;
        count.events += 1;
        if let Some(n) = data.n {
            match n {
                n if n == count.last_n => count.repeated += 1,
                n if n == count.last_n + 1 => {}
                _ => count.out_of_order += 1,
            }
            count.last_n = n;
        }
        match data.r#do.or(self.on_event) {
            Some(Deed::Trap) => panic!("asked to trap by event {} of {}", count.events, event.key()),
            Some(Deed::Loop) => endless(),
            Some(Deed::Error) => return Err(Error::new("asked for an error")),
            Some(Deed::Fail) => out.fail("asked to fail"),
            Some(Deed::Timer) => out.timer("later").after(Duration::from_millis(data.after_ms)),
            Some(Deed::Cancel) => out.timer("later").cancel(),
            Some(Deed::Forget) => *count = Count::default(),
            None => {}
        }
        if count.events.is_multiple_of(self.every.unwrap_or(1)) {
            self.report(event.key(), count, out);
        }
        Ok(())
    }

    fn on_timer(&self, timer: &Timer, count: &mut Count, out: &mut Output) -> Result<()> {
        count.timers += 1;
        self.report(timer.key(), count, out);
        Ok(())
    }

    fn on_outcome(&self, outcome: &Outcome, count: &mut Count, _out: &mut Output) -> Result<()> {
        match outcome.status() {
            Status::Delivered => count.delivered += 1,
            _ => count.undelivered += 1,
        }
        Ok(())
    }
}

impl Counter {
    fn report(&self, key: &str, count: &Count, out: &mut Output) {
        let data = json!({
            "key": key, "count": count.events, "n": count.last_n, "out_of_order": count.out_of_order,
            "repeated": count.repeated, "timers": count.timers, "version": self.version,
        });
        let mut moment = out.moment("counter.counted");
        moment.why(format!("event {} of {key}", count.events));
        if self.outcomes {
            moment.action_with_outcome("count.report", count.events.to_string(), data);
        } else {
            moment.action("count.report", data);
        }
    }
}

/// Needs the host's deadline to end.
fn endless() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

export_rule!(Counter, on("count.event").moment("counter.counted").action("count.report"));
