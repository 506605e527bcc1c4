//! A machine whose readings are far from its own history books a service before it fails: with another
//! workshop when one declines, and it cancels when the readings turn out to be wrong. See README.md.

use carpe_sdk::patterns::{
    Baseline, Command, Ended, Hysteresis, Learning, Plan, Saga, Step, Thresholds, Turn,
};
use carpe_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// How far a machine's clock may be ahead.
const MAX_AHEAD_MS: u64 = 60_000;
/// How many workshops may be asked for one service: each leaves a booking behind, until its outcome is known.
const MAX_TRIES: u32 = 10;
/// How many bookings of a machine may be open, those of earlier services too.
const MAX_OPEN: usize = 20;
/// When the next workshop is asked.
const AGAIN: &str = "again";

/// The operator's configuration.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SelfMaintenance {
    /// After so many readings one counts half for what is usual.
    half_life_readings: u32,
    /// So many must be known before anything is unusual.
    learn_readings: u32,
    /// Readings that differ by less are alike.
    least_spread: f64,
    /// It needs service when readings are so many spreads from what is usual...
    unusual_score: f64,
    /// ...for so long.
    unusual_minutes: u64,
    /// After a silence that is longer, it must be unusual anew for so long.
    silence_minutes: u64,
    /// It needs none any more when they are no farther than this...
    usual_score: f64,
    /// ...for so long.
    usual_minutes: u64,
    /// A reading below is a broken sensor.
    lowest: f64,
    /// A reading above is a broken sensor.
    highest: f64,
    /// Who is asked, in this order, and then from the first again.
    workshops: Vec<String>,
    /// How many times somebody is asked, for one service.
    tries: u32,
    /// How long a workshop has to answer.
    answer_minutes: u64,
    /// How long it is waited before the next is asked.
    pause_minutes: u64,
}

impl Default for SelfMaintenance {
    fn default() -> Self {
        SelfMaintenance {
            half_life_readings: 2_016,
            learn_readings: 288,
            least_spread: 0.5,
            unusual_score: 2.5,
            unusual_minutes: 240,
            silence_minutes: 60,
            usual_score: 1.5,
            usual_minutes: 240,
            lowest: -100.0,
            highest: 1_000.0,
            workshops: vec!["workshop".to_owned()],
            tries: 6,
            answer_minutes: 30,
            pause_minutes: 60,
        }
    }
}

/// What is remembered of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Machine {
    usual: Baseline,
    unusual: Hysteresis,
    service: Service,
    /// How many workshops were asked for this service.
    tries: u32,
    /// How many were ever asked: so each booking has a number of its own.
    asked: u64,
    /// Bookings of which something is still to be known, or to be undone.
    open: Vec<Booking>,
}

/// How far the service is that the machine needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Service {
    #[default]
    NotNeeded,
    /// A workshop was asked.
    Asked { booking: u64 },
    /// The next is asked when the timer comes due.
    Pausing,
    /// A workshop has taken it, for this instant if it has said so.
    Booked { booking: u64, appointment: Option<Instant> },
    /// Nobody took it.
    GivenUp,
}

/// A booking with one workshop: one step, which cancelling undoes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Booking {
    number: u64,
    workshop: String,
    saga: Saga,
}

/// What a workshop answers to a booking; nothing said is a yes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    accepted: Option<bool>,
    appointment: Option<Instant>,
}

impl Rule for SelfMaintenance {
    type State = Machine;

    fn check(&self) -> Result<()> {
        for (field, value) in [("least_spread", self.least_spread), ("usual_score", self.usual_score)] {
            if value <= 0.0 {
                return Err(Error::new(format!("`{field}` is {value}: it must be above 0")));
            }
        }
        if self.unusual_score <= self.usual_score {
            return Err(Error::new("`unusual_score` must be above `usual_score`"));
        }
        if self.lowest >= self.highest {
            return Err(Error::new("`lowest` must be below `highest`"));
        }
        if self.half_life_readings == 0 || self.learn_readings == 0 || self.answer_minutes == 0 {
            return Err(Error::new(
                "`half_life_readings`, `learn_readings` and `answer_minutes` must be above 0",
            ));
        }
        if !(1..=MAX_TRIES).contains(&self.tries) {
            return Err(Error::new(format!("`tries` is {}: it must be from 1 to {MAX_TRIES}", self.tries)));
        }
        if self.workshops.is_empty() || self.workshops.len() > MAX_TRIES as usize {
            return Err(Error::new(format!("`workshops` must name 1 to {MAX_TRIES}")));
        }
        if let Some(name) = self.workshops.iter().find(|name| name.is_empty() || name.len() > 100) {
            return Err(Error::new(format!("`workshops` has `{name}`: a name is 1 to 100 bytes")));
        }
        self.with_plan(|plan| plan.check())
    }

    fn on_event(&self, event: &Event, machine: &mut Machine, out: &mut Output) -> Result<()> {
        match event.kind() {
            "machine.reading" => self.reading(event, machine, out),
            "machine.serviced" => {
                if let Service::Booked { booking, .. } = machine.service {
                    // What was booked has been done: there is nothing to cancel.
                    machine.open.retain(|open| open.number != booking);
                    machine.service = Service::NotNeeded;
                }
                self.begin_anew("it was serviced meanwhile", event, machine, out)
            }
            _ => self.begin_anew("the sensor was replaced", event, machine, out),
        }
    }

    fn on_timer(&self, timer: &Timer, machine: &mut Machine, out: &mut Output) -> Result<()> {
        if timer.name() == AGAIN {
            if machine.service == Service::Pausing {
                self.book(
                    "service.rebooked",
                    "the next workshop is asked",
                    timer.key(),
                    timer.now(),
                    machine,
                    out,
                )?;
            }
            return Ok(());
        }
        let Some(number) = timer.name().strip_prefix("booking/").and_then(|number| number.parse().ok())
        else {
            return Ok(());
        };
        let commands = self.with_booking(number, machine, |saga, plan| saga.on_time(plan, timer.now()));
        let Some(commands) = commands.transpose()? else { return Ok(()) };
        let is_again = |command: &Command| {
            let Command::Undo { reference, .. } = command else { return false };
            !reference.ends_with("/1")
        };
        let why = match commands.iter().any(is_again) {
            true => "it is told again",
            false => "it has not answered in time",
        };
        self.follow(number, commands, why, None, timer.key(), machine, out)
    }

    fn on_outcome(&self, outcome: &Outcome, machine: &mut Machine, out: &mut Output) -> Result<()> {
        let number = outcome.reference().split('/').next().and_then(|number| number.parse().ok());
        let Some(number) = number else { return Ok(()) };
        let answer = outcome.answer::<Answer>().unwrap_or_default();
        let is_declined = outcome.action() == "workshop.book" && answer.accepted == Some(false);
        let status = match outcome.status() {
            Status::Delivered if is_declined => Status::Rejected,
            status => status,
        };
        let answered = self.with_booking(number, machine, |saga, plan| {
            saga.answered(outcome.reference(), status, plan, outcome.now())
        });
        let why = match status {
            Status::Delivered => "it answered too late",
            Status::Rejected => "it declined",
            Status::Withheld => "asking it was withheld",
            Status::Failed | Status::Expired => "it could not be reached",
        };
        let appointment = answer.appointment.filter(|at| *at < carpe_sdk::INSTANT_LIMIT);
        answered.map_or(Ok(()), |commands| {
            self.follow(number, commands?, why, appointment, outcome.key(), machine, out)
        })
    }
}

impl SelfMaintenance {
    fn reading(&self, event: &Event, machine: &mut Machine, out: &mut Output) -> Result<()> {
        let value = event.number("/value")?;
        if !(self.lowest..=self.highest).contains(&value) {
            return Err(Error::new(format!("{value} at machine {}: is the sensor broken?", event.key())));
        }
        if event.time() > event.now().saturating_add(MAX_AHEAD_MS) {
            // Taken for the latest, it would make every true one late.
            return Err(Error::new(format!(
                "a reading from the future: is the clock of machine {} right?",
                event.key()
            )));
        }
        let learning = Learning {
            half_life: self.half_life_readings,
            values: self.learn_readings,
            least_spread: self.least_spread,
        };
        // While it learns, or if it is late or a repeat, it says nothing.
        let Some(score) = machine.usual.score(value, event.time(), learning) else { return Ok(()) };
        let silence = event.time().saturating_sub(machine.unusual.latest());
        if silence > self.silence_minutes.saturating_mul(60_000) {
            machine.unusual.interrupt();
        }
        let is_in = machine.unusual.is_in();
        let minutes = if is_in { self.usual_minutes } else { self.unusual_minutes };
        let thresholds = Thresholds {
            enter: self.unusual_score,
            leave: self.usual_score,
            dwell: Duration::from_secs(minutes.saturating_mul(60)),
        };
        match machine.unusual.of(score.spreads.abs(), event.time(), thresholds) {
            Some(Turn::Entered) if machine.service == Service::NotNeeded => {
                machine.tries = 0;
                let why = format!(
                    "it reads {value:.1}, {:.1} spreads from {:.1}, which is usual",
                    score.spreads.abs(),
                    score.usual
                );
                self.book("service.needed", &why, event.key(), event.now(), machine, out)
            }
            Some(Turn::Left) => {
                self.cancel("its readings are usual again", event.key(), event.now(), machine, out)
            }
            _ => Ok(()),
        }
    }

    /// What was learnt holds no longer.
    fn begin_anew(&self, why: &str, event: &Event, machine: &mut Machine, out: &mut Output) -> Result<()> {
        self.cancel(why, event.key(), event.now(), machine, out)?;
        machine.usual = Baseline::default();
        machine.unusual = Hysteresis::default();
        Ok(())
    }

    /// Asks the workshop whose turn it is.
    fn book(
        &self,
        kind: &str,
        why: &str,
        key: &str,
        now: Instant,
        machine: &mut Machine,
        out: &mut Output,
    ) -> Result<()> {
        if machine.open.len() >= MAX_OPEN {
            let why = format!("what became of {MAX_OPEN} bookings is not known");
            self.give_up(&why, key, machine, out);
            return Ok(());
        }
        let at = machine.tries as usize % self.workshops.len();
        let workshop = self.workshops.get(at).cloned().unwrap_or_default();
        machine.tries += 1;
        machine.asked += 1;
        let number = machine.asked;
        let mut saga = Saga::default();
        let commands = self.with_plan(|plan| saga.start(number, plan, now))?;
        machine.open.push(Booking { number, workshop: workshop.clone(), saga });
        machine.service = Service::Asked { booking: number };
        for command in commands {
            if let Command::Do { reference, until, .. } = command {
                let data = json!({"machine": key, "workshop": workshop, "booking": number, "why": why});
                out.moment(kind).why(why).expires_at(until).action_with_outcome(
                    "workshop.book",
                    reference,
                    data,
                );
            }
        }
        self.settle(number, machine, out);
        Ok(())
    }

    /// No service is needed: what was asked for or booked is taken back.
    fn cancel(
        &self,
        why: &str,
        key: &str,
        now: Instant,
        machine: &mut Machine,
        out: &mut Output,
    ) -> Result<()> {
        out.timer(AGAIN).cancel();
        let number = match std::mem::take(&mut machine.service) {
            Service::Asked { booking } => booking,
            // It is over: the workshop had its turn.
            Service::Booked { appointment: Some(at), booking } if at <= now => {
                machine.open.retain(|open| open.number != booking);
                return Ok(());
            }
            Service::Booked { booking, .. } => booking,
            Service::NotNeeded | Service::Pausing | Service::GivenUp => return Ok(()),
        };
        self.with_booking(number, machine, |saga, plan| saga.take_back(plan, now))
            .map_or(Ok(()), |commands| self.follow(number, commands?, why, None, key, machine, out))
    }

    /// Does what is to be done for a booking.
    #[expect(clippy::too_many_arguments, reason = "an input, what became of it, and what it changes")]
    fn follow(
        &self,
        number: u64,
        commands: Vec<Command>,
        why: &str,
        appointment: Option<Instant>,
        key: &str,
        machine: &mut Machine,
        out: &mut Output,
    ) -> Result<()> {
        let booking = machine.open.iter().find(|open| open.number == number);
        let Some(workshop) = booking.map(|open| open.workshop.clone()) else { return Ok(()) };
        let data = json!({"machine": key, "workshop": workshop, "booking": number});
        let mut is_over = false;
        for command in commands {
            match command {
                Command::Do { .. } => {}
                Command::Undo { reference, until, .. } => {
                    out.moment("service.cancelled")
                        .why(format!("{workshop}: {why}"))
                        .expires_at(until)
                        .action_with_outcome("workshop.cancel", reference, &data);
                }
                Command::GaveUp { .. } => {
                    out.moment("service.unclear")
                        .why(format!("{workshop} may still wait for the machine: it could not be told"))
                        .action("owner.notify", &data);
                }
                Command::Ended(Ended::Completed) => {
                    machine.service = Service::Booked { booking: number, appointment };
                    let mut data = data.clone();
                    data["appointment"] = json!(appointment);
                    out.moment("service.booked")
                        .why(format!("{workshop} has taken it"))
                        .action("owner.notify", data);
                }
                Command::Ended(Ended::Undone | Ended::Stuck) => is_over = true,
            }
        }
        self.settle(number, machine, out);
        if is_over && machine.service == (Service::Asked { booking: number }) {
            self.ask_again(key, &workshop, why, machine, out);
        }
        Ok(())
    }

    /// The workshop that was asked did not take it.
    fn ask_again(&self, key: &str, workshop: &str, why: &str, machine: &mut Machine, out: &mut Output) {
        if machine.tries < self.tries {
            machine.service = Service::Pausing;
            out.timer(AGAIN).after(Duration::from_secs(self.pause_minutes.saturating_mul(60)));
        } else {
            let why = format!("{} times a workshop was asked, at last {workshop}: {why}", machine.tries);
            self.give_up(&why, key, machine, out);
        }
    }

    fn give_up(&self, why: &str, key: &str, machine: &mut Machine, out: &mut Output) {
        machine.service = Service::GivenUp;
        out.moment("service.unbookable")
            .why(why)
            .action("owner.notify", json!({"machine": key, "tries": machine.tries}));
    }

    /// Forgets a booking of which nothing is to be known any more, else sets its timer.
    fn settle(&self, number: u64, machine: &mut Machine, out: &mut Output) {
        let timer = format!("booking/{number}");
        let is_booked = matches!(machine.service, Service::Booked { booking, .. } if booking == number);
        machine.open.retain(|open| {
            if open.number == number {
                open.saga.set_timer(&timer, out);
            }
            open.number != number || is_booked || open.saga.is_under_way() || open.saga.is_awaiting()
        });
    }

    fn with_booking<T>(
        &self,
        number: u64,
        machine: &mut Machine,
        change: impl FnOnce(&mut Saga, &Plan<'_>) -> T,
    ) -> Option<T> {
        let booking = machine.open.iter_mut().find(|open| open.number == number)?;
        Some(self.with_plan(|plan| change(&mut booking.saga, plan)))
    }

    fn with_plan<T>(&self, then: impl FnOnce(&Plan<'_>) -> T) -> T {
        let answer = Duration::from_secs(self.answer_minutes.saturating_mul(60));
        then(&Plan {
            steps: &[Step::new("book", answer)],
            grace: Duration::from_secs(60),
            undo_within: answer,
            undo_tries: 5,
            undo_pause: Duration::from_secs(60),
        })
    }
}

export_rule!(
    SelfMaintenance,
    on("machine.reading")
        .on("machine.serviced")
        .on("machine.sensor-replaced")
        .moment("service.needed")
        .moment("service.rebooked")
        .moment("service.booked")
        .moment("service.cancelled")
        .moment("service.unbookable")
        .moment("service.unclear")
        .action("workshop.book")
        .action("workshop.cancel")
        .action("owner.notify")
);
