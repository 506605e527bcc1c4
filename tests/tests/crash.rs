//! The crash harness: a few rounds of it, and that it finds what it should. `make crash` is the real run.

use std::path::Path;

use carpe::{Event, Host, Route, Target};
use carpe_tests::crash::model::{Book, Entry, chained};
use carpe_tests::crash::{Options, Report, folder_in, run};
use carpe_tests::daemon::{carpe, carpe_with_planted_faults};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::settle;
use serde_json::json;

/// Makes rounds until something is found. The host's folder is left behind if that was not to be.
fn crash(carpe: &Path, plant: Option<&str>, rounds: u64) -> Report {
    let folder = folder_in(None);
    let report = run(&Options {
        rounds,
        seed: 11,
        carpe: carpe.to_owned(),
        plant: plant.map(str::to_owned),
        configuration: String::new(),
        durability: "durable".to_owned(),
        folder: folder.clone(),
    });
    println!("{report}");
    if plant.is_none() && !report.is_clean() {
        panic!("{:#?}\n{}", report.violations, folder.display());
    }
    std::fs::remove_dir_all(folder).expect("removed");
    report
}

#[test]
fn a_host_that_is_killed_keeps_its_books() {
    let report = crash(carpe(), None, 8);
    assert!(report.accepted > 0 && report.requests.1 > 0, "{report:?}");
}

#[test]
fn planted_faults_are_found() {
    let carpe = carpe_with_planted_faults();
    // Which number is not 0 depends: what a group has lost can be sent again, and then comes under a second key.
    let faults =
        ["lost-group", "double-apply", "early-acknowledgement", "checkpoint-ahead", "late-try", "swapped"];
    for fault in faults {
        let report = crash(carpe, Some(fault), 40);
        assert!(!report.is_clean(), "{fault} is not found: {report:?}");
    }
}

#[test]
fn the_ledger_keeps_books_of_events_timers_and_outcomes() {
    let folder = Folder::new();
    folder.plugin("it", guest("ledger"), "");
    let host = Host::builder().plugins_dir(folder.path()).sandbox(sandbox());
    let echo = Route::new("ledger.echo", Target::Host { event_type: None });
    let host = host.route(echo).start().expect("starts");
    let entries = [
        Entry { n: 1, set_ms: Some(0), ..Entry::default() },
        Entry { n: 2, set_ms: Some(3_600_000), ..Entry::default() },
        Entry { n: 3, cancel: Some(2), note: true, ..Entry::default() },
        Entry { n: 3, ..Entry::default() },
        Entry { n: 6, set_ms: Some(3_600_000), ..Entry::default() },
        Entry { n: 7, shift: Some((6, 7_200_000)), ..Entry::default() },
        Entry { n: 8, echo: true, fail: Some("error"), ..Entry::default() },
        Entry { n: 9, fail: Some("trap"), ..Entry::default() },
        Entry { n: 10, echo: true, ..Entry::default() },
    ];
    let counted = entries.iter().filter(|entry| entry.fail.is_none());
    let chain = counted.map(|entry| entry.n).fold(0, chained);
    let events = entries.into_iter().enumerate().map(|(place, entry)| {
        Event::new(place.to_string(), "/tests/ledger", "ledger.entry")
            .with_subject("key")
            .with_json(json!(entry).to_string())
    });
    host.submit_all(events.collect()).expect("room").wait().expect("accepted");
    settle(&host);
    let state = host.state("ledger", "key").expect("a state");
    let mut book: Book = serde_json::from_slice(&state).expect("a book");
    assert_eq!(book.waiting.keys().collect::<Vec<_>>(), ["6"]);
    book.waiting.clear();
    let expected = Book {
        events: 7,
        last: 10,
        chain,
        recent: vec![3, 3, 6, 7, 10],
        holes: [4, 5, 8, 9].into(),
        repeated: 1,
        set: 3,
        fired: 1,
        cancelled: 1,
        // No route takes the note: it is withheld.
        failed: 1,
        echoed: 1,
        ..Book::default()
    };
    assert_eq!(book, expected);
}
