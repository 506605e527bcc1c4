//! What the guardrails say of an action: a function of what they remember, and of the timeline.

use super::amount::{pointed, pointed_text};
use super::config::{Each, Guardrail, Kind, Then};
use super::quiet::TimeZone;
use super::state::{Counter, MOST_COUNTS, MOST_HELD, State, counter_of};
use super::{Judged, Leave, Question};
use crate::event::Instant;
use crate::journal::{ActionId, Contender, Counted, Erasure, Judgement, Muted, Position, Verdict};
use crate::moment::{Moment, MomentAction};

/// The name under which what operators mute by command is counted. No configuration gives a guardrail one with a blank.
pub(super) const MUTED: &str = "carpe mute";

/// A place in the order in which guardrails are asked.
pub(super) fn order(kind: &Kind) -> u8 {
    match kind {
        Kind::Mute(_) => 1,
        Kind::Consent(_) => 2,
        Kind::Frequency(_) => 3,
        Kind::Budget(_) => 4,
        Kind::Exclusive(_) => 5,
        Kind::Approval(_) => 6,
        Kind::QuietHours(_) => 7,
        Kind::Rate(_) => 8,
    }
}

/// What one guardrail says.
enum Said {
    Pass,
    Counts(Counted),
    /// It passes, has held the action before, and will not again; the others have lost to it.
    Won(Vec<(ActionId, Position)>),
    Passed,
    Hold {
        until: Instant,
        reason: String,
        contender: Option<Contender>,
    },
    Withhold(String),
}

/// An action, and how it stands.
struct Case<'a> {
    question: &'a Question<'a>,
    moment: &'a Moment,
    action: &'a MomentAction,
    now: Instant,
    subject: [u8; 32],
    /// Guardrails that have held it and will not again.
    passed: Vec<String>,
    /// The guardrail that holds it, until when, and as what it contends.
    held: Option<(String, Instant, Option<Contender>)>,
    approval: Option<(bool, String)>,
}

pub(super) fn judge(
    rails: &[(String, Guardrail)],
    state: &mut State,
    question: &Question<'_>,
    now: Instant,
) -> Leave {
    let moment = question.moment;
    let action = &moment.actions[question.action];
    let record = state.record(action.id);
    let (mut passed, mut held) = (Vec::new(), None);
    if let Some(Verdict::Held { guardrail, until, passed: before, contender, .. }) =
        record.map(|record| &record.judgement.verdict)
    {
        passed.clone_from(before);
        held = Some((guardrail.clone(), *until, *contender));
    }
    let approval = record.and_then(|record| record.approval.clone());
    let subject = Erasure::hash(moment.subject());
    let mut case = Case { question, moment, action, now, subject, passed, held, approval };
    let mut losers: Vec<(ActionId, Position, &str)> = Vec::new();
    let mut counted = Vec::new();
    let mut covered = false;
    let mut verdict = muted(state, &case).map(|reason| (MUTED, Said::Withhold(reason)));
    for (name, rail) in rails {
        if verdict.is_some() {
            break;
        }
        if !covers(rail, &case) || case.passed.contains(name) {
            continue;
        }
        covered = true;
        match ask(name, &rail.kind, state, &case) {
            Said::Pass => {}
            Said::Counts(count) => counted.push(count),
            Said::Passed => case.passed.push(name.clone()),
            Said::Won(beaten) => {
                case.passed.push(name.clone());
                losers.extend(beaten.into_iter().map(|(id, at)| (id, at, name.as_str())));
            }
            said => verdict = Some((name, said)),
        }
    }
    if !covered && verdict.is_none() && case.held.is_none() {
        return Leave::Go;
    }
    let verdict = match verdict {
        Some((name, Said::Hold { until, reason, contender })) => {
            // Found out again after a restart: nothing need be journaled.
            if losers.is_empty() && case.held.as_ref().is_some_and(|(holder, ..)| holder == name) {
                state.held_longer(action.id, until);
                return Leave::Held(until);
            }
            if case.held.is_none() && state.held() >= MOST_HELD {
                let reason = format!("it would be held, and {MOST_HELD} actions are already");
                Verdict::Withheld { guardrail: name.to_owned(), reason }
            } else {
                Verdict::Held { guardrail: name.to_owned(), reason, until, passed: case.passed, contender }
            }
        }
        Some((name, Said::Withhold(reason))) => Verdict::Withheld { guardrail: name.to_owned(), reason },
        _ => Verdict::Allowed { counted },
    };
    let judgement = |id, at, key, verdict| Judgement { id, at, now, subject, key, verdict };
    let key = Erasure::hash(&moment.key);
    let mut judged = vec![Judged {
        rule: moment.rule.clone(),
        judgement: judgement(action.id, moment.position, key, verdict),
    }];
    for (id, at, name) in losers {
        let Some(record) = state.record(id) else { continue };
        let reason = format!("a more important moment about the same subject acted: `{}`", moment.kind);
        let verdict = Verdict::Withheld { guardrail: name.to_owned(), reason };
        let judgement = judgement(id, at, record.judgement.key, verdict);
        judged.push(Judged { rule: record.rule.clone(), judgement });
    }
    Leave::Judged(judged)
}

fn covers(rail: &Guardrail, case: &Case<'_>) -> bool {
    let is_meant = match &rail.kind {
        Kind::Rate(rate) => rate.sink == case.question.sink,
        // A copy for a further sink is the same action again.
        _ => case.action.copy.is_none(),
    };
    is_meant && rail.covers.covers(&case.moment.rule, &case.moment.kind, &case.action.name)
}

/// What operators muted by command.
fn muted(state: &State, case: &Case<'_>) -> Option<String> {
    if state.mutes.is_empty() || case.action.copy.is_some() {
        return None;
    }
    let on =
        |what: &Muted| state.mutes.get(what).filter(|mute| mute.until.is_none_or(|until| until > case.now));
    let kind = &case.moment.kind;
    let by_kind = || {
        state.mutes.iter().find_map(|(what, mute)| match what {
            Muted::Moment(pattern)
                if pattern.strip_suffix('*').map_or(pattern == kind, |start| kind.starts_with(start)) =>
            {
                Some(mute).filter(|mute| mute.until.is_none_or(|until| until > case.now))
            }
            _ => None,
        })
    };
    let (what, mute) = if let Some(mute) = on(&Muted::Rule(case.moment.rule.clone())) {
        ("the rule", mute)
    } else if let Some(mute) = on(&Muted::Subject(case.subject)) {
        ("the subject", mute)
    } else {
        ("the kind of moment", by_kind()?)
    };
    let why = if mute.why.is_empty() { String::new() } else { format!(": {}", mute.why) };
    Some(match mute.until {
        Some(until) => format!("{what} is muted until {}{why}", crate::event::format_instant(until)),
        None => format!("{what} is muted{why}"),
    })
}

fn ask(name: &str, kind: &Kind, state: &State, case: &Case<'_>) -> Said {
    match kind {
        Kind::Mute(mute) => {
            let over = mute.until.is_some_and(|until| until <= case.now);
            let subject = case.moment.subject();
            if over || !(mute.subjects.is_empty() || mute.subjects.iter().any(|muted| muted == subject)) {
                return Said::Pass;
            }
            Said::Withhold(match mute.until {
                Some(until) => format!("muted until {}", crate::event::format_instant(until)),
                None => "muted".to_owned(),
            })
        }
        Kind::Consent(consent) => {
            let Some(purpose) = consent.purpose(&case.action.name) else {
                return Said::Withhold(format!(
                    "no purpose is known for the action `{}`: add one to `purposes`",
                    case.action.name
                ));
            };
            if let Some(nobody) = nobody(case) {
                return nobody;
            }
            match state.consents.get(&(purpose.to_owned(), case.subject)) {
                Some(known) if known.given => Said::Pass,
                Some(_) => Said::Withhold(format!("the subject has said no to `{purpose}`")),
                None => Said::Withhold(format!("the subject has given no yes for `{purpose}`")),
            }
        }
        Kind::Frequency(frequency) => {
            let count = Count { each: frequency.each, amount: 1, at_most: frequency.at_most };
            count.within(name, frequency.period_ms, state, case, |period| {
                format!("{} in {period} are as many as may be", frequency.at_most)
            })
        }
        Kind::Budget(budget) => {
            let amount = match pointed(&case.action.data, &budget.amount_pointer) {
                Ok(amount) => amount,
                Err(reason) => return Said::Withhold(reason.to_string()),
            };
            let count = Count { each: budget.each, amount, at_most: budget.at_most_millionths };
            count.within(name, budget.period_ms, state, case, |period| {
                format!(
                    "{} more would be over the budget of {} in {period}",
                    millionths(amount),
                    millionths(budget.at_most_millionths)
                )
            })
        }
        Kind::Exclusive(exclusive) => {
            if let Some(nobody) = nobody(case) {
                return nobody;
            }
            contest(
                name,
                u32::try_from(exclusive.place(&case.moment.kind)).unwrap_or(u32::MAX),
                exclusive.window_ms,
                state,
                case,
            )
        }
        Kind::Approval(approval) => {
            if let Some(above) = &approval.above {
                match pointed(&case.action.data, &above.amount_pointer) {
                    Ok(amount) if amount <= above.above_millionths => return Said::Pass,
                    Ok(_) => {}
                    Err(reason) => return Said::Withhold(reason.to_string()),
                }
            }
            let by = |why: &str| if why.is_empty() { String::new() } else { format!(": {why}") };
            match (&case.held, &case.approval) {
                (Some((holder, ..)), Some((true, _))) if holder == name => Said::Passed,
                (Some((holder, ..)), Some((false, why))) if holder == name => {
                    Said::Withhold(format!("refused{}", by(why)))
                }
                (Some((holder, until, _)), None) if holder == name && *until <= case.now => {
                    Said::Withhold("nobody approved it in time".to_owned())
                }
                (Some((holder, until, _)), None) if holder == name => {
                    Said::Hold { until: *until, reason: String::new(), contender: None }
                }
                _ => Said::Hold {
                    until: case.now.saturating_add(approval.within_ms),
                    reason: "it waits for a person's approval".to_owned(),
                    contender: None,
                },
            }
        }
        Kind::QuietHours(quiet) => {
            let own = quiet.time_zone_pointer.as_ref().and_then(|pointer| {
                let name = pointed_text(&case.action.data, pointer).ok()?;
                TimeZone::parse(&name).ok()
            });
            let Some(zone) = own.as_ref().or(quiet.time_zone.as_ref()) else {
                let reason =
                    "the time zone is not known: the action names none, and the guardrail has no `time_zone`";
                return Said::Withhold(reason.to_owned());
            };
            if !quiet.hours.is_quiet(case.now, zone) {
                return Said::Pass;
            }
            let until = quiet.hours.ends(case.now, zone);
            match quiet.then {
                Then::Hold => {
                    Said::Hold { until, reason: "these are quiet hours".to_owned(), contender: None }
                }
                Then::Withhold => Said::Withhold("these are quiet hours".to_owned()),
            }
        }
        Kind::Rate(rate) => {
            let counter = Counter { guardrail: name.to_owned(), subject: [0; 32] };
            let (period_ms, at_most) = (rate.period_ms, rate.at_most);
            let full = format!(
                "the sink `{}` has been given {at_most} in {}, as many as may be",
                rate.sink,
                period(period_ms)
            );
            if state.sum(&counter, case.now, period_ms) < at_most {
                let counted = Counted { guardrail: name.to_owned(), subject: None, amount: 1, period_ms };
                return Said::Counts(counted);
            }
            match (rate.then, state.free_at(&counter, case.now, period_ms, at_most, 1)) {
                (Then::Hold, Some(until)) => Said::Hold { until, reason: full, contender: None },
                _ => Said::Withhold(full),
            }
        }
    }
}

/// A guardrail that goes by the subject, and finds none, withholds.
fn nobody(case: &Case<'_>) -> Option<Said> {
    case.moment.subject().is_empty().then(|| {
        Said::Withhold("the moment has neither a subject nor a key: whom it is about is not known".to_owned())
    })
}

/// One more of something that is counted.
struct Count {
    each: Each,
    amount: u64,
    at_most: u64,
}

impl Count {
    fn within(
        &self,
        name: &str,
        period_ms: u64,
        state: &State,
        case: &Case<'_>,
        reason: impl FnOnce(String) -> String,
    ) -> Said {
        let subject = match self.each {
            Each::Subject => {
                if let Some(nobody) = nobody(case) {
                    return nobody;
                }
                Some(case.subject)
            }
            Each::All => None,
        };
        let counted = Counted { guardrail: name.to_owned(), subject, amount: self.amount, period_ms };
        let counter = counter_of(&counted);
        if state.sum(&counter, case.now, period_ms).saturating_add(self.amount) > self.at_most {
            return Said::Withhold(reason(period(period_ms)));
        }
        if !state.has_room_for(&counter) {
            return Said::Withhold(format!("counts are kept of as many as may be, {MOST_COUNTS}"));
        }
        Said::Counts(counted)
    }
}

/// Of several moments about a subject within a window, the most important goes on at its end.
fn contest(name: &str, rank: u32, window_ms: u64, state: &State, case: &Case<'_>) -> Said {
    let counter = Counter { guardrail: name.to_owned(), subject: case.subject };
    let mine = Contender { rank, moment: case.moment.id };
    let waits = |until| Said::Hold {
        until,
        reason: "it waits for what may be more important".to_owned(),
        contender: Some(mine),
    };
    let (until, contender) = match &case.held {
        Some((holder, until, Some(contender))) if holder == name => (*until, *contender),
        _ => {
            let until = state.contest(&counter, case.now);
            return waits(until.unwrap_or(case.now.saturating_add(window_ms)));
        }
    };
    if until > case.now {
        return waits(until);
    }
    // Of equals, the one that occurred first.
    let best = state
        .contenders(&counter, until)
        .map(|(_, at, contender)| (contender.rank, at, contender.moment))
        .min();
    if best.is_some_and(|(.., moment)| moment != contender.moment) {
        return Said::Withhold("a more important moment about the same subject acts".to_owned());
    }
    let beaten = state.contenders(&counter, until).filter(|(.., other)| other.moment != contender.moment);
    Said::Won(beaten.map(|(id, at, _)| (id, at)).collect())
}

/// A period, for people.
fn period(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        _ if !milliseconds.is_multiple_of(1_000) => format!("{milliseconds} ms"),
        s if s >= 86_400 && s.is_multiple_of(86_400) => unit(s / 86_400, "day"),
        s if s >= 3_600 && s.is_multiple_of(3_600) => unit(s / 3_600, "hour"),
        s if s >= 60 && s.is_multiple_of(60) => unit(s / 60, "minute"),
        s => unit(s, "second"),
    }
}

fn unit(count: u64, name: &str) -> String {
    if count == 1 { format!("a {name}").replace("a hour", "an hour") } else { format!("{count} {name}s") }
}

fn millionths(amount: u64) -> String {
    let (whole, rest) = (amount / 1_000_000, amount % 1_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:06}").trim_end_matches('0').to_owned()
}
