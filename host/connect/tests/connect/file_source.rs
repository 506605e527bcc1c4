use std::fs::{self, File, OpenOptions};
use std::future::{Future, pending};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use carpe::{Host, SubmitError};
use carpe_connect::Bounds;
use carpe_connect::sources::file::{FileError, FileSource, OnBadLine, Progress};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::intake::Recorder;

fn event(id: impl ToString) -> String {
    json!({"specversion": "1.0", "id": id.to_string(), "source": "/s", "type": "t", "data": {"x": 1}})
        .to_string()
}

fn lines(ids: impl IntoIterator<Item = u32>) -> String {
    ids.into_iter().map(|id| event(id) + "\n").collect()
}

fn ids(ids: impl IntoIterator<Item = u32>) -> Vec<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}

fn folder_with(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

async fn read(source: FileSource, intake: &Recorder) -> Result<Progress, FileError> {
    source.run(intake.clone(), pending(), |_| {}).await
}

fn skipping(mut source: FileSource) -> FileSource {
    source.on_bad_line = OnBadLine::Skip;
    source
}

/// A source that follows, until it is told to stop.
struct Followed {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Progress, FileError>>,
}

impl Followed {
    fn start(path: &Path, intake: &Recorder) -> Self {
        let mut source = FileSource::file(path);
        source.follow = true;
        source.poll = Duration::from_millis(1);
        let (stop, stopped) = oneshot::channel();
        let intake = intake.clone();
        let run = async move { source.run(intake, async { stopped.await.unwrap_or(()) }, |_| {}).await };
        Followed { stop, task: tokio::spawn(run) }
    }

    async fn stop(self) -> Progress {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_file_is_read_in_order_and_in_groups() {
    let intake = Recorder::new();
    let (_folder, path) = folder_with(lines(0..1000));
    let mut seen = Vec::new();
    let done =
        FileSource::file(&path).run(intake.clone(), pending(), |done| seen.push(done.bytes)).await.unwrap();
    assert_eq!(intake.ids(), ids(0..1000));
    let length = fs::metadata(&path).unwrap().len();
    assert_eq!((done.events, done.repeated, done.bad_lines), (1000, 0, 0));
    assert_eq!((done.bytes, done.total_bytes), (length, Some(length)));
    assert!(seen.is_sorted() && seen.last() == Some(&length));
    let groups = intake.groups();
    assert!(groups.iter().all(|&size| size <= 100), "no more than the intake takes at once: {groups:?}");
    assert!(groups.len() <= 11, "and as many: {groups:?}");
}

#[tokio::test]
async fn marks_blank_lines_and_a_missing_end_do_not_matter() {
    let intake = Recorder::new();
    let text = format!("\u{feff}{}\r\n\r\n   \n{}\r\n{}", event(1), event(2), event(3));
    let (_folder, path) = folder_with(text);
    assert_eq!(read(FileSource::file(&path), &intake).await.unwrap().events, 3);
    assert_eq!(intake.ids(), ids(1..4));

    let (_folder, empty) = folder_with("");
    assert_eq!(read(FileSource::file(empty), &intake).await.unwrap().events, 0);
}

#[tokio::test]
async fn it_resumes_where_it_stopped() {
    let intake = Recorder::new();
    let (_folder, path) = folder_with(lines(0..5));
    assert_eq!(read(FileSource::file(&path), &intake).await.unwrap().events, 5);
    append(&path, &lines(5..8));
    let done = read(FileSource::file(&path), &intake).await.unwrap();
    assert_eq!((done.events, done.repeated), (3, 0));
    let done = read(FileSource::file(&path), &intake).await.unwrap();
    assert_eq!((done.events, done.repeated), (0, 0));
    assert_eq!(intake.ids(), ids(0..8));

    // Also after a last line that had no end.
    append(&path, &event(8));
    assert_eq!(read(FileSource::file(&path), &intake).await.unwrap().events, 1);
    append(&path, &format!("\n{}", event(9)));
    let done = read(FileSource::file(&path), &intake).await.unwrap();
    assert_eq!((done.events, done.repeated), (1, 0));
}

#[tokio::test]
async fn another_file_of_the_same_name_is_read_from_its_start() {
    for other in
        [lines(100..103), lines(100..200), lines(0..4), format!("{}{}", lines(0..2), lines(100..110))]
    {
        let intake = Recorder::new();
        let (_folder, path) = folder_with(lines(0..5));
        read(FileSource::file(&path), &intake).await.unwrap();
        fs::write(&path, &other).unwrap();
        let done = read(FileSource::file(&path), &intake).await.unwrap();
        assert_eq!(done.events + done.repeated, other.lines().count() as u64);
    }
}

#[tokio::test]
async fn a_bad_line_stops_it_and_once_mended_it_goes_on() {
    let intake = Recorder::new();
    let bad = event(7).replace("\"x\":1", "\"x\":");
    let text = lines(0..7) + &bad + "\n" + &lines(8..10);
    let (_folder, path) = folder_with(&text);
    let error = read(FileSource::file(&path), &intake).await.unwrap_err();
    let column = bad.find("\"x\":").unwrap() + 5;
    let shown = error.to_string();
    assert!(
        shown.starts_with(&format!("{}:8:{column}: this is not a CloudEvent in JSON", path.display())),
        "{shown}"
    );
    assert!(shown.ends_with("mend the line, or set `on_bad_line = \"skip\"`"), "{shown}");
    assert_eq!(intake.ids(), ids(0..7), "what came before it is taken");

    fs::write(&path, text.replace(&bad, &event(7))).unwrap();
    let done = read(FileSource::file(&path), &intake).await.unwrap();
    assert_eq!((done.events, done.repeated), (3, 0));
    assert_eq!(intake.ids(), ids(0..10));
}

#[tokio::test]
async fn bad_lines_are_skipped_and_reported_up_to_a_bound() {
    let intake = Recorder::with(Bounds { event_bytes: 200, batch_events: 100 });
    let no_id = r#"{"specversion":"1.0","source":"/s","type":"t"}"#;
    let long = "x".repeat(100_000);
    let text = format!("{}\n{no_id}\n{long}\n\n{}\n[1]\n{}", event(1), event(2), event(3));
    let (_folder, path) = folder_with(&text);
    let done = read(skipping(FileSource::file(&path)), &intake).await.unwrap();
    assert_eq!((done.events, done.bad_lines), (3, 3));
    let shown: Vec<String> =
        done.first_bad_lines.iter().map(|bad| format!("{}: {}", bad.line, bad.reason)).collect();
    assert!(shown[0].starts_with("2: attribute `id`"), "{shown:?}");
    assert_eq!(shown[1], "3: the line is longer than 204 bytes");
    assert!(shown[2].starts_with("6: this is not a CloudEvent in JSON"), "{shown:?}");

    let (_folder, path) = folder_with("x\n".repeat(5000));
    let mut source = skipping(FileSource::file(&path));
    source.max_bad_lines = 10;
    let error = read(source, &intake).await.unwrap_err();
    assert!(matches!(error, FileError::TooManyBadLines { count: 11, limit: 10, .. }), "{error}");
}

#[tokio::test]
async fn what_the_host_finds_invalid_is_a_bad_line_too() {
    let (_folder, path) = folder_with(lines(0..10));
    let intake = Recorder::new();
    intake.refuse_id("4");
    let error = read(FileSource::file(&path), &intake).await.unwrap_err().to_string();
    assert!(error.contains("events.jsonl:5: the data is not wanted"), "{error}");
    assert_eq!(intake.ids(), ids(0..4));

    let done = read(skipping(FileSource::file(&path)), &intake).await.unwrap();
    assert_eq!((done.events, done.repeated, done.bad_lines), (5, 0, 1));
    assert_eq!(intake.ids(), ids((0..4).chain(5..10)));
}

#[tokio::test]
async fn it_waits_for_a_busy_host_and_ends_with_a_stopped_one() {
    let intake = Recorder::new();
    let (_folder, path) = folder_with(lines(0..300));
    for _ in 0..4 {
        intake.refuse(SubmitError::Busy { retry_after: Duration::from_millis(1) });
    }
    assert_eq!(read(FileSource::file(&path), &intake).await.unwrap().events, 300);
    assert_eq!(intake.ids(), ids(0..300));

    append(&path, &lines(300..301));
    intake.refuse(SubmitError::Stopped);
    let error = read(FileSource::file(&path), &intake).await.unwrap_err();
    assert!(matches!(error, FileError::Intake { source: SubmitError::Stopped, .. }));

    let missing = read(FileSource::file("/nowhere/at/all"), &intake).await.unwrap_err();
    assert_eq!(missing.to_string(), "cannot read /nowhere/at/all");
    assert!(read(FileSource::file("/tmp"), &intake).await.is_err(), "a folder");
}

#[tokio::test]
async fn only_so_much_is_in_flight() {
    let intake = Recorder::with(Bounds { event_bytes: 4096, batch_events: 10 });
    intake.open(false);
    let (_folder, path) = folder_with(lines(0..1000));
    let (stop, stopped) = oneshot::channel::<()>();
    let (source, feed) = (FileSource::file(&path), intake.clone());
    let run = tokio::spawn(source.run(feed, async { stopped.await.unwrap_or(()) }, |_| {}));
    intake.taken(80).await;
    tokio::task::yield_now().await;
    assert_eq!(intake.ids().len(), 80, "eight groups");
    stop.send(()).unwrap();
    intake.open(true);
    let done = run.await.unwrap().unwrap();
    // What was submitted counts; the next run goes on behind it.
    assert_eq!(done.events, 80);
    let done = read(FileSource::file(&path), &intake).await.unwrap();
    assert_eq!((done.events, done.repeated), (920, 0));
    assert_eq!(intake.ids(), ids(0..1000));
}

fn disk_full() -> SubmitError {
    SubmitError::Journal("disk full".into())
}

/// Time passes by itself when there is nothing to do.
#[tokio::test(start_paused = true)]
async fn it_waits_while_the_journal_cannot_be_written_and_goes_on_in_order() {
    for (refused, failed) in [(3, 0), (0, 1), (0, 8), (2, 3)] {
        for stream in [false, true] {
            let intake = Recorder::new();
            let (_folder, path) = folder_with(lines(0..1000));
            let source = match stream {
                true => FileSource::stream("stdin", File::open(&path).unwrap()),
                false => FileSource::file(&path),
            };
            // The first chunks are taken, and what then fails fails all at once, as a journal does.
            (0..failed).for_each(|_| intake.fail(disk_full()));
            (0..refused).for_each(|_| intake.refuse(disk_full()));
            let done = read(source, &intake).await.unwrap();
            assert_eq!((done.events, done.repeated), (1000, 0), "{refused} refused, {failed} failed");
            assert_eq!(intake.ids(), ids(0..1000));
            assert_eq!(done.bytes, fs::metadata(&path).unwrap().len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_line_that_follows_a_failed_journal_still_stops_it() {
    let intake = Recorder::new();
    let (_folder, path) = folder_with(lines(0..1000));
    intake.refuse_id("250");
    (0..2).for_each(|_| intake.fail(disk_full()));
    let error = read(FileSource::file(&path), &intake).await.unwrap_err().to_string();
    assert!(error.contains("events.jsonl:251: the data is not wanted"), "{error}");
    assert_eq!(intake.ids(), ids(0..250));
}

/// What was read of a stream is gone, so that has to be said.
#[tokio::test(start_paused = true)]
async fn it_ends_when_it_is_told_to_while_the_journal_cannot_be_written() {
    let intake = Recorder::new();
    let (_folder, path) = folder_with(lines(0..3));
    (0..10_000).for_each(|_| intake.refuse(disk_full()));
    let asked = intake.clone();
    let stop = async move {
        while asked.refusals_left() > 9_990 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let error = FileSource::file(&path).run(intake, stop, |_| {}).await.unwrap_err();
    assert!(matches!(error, FileError::Intake { source: SubmitError::Journal(_), .. }));
    let again = Recorder::new();
    assert_eq!(read(FileSource::file(&path), &again).await.unwrap().events, 3);
}

#[tokio::test]
async fn it_follows_a_file_that_grows() {
    let intake = Recorder::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let followed = Followed::start(&path, &intake);
    // It isn't there yet.
    fs::write(&path, lines(0..2)).unwrap();
    intake.taken(2).await;
    // A line that isn't whole yet is waited for.
    let line = event(2);
    append(&path, &(lines(10..11) + &line[..20]));
    intake.taken(3).await;
    assert_eq!(intake.ids(), ids([0, 1, 10]));
    append(&path, &line[20..]);
    append(&path, "\n");
    intake.taken(4).await;
    append(&path, "{\"half\":");
    let done = followed.stop().await;
    assert_eq!((done.events, done.bad_lines), (4, 0));
    // It stands before the half line.
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("{\"half\":", &lines(3..4))).unwrap();
    let done = read(FileSource::file(&path), &intake).await.unwrap();
    assert_eq!((done.events, done.repeated), (1, 0));
    assert_eq!(intake.ids(), ids([0, 1, 10, 2, 3]));
}

#[tokio::test]
async fn it_follows_through_rotation_and_truncation() {
    let intake = Recorder::new();
    let (folder, path) = folder_with(lines(0..3));
    let mut old = OpenOptions::new().append(true).open(&path).unwrap();
    let followed = Followed::start(&path, &intake);
    intake.taken(3).await;
    // Moved away: what is still written to it counts, with an end or without.
    fs::rename(&path, folder.path().join("events.jsonl.1")).unwrap();
    old.write_all((lines(3..5) + &event(5)).as_bytes()).unwrap();
    drop(old);
    fs::write(folder.path().join("new"), lines(6..8)).unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    intake.taken(8).await;
    assert_eq!(intake.ids(), ids(0..8));
    // Cut, and written again.
    File::create(&path).unwrap();
    append(&path, &lines(8..9));
    intake.taken(9).await;
    assert_eq!(followed.stop().await.events, 9);
    assert_eq!(intake.ids(), ids(0..9));
}

#[tokio::test]
async fn each_line_of_a_pipe_is_taken_as_it_comes() {
    struct Pipe(mpsc::Receiver<String>);
    impl Read for Pipe {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Ok(text) = self.0.recv() else { return Ok(0) };
            into[..text.len()].copy_from_slice(text.as_bytes());
            Ok(text.len())
        }
    }
    let intake = Recorder::new();
    let (sender, receiver) = mpsc::channel();
    let feed = intake.clone();
    let run = tokio::spawn(async move { read(FileSource::stream("stdin", Pipe(receiver)), &feed).await });
    for id in 0..3 {
        sender.send(lines(id..id + 1)).unwrap();
        intake.taken(id as usize + 1).await;
    }
    sender.send("nonsense\n".to_owned()).unwrap();
    let error = run.await.unwrap().unwrap_err().to_string();
    assert!(error.starts_with("stdin:4:"), "{error}");
}

#[tokio::test]
async fn it_ends_when_it_is_told_to_while_the_host_is_busy() {
    let intake = Recorder::new();
    let (_folder, path) = folder_with(lines(0..3));
    intake.refuse(SubmitError::Busy { retry_after: Duration::from_secs(3600) });
    let (stop, stopped) = oneshot::channel::<()>();
    let run = FileSource::file(&path).run(intake.clone(), async { stopped.await.unwrap_or(()) }, |_| {});
    let run = tokio::spawn(run);
    stop.send(()).unwrap();
    assert_eq!(run.await.unwrap().unwrap().events, 0);
    fn is_send(_: impl Future + Send) {}
    is_send(FileSource::stdin().run(intake, pending(), |_| {}));
}

#[tokio::test]
async fn a_host_that_starts_again_goes_on_where_the_last_one_stopped() {
    let (folder, path) = folder_with(lines(0..500));
    let start = || Host::builder().data_dir(folder.path().join("data")).threads(1).start().unwrap();
    for (more, expected) in [(0..0, 500), (500..800, 300), (0..0, 0)] {
        append(&path, &lines(more));
        let host = start();
        let done = FileSource::file(&path).run(host.clone(), pending(), |_| {}).await.unwrap();
        assert_eq!((done.events, done.repeated), (expected, 0));
        tokio::task::spawn_blocking(move || host.shutdown(Duration::from_secs(10))).await.unwrap();
    }
}
