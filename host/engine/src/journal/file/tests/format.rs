use super::super::format::{Encoder, GROUP_HEADER_BYTES, GroupHeader, SegmentHeader};
use super::*;

const GOLDEN: &[u8] = include_bytes!("../version-1.golden");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A disk with a segment as version 1 wrote it, and what it holds.
pub(super) fn first_version() -> (FaultyDisk, Vec<Arc<Entry>>) {
    let disk = FaultyDisk::default();
    disk.put(&segment::segment_path(Path::new(FOLDER), 0), GOLDEN);
    let journal = open(&disk, &one()).unwrap();
    let model = all(&journal);
    (disk, model)
}

/// If this fails, the format has changed: a journal that an older version wrote could no longer be read.
#[test]
fn the_bytes_of_every_kind_stay_as_they_are() {
    let header = SegmentHeader { version: 2, first: 3, salt: 4 };
    let mut written = hex(&header.encode()) + "\n";
    let mut encoder = Encoder::new(true);
    for (position, body) in bodies().into_iter().enumerate() {
        let entry = Arc::new(Entry { position: position as u64, epoch: 5, instant: 1_000, body });
        let encoded = encoder.encode(&[entry], 4, 6).unwrap();
        if position == 0 {
            written += &format!("{}\n", hex(&encoded.bytes[..GROUP_HEADER_BYTES]));
        }
        written += &format!("{}\n", hex(&encoded.bytes[GROUP_HEADER_BYTES + 4..]));
    }
    assert_eq!(written, include_str!("../format.golden"));
}

#[test]
fn what_version_1_wrote_is_read_and_not_written_to() {
    let (disk, mut model) = first_version();
    assert_eq!(model.len(), 25);
    let known = bodies();
    for (entry, at) in model.iter().zip(0..) {
        assert!(known.contains(&entry.body), "{entry:?}");
        let expected = (at, at / 3 * 77, 1_700_000_000_010 + 10 * at);
        assert_eq!((entry.position, entry.epoch, entry.instant), expected);
    }
    let journal = open(&disk, &one()).unwrap();
    assert_eq!(journal.recovery_notes(), Vec::<String>::new());
    check(&journal, &model);
    let next = Arc::new(Entry { position: journal.end(), epoch: 1, instant: 1 << 50, body: Body::Tick });
    journal.append(&[Arc::clone(&next)]).unwrap();
    model.push(next);
    check(&journal, &model);
    let paths = disk.paths(".journal");
    assert_eq!(paths.len(), 2);
    assert_eq!(disk.get(&paths[0]), GOLDEN);
    drop(journal);
    let journal = open(&disk, &one()).unwrap();
    check(&journal, &model);

    // Erased, it is of this version.
    assert_eq!(journal.erase(5, &|entry| entry.position == 1).unwrap(), 1);
    model[1] = erased(&model[1]);
    check(&journal, &model);
    assert_eq!(disk.get(&paths[0])[8], 2);
    drop(journal);
    check(&open(&disk, &one()).unwrap(), &model);
}

#[test]
fn an_empty_segment_of_version_1_gives_way_to_a_new_one() {
    let disk = FaultyDisk::default();
    disk.put(&segment::segment_path(Path::new(FOLDER), 0), &GOLDEN[..32]);
    let journal = open(&disk, &one()).unwrap();
    let model = entries(&vec![vec![(1, 3), (1, 4)]]).concat();
    journal.append(&model).unwrap();
    drop(journal);
    assert_eq!(disk.get(&disk.paths(".journal")[0])[8], 2);
    check(&open(&disk, &one()).unwrap(), &model);
}

#[test]
fn what_a_newer_version_wrote_is_refused() {
    let (disk, _) = sample(&one());
    let path = disk.paths(".journal").remove(0);
    let whole = disk.get(&path);

    let mut newer = whole.clone();
    newer[8] = 3;
    disk.put(&path, &newer);
    let error = open(&disk, &one()).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, JournalError::Newer { .. }) && said.contains("journal format 3"), "{said}");

    // A kind that there is not yet: it is the second byte of the entry, behind the instant. A flag.
    let header = SegmentHeader::decode(&whole, &path).unwrap().unwrap();
    let tick = [Arc::new(Entry { position: 0, epoch: 1, instant: 0, body: Body::Tick })];
    let group = Encoder::new(true).encode(&tick, header.salt, 0).unwrap().bytes.to_vec();
    assert_eq!(group.len(), GROUP_HEADER_BYTES + 6);
    let kind = GROUP_HEADER_BYTES + 5;
    for (at, value, known) in
        [(kind, 2, true), (kind, 200, false), (20, 1, false), (20, 2, true), (20, 4, false)]
    {
        let mut group = group.clone();
        group[at] = value;
        let checksum = crc32fast::hash(&group[GROUP_HEADER_BYTES..]);
        group[8..12].copy_from_slice(&checksum.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&header.salt.to_le_bytes());
        hasher.update(&group[8..GROUP_HEADER_BYTES]);
        group[4..8].copy_from_slice(&hasher.finalize().to_le_bytes());
        disk.put(&path, &[&whole[..32], &group].concat());
        match open(&disk, &one()) {
            Ok(journal) => assert!(known && journal.end() == 1),
            Err(error) => assert!(!known && matches!(error, JournalError::Newer { .. }), "{error}"),
        }
    }
}

#[test]
fn a_forged_group_in_the_data_of_an_event_is_not_taken_for_one() {
    for compress in [true, false] {
        let options = FileJournalOptions { compress, ..one() };
        let forged = entries(&vec![vec![(0, 3)]]).remove(0);
        let forged = Encoder::new(false).encode(&forged, 0, 0).unwrap().bytes.to_vec();
        let mut event = crate::event::Event::new("1", "/", "t");
        event.data = crate::event::Data::Binary(forged.repeat(3).into());
        let disk = FaultyDisk::default();
        let journal = open(&disk, &options).unwrap();
        journal
            .append(&[Arc::new(Entry { position: 0, epoch: 1, instant: 1, body: Body::Event(event.into()) })])
            .unwrap();
        drop(journal);
        let path = disk.paths(".journal").remove(0);
        let whole = disk.get(&path);
        disk.put(&path, &whole[..whole.len() - 1]);
        assert_eq!(open(&disk, &options).unwrap().end(), 0);
    }
}

#[test]
fn groups_are_compressed_where_it_pays() {
    let sizes = [true, false].map(|compress| {
        let options = FileJournalOptions { compress, ..one() };
        let (disk, model) = sample_of(&options, 8, 40);
        check(&open(&disk, &FileJournalOptions { compress: !compress, ..one() }).unwrap(), &model.concat());
        let path = disk.paths(".journal").remove(0);
        let bytes = disk.get(&path);
        let header = SegmentHeader::decode(&bytes, &path).unwrap().unwrap();
        let group = GroupHeader::decode(&bytes[32..], &header).unwrap();
        assert_eq!(group.length < group.expanded, compress);
        bytes.len()
    });
    assert!(sizes[0] * 2 < sizes[1], "{sizes:?}");
}
