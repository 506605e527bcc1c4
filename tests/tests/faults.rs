//! Below the host: files that cannot be written, in the journal, the checkpoints and the bases; and a disk that is full.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, root, target};

/// The file layer that fails, compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let (source, shim) = (root().join("tests/faults/shim.c"), target().join("faults-shim.so"));
        // Beside it and renamed, since another run may be loading it.
        let temporary = shim.with_extension(format!("{}.so", std::process::id()));
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&temporary);
        let compiled = compiled.arg(source).arg("-ldl").status().expect("cc compiles");
        assert!(compiled.success());
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
    assert!(output.status.success(), "{}: {text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
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
