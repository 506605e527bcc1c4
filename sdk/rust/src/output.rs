//! What should follow.

use std::time::Duration;

use serde::Serialize;

use crate::contract::{ActionEffect, Effects, Failure, INSTANT_LIMIT, Instant, MomentEffect, TimerChange};
use crate::error::Error;

/// Takes what should follow from one input. Nothing happens unless the input succeeds; then all of it does.
#[derive(Debug)]
pub struct Output {
    pub(crate) effects: Effects,
    cause: u32,
    now: Instant,
    /// Where the current input's effects begin.
    mark: Mark,
    /// The first of what was given that cannot be written as JSON.
    broken: Option<Error>,
}

#[derive(Debug, Default)]
struct Mark {
    timers: usize,
    moments: usize,
    failures: usize,
}

/// A moment in the making: something that occurred and passes.
#[derive(Debug)]
pub struct Moment<'o> {
    moment: &'o mut MomentEffect,
    now: Instant,
    broken: &'o mut Option<Error>,
}

/// A timer to be set or cancelled.
#[derive(Debug)]
#[must_use = "say when: `.after(duration)`, `.at(instant)` or `.cancel()`"]
pub struct TimerSetting<'o> {
    output: &'o mut Output,
    name: String,
}

impl Output {
    pub(crate) fn new(effects: Effects) -> Self {
        Output { effects, cause: 0, now: 0, mark: Mark::default(), broken: None }
    }

    pub(crate) fn begin(&mut self, cause: u32, now: Instant) {
        self.cause = cause;
        self.now = now;
        self.mark = Mark {
            timers: self.effects.timers.len(),
            moments: self.effects.moments.len(),
            failures: self.effects.failures.len(),
        };
        self.broken = None;
    }

    /// Ends an input that went well; an error if something it gave cannot be written.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Undoes what the input gave, and sets it aside.
    pub(crate) fn undo(&mut self, error: Error) {
        self.effects.timers.truncate(self.mark.timers);
        self.effects.moments.truncate(self.mark.moments);
        self.effects.failures.truncate(self.mark.failures);
        self.effects.failures.push(Failure { input: self.cause, message: error.into_message() });
    }

    /// A moment of this kind, which the rule's description names, occurred: about the input's key, at its time.
    ///
    /// ```
    /// # use carpe_sdk::prelude::*;
    /// # fn rises(event: &Event, out: &mut Output) {
    /// out.moment("flood.rising")
    ///     .why("the river rose 40 cm in an hour")
    ///     .expires_in(Duration::from_secs(3600))
    ///     .action("alert.residents", json!({"gauge": event.key()}));
    /// # }
    /// ```
    pub fn moment(&mut self, kind: impl Into<String>) -> Moment<'_> {
        self.effects.moments.push(MomentEffect {
            cause: self.cause,
            kind: kind.into(),
            why: String::new(),
            subject: None,
            data: None,
            expires: None,
            actions: Vec::new(),
        });
        let last = self.effects.moments.len() - 1;
        Moment { moment: &mut self.effects.moments[last], now: self.now, broken: &mut self.broken }
    }

    /// A timer of the input's key, by its name. Keys don't share timers.
    pub fn timer(&mut self, name: impl Into<String>) -> TimerSetting<'_> {
        TimerSetting { output: self, name: name.into() }
    }

    /// Sets the input aside, with what is wrong with it for people, but keeps what the rule makes of it: for an
    /// input of which a part makes sense. To keep nothing, return an error instead.
    pub fn fail(&mut self, message: impl Into<String>) {
        self.effects.failures.push(Failure { input: self.cause, message: message.into() });
    }
}

impl Moment<'_> {
    /// One line for people: why now.
    pub fn why(&mut self, why: impl Into<String>) -> &mut Self {
        self.moment.why = why.into();
        self
    }

    /// Whom or what it concerns, e.g. a person's id, if that is not the key: what consent, caps and erasure go by.
    pub fn subject(&mut self, subject: impl Into<String>) -> &mut Self {
        self.moment.subject = Some(subject.into());
        self
    }

    /// For programs: the facts of it.
    pub fn data(&mut self, data: impl Serialize) -> &mut Self {
        if let Some(text) = self.json("data", data) {
            self.moment.data = Some(text);
        }
        self
    }

    /// Until when its actions may be taken.
    pub fn expires_at(&mut self, instant: Instant) -> &mut Self {
        self.moment.expires = Some(instant.min(INSTANT_LIMIT - 1));
        self
    }

    /// For how long, from the timeline's `now`, its actions may be taken.
    pub fn expires_in(&mut self, duration: Duration) -> &mut Self {
        self.expires_at(later(self.now, duration))
    }

    /// What to do about it, and what the other side needs to know. What becomes of it is not told.
    pub fn action(&mut self, name: impl Into<String>, data: impl Serialize) -> &mut Self {
        self.push(name.into(), None, data)
    }

    /// What to do about it. [`crate::Rule::on_outcome`] is called, once, with what became of it and this
    /// reference, by which the rule can tell its actions apart.
    pub fn action_with_outcome(
        &mut self,
        name: impl Into<String>,
        reference: impl Into<String>,
        data: impl Serialize,
    ) -> &mut Self {
        self.push(name.into(), Some(reference.into()), data)
    }

    fn push(&mut self, name: String, reference: Option<String>, data: impl Serialize) -> &mut Self {
        if let Some(data) = self.json(&name, data) {
            self.moment.actions.push(ActionEffect { name, reference, data });
        }
        self
    }

    fn json(&mut self, of: &str, data: impl Serialize) -> Option<String> {
        match serde_json::to_string(&data) {
            Ok(text) => Some(text),
            Err(error) => {
                let kind = &self.moment.kind;
                self.broken.get_or_insert_with(|| {
                    Error::new(format!("{of} of moment `{kind}` cannot be written as JSON: {error}"))
                });
                None
            }
        }
    }
}

impl TimerSetting<'_> {
    /// Sets it to an instant on the timeline, in place of an earlier setting. One already past is due at once.
    pub fn at(self, instant: Instant) {
        self.change(Some(instant.min(INSTANT_LIMIT - 1)));
    }

    /// Sets it to so long after the timeline's `now`. Fractions of a millisecond are cut.
    pub fn after(self, duration: Duration) {
        let at = later(self.output.now, duration);
        self.at(at);
    }

    /// Cancels it. If it is not set, that does nothing.
    pub fn cancel(self) {
        self.change(None);
    }

    fn change(self, at: Option<Instant>) {
        let cause = self.output.cause;
        self.output.effects.timers.push(TimerChange { cause, name: self.name, at });
    }
}

fn later(instant: Instant, duration: Duration) -> Instant {
    instant.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
