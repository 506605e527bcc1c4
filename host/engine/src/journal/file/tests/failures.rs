//! Every call of a run fails once, in every way: nothing is lost, and nothing is there twice or in half.

use std::io::ErrorKind;

use super::super::faulty::{Call, Fault};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Arc<Entry>>),
    Sync,
    Erase(u64),
    Remove(u64),
}

/// What the journal must hold.
#[derive(Clone, Default)]
struct Expected {
    entries: Vec<Arc<Entry>>,
    start: u64,
    /// Below it, entries that are wanted may be erased.
    erasing: u64,
    /// Below it, finished segments may be removed.
    removing: u64,
    /// So many are durable.
    durable: u64,
}

fn wanted(entry: &Entry) -> bool {
    entry.position % 3 == 1
}

fn steps() -> Vec<Step> {
    let kinds = bodies().len();
    let groups: Groups =
        (0..14).map(|group| (0..1 + group % 4).map(|at| (5, (group * 5 + at) % kinds)).collect()).collect();
    let mut steps = Vec::new();
    for (number, group) in entries(&groups).into_iter().enumerate() {
        steps.push(Step::Append(group));
        match number {
            3 | 6 => steps.push(Step::Sync),
            8 => steps.extend([Step::Erase(12), Step::Remove(9)]),
            // Into the segment that is written to.
            10 => steps.push(Step::Erase(u64::MAX)),
            12 => steps.push(Step::Remove(20)),
            _ => {}
        }
    }
    steps.push(Step::Sync);
    steps
}

fn options(durability: Durability) -> FileJournalOptions {
    // No reads from memory but for what is not synced.
    FileJournalOptions { segment_bytes: 450, cache_bytes: 0, durability, ..FileJournalOptions::default() }
}

impl Expected {
    fn perform(&mut self, step: &Step, journal: &FileJournal) -> Result<(), JournalError> {
        match step {
            Step::Append(group) => {
                journal.append(group)?;
                self.entries.extend(group.iter().cloned());
                if journal.options.durability == Durability::Durable {
                    self.durable = journal.end();
                }
            }
            Step::Sync => {
                journal.sync()?;
                self.durable = journal.end();
            }
            Step::Erase(before) => {
                self.erasing = self.erasing.max((*before).min(journal.end()));
                journal.erase(*before, &wanted)?;
                let (start, before) = (self.start as usize, (*before).min(journal.end()) as usize);
                erase_in(&mut self.entries[start..before], wanted);
            }
            Step::Remove(before) => {
                self.removing = *before;
                self.start = journal.remove_before(*before)?;
            }
        }
        Ok(())
    }

    /// All that was visible is there, once and in order, and nothing else but perhaps `half`: the whole
    /// group that failed.
    fn check(&self, journal: &FileJournal, at_least: u64, half: &[Arc<Entry>]) {
        let start = journal.start();
        assert!(start == self.start || (start > self.start && start <= self.removing), "{start}");
        let end = journal.end();
        let expected: Vec<_> = self.entries.iter().chain(half).cloned().collect();
        let allowed = |end: u64| (at_least..=self.entries.len() as u64).contains(&end);
        assert!(allowed(end) || end == expected.len() as u64, "{at_least} {end} {}", expected.len());
        let read = all(journal);
        assert_eq!(read.len() as u64, end - start);
        for (entry, at) in read.iter().zip(start..) {
            let appended = &expected[at as usize];
            let may_be_erased = wanted(appended) && at < self.erasing;
            assert!(
                entry == appended || (may_be_erased && *entry == erased(appended)),
                "{entry:?} {appended:?}"
            );
        }
        let mut visited = 0;
        let mut visit = |entry: Arc<Entry>| {
            assert_eq!(entry, read[(entry.position - start) as usize]);
            visited += 1;
            Ok(())
        };
        journal.visit_decisions(0, &mut visit).unwrap();
        assert_eq!(visited, read.iter().filter(|entry| index::is_marked(entry)).count());
    }

    fn visible(&self) -> u64 {
        self.entries.len() as u64
    }
}

fn calls_of(durability: Durability) -> Vec<Call> {
    let disk = FaultyDisk::default();
    let journal = open(&disk, &options(durability)).unwrap();
    let mut expected = Expected::default();
    steps().iter().for_each(|step| expected.perform(step, &journal).unwrap());
    expected.check(&journal, expected.visible(), &[]);
    assert!(journal.start() > 10, "nothing was removed");
    disk.calls()
}

#[test]
fn a_failure_at_any_call_loses_nothing_that_was_visible() {
    let steps = steps();
    for durability in [Durability::Durable, Durability::Relaxed] {
        let calls = calls_of(durability);
        for kind in [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::Remove, Call::SyncFolder] {
            assert!(calls.contains(&kind), "{kind:?}");
        }
        let kinds = [
            (Fault::Fails(ErrorKind::Other), false),
            (Fault::Short(ErrorKind::StorageFull), false),
            (Fault::Fails(ErrorKind::StorageFull), true),
        ];
        for (at, kind) in (0..calls.len()).flat_map(|at| kinds.map(|kind| (at, kind))) {
            fail(&steps, durability, at, kind);
        }
    }
}

fn fail(steps: &[Step], durability: Durability, at: usize, (fault, lasting): (Fault, bool)) {
    let options = options(durability);
    let disk = FaultyDisk::default();
    disk.fail_at(at, fault, lasting);
    let journal = open(&disk, &options).unwrap_or_else(|_| {
        disk.heal();
        open(&disk, &options).unwrap()
    });
    let mut expected = Expected::default();
    let mut sync_failed = false;
    for step in steps {
        let mut tries = 0;
        while let Err(error) = expected.perform(step, &journal) {
            assert!(matches!(error, JournalError::Io { .. } | JournalError::Closed), "{error}");
            tries += 1;
            assert!(tries < 9, "{error}");
            let half: &[_] = if let Step::Append(group) = step { group } else { &[] };
            expected.check(&journal, expected.visible(), &[]);
            // As if the process were killed now. With a failed sync before, that loses what was not durable.
            sync_failed |= is_of_sync(&error);
            let at_least = if sync_failed { expected.durable } else { expected.visible() };
            let fork = disk.fork();
            fork.heal();
            expected.check(&open(&fork, &options).unwrap(), at_least, half);
            if lasting {
                let resumed = journal.resume();
                sync_failed |= resumed.as_ref().is_err_and(is_of_sync);
                assert!(resumed.is_err() || matches!(step, Step::Erase(_) | Step::Remove(_)), "{resumed:?}");
                disk.heal();
            } else if tries == 1 {
                // Resuming fails as well, at one of its calls.
                disk.fail_at(disk.calls().len() + at % 7, Fault::Fails(ErrorKind::Other), false);
            }
            if let Err(error) = journal.resume() {
                sync_failed |= is_of_sync(&error);
            } else {
                sync_failed = false;
                disk.heal();
                expected.durable = expected.visible();
                expected.check(&journal, expected.visible(), &[]);
                let fork = disk.fork();
                fork.restart(None);
                expected.check(&open(&fork, &options).unwrap(), expected.visible(), &[]);
            }
        }
    }
    finish(&disk, journal, &expected, &options);
}

/// Whether a segment's own sync has failed, rather than that of a file that is to become one.
fn is_of_sync(error: &JournalError) -> bool {
    matches!(error, JournalError::Io { action: "sync", path, .. }
        if path.extension().is_some_and(|extension| extension == "journal"))
}

/// Everything is as it would be if nothing had failed.
fn finish(disk: &FaultyDisk, journal: FileJournal, expected: &Expected, options: &FileJournalOptions) {
    expected.check(&journal, expected.visible(), &[]);
    check_from(&journal, journal.start(), &expected.entries);
    drop(journal);
    disk.restart(None);
    let verify = FileJournalOptions { verify: true, at_least: expected.visible(), ..options.clone() };
    let journal = open(disk, &verify).unwrap();
    assert_eq!(journal.recovery_notes().iter().filter(|note| !note.contains("index")).count(), 0);
    check_from(&journal, journal.start(), &expected.entries);
}

#[test]
fn power_loss_at_any_call_loses_nothing_that_was_durable() {
    let steps = steps();
    for durability in [Durability::Durable, Durability::Relaxed] {
        for at in 0..calls_of(durability).len() {
            lose_power(&steps, durability, at);
        }
    }
}

fn lose_power(steps: &[Step], durability: Durability, at: usize) {
    let options = options(durability);
    let disk = FaultyDisk::default();
    disk.fail_at(at, Fault::PowerLoss, false);
    let mut expected = Expected::default();
    let mut next = 0;
    if let Ok(journal) = open(&disk, &options) {
        while steps.get(next).is_some_and(|step| expected.perform(step, &journal).is_ok()) {
            next += 1;
        }
    }
    let half: &[_] = if let Some(Step::Append(group)) = steps.get(next) { group } else { &[] };
    for seed in std::iter::once(None).chain((0..8).map(|seed| Some(seed * 1_000 + at as u64))) {
        let disk = disk.fork();
        disk.restart(seed);
        let verify = FileJournalOptions { verify: true, at_least: expected.durable, ..options.clone() };
        let journal = open(&disk, &verify).unwrap_or_else(|error| panic!("{error} (call {at}, {seed:?})"));
        expected.check(&journal, expected.durable, half);
        go_on(&disk, journal, steps, &options);
    }
}

/// It takes what was lost again, and ends as if nothing had happened.
fn go_on(disk: &FaultyDisk, journal: FileJournal, steps: &[Step], options: &FileJournalOptions) {
    let mut expected =
        Expected { start: journal.start(), erasing: u64::MAX, removing: u64::MAX, ..Expected::default() };
    let end = journal.end();
    let kept = all(&journal);
    for step in steps {
        match step {
            Step::Append(group) if expected.visible() + group.len() as u64 <= end => {
                expected.entries.extend(group.iter().cloned());
            }
            // The journal ends between groups, or there is none of it.
            Step::Append(group) => {
                assert!(expected.visible() >= end);
                expected.perform(&Step::Append(group.clone()), &journal).unwrap();
            }
            Step::Sync => journal.sync().unwrap(),
            Step::Erase(_) | Step::Remove(_) => {}
        }
    }
    for (entry, at) in kept.iter().zip(expected.start as usize..) {
        expected.entries[at] = Arc::clone(entry);
    }
    finish(disk, journal, &expected, options);
}

/// More than the bound is synced without being asked for.
#[test]
fn relaxed_mode_never_has_more_than_its_bound_at_risk() {
    let options = FileJournalOptions {
        durability: Durability::Relaxed,
        compress: false,
        segment_bytes: 1 << 30,
        ..one()
    };
    let disk = FaultyDisk::default();
    let journal = open(&disk, &options).unwrap();
    let mut event = crate::event::Event::new("1", "/", "t");
    event.data = crate::event::Data::Binary(vec![7; 3 << 20].into());
    for position in 0..12 {
        let entry = Entry { position, epoch: 1, instant: 1, body: Body::Event(event.clone().into()) };
        journal.append(&[Arc::new(entry)]).unwrap();
        let fork = disk.fork();
        fork.restart(None);
        let durable = open(&fork, &options).unwrap().end();
        assert_eq!(durable, (position + 1) / 6 * 6, "after {position}");
    }
}

/// A failed sync leaves what it dropped in the system's cache, as if it were there: a later start must not build on it.
#[test]
fn what_a_failed_sync_has_lost_is_not_taken_for_durable_after_a_start() {
    let disk = FaultyDisk::default();
    let journal = open(&disk, &one()).unwrap();
    let model = entries(&vec![vec![(1, 3), (1, 4)]; 3]);
    journal.append(&model[0]).unwrap();
    // Also what should have cut it off fails.
    let now = disk.calls().len();
    disk.fail_at(now + 1, Fault::Fails(ErrorKind::Other), true);
    assert!(journal.append(&model[1]).is_err());
    drop(journal);
    disk.heal();
    let journal = open(&disk, &one()).unwrap();
    assert_eq!(journal.end(), 2);
    journal.append(&model[1]).unwrap();
    journal.append(&model[2]).unwrap();
    drop(journal);
    disk.restart(None);
    check(&open(&disk, &one()).unwrap(), &model.concat());
}
