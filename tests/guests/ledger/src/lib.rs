//! Keeps books of each key so exact that whatever is lost, doubled or overtaken shows: of events, timers and outcomes.
//! The crash harness (`tests/src/crash`) compares them with what it sent and received.
//!
//! `ledger.entry`: numbered from 1 per key; see [`Entry`] for what else one asks for.
//! `ledger.echo`: what came back into the host of an entry that asked for it.
//! `ledger.ask`: answered by the action `ledger.answer`, `{"ask", "key", "book"}`; changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use carpe_sdk::prelude::*;

/// The operator's configuration.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ledger {
    /// Comes back in each action: a version that is replaced must not change what was said before.
    version: u64,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Entry {
    n: u64,
    /// Emit the action `ledger.note`, with an outcome.
    note: bool,
    /// It expires after so long.
    expires_ms: Option<u64>,
    /// Set a timer that is called after this event.
    set_ms: Option<u64>,
    /// Move the timer of an earlier event, if it is still set: to so long from now.
    shift: Option<(u64, u64)>,
    /// Cancel the timer of an earlier event, if it is still set.
    cancel: Option<u64>,
    /// Emit the action `ledger.echo`, which is to come back as an event.
    echo: bool,
    /// Fail instead of all that.
    fail: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Failure {
    /// The host has to decide that the event is set aside.
    Trap,
    /// The event is set aside because the rule says so.
    Error,
}

#[derive(Deserialize)]
struct Echo {
    n: u64,
}

#[derive(Deserialize)]
struct Ask {
    ask: u64,
}

/// What is kept for one key.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Book {
    events: u64,
    last: u64,
    /// A hash over all numbers in their order.
    chain: u64,
    recent: Vec<u64>,
    /// Numbers that were passed over; events that came after a later one; those that were counted before.
    holes: BTreeSet<u64>,
    disordered: u64,
    repeated: u64,

    set: u64,
    fired: u64,
    cancelled: u64,
    /// Timers that are set, and when they are due.
    waiting: BTreeMap<String, Instant>,
    /// Timers that fired and were not set; before they were due; after what should have come after them.
    strays: u64,
    early: u64,
    overtaken: u64,

    /// Notes whose outcome is not known.
    open: BTreeSet<u64>,
    delivered: u64,
    rejected: u64,
    expired: u64,
    failed: u64,
    /// Outcomes of notes that are not open.
    unasked: u64,

    /// Entries whose echo has not come back; echoes that have; those that nobody waited for.
    called: BTreeSet<u64>,
    echoed: u64,
    ghosts: u64,
}

impl Rule for Ledger {
    type State = Book;

    fn on_event(&self, event: &Event, book: &mut Book, out: &mut Output) -> Result<()> {
        // All that is due by now should have come before this.
        book.overtaken += book.waiting.values().filter(|&&due| due <= event.now()).count() as u64;
        if event.kind() == "ledger.ask" {
            let Ask { ask } = event.data()?;
            out.moment("ledger.asked")
                .action("ledger.answer", json!({"ask": ask, "key": event.key(), "book": book}));
            return Ok(());
        }
        if event.kind() == "ledger.echo" {
            let Echo { n } = event.data()?;
            match book.called.remove(&n) {
                true => book.echoed += 1,
                false => book.ghosts += 1,
            }
            return Ok(());
        }
        let entry: Entry = event.data()?;
        match entry.fail {
            Some(Failure::Trap) => panic!("asked to"),
            Some(Failure::Error) => return Err(Error::new("asked to")),
            None => {}
        }
        book.count(entry.n);
        if entry.echo {
            book.called.insert(entry.n);
            out.moment("ledger.called").action("ledger.echo", json!({"n": entry.n}));
        }
        if entry.note {
            book.open.insert(entry.n);
            let mut moment = out.moment("ledger.noted");
            if let Some(expires) = entry.expires_ms {
                moment.expires_in(Duration::from_millis(expires));
            }
            let data =
                json!({"key": event.key(), "n": entry.n, "chain": book.chain, "version": self.version});
            moment.action_with_outcome("ledger.note", entry.n.to_string(), data);
        }
        if let Some(target) = entry.cancel
            && book.waiting.remove(&name_of(target)).is_some()
        {
            book.cancelled += 1;
            out.timer(name_of(target)).cancel();
        }
        if let Some((target, after)) = entry.shift
            && let Some(due) = book.waiting.get_mut(&name_of(target))
        {
            *due = event.now() + after;
            out.timer(name_of(target)).at(*due);
        }
        if let Some(after) = entry.set_ms {
            let due = event.now() + after;
            if book.waiting.insert(name_of(entry.n), due).is_none() {
                book.set += 1;
            }
            out.timer(name_of(entry.n)).at(due);
        }
        Ok(())
    }

    fn on_timer(&self, timer: &Timer, book: &mut Book, out: &mut Output) -> Result<()> {
        let Some(due) = book.waiting.remove(timer.name()) else {
            book.strays += 1;
            return Ok(());
        };
        book.fired += 1;
        book.early += u64::from(timer.now() < due);
        let before = book.waiting.iter().filter(|&(name, &other)| (other, &name[..]) < (due, timer.name()));
        book.overtaken += before.count() as u64;
        let data = json!({
            "key": timer.key(), "n": timer.name().parse::<u64>()?, "due": due, "now": timer.now(),
            "version": self.version,
        });
        out.moment("ledger.rang").action("ledger.ring", data);
        Ok(())
    }

    fn on_outcome(&self, outcome: &Outcome, book: &mut Book, _out: &mut Output) -> Result<()> {
        if !book.open.remove(&outcome.reference().parse()?) {
            book.unasked += 1;
            return Ok(());
        }
        match outcome.status() {
            Status::Delivered => book.delivered += 1,
            Status::Rejected => book.rejected += 1,
            Status::Expired => book.expired += 1,
            _ => book.failed += 1,
        }
        Ok(())
    }
}

impl Book {
    fn count(&mut self, n: u64) {
        self.events += 1;
        self.chain = (self.chain ^ n).wrapping_mul(0x100_0000_01b3).rotate_left(23);
        self.recent.push(n);
        if self.recent.len() > 5 {
            self.recent.remove(0);
        }
        if n > self.last {
            self.holes.extend(self.last + 1..n);
            self.last = n;
        } else if self.holes.remove(&n) {
            self.disordered += 1;
        } else {
            self.repeated += 1;
        }
    }
}

/// A timer is called as the event that set it.
fn name_of(n: u64) -> String {
    n.to_string()
}

export_rule!(
    Ledger,
    on("ledger.entry")
        .on("ledger.ask")
        .on("ledger.echo")
        .moment("ledger.asked")
        .moment("ledger.called")
        .moment("ledger.noted")
        .moment("ledger.rang")
        .action("ledger.answer")
        .action("ledger.echo")
        .action("ledger.note")
        .action("ledger.ring")
);
