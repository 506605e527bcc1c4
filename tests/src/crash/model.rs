//! What must be so, whatever was killed when: from what was sent and acknowledged, what the receiver saw, and the
//! books that the rule keeps. It knows nothing of the host, and is pure: times are given.
//!
//! Bounds, not equations, hold for what was under way: an event that was sent and not acknowledged may be in the books
//! or not. Once it was sent again and acknowledged, it is in them exactly once.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

/// How long after its moment expired a request may arrive.
///
/// A try is begun at or before that instant and times out by it, so what arrives later was on its way: the host has
/// begun the try, and its thread, the loopback or ours was not run at once. On an idle machine that is less than a
/// millisecond; two busy cores take tens. A retry that does not look at the clock is later than this by its backoff.
/// For how long our own threads were held up is added to it, see [`Request::held_up_ms`].
pub const ON_THE_WIRE_MS: u64 = 150;

/// An event for the guest `ledger`, which says what its fields ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the guest says what they are")]
pub struct Entry {
    pub n: u64,
    pub note: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<(u64, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<u64>,
    pub echo: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail: Option<&'static str>,
}

/// What the guest `ledger` keeps for a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the guest says what they are")]
pub struct Book {
    pub events: u64,
    pub last: u64,
    pub chain: u64,
    pub recent: Vec<u64>,
    pub holes: BTreeSet<u64>,
    pub disordered: u64,
    pub repeated: u64,
    pub set: u64,
    pub fired: u64,
    pub cancelled: u64,
    pub waiting: BTreeMap<String, u64>,
    pub strays: u64,
    pub early: u64,
    pub overtaken: u64,
    pub open: BTreeSet<u64>,
    pub delivered: u64,
    pub rejected: u64,
    pub expired: u64,
    pub failed: u64,
    pub unasked: u64,
    pub called: BTreeSet<u64>,
    pub echoed: u64,
    pub ghosts: u64,
}

/// An action, by what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An event asked for it.
    Note(String, u64),
    /// The timer that an event set fired.
    Ring(String, u64),
}

/// A request that the receiver saw.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its idempotency key.
    pub id: String,
    /// What it is about.
    pub action: Action,
    /// A hash of the whole body.
    pub body: u64,
    /// Milliseconds since the Unix epoch, as all instants.
    pub expires: Option<u64>,
    /// When its head was read.
    pub arrived: u64,
    /// For how long threads of the receiver's process were lately not run, at most.
    pub held_up_ms: u64,
}

/// What was done about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// `2xx`: it is delivered, if the answer arrives.
    Taken,
    /// `4xx`: it is not to come again.
    Refused,
    /// Anything else, or nothing at all.
    Failed,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// It was accepted, and had no effect.
    Lost,
    /// It had its effect twice, or one that nothing asked for.
    Doubled,
    /// It came before what should have come first.
    Reordered,
    /// An action was tried after it had expired.
    Late,
}

/// What should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Of which sort.
    pub wrong: Wrong,
    /// How many events, timers or actions.
    pub count: u64,
    /// Of which key.
    pub key: String,
    /// In words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} of key {}: {}", self.wrong, self.count, self.key, self.what)
    }
}

/// What is known of all keys.
#[derive(Default)]
pub struct Model {
    accounts: BTreeMap<String, Account>,
    seen: HashMap<Action, Seen>,
    ids: HashMap<String, Action>,
    violations: Vec<Violation>,
}

/// What was sent about a key.
#[derive(Default)]
struct Account {
    /// The number of the last event that was sent, and of the last that was acknowledged.
    sent: u64,
    acknowledged: u64,
    /// The hash over the numbers of the events so far, after each that was sent.
    chains: Vec<u64>,
    /// Events that asked for a note; whether it may expire.
    notes: BTreeMap<u64, bool>,
    /// Events that set a timer, and timers that an event may have cancelled.
    timers: BTreeSet<u64>,
    cancels: BTreeSet<u64>,
    /// Events whose echo is to come back.
    echoes: BTreeSet<u64>,
    /// Events that the rule fails on: they are set aside, and have no effect.
    failing: BTreeSet<u64>,
}

/// What the receiver saw of an action.
struct Seen {
    id: String,
    body: u64,
    taken: bool,
    refused: bool,
}

impl Model {
    /// An event goes out for the first time.
    pub fn sent(&mut self, key: &str, entry: &Entry) {
        let account = self.accounts.entry(key.to_owned()).or_default();
        assert_eq!(entry.n, account.sent + 1, "events of a key are numbered");
        account.sent = entry.n;
        let chain = account.chains.last().copied().unwrap_or(0);
        account.chains.push(if entry.fail.is_some() { chain } else { chained(chain, entry.n) });
        if entry.fail.is_some() {
            account.failing.insert(entry.n);
            return;
        }
        if entry.echo {
            account.echoes.insert(entry.n);
        }
        if entry.note {
            account.notes.insert(entry.n, entry.expires_ms.is_some());
        }
        if entry.set_ms.is_some() {
            account.timers.insert(entry.n);
        }
        account.cancels.extend(entry.cancel);
    }

    /// The host said that it has accepted an event.
    pub fn acknowledged(&mut self, key: &str, n: u64) {
        let account = self.accounts.entry(key.to_owned()).or_default();
        account.acknowledged = account.acknowledged.max(n);
    }

    /// How many events of each key the host has accepted.
    pub fn all_acknowledged(&self) -> BTreeMap<String, u64> {
        self.accounts.iter().map(|(key, account)| (key.clone(), account.acknowledged)).collect()
    }

    /// How many events the host has accepted.
    pub fn accepted(&self) -> u64 {
        self.accounts.values().map(|account| account.acknowledged).sum()
    }

    /// All that was found so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How many are lost, doubled, reordered or late.
    pub fn total(&self, wrong: Wrong) -> u64 {
        self.violations.iter().filter(|found| found.wrong == wrong).map(|found| found.count).sum()
    }

    /// A request arrived, and was answered.
    pub fn request(&mut self, request: Request, answered: Answered) {
        let (Action::Note(key, n) | Action::Ring(key, n)) = &request.action;
        let (key, action) = (key.clone(), &request.action);
        let asked = self.accounts.get(&key).is_some_and(|account| match action {
            Action::Note(..) => account.notes.contains_key(n),
            Action::Ring(..) => account.timers.contains(n),
        });
        let mut found = Vec::new();
        if !asked {
            found.push((Wrong::Doubled, format!("{action:?} was never asked for")));
        }
        if self.ids.entry(request.id.clone()).or_insert_with(|| action.clone()) != action {
            found
                .push((Wrong::Doubled, format!("{action:?} comes under the key of another, {}", request.id)));
        }
        let seen = self.seen.entry(action.clone()).or_insert_with(|| Seen {
            id: request.id.clone(),
            body: request.body,
            taken: false,
            refused: false,
        });
        if seen.id != request.id {
            let what = format!("{action:?} comes under two keys, {} and {}", seen.id, request.id);
            found.push((Wrong::Doubled, what));
        } else if seen.body != request.body {
            found.push((Wrong::Doubled, format!("{action:?} comes with two contents, key {}", seen.id)));
        }
        seen.taken |= answered == Answered::Taken;
        seen.refused |= answered == Answered::Refused;
        if let Some(expires) = request.expires
            && request.arrived > expires + ON_THE_WIRE_MS + request.held_up_ms
        {
            let late = request.arrived - expires;
            found.push((Wrong::Late, format!("{action:?} came {late} ms after it had expired")));
        }
        for (wrong, what) in found {
            self.violations.push(Violation { wrong, count: 1, key: key.clone(), what });
        }
    }

    /// A key's book, as it stood at some time after `at_least` of its events were accepted.
    pub fn book(&mut self, key: &str, at_least: u64, book: &Book) {
        let Some(account) = self.accounts.get(key) else { return };
        let up_to = |set: &mut dyn Iterator<Item = &u64>| set.filter(|&&n| n <= book.last).count() as u64;
        let echoes = up_to(&mut account.echoes.iter());
        let echoed = book.echoed + book.called.len() as u64;
        // Those that the rule fails on, and no others, have no effect.
        let missing = book.holes.difference(&account.failing).count() as u64;
        let revived = up_to(&mut account.failing.difference(&book.holes));
        // The last ones may be such that have no effect.
        let at_least = (0..=at_least).rev().find(|n| !account.failing.contains(n)).unwrap_or(0);
        let timers = up_to(&mut account.timers.iter());
        let notes = up_to(&mut account.notes.keys());
        let waiting = book.waiting.len() as u64;
        let told = book.delivered + book.rejected + book.expired + book.failed;
        let heard = told + book.open.len() as u64;
        let chain = match usize::try_from(book.last).unwrap_or(usize::MAX) {
            0 => Some(0),
            last => account.chains.get(last - 1).copied(),
        };
        let in_order = missing + revived + book.repeated + book.disordered == 0;
        use Wrong::{Doubled, Lost, Reordered};
        let found = [
            (Lost, missing, "events between others are missing"),
            (Doubled, revived, "events were counted that were set aside"),
            (Lost, at_least.saturating_sub(book.last), "the last accepted events are missing"),
            (Doubled, book.repeated, "events were counted again"),
            (Reordered, book.disordered, "events came after later ones"),
            (Doubled, book.last.saturating_sub(account.sent), "events were counted that were never sent"),
            (
                Reordered,
                u64::from(in_order && chain.is_some_and(|chain| book.chain != chain)),
                "events came in another order",
            ),
            (Lost, timers.saturating_sub(book.set + missing), "timers were not set"),
            (Doubled, book.set.saturating_sub(timers), "timers were set that nobody asked for"),
            (Lost, book.set.saturating_sub(book.fired + book.cancelled + waiting), "timers are gone"),
            (
                Doubled,
                (book.fired + book.cancelled + waiting).saturating_sub(book.set),
                "timers have come up twice",
            ),
            (Doubled, book.strays, "timers fired that were not set"),
            (Reordered, book.early, "timers fired before they were due"),
            (Reordered, book.overtaken, "timers came after what they should have come before"),
            (Lost, notes.saturating_sub(heard + missing), "outcomes are gone"),
            (Doubled, heard.saturating_sub(notes), "there are more outcomes than notes"),
            (Doubled, book.unasked, "outcomes were heard that were not open"),
            (Lost, echoes.saturating_sub(echoed + missing), "echoes are gone"),
            (Doubled, echoed.saturating_sub(echoes), "there are more echoes than calls"),
            (Doubled, book.ghosts, "echoes came back that nobody waited for"),
        ];
        for (wrong, count, what) in found {
            if count > 0 {
                self.note(wrong, count, key, format!("{what}: {book:?}"));
            }
        }
    }

    /// How many events of a key were sent.
    pub fn sent_of(&self, key: &str) -> u64 {
        self.accounts.get(key).map_or(0, |account| account.sent)
    }

    /// A key's book, after all that was sent was accepted, handled and delivered.
    pub fn last_book(&mut self, key: &str, book: &Book) {
        let found = self.open_ends(key, book);
        self.violations.extend(found);
    }

    /// What would be wrong if nothing more came: at the end there is none, before it there may be.
    pub fn open_ends(&self, key: &str, book: &Book) -> Vec<Violation> {
        let Some(account) = self.accounts.get(key) else { return Vec::new() };
        let seen = |action: Action| self.seen.get(&action);
        let note = |n: u64| seen(Action::Note(key.to_owned(), n));
        let ring = |n: u64| seen(Action::Ring(key.to_owned(), n));
        let undelivered = account
            .notes
            .iter()
            .filter(|&(&n, &expires)| !expires && !note(n).is_some_and(|seen| seen.taken || seen.refused));
        let undelivered: Vec<u64> = undelivered.map(|(&n, _)| n).collect();
        let taken = account.notes.keys().filter(|&&n| note(n).is_some_and(|seen| seen.taken)).count() as u64;
        let refused =
            account.notes.keys().filter(|&&n| note(n).is_some_and(|seen| seen.refused)).count() as u64;
        let expiring = account.notes.values().filter(|&&expires| expires).count() as u64;
        let rang = account.timers.iter().filter(|&&n| ring(n).is_some_and(|seen| seen.taken)).count() as u64;
        let silent = account.timers.iter().filter(|n| ring(**n).is_none() && !account.cancels.contains(n));
        let silent: Vec<u64> = silent.copied().collect();
        use Wrong::{Doubled, Lost};
        let found = [
            (Lost, undelivered.len() as u64, format!("notes never arrived: {undelivered:?}")),
            (Lost, silent.len() as u64, format!("timers never rang, and nothing cancelled them: {silent:?}")),
            (Lost, book.fired.saturating_sub(rang), "timers fired, and it was never delivered".to_owned()),
            (Doubled, rang.saturating_sub(book.fired), "more timers rang than fired".to_owned()),
            (Lost, book.waiting.len() as u64, "timers never fired".to_owned()),
            (Lost, book.open.len() as u64, "outcomes never came".to_owned()),
            (Lost, book.called.len() as u64, "echoes never came back".to_owned()),
            (
                Lost,
                book.delivered.saturating_sub(taken),
                "notes count as delivered that nobody took".to_owned(),
            ),
            (
                Lost,
                book.rejected.saturating_sub(refused),
                "notes count as rejected that nobody refused".to_owned(),
            ),
            (
                Lost,
                (book.expired + book.failed).saturating_sub(expiring),
                "notes were given up on that could not expire".to_owned(),
            ),
        ];
        let found = found.into_iter().filter(|(_, count, _)| *count > 0);
        let of = |(wrong, count, what)| Violation {
            wrong,
            count,
            key: key.to_owned(),
            what: format!("{what}: {book:?}"),
        };
        found.map(of).collect()
    }

    /// The host does not come back: what it accepted is lost.
    pub fn never_came_back(&mut self, why: &str) {
        let accepted = self.accepted();
        self.note(Wrong::Lost, accepted.max(1), "*", format!("the host does not come back: {why}"));
    }

    fn note(&mut self, wrong: Wrong, count: u64, key: &str, what: String) {
        self.violations.push(Violation { wrong, count, key: key.to_owned(), what });
    }
}

/// The guest's hash over the numbers of events, worked out here too.
pub fn chained(before: u64, n: u64) -> u64 {
    (before ^ n).wrapping_mul(0x100_0000_01b3).rotate_left(23)
}
