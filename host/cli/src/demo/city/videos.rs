//! Videos that people mention: one after the other goes viral, and fades.

use carpe::Event;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::Now;

const VIDEOS: u64 = 4;
/// The first goes viral at this tick, the next so many ticks later.
const FIRST_AT_TICK: u64 = 45;
const NEXT_AFTER_TICKS: u64 = 45;
const VIRAL_FOR_TICKS: u64 = 35;

pub(super) struct Videos {
    chance: StdRng,
}

/// Seconds instead of minutes, and a history of a few of them: the first, of which only a part is seen, makes its spread wide.
pub(in super::super) fn settings() -> String {
    "[configuration]\ninterval_seconds = 1\nwait_seconds = 1\nhalf_life_hours = 0.01\nlearn_intervals = 3\n\
     rise_score = 3\nrise_intervals = 2\nfade_intervals = 2\nforget_hours = 1\n"
        .to_owned()
}

impl Videos {
    pub(super) fn new(chance: StdRng) -> Videos {
        Videos { chance }
    }

    pub(super) fn tick(&mut self, now: Now, events: &mut Vec<Event>) {
        for video in 0..VIDEOS {
            // After the last it is the first one's turn again.
            let since = now.tick.checked_sub(FIRST_AT_TICK + video * NEXT_AFTER_TICKS);
            let is_viral = since.is_some_and(|since| since % (VIDEOS * NEXT_AFTER_TICKS) < VIRAL_FOR_TICKS);
            let count =
                if is_viral { self.chance.random_range(20..40) } else { self.chance.random_range(2..5) };
            let subject = format!("clip-{video}");
            events.push(now.event("video.mentioned", "/mentions", &subject, "", &json!({ "count": count })));
        }
    }
}
