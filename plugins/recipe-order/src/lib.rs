//! A viewer taps a recipe in a video, and its ingredients are ordered through five enterprises, each behind
//! its own webhook; if one of them fails, what was done is undone. The viewer hears of it once. See
//! README.md.

use carpe_sdk::patterns::{Command, Ended, Plan, Saga, Step};
use carpe_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// How far an app's clock may be ahead.
const MAX_AHEAD_MS: u64 = 60_000;
/// Whose tap is older has scrolled on; so a tap that is told again later never orders what was forgotten.
const MAX_AGE_MS: u64 = 300_000;
const DAY_MS: u64 = 86_400_000;
/// What an id takes at most.
const MAX_ID: usize = 200;

/// What the plan's steps are, in order: their names, and what they ask for and are undone by.
const STEPS: [(&str, &str, Option<&str>); 5] = [
    ("identity", "identity.verify", None),
    ("payment", "payment.charge", Some("payment.refund")),
    ("grocer", "grocer.order", Some("grocer.cancel")),
    ("delivery", "delivery.book", Some("delivery.cancel")),
    ("loyalty", "loyalty.credit", None),
];

/// The operator's configuration.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RecipeOrder {
    /// How long each enterprise has to take its step.
    answer_seconds: u64,
    /// How long each has to undo it.
    undo_seconds: u64,
    /// How many times undoing is tried.
    undo_tries: u8,
    /// How long it is paused before it is tried again; it doubles each time.
    undo_pause_seconds: u64,
    /// An order costs no more than this.
    max_cents: u64,
    /// For how long an order is remembered after its end.
    remember_days: u64,
}

impl Default for RecipeOrder {
    fn default() -> Self {
        RecipeOrder {
            answer_seconds: 60,
            undo_seconds: 3_600,
            undo_tries: 10,
            undo_pause_seconds: 60,
            max_cents: 20_000,
            remember_days: 30,
        }
    }
}

/// What is remembered of an order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Order {
    saga: Saga,
    viewer: String,
    recipe: String,
    servings: u32,
    cents: u64,
    /// Who the viewer is to the others, as the phone operator says.
    customer: Option<String>,
    /// The step that failed, and how.
    failed: Option<String>,
    /// The viewer has heard how it ended.
    told: bool,
    /// Somebody has been asked to see to it.
    stuck: bool,
}

#[derive(Deserialize)]
struct Tapped {
    recipe: String,
    servings: u32,
    cents: u64,
}

/// What an enterprise answers; nothing said is a yes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    accepted: Option<bool>,
    customer: Option<String>,
}

impl Rule for RecipeOrder {
    type State = Order;

    fn check(&self) -> Result<()> {
        for (field, value) in [
            ("answer_seconds", self.answer_seconds),
            ("undo_seconds", self.undo_seconds),
            ("undo_pause_seconds", self.undo_pause_seconds),
            ("max_cents", self.max_cents),
            ("remember_days", self.remember_days),
        ] {
            if value == 0 {
                return Err(Error::new(format!("`{field}` is 0: it must be above")));
            }
        }
        self.with_plan(|plan| plan.check()).map_err(|error| Error::new(format!("`undo_tries`: {error}")))
    }

    fn on_event(&self, event: &Event, order: &mut Order, out: &mut Output) -> Result<()> {
        let tapped: Tapped = event.data()?;
        let viewer = event.attribute("subject")?;
        for (field, id) in [("order", event.key()), ("recipe", &tapped.recipe), ("subject", viewer)] {
            if id.is_empty() || id.len() > MAX_ID {
                return Err(Error::new(format!("`{field}` must be an id of 1 to {MAX_ID} bytes")));
            }
        }
        if !(1..=20).contains(&tapped.servings) || !(1..=self.max_cents).contains(&tapped.cents) {
            return Err(Error::new(format!(
                "{} servings for {} cents: from 1 to 20, and from 1 to {}, are taken",
                tapped.servings, tapped.cents, self.max_cents
            )));
        }
        if event.time() > event.now().saturating_add(MAX_AHEAD_MS) {
            return Err(Error::new(format!("a tap from the future: is the clock of viewer {viewer} right?")));
        }
        if event.time().saturating_add(MAX_AGE_MS) < event.now() || *order != Order::default() {
            return Ok(()); // Too old, or a repeat: it is ordered once.
        }
        *order = Order {
            viewer: viewer.to_owned(),
            recipe: tapped.recipe,
            servings: tapped.servings,
            cents: tapped.cents,
            ..Order::default()
        };
        let commands = self.with_plan(|plan| order.saga.start(1, plan, event.now()))?;
        self.follow(commands, event.key(), event.now(), order, out);
        Ok(())
    }

    fn on_timer(&self, timer: &Timer, order: &mut Order, out: &mut Output) -> Result<()> {
        if timer.name() == "forget" {
            if order.saga.is_awaiting() || order.saga.is_under_way() {
                // An outcome that is still to come may have to be undone.
                out.timer("forget").at(self.forgets(timer.now()));
            } else {
                *order = Order::default();
            }
            return Ok(());
        }
        let asked = order.saga.current();
        let commands = self.with_plan(|plan| order.saga.on_time(plan, timer.now()))?;
        order.fails(asked, "has not answered in time");
        self.follow(commands, timer.key(), timer.now(), order, out);
        Ok(())
    }

    fn on_outcome(&self, outcome: &Outcome, order: &mut Order, out: &mut Output) -> Result<()> {
        let answer = outcome.answer::<Answer>().unwrap_or_default();
        let status = match outcome.status() {
            Status::Delivered if answer.accepted == Some(false) => Status::Rejected,
            status => status,
        };
        if status == Status::Delivered && outcome.action() == "identity.verify" && order.customer.is_none() {
            order.customer = answer.customer.filter(|customer| customer.len() <= MAX_ID);
        }
        let asked = order.saga.current();
        let commands =
            self.with_plan(|plan| order.saga.answered(outcome.reference(), status, plan, outcome.now()))?;
        let how = match status {
            Status::Rejected => "has declined",
            Status::Withheld => "was withheld",
            Status::Delivered | Status::Failed | Status::Expired => "could not be reached",
        };
        order.fails(asked, how);
        self.follow(commands, outcome.key(), outcome.now(), order, out);
        Ok(())
    }
}

impl RecipeOrder {
    /// Does what is to be done.
    fn follow(&self, commands: Vec<Command>, key: &str, now: Instant, order: &mut Order, out: &mut Output) {
        for command in commands {
            match command {
                Command::Do { step, reference, until } => {
                    let (name, action, _) = STEPS[step];
                    out.moment("order.step")
                        .why(format!("the step {name} is next"))
                        .subject(&order.viewer)
                        .expires_at(until)
                        .action_with_outcome(action, reference, order.asks(step, key));
                }
                Command::Undo { step, reference, until } => {
                    let (name, _, undo) = STEPS[step];
                    let why = order.failed.clone().unwrap_or_default();
                    if let Some(undo) = undo {
                        out.moment("order.undoing")
                            .why(format!("the step {name} is undone: {why}"))
                            .subject(&order.viewer)
                            .expires_at(until)
                            .action_with_outcome(undo, reference, json!({"order": key}));
                    }
                }
                Command::GaveUp { step } => {
                    order.stuck = true;
                    let name = STEPS[step].0;
                    out.moment("order.stuck")
                        .why(format!("the step {name} could not be undone: somebody must see to it"))
                        .subject(&order.viewer)
                        .action("support.open", json!({"order": key, "step": name}));
                }
                Command::Ended(ended) => self.ends(ended, key, now, order, out),
            }
        }
        order.saga.set_timer("steps", out);
    }

    /// It has come to an end; perhaps again, after a late outcome.
    fn ends(&self, ended: Ended, key: &str, now: Instant, order: &mut Order, out: &mut Output) {
        out.timer("forget").at(self.forgets(now));
        if ended == Ended::Undone && std::mem::take(&mut order.stuck) {
            out.moment("order.settled")
                .why("what could not be undone is undone after all")
                .subject(&order.viewer)
                .action("support.close", json!({"order": key}));
        }
        if std::mem::replace(&mut order.told, true) {
            return;
        }
        let is_ordered = ended == Ended::Completed;
        let (kind, why) = match (ended, order.failed.as_deref().unwrap_or("nothing was done")) {
            (Ended::Completed, _) => ("order.confirmed", "the ingredients are on their way".to_owned()),
            (Ended::Undone, why) => ("order.failed", format!("nothing is ordered or charged: {why}")),
            (Ended::Stuck, why) => ("order.failed", format!("somebody will see to what is left: {why}")),
        };
        let (viewer, recipe) = (&order.viewer, &order.recipe);
        let data =
            json!({"order": key, "viewer": viewer, "recipe": recipe, "ordered": is_ordered, "why": why});
        out.moment(kind).why(why).subject(&order.viewer).action("viewer.notify", data);
    }

    fn forgets(&self, now: Instant) -> Instant {
        now.saturating_add(self.remember_days.saturating_mul(DAY_MS))
    }

    fn with_plan<T>(&self, then: impl FnOnce(&Plan<'_>) -> T) -> T {
        let answer = Duration::from_secs(self.answer_seconds);
        let step = |at: usize| Step::new(STEPS[at].0, answer);
        then(&Plan {
            // Nobody shall go without dinner for want of points.
            steps: &[step(0).without_undo(), step(1), step(2), step(3), step(4).without_undo().optional()],
            grace: Duration::from_secs(5),
            undo_within: Duration::from_secs(self.undo_seconds),
            undo_tries: self.undo_tries,
            undo_pause: Duration::from_secs(self.undo_pause_seconds),
        })
    }
}

impl Order {
    /// What an enterprise needs to know, and no more.
    fn asks(&self, step: usize, key: &str) -> impl Serialize {
        let customer = &self.customer;
        match STEPS[step].0 {
            "identity" => json!({"order": key, "viewer": self.viewer}),
            "grocer" => json!({"order": key, "recipe": self.recipe, "servings": self.servings}),
            "delivery" => json!({"order": key, "customer": customer}),
            _ => json!({"order": key, "customer": customer, "cents": self.cents}),
        }
    }

    fn is_ordered(&self) -> bool {
        self.saga.ended() == Some(Ended::Completed)
    }

    /// Remembers which step was asked for when it failed, and how.
    fn fails(&mut self, asked: Option<usize>, how: &str) {
        if let Some(step) = asked.filter(|_| self.saga.current().is_none() && !self.is_ordered()) {
            self.failed = Some(format!("{} {how}", STEPS[step].0));
        }
    }
}

export_rule!(
    RecipeOrder,
    on("recipe.tapped")
        .keyed_by_data("/order")
        .attribute("subject")
        .moment("order.step")
        .moment("order.undoing")
        .moment("order.stuck")
        .moment("order.settled")
        .moment("order.confirmed")
        .moment("order.failed")
        .action("identity.verify")
        .action("payment.charge")
        .action("payment.refund")
        .action("grocer.order")
        .action("grocer.cancel")
        .action("delivery.book")
        .action("delivery.cancel")
        .action("loyalty.credit")
        .action("support.open")
        .action("support.close")
        .action("viewer.notify")
);
