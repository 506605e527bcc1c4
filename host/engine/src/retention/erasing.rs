//! Carrying out erasures: nothing in the data folder names whom somebody asked to forget.

use std::sync::PoisonError;

use super::{KeepError, Keeper, millis, remove_file};
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::base;
use crate::event::{Fields, Instant};
use crate::journal::{Body, Decision, Entry, Erasure, Given, GuardChange, Muted, Position};
use crate::pipeline::key::key_of;
use crate::pipeline::timeline::wall_clock;
use crate::rule::Subscription;

impl Keeper {
    /// Carries out the erasures whose time has come. All folds go past what was asked for first; then a new base and
    /// a new store hold only what is left, older bases go, and entries of the journal give way to marks.
    ///
    /// `false`: not all of it could be done yet.
    pub(super) fn erase(&self, store: &CheckpointStore, now: bool) -> Result<bool, KeepError> {
        let asked = self.shared.erasures.read().unwrap_or_else(PoisonError::into_inner).clone();
        let within = millis(self.limits.erase_within);
        // Half of the time is for what may come between.
        let is_due = |instant: Instant| now || wall_clock().saturating_sub(instant) >= within / 2;
        let due: Vec<&(Position, Instant, Erasure)> =
            asked.iter().filter(|(_, instant, _)| is_due(*instant)).collect();
        let Some(last) = due.iter().map(|(position, ..)| *position).max() else { return Ok(true) };
        self.new_checkpoints(last + 1);
        for (rule, position) in self.rules().filter(|(_, position)| *position <= last) {
            let overdue = due.iter().any(|(_, instant, _)| wall_clock().saturating_sub(*instant) >= within);
            if !overdue && !now {
                return Ok(false);
            }
            tracing::warn!(
                rule,
                position,
                "the rule lags behind an erasure that is to be carried out: it is left behind"
            );
            self.skip(&rule, last + 1);
        }
        self.new_checkpoints(last + 1);
        if store.standing()?.position() <= last {
            return Ok(false);
        }
        let base = store.write_base_and_remake(&self.bases)?;
        for older in base::list(&self.bases, false)?.iter().filter(|older| older.position < base.position) {
            remove_file(&older.path)?;
        }
        let subscriptions = |rule: &str| self.registry.subscriptions(rule);
        let wanted: Vec<Wanted> =
            due.iter().map(|(_, _, erasure)| Wanted::of(erasure, &subscriptions)).collect();
        let erased = self
            .shared
            .journal
            .erase(base.position, &|entry| wanted.iter().any(|wanted| wanted.covers(entry)))?;
        for (position, ..) in due {
            let done = Body::ErasureDone { asked: *position };
            if self.shared.intake.append_wait(vec![done]).is_ok() {
                let mut erasures = self.shared.erasures.write().unwrap_or_else(PoisonError::into_inner);
                erasures.retain(|(asked, ..)| asked != position);
                tracing::info!(
                    asked = position,
                    "an erasure is done: the last copy in the data folder is gone"
                );
            }
        }
        tracing::info!(entries = erased, base = base.position, "entries of the journal were erased");
        Ok(true)
    }
}

/// An erasure, and what the rule that it is about is given.
struct Wanted {
    erasure: Erasure,
    subscriptions: Vec<Subscription>,
}

impl Wanted {
    fn of(erasure: &Erasure, subscriptions: &dyn Fn(&str) -> Vec<Subscription>) -> Self {
        let of_rule = erasure.rule.as_deref().map(subscriptions);
        Wanted { erasure: erasure.clone(), subscriptions: of_rule.unwrap_or_default() }
    }

    fn covers(&self, entry: &Entry) -> bool {
        match &entry.body {
            Body::Event(event) => self.covers_event(&event.fields()),
            Body::Outcome(outcome) => self.covers_key(&outcome.rule, &outcome.key),
            Body::KeyChange(change) => self.covers_key(&change.rule, &change.key),
            Body::Guard(change) => {
                let subject = match &**change {
                    GuardChange::Consent { subject, .. } => Some(subject),
                    GuardChange::Mute { what, .. } | GuardChange::Unmute { what } => match what {
                        Muted::Subject(subject) => Some(subject),
                        Muted::Rule(_) | Muted::Moment(_) => None,
                    },
                    GuardChange::Approval { .. } => None,
                };
                self.erasure.rule.is_none() && subject == Some(&self.erasure.name_hash)
            }
            Body::Decision { rule, decision } => match &**decision {
                Decision::SetAside { key, .. } => self.covers_key(rule, key),
                Decision::Judged(judgement) => {
                    let name = self.erasure.name_hash;
                    self.erasure.rule.as_ref().is_none_or(|of| of == rule)
                        && (judgement.subject == name || judgement.key == name)
                }
                Decision::GivenAgain { key, given, .. } => {
                    self.covers_key(rule, key)
                        || matches!(given, Given::Event(event) if self.covers_event(&event.fields()))
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn covers_key(&self, rule: &str, key: &str) -> bool {
        self.erasure.rule.as_ref().is_none_or(|of| of == rule) && self.erasure.names(key)
    }

    /// Of a subject: events about it, and actions for its keys that came back into the host. Of a rule's key: what
    /// the rule subscribes to and is about it, whether or not a filter let it pass.
    fn covers_event(&self, event: &Fields<'_>) -> bool {
        let from_key = event.attribute("carpekey");
        if let Some(rule) = &self.erasure.rule {
            let given = |wanted: &Subscription| {
                wanted.takes(event.kind())
                    && key_of(event, &wanted.keyed_by).is_some_and(|key| self.erasure.names(&key))
            };
            return self.subscriptions.iter().any(given)
                || event.attribute("carperule").is_some_and(|of| of == *rule)
                    && from_key.is_some_and(|key| self.erasure.names(&key));
        }
        [event.attribute("subject"), from_key].into_iter().flatten().any(|name| self.erasure.names(&name))
    }
}
