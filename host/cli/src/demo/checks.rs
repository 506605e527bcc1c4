//! What must hold when the day is over, by the host's counts and the enterprises' books.

mod guardrails;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use carpe::Instant;
use serde::Serialize;
use serde_json::Value;

use super::city::City;
use super::city::vending::BUDGET_CENTS;
use super::configuration::RULES;
use super::enterprise::{Books, Enterprises};
use super::feed::Feed;

/// Something that must hold.
#[derive(Serialize)]
pub(super) struct Check {
    pub(super) holds: bool,
    pub(super) what: String,
}

/// All of a day that checks are made of.
pub(super) struct Day<'a> {
    pub(super) status: &'a Value,
    pub(super) feed: &'a Feed,
    pub(super) city: &'a City,
    pub(super) enterprises: &'a Enterprises,
    /// By kind.
    pub(super) moments: &'a BTreeMap<String, u64>,
    /// What the person said to actions that waited for them: yes or no.
    pub(super) said: &'a BTreeMap<String, bool>,
    /// When offers were muted.
    pub(super) muted: Range<Instant>,
}

impl Day<'_> {
    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = self.of_events();
        checks.extend(self.of_rules());
        checks.extend(self.of_enterprises());
        checks.extend(self.of_guardrails());
        checks
    }

    /// Nothing is lost, and nothing is taken twice.
    fn of_events(&self) -> Vec<Check> {
        let Day { status, feed, city, .. } = self;
        let (sent, accepted) = (feed.sent.load(Relaxed), number(&status["intake"]["accepted"]));
        let (again, repeated) = (feed.again.load(Relaxed), feed.repeated.load(Relaxed));
        let (rubbish, refused) = (feed.rubbish.load(Relaxed), feed.refused.load(Relaxed));
        let aside = number(&status["dead_letters"]);
        vec![
            check(
                sent == accepted && feed.accepted.load(Relaxed) == sent,
                format!("each of {sent} events was accepted once: {accepted}"),
            ),
            check(again == repeated, format!("each of {again} events that came again was known: {repeated}")),
            check(
                rubbish == refused,
                format!(
                    "each of {rubbish} requests that are no events was refused, with a reason: {refused}"
                ),
            ),
            check(
                aside == city.absurd,
                format!("each of {} absurd events was set aside, and nothing else: {aside}", city.absurd),
            ),
        ]
    }

    fn of_rules(&self) -> Vec<Check> {
        let Day { feed, city, enterprises, .. } = self;
        let moment = |kind: &str| self.moments.get(kind).copied().unwrap_or_default();
        let idle: Vec<&str> =
            RULES.iter().map(|rule| rule.name).filter(|rule| !self.has_acted(rule)).collect();
        let handled = number(&plugin(self.status, "flood-alert")["work"]["inputs"]);
        let readings = city.rivers.readings;
        let (missed, unsure) = (feed.missed(), feed.unsure());
        let reminded = enterprises.books.reminders.0.all();
        let is_strange = |dose: &&String| !missed.contains(*dose) && !unsure.contains(*dose);
        let strange = reminded.iter().filter(is_strange).count();
        let absent = missed.difference(&reminded).count();
        let (rising, over) = (moment("flood.rising"), moment("flood.over"));
        let (lit, dark) = (moment("lamp.needed"), moment("lamp.unneeded"));
        vec![
            check(
                idle.is_empty(),
                format!(
                    "each of {} rules saw a moment, and had an action delivered{}",
                    RULES.len(),
                    but(&idle)
                ),
            ),
            check(
                handled == readings,
                format!(
                    "flood-alert handled each of {readings} gauge readings once, over its reload: {handled}"
                ),
            ),
            check(
                (rising, over) == (city.rivers.rises, city.rivers.falls),
                format!(
                    "{} rivers rose and {} fell: {rising} alerts, {over} all-clears",
                    city.rivers.rises, city.rivers.falls
                ),
            ),
            check(
                absent == 0 && strange == 0,
                format!(
                    "{} doses were missed: {absent} reminders missing, {strange} without cause",
                    missed.len()
                ),
            ),
            check(lit == dark, format!("{lit} times a lamp was lit, and {dark} times it went out again")),
        ]
    }

    fn has_acted(&self, rule: &str) -> bool {
        let work = &plugin(self.status, rule)["work"];
        let some = |value: &Value| value.as_u64().is_some_and(|count| count > 0);
        some(&work["moments"]) && some(&work["actions"]["delivered"])
    }

    fn of_enterprises(&self) -> Vec<Check> {
        let Day { status, city, enterprises, .. } = self;
        let books = &enterprises.books;
        let tally = enterprises.tally();
        let strange: Vec<&str> =
            enterprises.all.iter().filter(|one| !is_told_alike(status, one)).map(|one| one.name).collect();
        let wronged = wronged(books);
        let payment = books.payment.entries();
        let told = books.viewers.0.all();
        let untold = city.viewers.orders.difference(&told).count();
        let spent = books.suppliers.spent_cents();
        let most = spent.values().copied().max().unwrap_or_default();
        vec![
            check(
                strange.is_empty() && tally.forged == 0,
                format!(
                    "what the host counts as delivered or refused is what {} enterprises say, correctly signed: {} \
                     taken, {} refused{}",
                    enterprises.all.len(),
                    tally.taken,
                    tally.refused,
                    but(&strange)
                ),
            ),
            check(
                tally.conflicting == 0,
                format!("no key came with two contents, though {} requests came again", tally.repeated),
            ),
            check(
                wronged.is_empty(),
                format!(
                    "nobody was charged without goods or refund: {} charged, {} of them refunded, {} have goods{}",
                    payment.done,
                    payment.undone,
                    payment.held.len(),
                    but(&wronged)
                ),
            ),
            check(
                untold == 0,
                format!(
                    "each of {} orders was brought to an end: {} viewers were told",
                    city.viewers.orders.len(),
                    told.len()
                ),
            ),
            check(
                most <= BUDGET_CENTS,
                format!(
                    "no vending machine spent more than its {BUDGET_CENTS} cents, by the suppliers' books: at most {most}"
                ),
            ),
        ]
    }
}

/// Orders whose viewers paid, and have neither goods nor their money; or have goods that were not paid.
pub(super) fn wronged(books: &Books) -> Vec<String> {
    let orders = |held: BTreeMap<String, u64>| held.into_keys().collect::<BTreeSet<String>>();
    let (paid, packed) = (orders(books.payment.entries().held), orders(books.grocer.entries().held));
    let brought = orders(books.courier.entries().held);
    let mut wronged = &paid ^ &packed;
    wronged.extend(&paid ^ &brought);
    wronged.into_iter().collect()
}

/// Of an action that failed nobody knows what became of it: it may have been taken or refused all the same.
fn is_told_alike(status: &Value, enterprise: &super::enterprise::Enterprise) -> bool {
    let tally = enterprise.tally();
    let sinks = status["sinks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(sink) = sinks.iter().find(|sink| sink["name"] == enterprise.name) else { return false };
    let (delivered, rejected) = (number(&sink["delivered"]), number(&sink["rejected"]));
    let failed = number(&sink["failed"]);
    delivered <= tally.taken
        && rejected <= tally.refused
        && tally.taken + tally.refused <= delivered + rejected + failed
}

/// One plugin's part of the status.
pub(super) fn plugin<'a>(status: &'a Value, name: &str) -> &'a Value {
    let plugins = status["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    plugins.iter().find(|plugin| plugin["file"] == name).unwrap_or(&Value::Null)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(u64::MAX)
}

fn but(exceptions: &[impl AsRef<str>]) -> String {
    if exceptions.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = exceptions.iter().map(AsRef::as_ref).collect();
    format!(", but not {}", names.join(", "))
}

fn check(holds: bool, what: String) -> Check {
    Check { holds, what }
}

#[cfg(test)]
mod tests {
    use super::super::enterprise::Ledger;
    use super::*;

    #[test]
    fn who_pays_for_nothing_or_gets_what_was_not_paid_is_wronged() {
        let of = |paid: &[&str], packed: &[&str], brought: &[&str]| {
            let (payment, grocer) = (Ledger::holding(paid), Ledger::holding(packed));
            wronged(&Books { payment, grocer, courier: Ledger::holding(brought), ..Books::default() })
        };
        assert!(of(&["o-1"], &["o-1"], &["o-1"]).is_empty());
        for (paid, packed, brought) in [
            (&["o-1"][..], &[][..], &[][..]),
            (&["o-1"], &["o-1"], &[]),
            (&[], &["o-1"], &[]),
            (&["o-2", "o-1"], &["o-2"], &["o-2"]),
        ] {
            assert_eq!(of(paid, packed, brought), ["o-1"]);
        }
    }
}
