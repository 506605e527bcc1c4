//! A simulated city, one file for each thing that happens in it. The same seed gives the same city, tick by tick; only
//! the instants are those of the clock, and what enterprises have done to it.

pub(super) mod homes;
pub(super) mod junctions;
pub(super) mod machines;
pub(super) mod rivers;
pub(super) mod rubbish;
pub(super) mod street;
pub(super) mod vending;
pub(super) mod videos;
pub(super) mod viewers;
pub(super) mod walkers;

use carpe::{Event, Instant};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use homes::{Dose, Homes};
use junctions::Junctions;
use machines::{Machines, Repairs};
use rivers::Rivers;
use street::Street;
use vending::{Shelves, Vending};
use videos::Videos;
use viewers::Viewers;
use walkers::Walkers;

/// How often everything in the city may say something.
pub(super) const TICK_MS: u64 = 100;

/// What happens in one tick.
#[derive(Default)]
pub(super) struct Tick {
    pub(super) events: Vec<Event>,
    /// Doses that are announced.
    pub(super) scheduled: Vec<Dose>,
    /// Doses that are taken.
    pub(super) taken: Vec<Dose>,
}

/// When a tick is.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) tick: u64,
    pub(super) at: Instant,
}

pub(super) struct City {
    tick: u64,
    street: Street,
    pub(super) rivers: Rivers,
    homes: Homes,
    junctions: Junctions,
    walkers: Walkers,
    videos: Videos,
    machines: Machines,
    pub(super) viewers: Viewers,
    vending: Vending,
    /// Events that are valid, and make no sense to their rules.
    pub(super) absurd: u64,
}

impl City {
    pub(super) fn new(seed: u64, repairs: Repairs, shelves: Shelves) -> City {
        // Each has its own chance, so that none changes what happens to another.
        let mut seeds = (0..).map(|part: u64| StdRng::seed_from_u64(seed.rotate_left(32) ^ part));
        let mut chance = || seeds.next().unwrap_or_else(|| StdRng::seed_from_u64(seed));
        City {
            tick: 0,
            street: Street::new(chance()),
            rivers: Rivers::new(chance()),
            homes: Homes::new(chance()),
            junctions: Junctions::new(chance()),
            walkers: Walkers::new(chance()),
            videos: Videos::new(chance()),
            machines: Machines::new(chance(), repairs),
            viewers: Viewers::new(chance()),
            vending: Vending::new(chance(), shelves),
            absurd: 0,
        }
    }

    /// What happens next, at `at`. When the day is over only doses are still taken.
    pub(super) fn next(&mut self, at: Instant, day_is_over: bool) -> Tick {
        let now = Now { tick: self.tick, at };
        let mut tick = Tick::default();
        if !day_is_over {
            self.street.tick(now, &mut tick.events);
            self.rivers.tick(now, &mut tick.events);
            self.homes.schedule(now, &mut tick);
            self.junctions.tick(now, &mut tick.events);
            self.walkers.tick(now, &mut tick.events);
            self.videos.tick(now, &mut tick.events);
            self.machines.tick(now, &mut tick.events);
            self.viewers.tick(now, &mut tick.events);
            self.vending.tick(now, &mut tick.events);
            let absurd = rubbish::absurd(now);
            self.absurd += u64::from(absurd.is_some());
            tick.events.extend(absurd);
        }
        self.homes.take(now, &mut tick);
        self.tick += 1;
        tick
    }

    /// Whether doses are still to be taken.
    pub(super) fn is_done(&self) -> bool {
        self.homes.is_done()
    }
}

impl Now {
    /// An event of this tick. `part` tells apart what one subject says in it.
    fn event(self, kind: &str, source: &str, subject: &str, part: &str, data: &Value) -> Event {
        Event::new(format!("{kind}-{subject}-{}-{part}", self.tick), source, kind)
            .with_subject(subject)
            .with_time(self.at)
            .with_json(data.to_string())
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
