//! Runs the real command, in a folder of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;

use serde_json::Value;

/// A folder with `plugins`, in which commands run.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        Place { folder }
    }

    /// One whose folder of plugins holds these.
    pub(crate) fn with(plugins: &[&str]) -> Place {
        let place = Place::new();
        for name in plugins {
            std::fs::copy(plugin(name), place.path(&format!("plugins/{name}.wasm"))).unwrap();
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carpe"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn carpe(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }

    pub(crate) fn carpe_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Said::of(&child.wait_with_output().unwrap())
    }

    /// The status, when all that was sent is done. Each look at it is an answer of the host: nothing is slept.
    pub(crate) fn settled(&self) -> Value {
        loop {
            let status = self.carpe(&["status", "--json"]).expect(0).json().remove(0);
            let work = &status["plugins"][0]["work"];
            let is_quiet = status["open_actions"] == status["guardrails"]["held"];
            if work["behind"] == 0 && work["waiting"] == 0 && is_quiet {
                return status;
            }
        }
    }

    /// The status, once it is as wanted.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let status = self.carpe(&["status", "--json"]).expect(0).json().remove(0);
            if wanted(&status) {
                return status;
            }
        }
    }

    /// Starts a host on free ports, and waits until it listens.
    pub(crate) fn host(&self, arguments: &[&str]) -> Host {
        let mut command =
            self.command(&["run", "--listen-events", "127.0.0.1:0", "--listen-operators", "127.0.0.1:0"]);
        command.args(["--log-format", "json"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains(r#""message":"listening""#) {
            assert!(log.read_line(&mut said).unwrap() > 0, "the host has ended: {said}");
        }
        let mut stdout = child.stdout.take().unwrap();
        let out = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        let log = std::thread::spawn(move || rest_of(log, said));
        Host { child, out: Some(out), log: Some(log) }
    }
}

fn rest_of(mut log: BufReader<ChildStderr>, mut said: String) -> String {
    log.read_to_string(&mut said).unwrap();
    said
}

impl Said {
    pub(crate) fn of(output: &Output) -> Said {
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The lines of standard output, as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Said {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_err(self, part: &str) -> Said {
        assert!(self.err.contains(part), "{part:?} in {self:#?}");
        self
    }
}

/// A host that runs. It is killed when it is dropped.
pub(crate) struct Host {
    child: Child,
    out: Option<JoinHandle<String>>,
    log: Option<JoinHandle<String>>,
}

impl Host {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(self) -> Said {
        self.signal(rustix::process::Signal::TERM);
        self.end()
    }

    /// Waits until it has ended.
    pub(crate) fn end(mut self) -> Said {
        let status = self.child.wait().unwrap();
        let join = |thread: Option<JoinHandle<String>>| thread.unwrap().join().unwrap();
        Said { code: status.code().unwrap_or(-1), out: join(self.out.take()), err: join(self.log.take()) }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where tools keep what they make while rules are built.
pub(crate) fn target() -> PathBuf {
    let given = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")).join("guests")
}

/// An example plugin, built once.
pub(crate) fn plugin(name: &str) -> PathBuf {
    plugins().join(format!("{name}.wasm"))
}

/// The folder of the example plugins that most tests use, built.
pub(crate) fn plugins() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build(&["flood-alert", "medication", "streetlights", "streetlights-cars"]))
}

/// The same folder, with all plugins of the city in it.
pub(crate) fn city() -> &'static Path {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let others = [
            "recipe-order",
            "self-maintenance",
            "shop-nearby",
            "traffic-lights",
            "vending-machine",
            "viral-video",
        ];
        build(&others);
    });
    plugins()
}

/// Builds rules of `plugins`, in whatever language. Returns the folder of their components.
fn build(names: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    std::fs::create_dir_all(&folder).unwrap();
    let target_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("../guests"));
    let options = carpe_build::Options { out: Some(folder.clone()), target_dir, verbose: false };
    for name in names {
        carpe_build::build(&root.join("plugins").join(name), &options).unwrap();
    }
    folder
}

/// The guest of the tests that counts events: `counter`.
pub(crate) fn counter() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/counter");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        std::fs::create_dir_all(&folder).unwrap();
        let target_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("../guests"));
        let options = carpe_build::Options { out: Some(folder.clone()), target_dir, verbose: false };
        carpe_build::build(&guest, &options).unwrap();
        folder.join("counter.wasm")
    })
}

/// A reading of a gauge, as an event in one line.
pub(crate) fn reading(id: u32, gauge: &str, minute: u32, cm: u32) -> String {
    let (hour, minute) = (minute / 60, minute % 60);
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/gauges","type":"gauge.level","subject":"{gauge}","time":"2026-01-01T{hour:02}:{minute:02}:00Z","data":{{"cm":{cm}}}}}"#
    ) + "\n"
}
