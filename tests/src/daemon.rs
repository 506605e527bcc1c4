//! The command `carpe`, as a child process.

mod binary;

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::folder::Folder;
use crate::wait_for;

pub use binary::{carpe, carpe_with_planted_faults};

/// Listeners on free ports: `addresses.json` in the data folder tells which.
pub(crate) const LISTEN: &str = "[listen]\nevents = '127.0.0.1:0'\noperators = '127.0.0.1:0'\n";

/// All that a daemon needs and leaves: configuration, plugins, data. It outlives the daemon, and goes when dropped.
pub struct Home {
    folder: TempDir,
    /// Its plugins.
    pub plugins: Folder,
}

impl Home {
    /// A home with no plugins. `configuration` is of `carpe.toml`, but for where it listens.
    pub fn new(configuration: &str) -> Home {
        let (folder, plugins) = (tempfile::tempdir().expect("a folder"), Folder::new());
        let paths = format!("plugins = '{}'\ndata = 'data'\n", plugins.path().display());
        std::fs::write(folder.path().join("carpe.toml"), format!("{paths}{LISTEN}{configuration}"))
            .expect("written");
        Home { folder, plugins }
    }

    /// The path of something in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `carpe`, to be called in this home. Standard output goes to the file `out`, errors to `log`: both grow.
    pub fn carpe(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(carpe());
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(self.appended("out")).stderr(self.appended("log"));
        command
    }

    /// Calls `carpe`, and waits until it ends. Panics, with its log, if it fails.
    pub fn call(&self, arguments: &[&str]) {
        let status = self.carpe(arguments).status().expect("carpe starts");
        assert!(status.success(), "{arguments:?}: {status}\n{}", self.text("log"));
    }

    /// Starts `carpe run`, and waits until it is ready.
    pub fn start(&self) -> Daemon<'_> {
        self.wait_for(self.carpe(&["run"]).spawn().expect("carpe starts"), self.file("data"))
    }

    /// The same, with the data on a disk of its own, of so many bytes, of which the file `filler` takes some. The disk is
    /// seen through the daemon's process alone: see [`Daemon::data`].
    pub fn start_on_disk(&self, bytes: u64, filler: u64) -> Daemon<'_> {
        let script = format!(
            "mkdir -p data && mount -t tmpfs -o size={bytes} carpe data && head -c {filler} /dev/zero > data/filler \
             && exec '{}' run",
            carpe().display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", &script]).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(self.appended("out")).stderr(self.appended("log"));
        let child = command.spawn().expect("unshare starts");
        let home = self.folder.path().canonicalize().expect("a path");
        let data = format!("/proc/{}/root{}/data", child.id(), home.display());
        self.wait_for(child, data.into())
    }

    fn wait_for(&self, child: Child, data: PathBuf) -> Daemon<'_> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut daemon = Daemon { home: self, child, runtime, addresses: Addresses::default(), data };
        daemon.addresses = wait_for("the daemon's addresses", || daemon.read_addresses());
        wait_for("the daemon is ready", || {
            let url = format!("{}/readyz", daemon.addresses.operators);
            (daemon.request(reqwest::Method::GET, &url, &[], "").0 == 200).then_some(())
        });
        daemon
    }

    /// What stands in a file, if there is one.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn appended(&self, name: &str) -> File {
        OpenOptions::new().create(true).append(true).open(self.file(name)).expect("a file")
    }
}

/// `carpe run`. It is killed when dropped.
pub struct Daemon<'h> {
    home: &'h Home,
    child: Child,
    runtime: Runtime,
    addresses: Addresses,
    data: PathBuf,
}

/// Where a daemon listens.
#[derive(Default, Deserialize)]
pub(crate) struct Addresses {
    pid: u32,
    pub(crate) events: String,
    pub(crate) operators: String,
}

impl Addresses {
    /// None: not there yet, or left behind by one that was killed.
    pub(crate) fn read(data: &Path, daemon: &Child) -> Option<Addresses> {
        let text = std::fs::read(data.join("addresses.json")).ok()?;
        serde_json::from_slice(&text).ok().filter(|addresses: &Addresses| addresses.pid == daemon.id())
    }
}

/// Asks a daemon to stop, as `kill` does.
pub(crate) fn ask_to_stop(daemon: &Child) {
    let asked = Command::new("kill").arg(daemon.id().to_string()).status().expect("kill");
    assert!(asked.success());
}

impl Daemon<'_> {
    /// The path of something in its data folder.
    pub fn data(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// Has it stand still, as a machine does that has other things to do, and go on.
    pub fn stand_still(&self, time: Duration) {
        let signal = |name: &str| {
            let sent =
                Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill");
            assert!(sent.success());
        };
        signal("-STOP");
        std::thread::sleep(time);
        signal("-CONT");
    }

    /// Sends events. Returns the status of the answer, and its body.
    pub fn send(&self, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let (status, body) = self.request(reqwest::Method::POST, &self.addresses.events, headers, body);
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// What `/status` says.
    pub fn status(&self) -> Value {
        let url = format!("{}/status", self.addresses.operators);
        let (status, body) = self.request(reqwest::Method::GET, &url, &[], "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("a status")
    }

    /// Waits until all that was accepted is handled, and every action has come to something.
    pub fn settle(&self) {
        wait_for("the daemon has done all that it accepted", || {
            let before = self.status();
            let all = |list: &Value, idle: fn(&Value) -> bool| {
                list.as_array().is_some_and(|list| list.iter().all(idle))
            };
            let idle = before["intake"]["waiting_events"] == 0
                && all(&before["plugins"], |plugin| {
                    plugin["work"]["behind"] == 0 && plugin["work"]["waiting"] == 0
                })
                && before["open_actions"] == before["guardrails"]["held"];
            let still = |status: &Value| (status["journal"]["end"].clone(), status["moments"].clone());
            // What was going on may have ended in something new.
            (idle && still(&before) == still(&self.status())).then_some(())
        });
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ran");
    }

    /// Asks it to stop, as `kill` does, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        ask_to_stop(&self.child);
        wait_for("the daemon stops", || self.child.try_wait().expect("it ran"))
    }

    fn read_addresses(&mut self) -> Option<Addresses> {
        if let Some(status) = self.child.try_wait().expect("it ran") {
            panic!("the daemon ended: {status}\n{}", self.home.text("log"));
        }
        Addresses::read(&self.data, &self.child)
    }

    fn request(
        &self,
        method: reqwest::Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
        let mut request = client.build().expect("a client").request(method, url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = async {
            let answer = request.send().await.expect("an answer");
            (answer.status().as_u16(), answer.text().await.expect("a body"))
        };
        self.runtime.block_on(answer)
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.home.text("log"));
        }
    }
}
