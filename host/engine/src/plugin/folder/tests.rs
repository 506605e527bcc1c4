//! With a real file system. Changes are waited for; that nothing is told is shown by a marker, a plugin
//! that settles after what was done before it.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

struct Watched {
    changes: Receiver<FolderChange>,
    watcher: FolderWatcher,
    markers: u32,
    folder: PathBuf,
    // Last, so that the watcher is dropped before its folder.
    _dir: TempDir,
}

/// Looks often, so that nothing depends on events.
fn polling() -> FolderOptions {
    FolderOptions {
        settle: Duration::from_millis(40),
        poll: Duration::from_millis(50),
        max_component_bytes: 1_000,
        max_plugins: 100,
    }
}

/// Looks only when told to.
fn by_events() -> FolderOptions {
    FolderOptions { poll: Duration::from_secs(3_600), ..polling() }
}

/// Watches a new folder, which `prepare` fills, and waits for its first scan.
fn watch(options: FolderOptions, prepare: impl FnOnce(&Path)) -> (Watched, Vec<String>) {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("plugins");
    fs::create_dir(&folder).unwrap();
    prepare(&folder);
    let (sender, changes) = channel();
    let watcher = PluginFolder::watch(&folder, options, move |change| drop(sender.send(change))).unwrap();
    let watched = Watched { changes, watcher, markers: 0, folder, _dir: dir };
    let mut first = Vec::new();
    loop {
        match watched.next() {
            change if change == "scan done" => return (watched, first),
            change => first.push(change),
        }
    }
}

impl Watched {
    fn next_change(&self) -> FolderChange {
        self.changes.recv_timeout(PATIENCE).expect("no change was told")
    }

    fn next(&self) -> String {
        self.words(&self.next_change())
    }

    /// Paths are shown from the folder on.
    fn words(&self, change: &FolderChange) -> String {
        let words = match change {
            FolderChange::Settled { file_stem, component, manifest, .. } => {
                let name = match manifest {
                    Ok(manifest) => manifest.name.clone().unwrap_or_default(),
                    Err(error) => error.to_string(),
                };
                format!("settled {file_stem} {} {name}", String::from_utf8_lossy(component))
            }
            FolderChange::Removed { file_stem } => format!("removed {file_stem}"),
            FolderChange::Unreadable { error, .. } => error.to_string(),
            FolderChange::FolderMissing { error, .. } => error.to_string(),
            FolderChange::FolderBack { .. } => "folder back".to_owned(),
            FolderChange::Note { path, words } => format!("{}: {words}", path.display()),
            FolderChange::ScanDone => "scan done".to_owned(),
        };
        words.replace(&format!("{}/", self.folder.display()), "").trim_end().to_owned()
    }

    /// What is told up to a marker that is put into the folder now.
    fn told(&mut self) -> Vec<String> {
        self.markers += 1;
        let marker = format!("zz-marker-{}", self.markers);
        self.write(&format!("{marker}.wasm"), "m");
        let mut told = Vec::new();
        loop {
            let change = self.next();
            if change == format!("settled {marker} m") {
                return told;
            }
            told.push(change);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// In one step, so that no half of it can settle, however slow the machine is.
    fn write(&self, name: &str, text: &str) {
        let aside = self.folder.with_file_name("being-written");
        fs::write(&aside, text).unwrap();
        fs::rename(&aside, self.path(name)).unwrap();
    }

    /// A link, in one step.
    fn link(&self, name: &str, target: &str) {
        let aside = self.folder.with_file_name("being-linked");
        symlink(target, &aside).unwrap();
        fs::rename(&aside, self.path(name)).unwrap();
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_is_there_is_told_in_order_with_its_manifest() {
    let (watched, first) = watch(by_events(), |folder| {
        fs::write(folder.join("b.wasm"), "2").unwrap();
        fs::write(folder.join("a.wasm"), "1").unwrap();
        fs::write(folder.join("a.toml"), "name = 'first'").unwrap();
        fs::write(folder.join("c.wasm"), "3").unwrap();
        fs::write(folder.join("c.toml"), "name = 3").unwrap();
    });
    assert_eq!(
        first,
        [
            "settled a 1 first",
            "settled b 2",
            "settled c 3 c.toml:1:8: `name`: invalid type: integer `3`, expected a string",
        ]
    );
    drop(watched.watcher);
    assert!(watched.changes.try_recv().is_err());
}

#[test]
fn files_are_put_in_replaced_and_removed_and_events_tell() {
    let (watched, first) = watch(by_events(), |_| ());
    assert_eq!(first, NOTHING);
    watched.write("a.wasm", "1");
    match watched.next_change() {
        FolderChange::Settled { file_stem, path, component, hash, manifest } => {
            assert_eq!((file_stem.as_str(), path), ("a", watched.path("a.wasm")));
            assert_eq!(hash, *blake3::hash(&component).as_bytes());
            assert_eq!(manifest, Ok(Manifest::default()));
        }
        other => panic!("{other:?}"),
    }
    watched.write("a.wasm", "22");
    assert_eq!(watched.next(), "settled a 22");
    watched.write("a.toml", "name = 'n'");
    assert_eq!(watched.next(), "settled a 22 n");
    fs::remove_file(watched.path("a.toml")).unwrap();
    assert_eq!(watched.next(), "settled a 22");
    fs::rename(watched.path("a.wasm"), watched.path("b.wasm")).unwrap();
    assert_eq!(watched.next(), "removed a");
    assert_eq!(watched.next(), "settled b 22");
    fs::rename(watched.path("b.wasm"), watched.folder.with_file_name("elsewhere")).unwrap();
    assert_eq!(watched.next(), "removed b");
}

#[test]
fn without_events_polling_tells() {
    let (watched, _) = watch(polling(), |_| ());
    // Behind a link to a file elsewhere no event tells of a change.
    watched.write("../elsewhere", "1");
    watched.link("a.wasm", "../elsewhere");
    assert_eq!(watched.next(), "settled a 1");
    watched.write("../elsewhere", "22");
    assert_eq!(watched.next(), "settled a 22");
}

#[test]
fn a_rescan_tells_without_waiting_for_events_or_polls() {
    let (watched, _) = watch(by_events(), |folder| {
        fs::write(folder.with_file_name("elsewhere"), "1").unwrap();
        symlink("../elsewhere", folder.join("a.wasm")).unwrap();
    });
    watched.write("../elsewhere", "22");
    watched.watcher.rescan();
    assert_eq!(watched.next(), "settled a 22");
}

#[test]
fn what_is_touched_or_written_again_as_it_was_is_no_change() {
    let (mut watched, _) = watch(polling(), |folder| fs::write(folder.join("a.wasm"), "1").unwrap());
    let file = fs::File::options().write(true).open(watched.path("a.wasm")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(watched.told(), NOTHING);
    watched.write("a.wasm", "1");
    assert_eq!(watched.told(), NOTHING);
}

#[test]
fn what_editors_leave_and_other_files_are_ignored() {
    let (mut watched, _) = watch(polling(), |folder| fs::write(folder.join("a.toml"), "name='a'").unwrap());
    watched.write("a.wasm", "1");
    assert_eq!(watched.next(), "settled a 1 a");
    for name in
        [".a.toml.swp", "4913", "a.toml~", "#a.toml#", "a.wasm.part", "README.md", ".hidden.wasm", "wasm"]
    {
        watched.write(name, "x");
    }
    watched.link(".#a.toml", "user@machine.1");
    // As vim does it: the old one aside, the new one in its place.
    fs::rename(watched.path("a.toml"), watched.path("a.toml~")).unwrap();
    watched.write("a.toml", "name='b'");
    assert_eq!(watched.told().last().unwrap(), "settled a 1 b");
    // As most others do it: beside it, then over it.
    watched.write(".a.toml.tmp", "name='c'");
    fs::rename(watched.path(".a.toml.tmp"), watched.path("a.toml")).unwrap();
    assert_eq!(watched.told(), ["settled a 1 c"]);
}

#[test]
fn a_file_written_bit_by_bit_is_told_whole_in_the_end() {
    use std::io::Write;
    let (watched, _) = watch(polling(), |_| ());
    let mut file = fs::File::create(watched.path("a.wasm")).unwrap();
    for _ in 0..200 {
        file.write_all(b"xyz").unwrap();
        file.sync_data().unwrap();
    }
    // If the machine hiccups, a part of it may settle: but the whole comes last.
    loop {
        let FolderChange::Settled { component, .. } = watched.next_change() else { panic!("not settled") };
        if component.len() == 600 {
            break;
        }
    }
}

#[test]
fn links_are_followed_and_what_they_are_switched_to_is_noticed() {
    // As Kubernetes mounts a ConfigMap: each file is a link through `..data`, which is switched at once.
    let (mut watched, first) = watch(by_events(), |folder| {
        for (version, text) in [("..v1", "1"), ("..v2", "22")] {
            fs::create_dir(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("a.wasm"), text).unwrap();
        }
        symlink("..v1", folder.join("..data")).unwrap();
        symlink("..data/a.wasm", folder.join("a.wasm")).unwrap();
    });
    assert_eq!(first, ["settled a 1"]);
    watched.link("..data", "..v2");
    assert_eq!(watched.next(), "settled a 22");
    // The link is there and its target is not: not removed, but something to mend.
    watched.link("..data", "..v3");
    assert_eq!(
        watched.told(),
        ["a.wasm is a link to ..data/a.wasm, which is not there: restore that file, or remove the link"]
    );
    fs::remove_file(watched.path("a.wasm")).unwrap();
    assert_eq!(watched.next(), "removed a");
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_again_when_it_can_be() {
    let (watched, _) = watch(polling(), |folder| fs::write(folder.join("a.wasm"), "1").unwrap());
    let path = watched.path("a.wasm");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_err() {
        assert!(watched.next().starts_with("a.wasm may not be read by the user"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    } else {
        // This user may read everything; a link to itself nobody can.
        watched.link("a.wasm", "a.wasm");
        assert!(watched.next().starts_with("cannot look at a.wasm: "));
        watched.write("a.wasm", "1");
    }
    assert_eq!(watched.next(), "settled a 1");
}

#[test]
fn whatever_is_no_regular_file_is_never_opened() {
    let (mut watched, first) = watch(polling(), |folder| {
        fs::create_dir(folder.join("folder.wasm")).unwrap();
        fs::write(folder.join("good.wasm"), "1").unwrap();
        fs::create_dir(folder.join("good.toml")).unwrap();
        let pipe = folder.join("pipe.wasm");
        let (file_type, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, file_type, mode, 0).unwrap();
        drop(UnixListener::bind(folder.join("socket.wasm")).unwrap());
        symlink("/dev/zero", folder.join("zero.wasm")).unwrap();
    });
    assert_eq!(
        first,
        [
            "folder.wasm is a folder, not a file: remove it, or rename it",
            "settled good 1 good.toml is a folder, not a file: remove it, or rename it",
            "pipe.wasm is a pipe, not a file: remove it, or rename it",
            "socket.wasm is a socket, not a file: remove it, or rename it",
            "zero.wasm is a device, not a file: remove it, or rename it",
        ]
    );
    assert_eq!(watched.told(), NOTHING);
}

#[test]
fn sizes_and_names_are_bounded() {
    let (_, first) = watch(polling(), |folder| {
        fs::write(folder.join("big.wasm"), [b'x'; 1_001]).unwrap();
        fs::write(folder.join("just-not-too-big.wasm"), [b'x'; 1_000]).unwrap();
        fs::write(folder.join("two words.wasm"), "1").unwrap();
        fs::write(folder.join("lonely.toml"), "").unwrap();
    });
    assert!(first[0].starts_with("big.wasm has 1001 bytes, and at most 1000 are read: "), "{first:?}");
    assert!(first[1].starts_with("settled just-not-too-big xxx"));
    assert_eq!(first[2], "lonely.toml: there is no lonely.wasm beside it: put one there, or remove it");
    assert!(first[3].starts_with("two words.wasm cannot be a plugin: the name \"two words\" holds ' '"));
    assert_eq!(first.len(), 4);
}

#[test]
fn more_plugins_than_may_be_are_left_out_and_those_that_run_stay() {
    let options = FolderOptions { max_plugins: 3, ..polling() };
    let (watched, first) = watch(options, |folder| {
        fs::write(folder.join("d.wasm"), "1").unwrap();
        fs::write(folder.join("e.wasm"), "1").unwrap();
    });
    assert_eq!(first, ["settled d 1", "settled e 1"]);
    watched.write("c.wasm", "1");
    watched.write("a.wasm", "1");
    let mut told = [watched.next(), watched.next()];
    told.sort();
    assert!(told[0].ends_with("(left out: 1): remove some, or raise the limit"), "{told:?}");
    // Whichever came first when both were seen at once: the first by name.
    let left_out = if told[1] == "settled c 1" { "a" } else { "c" };
    fs::remove_file(watched.path("e.wasm")).unwrap();
    assert_eq!(watched.next(), format!("settled {left_out} 1"));
    assert_eq!(watched.next(), "removed e");
}

#[test]
fn a_folder_may_come_later_go_and_come_again() {
    let (mut watched, first) = watch(polling(), |folder| fs::remove_dir(folder).unwrap());
    let missing =
        format!("there is no folder {}: create it; plugins that run go on", watched.folder.display());
    assert_eq!(first, [missing.as_str()]);
    fs::create_dir(&watched.folder).unwrap();
    assert_eq!(watched.next(), "folder back");
    watched.write("a.wasm", "1");
    watched.write("b.wasm", "1");
    watched.write("c.wasm", "1");
    let mut told = [watched.next(), watched.next(), watched.next()];
    told.sort();
    assert_eq!(told, ["settled a 1", "settled b 1", "settled c 1"]);

    let aside = watched.folder.with_file_name("aside");
    fs::rename(&watched.folder, &aside).unwrap();
    assert_eq!(watched.next(), missing);
    // Another folder takes its place: only what is not in it was removed.
    let other = watched.folder.with_file_name("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("a.wasm"), "1").unwrap();
    fs::write(other.join("b.wasm"), "22").unwrap();
    fs::rename(&other, &watched.folder).unwrap();
    assert_eq!(watched.told(), ["folder back", "settled b 22", "removed c"]);

    fs::remove_dir_all(&watched.folder).unwrap();
    fs::write(&watched.folder, "").unwrap();
    loop {
        let told = watched.next();
        if told.ends_with("is not a folder: put one in its place; plugins that run go on") {
            break;
        }
        assert!(told == missing || told.starts_with("removed"), "{told}");
    }
}

#[test]
fn events_hold_in_a_folder_that_took_the_place_of_another() {
    let (watched, _) = watch(by_events(), |_| ());
    let other = watched.folder.with_file_name("other");
    fs::create_dir(&other).unwrap();
    fs::remove_dir(&watched.folder).unwrap();
    fs::rename(&other, &watched.folder).unwrap();
    watched.watcher.rescan();
    // It may have been seen missing in between.
    watched.write("a.wasm", "1");
    let mut told = watched.next();
    while told != "settled a 1" {
        assert!(told.starts_with("there is no folder") || told == "folder back", "{told}");
        watched.watcher.rescan();
        told = watched.next();
    }
    watched.write("a.wasm", "22");
    assert_eq!(watched.next(), "settled a 22");
}

#[test]
fn a_watcher_may_be_dropped_by_whom_it_tells() {
    let dir = TempDir::new().unwrap();
    let (give, given) = channel::<FolderWatcher>();
    let (done, is_done) = channel();
    let watcher = PluginFolder::watch(dir.path(), polling(), move |_| {
        drop(given.recv());
        done.send(()).unwrap();
    });
    give.send(watcher.unwrap()).unwrap();
    is_done.recv_timeout(PATIENCE).unwrap();
    // The thread has ended, and its end of the channel with it.
    assert!(is_done.recv_timeout(PATIENCE).is_err());
}
