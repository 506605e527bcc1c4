mod damage;
mod failures;
mod forget;
mod format;
mod read_only;

use proptest::prelude::*;

use super::faulty::FaultyDisk;
use super::*;
use crate::journal::testing::{Groups, bodies, check, check_from, entries, groups};
use crate::journal::{Body, erased};

const FOLDER: &str = "/journal";

type Model = Vec<Vec<Arc<Entry>>>;

/// Many segments.
fn small() -> FileJournalOptions {
    FileJournalOptions { segment_bytes: 200, cache_bytes: 3_000, ..FileJournalOptions::default() }
}

/// One segment, and nothing is read from memory.
fn one() -> FileJournalOptions {
    FileJournalOptions {
        segment_bytes: 1 << 20,
        cache_bytes: 0,
        verify: true,
        ..FileJournalOptions::default()
    }
}

fn open(disk: &FaultyDisk, options: &FileJournalOptions) -> Result<FileJournal, JournalError> {
    FileJournal::open_on(Arc::new(disk.clone()), Path::new(FOLDER), options.clone())
}

/// A journal of one entry of each kind, in groups of three.
fn sample(options: &FileJournalOptions) -> (FaultyDisk, Model) {
    sample_of(options, 1, 3)
}

/// All kinds, so many times, in groups of so many.
fn sample_of(options: &FileJournalOptions, times: usize, size: usize) -> (FaultyDisk, Model) {
    let kinds: Vec<(u64, usize)> = (0..bodies().len() * times).map(|kind| (10, kind)).collect();
    let model = entries(&kinds.chunks(size).map(<[_]>::to_vec).collect());
    let disk = FaultyDisk::default();
    let journal = open(&disk, options).unwrap();
    for group in &model {
        journal.append(group).unwrap();
    }
    (disk, model)
}

fn all(journal: &dyn Journal) -> Vec<Arc<Entry>> {
    journal.read(journal.start(), usize::MAX).unwrap()
}

fn erase_in(model: &mut [Arc<Entry>], wanted: impl Fn(&Entry) -> bool) -> u64 {
    let doomed = model.iter_mut().filter(|entry| entry.body != Body::Erased && wanted(entry));
    doomed.map(|entry| *entry = erased(entry)).count() as u64
}

/// What is done between two groups.
#[derive(Clone, Copy, Debug)]
enum Act {
    Nothing,
    Sync,
    Reopen { lose_indexes: bool, new_segment: bool },
    FailAndResume(usize),
    Remove(u64),
    Erase(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Nothing),
        1 => Just(Act::Sync),
        2 => any::<(bool, bool)>().prop_map(|(lose_indexes, new_segment)| Act::Reopen { lose_indexes, new_segment }),
        1 => (0..12usize).prop_map(Act::FailAndResume),
        1 => (0..110u64).prop_map(Act::Remove),
        1 => (0..110u64).prop_map(Act::Erase),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn behaves_like_a_list(groups in groups(30), acts in prop::collection::vec(act(), 30), relaxed in any::<bool>()) {
        let durability = if relaxed { Durability::Relaxed } else { Durability::Durable };
        let options = FileJournalOptions { durability, segment_bytes: 700, ..small() };
        let disk = FaultyDisk::default();
        let mut journal = open(&disk, &options).unwrap();
        let (mut model, mut start) = (Vec::new(), 0);
        for (group, act) in entries(&groups).into_iter().zip(acts) {
            if let Act::FailAndResume(call) = act {
                disk.fail_at(disk.calls().len() + call, faulty::Fault::Fails(std::io::ErrorKind::StorageFull), true);
                while journal.append(&group).is_err() {
                    disk.heal();
                    journal.resume().unwrap();
                }
                disk.heal();
            } else {
                journal.append(&group).unwrap();
            }
            model.extend(group);
            // In hundredths of what there is; some go past the end.
            let part = |hundredths| model.len() as u64 * hundredths / 100;
            match act {
                Act::Nothing | Act::FailAndResume(_) => {}
                Act::Sync => journal.sync().unwrap(),
                Act::Reopen { lose_indexes, new_segment } => {
                    drop(journal);
                    if lose_indexes {
                        disk.paths(".index").iter().for_each(|path| disk.take(path));
                    }
                    journal = open(&disk, &FileJournalOptions { new_segment, ..options.clone() }).unwrap();
                }
                Act::Remove(hundredths) => {
                    let before = part(hundredths);
                    let removed = journal.remove_before(before).unwrap();
                    prop_assert!(removed >= start && (removed == start || removed <= before));
                    start = removed;
                    let segments = journal.segments();
                    let removable = segments.iter().filter(|segment| segment.finished && segment.end <= before);
                    prop_assert!(removable.count() <= 1, "{:?}", segments);
                }
                Act::Erase(hundredths) => {
                    let before = part(hundredths);
                    let wanted = |entry: &Entry| entry.position % 4 == 1;
                    let erased = erase_in(&mut model[start as usize..], |entry| entry.position < before && wanted(entry));
                    prop_assert_eq!(journal.erase(before, &wanted).unwrap(), erased);
                    prop_assert_eq!(journal.erase(before, &wanted).unwrap(), 0);
                }
            }
            check_from(&journal, start, &model);
        }
        check_segments(&journal, &disk);
        drop(journal);
        check_from(&open(&disk, &FileJournalOptions { verify: true, ..options }).unwrap(), start, &model);
    }
}

fn check_segments(journal: &FileJournal, disk: &FaultyDisk) {
    let segments = journal.segments();
    assert_eq!(segments.first().map(|segment| segment.first), Some(journal.start()));
    assert_eq!(segments.last().map(|segment| (segment.end, segment.finished)), Some((journal.end(), false)));
    assert_eq!(segments.len(), disk.paths(".journal").len());
    assert!(segments.windows(2).all(|pair| pair[0].end == pair[1].first && pair[0].finished));
    assert_eq!(segments.iter().map(|segment| segment.bytes).sum::<u64>(), journal.size_bytes());
    let last = segments.iter().rev().find_map(|segment| segment.last_instant);
    assert_eq!(last, journal.last().map(|(instant, _)| instant));
}

#[test]
fn works_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("data/journal");
    let model = entries(&vec![vec![(7, 3), (1, 0), (0, 4)]; 9]).concat();
    let journal = FileJournal::open(&inner, small()).unwrap();
    for group in model.chunks(3) {
        journal.append(group).unwrap();
    }
    assert!(matches!(FileJournal::open(&inner, small()), Err(JournalError::InUse { .. })));
    check(&FileJournal::open_read_only(&inner, small()).unwrap(), &model);
    drop(journal);
    let journal = FileJournal::open(&inner, FileJournalOptions { verify: true, ..small() }).unwrap();
    assert_eq!(journal.recovery_notes(), Vec::<String>::new());
    check(&journal, &model);
    let mut model = model;
    assert_eq!(journal.erase(9, &|entry| entry.position % 2 == 0).unwrap(), 5);
    erase_in(&mut model[..9], |entry| entry.position % 2 == 0);
    let start = journal.remove_before(5).unwrap();
    assert!(start > 0);
    check_from(&journal, start, &model);
}

#[test]
fn wrongly_stamped_entries_are_refused_and_it_goes_on() {
    let journal = open(&FaultyDisk::default(), &one()).unwrap();
    let entry = |position, epoch, instant| Arc::new(Entry { position, epoch, instant, body: Body::Tick });
    journal.append(&[entry(0, 1, 50)]).unwrap();
    let wrong = [
        vec![entry(2, 1, 50)],
        vec![entry(0, 1, 50)],
        vec![entry(1, 1, 49)],
        vec![entry(1, 1, 52), entry(2, 1, 51)],
        vec![entry(1, 1, 52), entry(2, 2, 52)],
        vec![entry(1, 1, 1 << 53)],
    ];
    for group in wrong {
        assert!(matches!(journal.append(&group), Err(JournalError::Refused { .. })), "{group:?}");
    }
    journal.append(&[]).unwrap();
    journal.append(&[entry(1, 2, 50)]).unwrap();
    assert_eq!((journal.end(), journal.last()), (2, Some((50, 2))));
}

#[test]
fn readers_see_whole_groups_while_one_appends_and_another_erases_and_removes() {
    for durability in [Durability::Durable, Durability::Relaxed] {
        let options = FileJournalOptions { segment_bytes: 4_000, durability, ..small() };
        let journal = open(&FaultyDisk::default(), &options).unwrap();
        let model = entries(&(0..300).map(|number| vec![(1, number); 1 + number % 7]).collect());
        let expected = model.concat();
        let wanted = |entry: &Entry| entry.position.is_multiple_of(5);
        let end = expected.len() as u64;
        let right = |entry: &Arc<Entry>| {
            let as_appended = &expected[entry.position as usize];
            entry == as_appended || (wanted(entry) && *entry == erased(as_appended))
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut next = 0;
                    while next < end {
                        match journal.read(next, 900) {
                            Ok(read) => {
                                assert!(
                                    read.iter()
                                        .zip(next..)
                                        .all(|(entry, at)| entry.position == at && right(entry))
                                );
                                next += read.len() as u64;
                            }
                            Err(JournalError::OutOfRange { start, .. }) => next = next.max(start),
                            Err(error) => panic!("{error}"),
                        }
                        journal.at_or_after(expected[next.min(end - 1) as usize].instant).unwrap();
                        std::thread::yield_now();
                    }
                    let mut visit = |entry| {
                        assert!(right(&entry));
                        Ok(())
                    };
                    journal.visit_decisions(next / 2, &mut visit).unwrap();
                });
            }
            scope.spawn(|| {
                while journal.end() < end {
                    let now = journal.end();
                    journal.erase(now / 2, &wanted).unwrap();
                    journal.remove_before(now / 4).unwrap();
                }
            });
            for group in &model {
                journal.append(group).unwrap();
            }
        });
        let start = journal.start();
        let mut left = expected.clone();
        journal.erase(end, &wanted).unwrap();
        erase_in(&mut left[start as usize..], wanted);
        check_from(&journal, start, &left);
    }
}
