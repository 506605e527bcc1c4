//! Below the host: files that cannot be written, in the journal, the checkpoints and the bases; and a disk that is full.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use carpe::Host;
use carpe_tests::daemon::Home;
use carpe_tests::events::{Count, count_of};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, root, sandbox, target};
use carpe_tests::{settle, wait_for};
use serde_json::{Value, json};

/// The file layer that fails, compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let (source, shim) = (root().join("tests/faults/shim.c"), target().join("faults-shim.so"));
        // Beside it and renamed, since another run may be loading it.
        let temporary = shim.with_extension(format!("{}.so", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&temporary)
            .arg(source)
            .arg("-ldl");
        assert!(compiler.status().expect("cc runs").success());
        std::fs::rename(temporary, &shim).expect("renamed");
        shim
    })
}

/// Each change of a file fails in turn.
fn every_change_fails(sort: u8) {
    let (home, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
    plugins.plugin("it", guest("counter"), "[configuration]\nevery = 0");
    let data = home.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let data = data.canonicalize().expect("a path");
    let control = home.path().join("control");
    std::fs::write(&control, [0; 40]).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_faulty"))
        .args([&data, plugins.path(), &control])
        .arg(sort.to_string())
        .env("LD_PRELOAD", shim())
        .env("CARPE_FAULTS_FOLDER", &data)
        .env("CARPE_FAULTS_CONTROL", &control)
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}: {text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    print!("{text}");
    let struck = text.split("struck=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a count");
    assert!(struck.parse::<u64>().expect("a number") > 20, "{text}");
}

#[test]
fn a_disk_without_room_loses_nothing() {
    every_change_fails(1);
}

#[test]
fn writes_that_are_cut_short_lose_nothing() {
    every_change_fails(2);
}

#[test]
fn syncs_that_fail_lose_nothing() {
    every_change_fails(3);
}

const DISK: u64 = 48 << 20;
const FILLER: u64 = 30 << 20;

/// One event of 100 kB, as JSON.
fn large(n: u64) -> String {
    let data = json!({ "n": n, "padding": "x".repeat(100_000) });
    json!({
        "specversion": "1.0", "id": n.to_string(), "source": "/tests/disk", "type": "count.event", "subject": "key",
        "data": data,
    })
    .to_string()
}

const STRUCTURED: [(&str, &str); 1] = [("content-type", "application/cloudevents+json")];

#[test]
fn a_full_disk_stops_the_intake_and_it_goes_on_when_there_is_room() {
    let home =
        Home::new("[journal]\ncompress = false\n[checkpoints]\nevery_ms = 50\n[moments]\nprint = 'none'\n");
    home.plugins.plugin("it", guest("counter"), "[configuration]\nevery = 0");
    let daemon = home.start_on_disk(DISK, FILLER);
    let mut n = 0;
    let refused = loop {
        let (status, answer) = daemon.send(&STRUCTURED, &large(n + 1));
        if status == 503 {
            break answer;
        }
        assert_eq!(status, 202, "{answer}");
        n += 1;
        assert!(n * 100_000 < DISK, "the disk is never full");
    };
    assert!(
        refused["detail"].as_str().is_some_and(|detail| detail.contains("cannot be written")),
        "{refused}"
    );
    let status = daemon.status();
    assert!(
        status["journal"]["failed"].as_str().is_some_and(|why| why.contains("No space left")),
        "{status}"
    );
    assert_eq!(status["ready"], false);

    std::fs::remove_file(daemon.data("filler")).expect("removed");
    wait_for("it goes on", || (daemon.send(&STRUCTURED, &large(n + 1)).0 == 202).then_some(()));
    wait_for("it is ready", || (daemon.status()["ready"] == true).then_some(()));
    n += 1;
    for _ in 0..20 {
        n += 1;
        assert_eq!(daemon.send(&STRUCTURED, &large(n)).0, 202);
    }
    daemon.settle();
    let status = daemon.status();
    assert_eq!(status["plugins"][0]["work"]["inputs"], n, "{status}");
    wait_for("checkpoints are written again", || {
        daemon.status()["recovery"]["checkpoints_failed"].is_null().then_some(())
    });
    // What is on that disk comes to the same.
    let (copy, plugins) = (home.file("copy"), home.plugins.path());
    carpe::backup::backup(&daemon.data(""), &copy).expect("a backup");
    let host =
        Host::builder().data_dir(&copy).plugins_dir(plugins).sandbox(sandbox()).start().expect("starts");
    settle(&host);
    assert_eq!(count_of(&host, "counter", "key"), Count::exact(n));
    assert!(daemon.stop().success());
}

#[test]
fn a_machine_that_stands_still_sets_nothing_aside() {
    let home = Home::new("[limits]\nhandle_wall_ms = 200\n[moments]\nprint = 'none'\n");
    home.plugins.plugin("it", guest("hostile"), "");
    let daemon = home.start();
    // Each key works for a while, and then counts.
    let event = |n: u64| {
        let data = if n.is_multiple_of(2) { json!({ "do": { "work": 20_000_000 } }) } else { json!({}) };
        json!({
            "specversion": "1.0", "id": n.to_string(), "source": "/tests", "type": "hostile.event",
            "subject": format!("key-{}", n / 2), "data": data,
        })
    };
    let batch: Vec<Value> = (0..120).map(event).collect();
    let headers = [("content-type", "application/cloudevents-batch+json")];
    assert_eq!(daemon.send(&headers, &Value::from(batch).to_string()).0, 202);
    for _ in 0..4 {
        daemon.stand_still(Duration::from_millis(700));
        std::thread::sleep(Duration::from_millis(50));
    }
    daemon.settle();
    let status = daemon.status();
    assert_eq!(
        (&status["dead_letters"], &status["plugins"][0]["work"]["keys"]),
        (&json!(0), &json!(60)),
        "{status}"
    );
    assert!(daemon.stop().success());
}
