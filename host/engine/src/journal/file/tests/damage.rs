use super::super::format::{GroupHeader, SegmentHeader};
use super::format::first_version;
use super::*;

/// Segments of one file each: their entries, and where groups end.
struct Specimen {
    disk: FaultyDisk,
    path: PathBuf,
    whole: Vec<u8>,
    model: Vec<Arc<Entry>>,
    /// Byte and position.
    ends: Vec<(usize, u64)>,
    relaxed: bool,
}

impl Specimen {
    fn of(disk: FaultyDisk, model: Vec<Arc<Entry>>, relaxed: bool) -> Self {
        let path = disk.paths(".journal").remove(0);
        let whole = disk.get(&path);
        let header = SegmentHeader::decode(&whole, &path).unwrap().unwrap();
        let mut ends = vec![(32, 0)];
        while let Some(group) = GroupHeader::decode(&whole[ends.last().unwrap().0..], &header) {
            ends.push((ends.last().unwrap().0 + group.whole_length() as usize, group.end()));
        }
        assert_eq!(*ends.last().unwrap(), (whole.len(), model.len() as u64));
        Specimen { disk, path, whole, model, ends, relaxed }
    }

    fn all() -> Vec<Specimen> {
        let (disk, model) = first_version();
        let mut all = vec![Specimen::of(disk, model, false)];
        for durability in [Durability::Durable, Durability::Relaxed] {
            let options = FileJournalOptions { durability, ..one() };
            for (times, size) in [(1, 3), (4, 30)] {
                let (disk, model) = sample_of(&options, times, size);
                all.push(Specimen::of(disk, model.concat(), durability == Durability::Relaxed));
            }
        }
        all
    }

    /// Before the last group.
    fn last(&self) -> (usize, u64) {
        self.ends[self.ends.len() - 2]
    }
}

/// With all of it referred to, nothing may be cut, and nothing is touched.
fn refused_if_needed(disk: &FaultyDisk, end: u64, expected_end: Option<u64>) {
    let before = disk.files();
    let error = open(disk, &FileJournalOptions { at_least: end, ..one() }).unwrap_err();
    let said = error.to_string();
    match error {
        JournalError::Damaged { position, .. } => {
            if let Some(expected) = expected_end {
                assert_eq!(position, expected);
                assert!(said.contains(&format!("ends at position {expected}, ")), "{said}");
                assert!(said.contains(&format!("refers to position {end}")), "{said}");
                assert!(said.contains("restore it from a backup, or run `carpe verify`"), "{said}");
            }
        }
        JournalError::Newer { .. } => {}
        error => panic!("{error}"),
    }
    assert_eq!(disk.files(), before);
}

#[test]
fn every_cut_of_the_tail_leaves_whole_groups() {
    for specimen in Specimen::all() {
        let Specimen { disk, path, whole, model, ends, .. } = &specimen;
        for cut in 0..=whole.len() {
            disk.put(path, &whole[..cut]);
            let left = ends.iter().rfind(|end| end.0 <= cut).map_or(0, |end| end.1);
            if left < model.len() as u64 {
                refused_if_needed(disk, model.len() as u64, Some(left));
            }
            let at_least = left;
            let journal = open(disk, &FileJournalOptions { at_least, ..one() }).unwrap();
            assert_eq!(all(&journal), model[..left as usize]);
            let whole_groups = ends.iter().any(|end| end.0 == cut);
            assert_eq!(journal.recovery_notes().is_empty(), whole_groups, "cut at {cut}");
            if cut % 7 != 0 {
                continue;
            }
            // It goes on from there, and nothing is left to mend.
            let rest = model[left as usize..].iter();
            let rest: Vec<_> =
                rest.map(|entry| Arc::new(Entry { epoch: 5, ..Entry::clone(entry) })).collect();
            journal.append(&rest).unwrap();
            drop(journal);
            let journal = open(disk, &one()).unwrap();
            assert_eq!(journal.end(), model.len() as u64);
            assert!(journal.recovery_notes().is_empty());
            disk.paths(".journal").iter().for_each(|path| disk.take(path));
        }
    }
}

#[test]
fn a_flipped_bit_is_never_taken_for_data() {
    for specimen in Specimen::all() {
        let Specimen { disk, path, whole, model, .. } = &specimen;
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            disk.put(path, &flipped);
            let hit = specimen.ends.iter().rfind(|end| end.0 <= at).map_or(0, |end| end.1);
            refused_if_needed(disk, model.len() as u64, None);
            match open(disk, &one()) {
                // In the last group it looks like what a crash leaves behind; in relaxed mode in every one.
                Ok(journal) => {
                    assert!(at >= specimen.last().0 || (specimen.relaxed && at >= 32), "byte {at}");
                    assert_eq!(journal.recovery_notes().len(), 1);
                    assert_eq!(all(&journal), model[..hit as usize]);
                }
                Err(JournalError::Damaged { position, until, offset, .. }) => {
                    assert!(offset <= at as u64 && position == hit, "byte {at}");
                    let next = specimen.ends.iter().map(|end| end.1).find(|end| *end > hit);
                    assert!(at < 32 || until == next, "byte {at}: {until:?}");
                }
                Err(JournalError::Newer { .. }) => assert!((8..12).contains(&at), "byte {at}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_tail_of_zeros_is_cut_unless_a_group_follows_that_was_begun_later() {
    for specimen in Specimen::all().into_iter().filter(|specimen| !specimen.relaxed) {
        let Specimen { disk, path, whole, model, .. } = &specimen;
        let (at, left) = specimen.last();
        let (before, last) = whole.split_at(at);
        // The search goes by windows: the header may lie across the border of two.
        for gap in [1, 55, 5_000, (1 << 20) - 64, (1 << 20) - 30, (1 << 20) - 1, 1 << 20, 3 << 20] {
            let torn = [before, &vec![0; gap]].concat();
            disk.put(path, &[&torn[..], last].concat());
            let error = open(disk, &one()).unwrap_err().to_string();
            assert!(error.contains(&format!("follows at byte {}", torn.len())), "{error}");
            disk.put(path, &torn);
            let journal = open(disk, &one()).unwrap();
            assert_eq!(journal.recovery_notes().len(), 1);
            assert_eq!(all(&journal), model[..left as usize]);
        }
    }
}

#[test]
fn only_what_was_never_promised_is_cut() {
    let options = FileJournalOptions { durability: Durability::Relaxed, ..one() };
    let disk = FaultyDisk::default();
    let journal = open(&disk, &options).unwrap();
    let model = entries(&vec![vec![(1, 3); 3]; 9]);
    let mut ends = vec![32];
    for (number, group) in model.iter().enumerate() {
        journal.append(group).unwrap();
        ends.push(journal.size_bytes() as usize);
        if number == 3 {
            journal.sync().unwrap();
        }
    }
    drop(journal);
    let path = disk.paths(".journal").remove(0);
    let whole = disk.get(&path);
    for (number, end) in ends.iter().take(9).enumerate() {
        for length in [1, 70] {
            let mut torn = whole.clone();
            torn[*end..end + length].fill(0);
            disk.put(&path, &torn);
            match open(&disk, &options) {
                Ok(journal) => {
                    assert!(number > 3);
                    assert_eq!(journal.end(), number as u64 * 3);
                }
                Err(JournalError::Damaged { position, until, .. }) => {
                    assert!(number <= 3);
                    assert_eq!((position, until), (number as u64 * 3, Some(number as u64 * 3 + 3)));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn damage_in_a_finished_segment_is_found_when_read_or_verified() {
    let (disk, model) = sample(&small());
    let path = disk.paths(".journal").remove(1);
    let first: Position = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let whole = disk.get(&path);
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    disk.put(&path, &bytes);

    let journal = open(&disk, &small()).unwrap();
    assert_eq!(journal.read(0, 1).unwrap()[0], model[0][0]);
    let mut at = first;
    let error = loop {
        match journal.read(at, 1) {
            Ok(entries) => at += entries.len() as u64,
            Err(error) => break error,
        }
    };
    let JournalError::Damaged { position, until: Some(until), .. } = error else { panic!("{error}") };
    assert!(position >= first && until == position + 3);
    drop(journal);
    let verify = FileJournalOptions { verify: true, ..small() };
    let error = open(&disk, &verify).unwrap_err().to_string();
    assert!(error.contains("the checksum of a group of 3 entries is wrong"), "{error}");
    assert!(error.contains(&format!("from position {position} up to {until} (")), "{error}");

    // What lies behind its end was left by a failed write.
    disk.put(&path, &[&whole[..], &[7; 100]].concat());
    check(&open(&disk, &verify).unwrap(), &model.concat());
    // Cut, so that the next segment no longer follows; and gone.
    disk.put(&path, &bytes[..bytes.len() - 1]);
    assert!(matches!(open(&disk, &small()), Err(JournalError::Damaged { .. })));
    disk.take(&path);
    let error = open(&disk, &small()).unwrap_err();
    let JournalError::Damaged { position, until: Some(until), .. } = error else { panic!("{error}") };
    assert!(position == first && until > first);
}

#[test]
fn a_missing_end_is_refused_if_something_refers_to_it() {
    let (disk, model) = sample(&small());
    let end = model.concat().len() as u64;
    drop(open(&disk, &FileJournalOptions { at_least: end, ..small() }).unwrap());
    refused_if_needed(&disk, end + 1, Some(end));
    let last = disk.paths(".journal").pop().unwrap();
    let first: u64 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    disk.take(&last);
    refused_if_needed(&disk, end, Some(first));
    disk.paths("").iter().for_each(|path| disk.take(path));
    refused_if_needed(&disk, 1, Some(0));
}

#[test]
fn an_index_that_is_missing_damaged_or_stale_is_made_again() {
    let (disk, model) = sample(&small());
    let paths = disk.paths(".index");
    assert!(paths.len() > 3);
    disk.take(&paths[0]);
    let mut bytes = disk.get(&paths[1]);
    *bytes.last_mut().unwrap() ^= 1;
    disk.put(&paths[1], &bytes);
    disk.put(&paths[2], &disk.get(&paths[3]));
    for leftover in ["1.index.tmp", "00000000000000000003.journal.tmp", "00000000000000000099.index"] {
        disk.put(&Path::new(FOLDER).join(leftover), b"half");
    }

    let journal = open(&disk, &small()).unwrap();
    assert_eq!(journal.recovery_notes().len(), 3, "{:?}", journal.recovery_notes());
    check(&journal, &model.concat());
    drop(journal);
    assert!(open(&disk, &small()).unwrap().recovery_notes().is_empty());
    assert!(disk.paths(".tmp").is_empty());
    assert_eq!(disk.paths(".index").len(), paths.len());
}
