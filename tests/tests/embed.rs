//! Services embed the host as a library.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use carpe::status::PluginState;
use carpe::{Host, Moment, Timeline};
use carpe_tests::events::{Count, count, count_of, counts};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::{settle, wait_for_state};

/// A child process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_example_service_has_at_most_60_lines_of_code() {
    let text = include_str!("../src/bin/service.rs");
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    assert!(text.lines().filter(is_code).count() <= 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_answers_requests_with_the_moments_that_they_cause() {
    let folder = Folder::new();
    folder.plugin("counter", guest("counter"), "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_service"));
    let child = command.arg(folder.path()).stdout(Stdio::piped()).spawn().expect("the service starts");
    let mut service = Running(child);
    let mut address = String::new();
    BufReader::new(service.0.stdout.take().expect("its output"))
        .read_line(&mut address)
        .expect("its address");

    let client = reqwest::Client::new();
    let visit = |page: &str| {
        let request = client.post(format!("{}/visits/{page}", address.trim()));
        async move { request.send().await.expect("an answer").json::<Moment>().await.expect("a moment") }
    };
    for n in 1..=3 {
        let moment = visit("home").await;
        assert_eq!((moment.kind.as_str(), moment.key.as_str()), ("counter.counted", "home"));
        assert_eq!(moment.why, format!("event {n} of home"));
    }
    let at_once = ["a", "b", "c", "d"].map(|page| (page, tokio::spawn(visit(page))));
    for (page, moment) in at_once {
        assert_eq!(moment.await.expect("done").why, format!("event 1 of {page}"));
    }
}

#[test]
fn several_hosts_live_in_one_process() {
    let hosts: Vec<Host> = (0..3)
        .map(|_| {
            let manifest = carpe::Manifest::default();
            let builder = Host::builder().sandbox(sandbox()).timeline(Timeline::Event);
            builder.plugin("counter", guest("counter").to_vec(), manifest).start().expect("starts")
        })
        .collect();
    for (host, last) in hosts.iter().zip(1..) {
        host.submit_all(counts("key", last)).expect("room").wait().expect("accepted");
    }
    for (host, last) in hosts.iter().zip(1..) {
        settle(host);
        assert_eq!(count_of(host, "counter", "key"), Count::exact(last));
    }
}

#[tokio::test]
async fn sync_and_async_callers_share_a_host() {
    let start = || {
        let builder = Host::builder().sandbox(sandbox());
        builder.plugin("counter", guest("counter").to_vec(), carpe::Manifest::default()).start()
    };
    let host = tokio::task::spawn_blocking(start).await.expect("done").expect("starts");
    let mut moments = host.moments();
    host.submit(count("key", 1)).expect("room").await.expect("accepted");
    assert_eq!(moments.recv().await.expect("a moment").why, "event 1 of key");
    let clone = host.clone();
    let sync = std::thread::spawn(move || clone.submit(count("key", 2)).expect("room").wait());
    assert_eq!(sync.join().expect("done").expect("accepted").accepted, 1);
    assert_eq!(moments.recv().await.expect("a moment").why, "event 2 of key");
    let report =
        tokio::task::spawn_blocking(move || host.shutdown(carpe_tests::PATIENCE)).await.expect("done");
    assert!(report.drained);
}

#[test]
fn a_plugin_given_by_its_bytes_that_is_no_good_fails_the_start() {
    let error = Host::builder().plugin("mine", b"noise".to_vec(), carpe::Manifest::default()).start().err();
    let words = error.expect("refused").to_string();
    assert!(words.contains("the plugin `mine` is refused: it is not WebAssembly"), "{words}");
}

#[test]
fn a_plugin_given_by_its_bytes_is_replaced_by_a_good_one_only() {
    let builder = Host::builder().sandbox(sandbox()).timeline(Timeline::Event);
    let manifest = carpe::Manifest::default();
    let host = builder.plugin("mine", guest("counter").to_vec(), manifest.clone()).start().expect("starts");
    host.submit_all(counts("key", 3)).expect("room").wait().expect("accepted");
    let refused = host.load_plugin("mine", &b"noise"[..], manifest.clone()).expect_err("refused");
    assert!(refused.to_string().contains("it is not WebAssembly"), "{refused}");
    assert_eq!(host.plugin_state("mine"), Some(PluginState::Failing));
    settle(&host);
    assert_eq!(count_of(&host, "counter", "key"), Count::exact(3));

    host.load_plugin("mine", guest("counter-migrating"), manifest.clone()).expect("it can read the states");
    assert_eq!(host.plugin_state("mine"), Some(PluginState::Active));
    host.submit(count("key", 4)).expect("room").wait().expect("accepted");
    settle(&host);
    assert_eq!(host.state("counter", "key").as_deref(), Some(&br#""4 4""#[..]));

    host.load_plugin("theirs", guest("echo"), manifest).expect("one that is new");
    assert_eq!(host.plugin_state("theirs"), Some(PluginState::Active));
}

#[test]
fn a_folder_that_comes_later_is_found() {
    let folder = Folder::new();
    let later = folder.file("later");
    let host = Host::builder().sandbox(sandbox()).plugins_dir(&later).start().expect("starts without it");
    std::fs::create_dir(&later).expect("made");
    std::fs::write(later.join("counter.wasm"), guest("counter")).expect("written");
    wait_for_state(&host, "counter", PluginState::Active);
}
