//! Erasing and removing.

use super::super::faulty::Fault;
use super::super::format::{Encoder, GroupHeader, SegmentHeader, decode_group};
use super::*;
use crate::event::Event;

const NAME: &str = "erika-mustermann-17";

/// Every third entry names somebody.
fn named(groups: usize, size: usize) -> Model {
    let mut model = entries(&vec![vec![(3, 0); size]; groups]);
    for entry in model.iter_mut().flatten() {
        let subject = if entry.position % 3 == 0 { NAME } else { "somebody-else" };
        let event = Event::new(format!("{}", entry.position), "/shop", "order").with_subject(subject);
        *entry = Arc::new(Entry { body: Body::Event(event.into()), ..Entry::clone(entry) });
    }
    model
}

fn is_named(entry: &Entry) -> bool {
    matches!(&entry.body, Body::Event(event) if event.get().subject == Some(NAME))
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(NAME.len()).any(|window| window == NAME.as_bytes())
}

/// Looks for the name in all bytes, and in all that is compressed in them.
fn is_in_any_file(disk: &FaultyDisk) -> bool {
    disk.files().iter().any(|(path, bytes)| {
        let mut found = holds(bytes);
        if let Ok(Some(segment)) = SegmentHeader::decode(bytes, path) {
            for at in 0..bytes.len() {
                let Some(header) = GroupHeader::decode(&bytes[at..], &segment) else { continue };
                let group = &bytes[at..at + header.whole_length() as usize];
                let decoded = decode_group(&header, header.entries_of(group), path).unwrap();
                let entries: Vec<_> = decoded.into_iter().map(|(entry, _)| entry).collect();
                found |= holds(Encoder::new(false).encode(&entries, 0, 0).unwrap().bytes);
            }
        }
        found
    })
}

#[test]
fn what_is_erased_is_in_no_file_any_more_and_all_else_stays() {
    for (compress, size) in [(true, 40), (false, 40), (true, 3)] {
        let options = FileJournalOptions { compress, segment_bytes: 1_500, ..small() };
        let model = named(12, size);
        let disk = FaultyDisk::default();
        let journal = open(&disk, &options).unwrap();
        for group in &model {
            journal.append(group).unwrap();
        }
        let mut model = model.concat();
        // They are held in memory too.
        check(&journal, &model);
        assert!(is_in_any_file(&disk));
        let segments = journal.segments().len();

        // Only what lies before.
        let before = model.len() as u64 / 2;
        let erased = erase_in(&mut model[..before as usize], is_named);
        assert_eq!(journal.erase(before, &is_named).unwrap(), erased);
        assert!(erased > 0 && is_in_any_file(&disk));
        check(&journal, &model);

        let rest = erase_in(&mut model, is_named);
        assert_eq!(journal.erase(u64::MAX, &is_named).unwrap(), rest);
        assert!(!is_in_any_file(&disk));
        check(&journal, &model);
        assert!(journal.segments().len() <= segments + 1);
        assert_eq!(journal.erase(u64::MAX, &is_named).unwrap(), 0);
        drop(journal);
        let journal = open(&disk, &FileJournalOptions { verify: true, ..options }).unwrap();
        assert_eq!(journal.recovery_notes(), Vec::<String>::new());
        check(&journal, &model);
    }
}

#[test]
fn what_is_written_to_is_finished_only_if_something_in_it_is_erased() {
    let disk = FaultyDisk::default();
    let journal = open(&disk, &one()).unwrap();
    for group in named(4, 3) {
        journal.append(&group).unwrap();
    }
    assert_eq!(journal.erase(u64::MAX, &|_| false).unwrap(), 0);
    assert_eq!(journal.segments().len(), 1);
    assert_eq!(journal.erase(1, &is_named).unwrap(), 1);
    assert_eq!(journal.segments().len(), 2);
}

/// A group that failed was not acknowledged, but its bytes may be there.
#[test]
fn what_a_failed_write_has_left_is_erased_too() {
    for lasting in [false, true] {
        let options = FileJournalOptions { compress: false, ..one() };
        let disk = FaultyDisk::default();
        let journal = open(&disk, &options).unwrap();
        let first = Arc::new(Entry { position: 0, epoch: 1, instant: 1, body: Body::Tick });
        journal.append(&[Arc::clone(&first)]).unwrap();
        let event = Event::new("1", "/", "t").with_subject(NAME);
        let second = Arc::new(Entry { position: 1, epoch: 1, instant: 1, body: Body::Event(event.into()) });
        disk.fail_at(disk.calls().len() + 1, Fault::Fails(std::io::ErrorKind::Other), lasting);
        assert!(journal.append(&[Arc::clone(&second)]).is_err());
        disk.heal();
        journal.resume().unwrap();
        assert_eq!(is_in_any_file(&disk), lasting, "it could not be cut off");
        journal.append(&[Arc::clone(&second)]).unwrap();
        check(&journal, &[Arc::clone(&first), Arc::clone(&second)]);
        assert_eq!(journal.erase(2, &is_named).unwrap(), 1);
        assert!(!is_in_any_file(&disk));
        check(&journal, &[first, erased(&second)]);
    }
}

#[test]
fn at_least_one_durable_entry_is_kept() {
    for durability in [Durability::Durable, Durability::Relaxed] {
        let disk = FaultyDisk::default();
        let options = FileJournalOptions { segment_bytes: 200, durability, ..small() };
        let journal = open(&disk, &options).unwrap();
        let model = entries(&vec![vec![(1, 4), (1, 3)]; 30]);
        for group in &model {
            journal.append(group).unwrap();
        }
        let flat = model.concat();
        let start = journal.remove_before(u64::MAX).unwrap();
        assert!(start > 50);
        check_from(&journal, start, &flat);
        // A new segment, which has nothing durable yet.
        drop(journal);
        let journal = open(&disk, &FileJournalOptions { new_segment: true, ..options.clone() }).unwrap();
        let next = Arc::new(Entry { position: 60, epoch: 9, ..Entry::clone(&flat[59]) });
        journal.append(&[next]).unwrap();
        journal.remove_before(u64::MAX).unwrap();
        let last = (flat[59].instant, if durability == Durability::Durable { 9 } else { flat[59].epoch });
        drop(journal);
        disk.restart(None);
        let journal = open(&disk, &options).unwrap();
        assert_eq!(journal.last(), Some(last));
        assert!(journal.start() < journal.end());
    }
}

#[test]
fn a_removal_that_failed_goes_on_when_called_again() {
    let (whole, model) = sample(&small());
    let model = model.concat();
    for at in 0..20 {
        let disk = whole.fork();
        let journal = open(&disk, &small()).unwrap();
        disk.fail_at(disk.calls().len() + at, Fault::Fails(std::io::ErrorKind::Other), false);
        let first = journal.remove_before(20);
        check_from(&journal, journal.start(), &model);
        let fork = disk.fork();
        fork.restart(Some(at as u64));
        let reopened = open(&fork, &small()).unwrap();
        check_from(&reopened, reopened.start(), &model);
        let start = journal.remove_before(20).unwrap();
        assert!(start > 14 && first.is_ok_and(|first| first == start) || at < 19);
        drop(journal);
        disk.restart(None);
        let journal = open(&disk, &small()).unwrap();
        check_from(&journal, start, &model);
        assert_eq!(disk.paths(".index").len() + 1, disk.paths(".journal").len());
    }
}
