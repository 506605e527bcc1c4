use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::disk::DiskFile;
use super::*;
use crate::journal::testing::{bodies, check, entries, groups};

const SMALL: FileJournalOptions = FileJournalOptions {
    segment_bytes: 200,
    cache_bytes: 3_000,
    new_segment: false,
    verify: false,
    at_least: 0,
    compress: false,
    durability: Durability::Durable,
};
const ONE: FileJournalOptions = FileJournalOptions {
    segment_bytes: 1 << 20,
    cache_bytes: 0,
    new_segment: false,
    verify: true,
    at_least: 0,
    compress: false,
    durability: Durability::Durable,
};

type Model = Vec<Vec<Arc<Entry>>>;

fn open(folder: &TempDir, options: &FileJournalOptions) -> Result<FileJournal, JournalError> {
    FileJournal::open_on(Arc::new(Failing::after(i64::MAX)), folder.path(), options.clone())
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .collect();
    paths.sort();
    paths
}

/// A journal of one entry of each kind, in groups of three.
fn sample(options: &FileJournalOptions) -> (TempDir, Model) {
    let kinds: Vec<(u64, usize)> = (0..bodies().len()).map(|kind| (10, kind)).collect();
    let model = entries(&kinds.chunks(3).map(<[_]>::to_vec).collect());
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, options).unwrap();
    for group in &model {
        journal.append(group).unwrap();
    }
    (folder, model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn behaves_like_a_list(groups in groups(30), reopen in any::<u32>(), loss in any::<u32>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = open(&folder, &SMALL).unwrap();
        let mut model = Vec::new();
        for (number, group) in entries(&groups).into_iter().enumerate() {
            journal.append(&group).unwrap();
            model.extend(group);
            if reopen >> (number % 32) & 1 == 1 {
                drop(journal);
                if loss >> (number % 32) & 1 == 1 {
                    files(folder.path(), ".index").iter().for_each(|path| fs::remove_file(path).unwrap());
                }
                let new_segment = number % 3 == 0;
                journal = open(&folder, &FileJournalOptions { new_segment, ..SMALL }).unwrap();
                check(&journal, &model);
            }
        }
        check(&journal, &model);
        drop(journal);
        check(&open(&folder, &FileJournalOptions { verify: true, ..SMALL }).unwrap(), &model);
    }
}

#[test]
fn every_cut_of_the_tail_leaves_whole_groups() {
    let (folder, model) = sample(&ONE);
    let path = files(folder.path(), ".journal").remove(0);
    let whole = fs::read(&path).unwrap();
    let mut ends = vec![32];
    for group in &model {
        let mut buffer = Vec::new();
        encode_group(group, 0, &mut buffer).unwrap();
        ends.push(ends.last().unwrap() + buffer.len());
    }
    assert_eq!(ends.last(), Some(&whole.len()));
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let journal = open(&folder, &ONE).unwrap();
        let left = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
        check(&journal, &model[..left].concat());
        assert_eq!(journal.recovery_notes().is_empty(), ends.contains(&cut), "cut at {cut}");
        if cut % 5 != 0 {
            continue;
        }
        // It goes on from there, and nothing is left to mend.
        journal.append(&model[left..].concat().iter().map(same_epoch).collect::<Vec<_>>()).unwrap();
        drop(journal);
        let journal = open(&folder, &ONE).unwrap();
        assert_eq!(journal.end() as usize, model.concat().len());
        assert!(journal.recovery_notes().is_empty());
    }
}

fn same_epoch(entry: &Arc<Entry>) -> Arc<Entry> {
    Arc::new(Entry { epoch: 5, ..Entry::clone(entry) })
}

#[test]
fn a_flipped_bit_is_never_taken_for_data() {
    let (folder, model) = sample(&ONE);
    let path = files(folder.path(), ".journal").remove(0);
    let whole = fs::read(&path).unwrap();
    let mut last = Vec::new();
    encode_group(model.last().unwrap(), 0, &mut last).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        match open(&folder, &ONE) {
            // In the last group it looks like what a crash leaves behind.
            Ok(journal) => {
                assert!(at >= whole.len() - last.len(), "byte {at}");
                assert_eq!(journal.recovery_notes().len(), 1);
                check(&journal, &model[..model.len() - 1].concat());
            }
            Err(JournalError::Damaged { position, offset, .. }) => {
                assert!(offset <= at as u64 && position < model.concat().len() as u64, "byte {at}");
            }
            Err(JournalError::Newer { .. }) => assert!((8..12).contains(&at), "byte {at}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_tail_of_zeros_is_cut_unless_a_group_follows() {
    let (folder, model) = sample(&ONE);
    let path = files(folder.path(), ".journal").remove(0);
    let whole = fs::read(&path).unwrap();
    let mut last = Vec::new();
    encode_group(model.last().unwrap(), 0, &mut last).unwrap();
    let (before, last) = whole.split_at(whole.len() - last.len());
    // The search goes by windows: the header may lie across the border of two.
    for gap in [1, 55, 5_000, (1 << 20) - 56, (1 << 20) - 30, (1 << 20) - 1, 1 << 20, 3 << 20] {
        let torn = [before, &vec![0; gap]].concat();
        fs::write(&path, [&torn[..], last].concat()).unwrap();
        let error = open(&folder, &ONE).unwrap_err().to_string();
        assert!(error.contains(&format!("follows at byte {}", torn.len())), "{error}");
        fs::write(&path, &torn).unwrap();
        let journal = open(&folder, &ONE).unwrap();
        assert_eq!(journal.recovery_notes().len(), 1);
        check(&journal, &model[..model.len() - 1].concat());
    }
}

#[test]
fn damage_in_a_finished_segment_is_found_when_read_or_verified() {
    let (folder, model) = sample(&SMALL);
    let path = files(folder.path(), ".journal").remove(1);
    let first: Position = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();

    let journal = open(&folder, &SMALL).unwrap();
    assert_eq!(journal.read(0, 1).unwrap()[0], model[0][0]);
    let mut at = first;
    let error = loop {
        match journal.read(at, 1) {
            Ok(entries) => at += entries.len() as u64,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Damaged { position, .. } if position >= first), "{error}");
    drop(journal);
    let error = open(&folder, &FileJournalOptions { verify: true, ..SMALL }).unwrap_err();
    assert!(error.to_string().contains("the checksum of a group of 3 entries is wrong"), "{error}");

    // Cut, so that the next segment no longer follows; and gone.
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(open(&folder, &SMALL), Err(JournalError::Damaged { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(open(&folder, &SMALL), Err(JournalError::Damaged { .. })));
}

#[test]
fn an_index_that_is_missing_damaged_or_stale_is_made_again() {
    let (folder, model) = sample(&SMALL);
    let paths = files(folder.path(), ".index");
    assert!(paths.len() > 3);
    fs::remove_file(&paths[0]).unwrap();
    let mut bytes = fs::read(&paths[1]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&paths[1], bytes).unwrap();
    fs::copy(&paths[3], &paths[2]).unwrap();
    fs::write(paths[3].with_extension("index.tmp"), "half").unwrap();

    let journal = open(&folder, &SMALL).unwrap();
    assert_eq!(journal.recovery_notes().len(), 3, "{:?}", journal.recovery_notes());
    check(&journal, &model.concat());
    drop(journal);
    assert!(open(&folder, &SMALL).unwrap().recovery_notes().is_empty());
    assert!(files(folder.path(), ".tmp").is_empty());
}

#[test]
fn what_a_newer_version_wrote_is_refused() {
    let (folder, _) = sample(&ONE);
    let path = files(folder.path(), ".journal").remove(0);
    let whole = fs::read(&path).unwrap();

    let mut newer = whole.clone();
    newer[8] = 2;
    fs::write(&path, &newer).unwrap();
    let error = open(&folder, &ONE).unwrap_err();
    assert!(
        matches!(error, JournalError::Newer { .. }) && error.to_string().contains("journal format 2"),
        "{error}"
    );

    // A kind that there is not yet: it is the second byte of the entry, behind the instant.
    let header = format::SegmentHeader::decode(&whole, &path).unwrap().unwrap();
    let tick = vec![Arc::new(Entry { position: 0, epoch: 1, instant: 0, body: super::super::Body::Tick })];
    let mut group = Vec::new();
    let (_, spans) = encode_group(&tick, header.salt, &mut group).unwrap();
    assert_eq!(spans[0].length, 2);
    for (kind, known) in [(2, true), (9, false)] {
        group[GROUP_HEADER_BYTES + 5] = kind;
        let checksum = crc32fast::hash(&group[GROUP_HEADER_BYTES..]);
        group[8..12].copy_from_slice(&checksum.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&header.salt.to_le_bytes());
        hasher.update(&group[8..GROUP_HEADER_BYTES]);
        group[4..8].copy_from_slice(&hasher.finalize().to_le_bytes());
        fs::write(&path, [&whole[..32], &group].concat()).unwrap();
        match open(&folder, &ONE) {
            Ok(journal) => assert!(known && journal.end() == 1),
            Err(error) => assert!(!known && matches!(error, JournalError::Newer { .. }), "{error}"),
        }
    }
}

#[test]
fn a_forged_group_in_the_data_of_an_event_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let forged = {
        let mut group = Vec::new();
        encode_group(&entries(&vec![vec![(0, 3)]])[0], 0, &mut group).unwrap();
        group
    };
    let mut event = crate::event::Event::new("1", "/", "t");
    event.data = crate::event::Data::Binary(forged.repeat(3).into());
    let body = super::super::Body::Event(event);
    let journal = open(&folder, &ONE).unwrap();
    journal.append(&[Arc::new(Entry { position: 0, epoch: 1, instant: 1, body })]).unwrap();
    drop(journal);
    let path = files(folder.path(), ".journal").remove(0);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(open(&folder, &ONE).unwrap().end(), 0);
}

#[test]
fn only_one_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, &ONE).unwrap();
    assert!(matches!(open(&folder, &ONE), Err(JournalError::InUse { .. })));
    drop(journal);
    open(&folder, &ONE).unwrap();
}

#[test]
fn wrongly_stamped_entries_are_refused_and_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, &ONE).unwrap();
    let entry = |position, epoch, instant| {
        Arc::new(Entry { position, epoch, instant, body: super::super::Body::Tick })
    };
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
fn readers_see_whole_groups_while_one_appends() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileJournalOptions { segment_bytes: 4_000, ..SMALL };
    let journal = FileJournal::open(folder.path(), options).unwrap();
    let model = entries(&(0..150).map(|number| vec![(1, number); 1 + number % 7]).collect());
    let all = model.concat();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut next = 0;
                while next < all.len() {
                    let end = journal.end() as usize;
                    let read = journal.read(next as u64, 900).unwrap();
                    assert!(!read.is_empty() || next == end || journal.end() as usize > end);
                    assert_eq!(read[..], all[next..next + read.len()]);
                    next += read.len();
                    std::thread::yield_now();
                }
            });
        }
        for group in &model {
            journal.append(group).unwrap();
        }
    });
    check(&journal, &all);
}

/// Fails from the n-th change on; a write that fails may have been done in part. It reads and writes in
/// pieces, and syncs nothing: these tests read what the system holds, and a real sync takes milliseconds.
struct Failing {
    changes_left: Arc<AtomicI64>,
}

struct FailingFile {
    file: Arc<dyn DiskFile>,
    changes_left: Arc<AtomicI64>,
}

fn spend(changes_left: &AtomicI64) -> io::Result<()> {
    match changes_left.fetch_sub(1, Ordering::SeqCst) {
        left if left > 0 => Ok(()),
        _ => Err(io::ErrorKind::StorageFull.into()),
    }
}

impl Failing {
    fn after(changes: i64) -> Self {
        Failing { changes_left: Arc::new(AtomicI64::new(changes)) }
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FailingFile { file, changes_left: Arc::clone(&self.changes_left) })
    }
}

impl Disk for Failing {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        spend(&self.changes_left)?;
        Ok(self.wrap(RealDisk.create(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(RealDisk.open(path)?))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(folder)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        spend(&self.changes_left)?;
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        assert!(folder.is_dir());
        spend(&self.changes_left)
    }
}

impl DiskFile for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // Short on purpose.
        let short = buffer.len().min(700);
        self.file.read_at(&mut buffer[..short], offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        spend(&self.changes_left)?;
        self.file.write_at(&bytes[..bytes.len().div_ceil(2)], offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        spend(&self.changes_left)
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        spend(&self.changes_left)?;
        self.file.truncate(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

#[test]
fn a_failure_at_any_step_loses_nothing_that_was_acknowledged() {
    let (_, model) = sample(&SMALL);
    let mut failed_at_all = 0;
    for changes in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Failing::after(changes));
        let changes_left = Arc::clone(&disk.changes_left);
        let mut acknowledged = 0;
        let mut failed = true;
        if let Ok(journal) = FileJournal::open_on(disk, folder.path(), SMALL) {
            failed = false;
            for group in &model {
                let end = journal.end();
                match journal.append(group) {
                    Ok(()) => acknowledged += 1,
                    Err(error) => {
                        assert!(matches!(error, JournalError::Io { .. }), "{error}");
                        assert_eq!(journal.end(), end);
                        // The disk is well again, but nobody knows what it has done.
                        changes_left.store(1_000, Ordering::SeqCst);
                        assert!(matches!(journal.append(group), Err(JournalError::Closed)));
                        assert_eq!(journal.read(0, usize::MAX).unwrap(), model[..acknowledged].concat());
                        failed = true;
                        break;
                    }
                }
            }
        }
        failed_at_all += i32::from(failed);
        let journal =
            open(&folder, &FileJournalOptions { new_segment: true, verify: true, ..SMALL }).unwrap();
        let kept =
            (acknowledged..=model.len()).find(|&kept| model[..kept].concat().len() as u64 == journal.end());
        let kept = kept.unwrap_or_else(|| panic!("{} after {acknowledged} groups", journal.end()));
        assert!(kept <= acknowledged + 1);
        for group in &model[kept..] {
            journal.append(group).unwrap();
        }
        check(&journal, &model.concat());
        if !failed {
            break;
        }
    }
    assert!(failed_at_all > 50, "only {failed_at_all} steps");
}

/// If this fails, the format has changed: a journal that an older version wrote could no longer be read.
#[test]
fn the_bytes_of_every_kind_stay_as_they_are() {
    let header = format::SegmentHeader { first: 3, salt: 4 };
    let mut written = hex(&header.encode()) + "\n";
    for (position, body) in bodies().into_iter().enumerate() {
        let mut buffer = Vec::new();
        let entry = Arc::new(Entry { position: position as u64, epoch: 5, instant: 1_000, body });
        let (_, spans) = encode_group(&[entry], 4, &mut buffer).unwrap();
        if position == 0 {
            written += &format!("{}\n", hex(&buffer[..GROUP_HEADER_BYTES]));
        }
        written += &format!("{}\n", hex(spans[0].of(&buffer[GROUP_HEADER_BYTES..]).unwrap()));
    }
    assert_eq!(written, include_str!("format.golden"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
