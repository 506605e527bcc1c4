//! Times within this process: things measured in turn, by the thread's CPU time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long this thread has run.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The median. Zero for none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// Calls each of several things in turn, `runs` times, each time as often as takes about `each`. Returns the
/// median nanoseconds of CPU time of one call of each.
pub(crate) fn in_turn(runs: usize, each: Duration, things: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let counts: Vec<u32> = things
        .iter_mut()
        .map(|thing| {
            // Twice: the first is cold.
            thing();
            let begun = thread_cpu();
            thing();
            let once = (thread_cpu() - begun).max(Duration::from_nanos(50));
            u32::try_from(each.as_nanos() / once.as_nanos()).unwrap_or(u32::MAX).clamp(1, 1_000_000)
        })
        .collect();
    let mut found: Vec<Vec<f64>> = vec![Vec::new(); things.len()];
    for _ in 0..runs {
        for ((thing, &count), found) in things.iter_mut().zip(&counts).zip(&mut found) {
            let begun = thread_cpu();
            for _ in 0..count {
                thing();
            }
            found.push((thread_cpu() - begun).as_secs_f64() * 1e9 / f64::from(count));
        }
    }
    found.into_iter().map(median).collect()
}
