//! What must hold of guardrails, by what enterprises were asked for: that the host says so is not enough.

use std::collections::{BTreeMap, BTreeSet};

use super::super::city::walkers;
use super::super::enterprise::Arrival;
use super::super::guardrails::{APPROVAL, Bound, CENTS, LARGE_CENTS, MESSAGES, OFFERS, guardrail};
use super::{Check, Day, but, check, number};
use crate::output::counted;

impl Day<'_> {
    pub(super) fn of_guardrails(&self) -> Vec<Check> {
        let mut checks = self.of_offers();
        checks.extend(self.of_money());
        checks.push(self.of_what_was_held());
        let messages = self.enterprises.arrivals("viewers");
        let most = most_within(&messages, MESSAGES, |_| ("", 1));
        checks.push(check(
            most <= MESSAGES.at_most,
            format!("viewers were sent no more than {MESSAGES}: {most}, of {}", messages.len()),
        ));
        checks.push(self.of_ways());
        checks
    }

    fn of_offers(&self) -> Vec<Check> {
        let arrived = self.enterprises.arrivals("shops");
        let (shown, taken_back): (Vec<Arrival>, Vec<Arrival>) =
            arrived.into_iter().partition(|arrival| arrival.action.name == "offer.show");
        let on_file = walkers::on_file();
        let says_yes = |person: &str| on_file.get(person) == Some(&true);
        let persons: BTreeSet<&str> = shown.iter().map(|offer| offer.action.text("person")).collect();
        let unasked: Vec<&str> = persons.iter().copied().filter(|person| !says_yes(person)).collect();
        let most = most_within(&shown, OFFERS, |offer| (offer.action.text("person"), 1));
        let offer = |arrival: &Arrival| {
            (arrival.action.text("person").to_owned(), arrival.action.text("shop").to_owned())
        };
        let seen: BTreeSet<_> = shown.iter().map(offer).collect();
        let muted = |offer: &&Arrival| offer.action.time >= self.muted.start && offer.at < self.muted.end;
        let heard = shown.iter().filter(muted).count();
        let unseen: Vec<String> = taken_back
            .iter()
            .map(offer)
            .filter(|offer| !seen.contains(offer))
            .map(|(person, _)| person)
            .collect();
        vec![
            check(
                unasked.is_empty(),
                format!(
                    "shops were asked for {} offers, to {} walkers, and to nobody who has not said yes{}",
                    shown.len(),
                    persons.len(),
                    but(&unasked)
                ),
            ),
            check(most <= OFFERS.at_most, format!("nobody was shown more than {OFFERS}: {most}")),
            check(heard == 0, format!("while offers were muted, shops were asked for none: {heard}")),
            check(
                unseen.is_empty(),
                format!(
                    "each of {} offers that were taken back was shown before{}",
                    taken_back.len(),
                    but(&unseen)
                ),
            ),
        ]
    }

    fn of_money(&self) -> Vec<Check> {
        let mut orders = self.enterprises.arrivals("suppliers");
        orders.retain(|arrival| arrival.action.name == "supplier.order");
        let most = most_within(&orders, CENTS, |order| (order.action.text("machine"), order.cents()));
        let said = |order: &Arrival| self.said.get(&order.action.id).copied();
        let large: Vec<&Arrival> = orders.iter().filter(|order| order.cents() > LARGE_CENTS).collect();
        let with_approval = large.iter().filter(|order| said(order) == Some(true)).count();
        let against_a_no = orders.iter().filter(|order| said(order) == Some(false)).count();
        vec![
            check(
                most <= CENTS.at_most,
                format!("suppliers were asked for no more than {CENTS} by a vending machine: {most}"),
            ),
            check(
                with_approval == large.len() && against_a_no == 0,
                format!(
                    "suppliers got {} for more than {LARGE_CENTS} cents, {with_approval} of them approved; and {against_a_no} of \
                     those that were refused",
                    counted(large.len() as u64, "order")
                ),
            ),
        ]
    }

    /// What was held for a person was decided by them, and nothing waits any more.
    fn of_what_was_held(&self) -> Check {
        let rail = guardrail(self.status, APPROVAL);
        let (held, withheld) = (number(&rail["held"]), number(&rail["withheld"]));
        let refused = self.said.values().filter(|approves| !**approves).count() as u64;
        let approved = self.said.len() as u64 - refused;
        let still = number(&self.status["guardrails"]["held"]);
        check(
            held == approved + refused && withheld == refused && still == 0,
            format!(
                "{} waited for a person, who approved {approved} and refused {refused}; {still} are still held",
                counted(held, "order")
            ),
        )
    }

    /// Each action came to one enterprise, and to the right one.
    fn of_ways(&self) -> Check {
        let mut came = BTreeMap::<String, u64>::new();
        let mut astray = BTreeSet::new();
        for enterprise in &self.enterprises.all {
            for Arrival { action, .. } in enterprise.arrivals() {
                if !enterprise.is_for(&action) {
                    astray.insert(action.name);
                }
                *came.entry(action.id).or_default() += 1;
            }
        }
        let lost = self.enterprises.lost_property.tally().requests;
        let twice = came.values().filter(|desks| **desks > 1).count();
        let astray: Vec<String> = astray.into_iter().collect();
        check(
            astray.is_empty() && lost == 0 && twice == 0,
            format!(
                "each of {} actions came to the enterprise that it is for, none to two: {twice}; {lost} were without a \
                 route{}",
                came.len(),
                but(&astray)
            ),
        )
    }
}

impl Arrival {
    fn cents(&self) -> u64 {
        self.action.data["cents"].as_u64().unwrap_or(u64::MAX)
    }
}

/// The most that was certainly let pass within the bound's period, of what counts together: an action was let pass after
/// what it is about had happened, and before it came. `of`: what it counts for, and how much.
fn most_within<'a>(arrivals: &'a [Arrival], bound: Bound, of: impl Fn(&'a Arrival) -> (&'a str, u64)) -> u64 {
    let period_ms = bound.seconds * 1_000;
    let mut groups = BTreeMap::<&str, Vec<(u64, u64, u64)>>::new();
    for arrival in arrivals {
        let (group, amount) = of(arrival);
        groups.entry(group).or_default().push((arrival.action.time, arrival.at, amount));
    }
    let mut most = 0;
    for group in groups.values_mut() {
        group.sort_unstable();
        for (place, (begin, ..)) in group.iter().enumerate() {
            let later = group[place..].iter().take_while(|(happened, ..)| *happened < begin + period_ms);
            let within = later.filter(|(_, at, _)| *at < begin + period_ms);
            most = most.max(
                within.map(|(.., amount)| amount).fold(0, |sum: u64, amount| sum.saturating_add(*amount)),
            );
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arrival(happened: u64, at: u64, cents: u64) -> Arrival {
        let time = carpe::format_instant(happened);
        let action = json!({ "id": "1", "type": "supplier.order", "time": time, "data": { "cents": cents } });
        Arrival { action: serde_json::from_value(action).unwrap(), at }
    }

    #[test]
    fn only_what_was_certainly_within_a_period_counts_together() {
        let bound = Bound { at_most: 10, seconds: 1, noun: "cents" };
        let most = |arrivals: &[(u64, u64, u64)]| {
            let arrivals: Vec<_> =
                arrivals.iter().map(|(from, to, cents)| arrival(*from, *to, *cents)).collect();
            most_within(&arrivals, bound, |arrival| ("", arrival.cents()))
        };
        assert_eq!(most(&[]), 0);
        assert_eq!(most(&[(5_000, 5_010, 4), (5_900, 5_999, 3)]), 7);
        assert_eq!(most(&[(5_900, 5_999, 3), (5_000, 5_010, 4), (6_001, 6_002, 2)]), 7);
        // It may have been let pass when the first counted no more.
        assert_eq!(most(&[(5_000, 5_010, 4), (5_900, 6_000, 3)]), 4);
        // It may have been held for so long.
        assert_eq!(most(&[(5_000, 9_000, 4), (8_500, 8_600, 3)]), 3);
    }
}
