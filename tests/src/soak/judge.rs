//! Whether what was sampled is flat. Pure: it knows numbers only.

use std::fmt::Write;

/// What is seen of the host at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Since the steady load began.
    pub seconds: f64,
    /// Events accepted since the start, before the steady load too.
    pub accepted: u64,
    /// Inputs that the rule handled: events, timers and outcomes.
    pub inputs: u64,
    /// Entries of the journal that the rule has not handled.
    pub behind: u64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open file descriptors.
    pub files: u64,
    /// Threads of the process.
    pub threads: u64,
    /// Of all files of the data folder: what they take, or will without growing. fjall reserves 64 MiB for its own
    /// journal and fills it before it begins the next, which is a saw that a short run would take for growth.
    pub disk_bytes: u64,
    /// What they take at this moment.
    pub allocated_bytes: u64,
    /// Of that, checkpoints and bases.
    pub checkpoint_bytes: u64,
    /// The first kept position of the journal.
    pub journal_start: u64,
    /// One past its last.
    pub journal_end: u64,
    /// Its bytes.
    pub journal_bytes: u64,
    /// Bases that are kept.
    pub bases: u64,
    /// Actions that wait for the sink.
    pub open: u64,
    /// Inputs set aside.
    pub dead_letters: u64,
    /// Versions that became active.
    pub reloads: u64,
}

impl Sample {
    /// The first line of the file of samples.
    pub const HEADER: &str = "seconds,accepted,inputs,behind,memory_bytes,files,threads,disk_bytes,allocated_bytes,\
                              checkpoint_bytes,journal_start,journal_end,journal_bytes,bases,open_actions,\
                              dead_letters,reloads";

    /// Its line in the file.
    pub fn line(&self) -> String {
        let mut line = format!("{:.1}", self.seconds);
        for number in [
            self.accepted,
            self.inputs,
            self.behind,
            self.memory_bytes,
            self.files,
            self.threads,
            self.disk_bytes,
            self.allocated_bytes,
            self.checkpoint_bytes,
            self.journal_start,
            self.journal_end,
            self.journal_bytes,
            self.bases,
            self.open,
            self.dead_letters,
            self.reloads,
        ] {
            let _ = write!(line, ",{number}");
        }
        line
    }
}

/// How something went: its medians early, once warm, and at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trend {
    /// The median of the second quarter of what follows the warm-up.
    pub early: u64,
    /// The median of the last quarter.
    pub late: u64,
}

impl Trend {
    /// Of one number of all samples. The first third is the warm-up.
    pub fn of(samples: &[Sample], number: fn(&Sample) -> u64) -> Trend {
        let warm: Vec<u64> = samples[samples.len() / 3..].iter().map(number).collect();
        let quarter = warm.len() / 4;
        Trend { early: median(&warm[quarter..2 * quarter]), late: median(&warm[warm.len() - quarter..]) }
    }

    /// By how many percent it grew.
    pub fn percent(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (early, late) = (self.early as f64, self.late as f64);
        if early > 0.0 { (late / early - 1.0) * 100.0 } else { 0.0 }
    }

    /// Whether it grew by more than so many percent and so much besides.
    fn grew(self, percent: u64, besides: u64) -> bool {
        self.late > self.early + self.early * percent / 100 + besides
    }
}

/// What fjall reserves for its own journal: for a moment there are two, when it begins anew.
const STORE_LOG_BYTES: u64 = 64 << 20;

/// What may grow by how much, since a median of a quarter of a run is still a matter of chance: memory by allocators,
/// disk by when segments are removed and checkpoints are compacted.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of one segment of the journal.
    pub segment_bytes: u64,
    /// How many entries the rule may be behind, in the median of the end.
    pub behind: u64,
}

/// What grew though it should not have, in words. Nothing: all is flat.
pub fn judge(samples: &[Sample], bounds: &Bounds) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: &str, number: fn(&Sample) -> u64, percent, besides| {
        let trend = Trend::of(samples, number);
        if trend.grew(percent, besides) {
            wrong.push(format!(
                "{what} grew from {} to {} ({:+.0}%)",
                trend.early,
                trend.late,
                trend.percent()
            ));
        }
    };
    check("memory_bytes", |sample| sample.memory_bytes, 10, 16 << 20);
    check("files", |sample| sample.files, 0, 10);
    check("threads", |sample| sample.threads, 0, 4);
    check("disk_bytes", |sample| sample.disk_bytes, 25, bounds.segment_bytes + STORE_LOG_BYTES);
    let behind = Trend::of(samples, |sample| sample.behind).late;
    if behind > bounds.behind {
        wrong.push(format!("the rule is {behind} entries behind: more than {}", bounds.behind));
    }
    if let Some(last) = samples.last().filter(|last| last.dead_letters > 0) {
        wrong.push(format!("{} inputs were set aside", last.dead_letters));
    }
    wrong
}

fn median(numbers: &[u64]) -> u64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::super::crash::chance::Chance;
    use super::*;

    const MIB: u64 = 1 << 20;
    const BOUNDS: Bounds = Bounds { segment_bytes: 2 * MIB, behind: 1_000 };

    fn judged(of_second: impl FnMut(u64) -> Sample) -> Vec<String> {
        judge(&(0..180).map(of_second).collect::<Vec<_>>(), &BOUNDS)
    }

    #[test]
    fn what_stays_is_flat_also_when_it_grew_while_it_warmed_up() {
        let sample = |second: u64| Sample {
            memory_bytes: 40 * MIB + second.min(60) * 10 * MIB,
            files: 20 + second.min(50),
            disk_bytes: second.min(60) * MIB,
            behind: 500,
            ..Sample::default()
        };
        assert_eq!(judged(sample), [""; 0]);
    }

    #[test]
    fn what_grows_is_found() {
        let none = Sample::default();
        let grown = |of_second: fn(u64) -> Sample| judged(of_second).join("; ");
        let memory = grown(|second| Sample { memory_bytes: (100 + second) * MIB, ..Sample::default() });
        assert_eq!(memory, "memory_bytes grew from 214958080 to 277872640 (+29%)");
        assert_eq!(
            grown(|second| Sample { files: second / 4, ..Sample::default() }),
            "files grew from 26 to 41 (+58%)"
        );
        assert_eq!(
            grown(|second| Sample { disk_bytes: 2 * second * MIB, ..Sample::default() }),
            "disk_bytes grew from 220200960 to 346030080 (+57%)"
        );
        assert_eq!(
            grown(|second| Sample { behind: second * 100, ..Sample::default() }),
            "the rule is 16500 entries behind: more than 1000"
        );
        assert_eq!(judged(|_| Sample { dead_letters: 2, ..none }), ["2 inputs were set aside"]);
    }

    #[test]
    fn noise_is_not_growth() {
        let mut chance = Chance::new(1, 0);
        let sample = |second: u64| Sample {
            memory_bytes: (200 + chance.below(40)) * MIB,
            files: 30 + chance.below(8),
            // A saw: segments come, and go together.
            disk_bytes: (20 + second % 10) * MIB,
            behind: if chance.percent(10) { 100_000 } else { 0 },
            ..Sample::default()
        };
        assert_eq!(judged(sample), [""; 0]);
    }
}
