use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carpe::journal::ActionId;
use carpe::{Answer, Data, Delivery, Event, Reply, Sink};
use carpe_connect::sinks::{FileSink, StdoutFormat, StdoutSink};

fn deliver(sink: &impl Sink, number: u8, replies: &mpsc::Sender<Answer>) {
    let event = Event::new(number.to_string(), "/carpe", "notify").with_json(r#"{"x": 1.0}"#);
    let replies = replies.clone();
    let reply = Reply::new(move |answer| replies.send(answer).unwrap());
    let delivery = Delivery::new(ActionId([number; 16]), Arc::new(event), Duration::from_secs(10));
    sink.deliver(delivery, reply);
}

fn ids(text: &str) -> Vec<String> {
    text.lines().map(|line| Event::from_json(line.as_bytes(), 10_000).unwrap().id.to_string()).collect()
}

const TAKEN: Answer = Answer::Delivered(Data::Absent);

#[test]
fn each_action_is_a_line_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("actions.jsonl");
    let sink = FileSink::open(&path).unwrap();
    let (sender, replies) = mpsc::channel();
    for number in 0..200 {
        deliver(&sink, number, &sender);
    }
    for _ in 0..200 {
        assert_eq!(replies.recv().unwrap(), TAKEN);
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(ids(&text), (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(text.contains(r#""data":{"x": 1.0}"#), "as the rule wrote it");
}

#[test]
fn it_goes_on_after_a_torn_line_and_after_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("actions.jsonl");
    fs::write(&path, "{\"torn\":").unwrap();
    let sink = FileSink::open(&path).unwrap();
    let (sender, replies) = mpsc::channel();
    deliver(&sink, 1, &sender);
    assert_eq!(replies.recv().unwrap(), TAKEN);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(ids(text.strip_prefix("{\"torn\":\n").unwrap()), ["1"]);

    let moved = folder.path().join("actions.jsonl.1");
    fs::rename(&path, &moved).unwrap();
    deliver(&sink, 2, &sender);
    assert_eq!(replies.recv().unwrap(), TAKEN);
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), ["2"]);
    assert_eq!(fs::read_to_string(&moved).unwrap(), text);

    let Err(error) = FileSink::open("/nowhere/at/all") else { panic!("there is no such folder") };
    assert_eq!(error.to_string(), "cannot write to /nowhere/at/all");
}

#[test]
fn a_full_disk_means_again() {
    // Linux has a device for that.
    let sink = FileSink::open("/dev/full").unwrap();
    let (sender, replies) = mpsc::channel();
    deliver(&sink, 1, &sender);
    let Answer::Again { reason, after: None } = replies.recv().unwrap() else { panic!("again") };
    assert!(reason.starts_with("cannot write: "), "{reason}");
}

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_screen_shows_text_or_json() {
    for (format, expected) in [
        (StdoutFormat::Text, "- -> notify {\"x\": 1.0}\n"),
        (
            StdoutFormat::Jsonl,
            "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/carpe\",\"type\":\"notify\",\
             \"datacontenttype\":\"application/json\",\"data\":{\"x\": 1.0}}\n",
        ),
    ] {
        let screen = Screen::default();
        let sink = StdoutSink::start_with(format, screen.clone()).unwrap();
        let (sender, replies) = mpsc::channel();
        deliver(&sink, 1, &sender);
        assert_eq!(replies.recv().unwrap(), TAKEN);
        assert_eq!(String::from_utf8(screen.0.lock().unwrap().clone()).unwrap(), expected);
    }
}
