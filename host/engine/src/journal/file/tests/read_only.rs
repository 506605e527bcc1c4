use super::super::faulty::{Call, Fault};
use super::*;

fn open_to_read(disk: &FaultyDisk, options: &FileJournalOptions) -> Result<FileJournal, JournalError> {
    FileJournal::open_read_only_on(Arc::new(disk.clone()), Path::new(FOLDER), options.clone())
}

#[test]
fn changes_nothing_and_takes_nothing() {
    let (disk, mut groups) = sample(&small());
    // The last one is torn.
    groups.pop();
    let model = groups.concat();
    disk.paths(".index").iter().for_each(|path| disk.take(path));
    disk.put(&Path::new(FOLDER).join("1.index.tmp"), b"half");
    let path = disk.paths(".journal").pop().unwrap();
    let torn = disk.get(&path);
    disk.put(&path, &torn[..torn.len() - 1]);
    let (before, calls) = (disk.files(), disk.calls().len());
    disk.fail_at(0, Fault::Fails(std::io::ErrorKind::ReadOnlyFilesystem), true);

    let journal = open_to_read(&disk, &small()).unwrap();
    assert_eq!(journal.recovery_notes().len(), 1, "{:?}", journal.recovery_notes());
    assert!(journal.recovery_notes()[0].starts_with("left out"));
    check(&journal, &model);
    let next = Arc::new(Entry { position: journal.end(), epoch: 1, instant: 1 << 50, body: Body::Tick });
    let closed = |result: Result<(), JournalError>| assert!(matches!(result, Err(JournalError::Closed)));
    closed(journal.append(&[next]));
    closed(journal.sync());
    closed(journal.resume());
    closed(journal.remove_before(5).map(|_| ()));
    closed(journal.erase(5, &|_| true).map(|_| ()));
    check(&journal, &model);
    assert_eq!((disk.files(), disk.calls().len()), (before, calls));

    // What lies before the end of the last is damage here too.
    disk.put(&path, &[&[0; 40][..], &torn].concat());
    assert!(matches!(open_to_read(&disk, &small()), Err(JournalError::Damaged { .. })));
    let last = FileJournalOptions { at_least: 1 << 20, ..small() };
    disk.put(&path, &torn);
    assert!(matches!(open_to_read(&disk, &last), Err(JournalError::Damaged { .. })));
}

#[test]
fn of_an_empty_folder_is_empty() {
    let journal = open_to_read(&FaultyDisk::default(), &small()).unwrap();
    check(&journal, &[]);
    let nowhere = FileJournal::open_read_only("/nowhere/at/all", small());
    assert!(matches!(nowhere, Err(JournalError::Io { .. })));
}

#[test]
fn is_as_the_journal_was_while_a_host_goes_on() {
    let options = FileJournalOptions { cache_bytes: 0, ..small() };
    let disk = FaultyDisk::default();
    let host = open(&disk, &options).unwrap();
    let model = entries(&vec![vec![(1, 0), (1, 4), (1, 3)]; 40]);
    for group in &model[..20] {
        host.append(group).unwrap();
    }
    let reader = open_to_read(&disk, &options).unwrap();
    check(&reader, &model[..20].concat());
    for group in &model[20..] {
        host.append(group).unwrap();
    }
    check(&reader, &model[..20].concat());
    // It knows of no file that it has open, and none of those that are gone.
    let reader = open_to_read(&disk, &options).unwrap();
    let start = host.remove_before(50).unwrap();
    assert!(start > 40);
    assert!(matches!(reader.read(5, 1), Err(JournalError::OutOfRange { .. })));
    host.erase(u64::MAX, &|entry| entry.position % 3 == 0).unwrap();
    let mut at = reader.start();
    while at < reader.end() {
        let read = match reader.read(at, 1) {
            Ok(read) => read,
            Err(JournalError::OutOfRange { start, .. }) => {
                assert!(start > at);
                at = start;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let expected = &model.concat()[at as usize];
        assert!(read[0] == *expected || (at.is_multiple_of(3) && read[0] == erased(expected)));
        at += 1;
    }
    assert!(reader.start() >= start);
    let first_kept = reader.at_or_after(0).unwrap().unwrap().0;
    assert_eq!(first_kept, reader.start());
    assert!(disk.calls().contains(&Call::Remove));
}

#[test]
fn a_segment_that_is_lost_is_not_taken_for_removed() {
    let options = FileJournalOptions { cache_bytes: 0, ..small() };
    let (disk, _) = sample(&options);
    let reader = open_to_read(&disk, &options).unwrap();
    let path = disk.paths(".journal").remove(2);
    let first: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    disk.take(&path);
    assert!(matches!(reader.read(first, 1), Err(JournalError::Io { .. })));
    assert!(reader.read(0, 1).is_ok());
}
