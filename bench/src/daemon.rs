//! A real `carpe run`, as a child process with listeners on free ports, and what it uses while it lives.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::process::{self, Ran};

/// How long a start may take, and what else should take no time.
const PATIENCE: Duration = Duration::from_secs(600);

/// A folder with configuration, plugins and data, which outlives its daemons.
pub(crate) struct Home {
    folder: PathBuf,
    carpe: PathBuf,
}

/// A daemon. It is killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    /// Where it takes events, and where it tells of itself: `http://127.0.0.1:PORT`.
    pub(crate) events: String,
    pub(crate) operators: String,
    client: reqwest::blocking::Client,
}

#[derive(Deserialize)]
struct Addresses {
    pid: u32,
    events: String,
    operators: String,
}

impl Home {
    /// An empty home. `configuration` is of `carpe.toml`, but for where it listens.
    pub(crate) fn new(carpe: &Path, folder: &Path, configuration: &str) -> Result<Home> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder.join("plugins"))?;
        let listen = "[listen]\nevents = '127.0.0.1:0'\noperators = '127.0.0.1:0'\n";
        let text = format!("plugins = 'plugins'\ndata = 'data'\n{listen}{configuration}");
        fs::write(folder.join("carpe.toml"), text)?;
        Ok(Home { folder: folder.to_owned(), carpe: carpe.to_owned() })
    }

    /// The path of something in it: `plugins/x.wasm`, `data`, `carpe.toml`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Bytes that a folder within its data folder takes on the disk.
    pub(crate) fn disk(&self, name: &str) -> u64 {
        bytes_of(&self.file("data").join(name))
    }

    /// Puts a plugin there, as one file after the other.
    pub(crate) fn plugin(&self, name: &str, component: &[u8], manifest: &str) -> Result<()> {
        fs::write(self.file(&format!("plugins/{name}.toml")), manifest)?;
        let half = self.file(&format!("plugins/.{name}"));
        fs::write(&half, component)?;
        Ok(fs::rename(half, self.file(&format!("plugins/{name}.wasm")))?)
    }

    /// `carpe` with arguments, to be called in this home.
    pub(crate) fn carpe(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(&self.carpe);
        let appended = |name: &str| -> Result<File> {
            Ok(OpenOptions::new().create(true).append(true).open(self.file(name))?)
        };
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(appended("out")?).stderr(appended("log")?);
        Ok(command)
    }

    /// Starts `carpe run`, and waits until it is ready. With how long that took.
    pub(crate) fn start(&self) -> Result<(Daemon, Duration)> {
        let begun = Instant::now();
        let mut child = self.carpe(&["run"])?.spawn().context("carpe cannot be started")?;
        let data = self.file("data");
        let client = reqwest::blocking::Client::builder().timeout(PATIENCE).build()?;
        loop {
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(self.file("log")).unwrap_or_default();
                bail!("carpe run ended with {status}: {}", log.lines().last().unwrap_or_default());
            }
            let text = fs::read(data.join("addresses.json")).unwrap_or_default();
            let addresses = serde_json::from_slice::<Addresses>(&text).ok();
            if let Some(Addresses { events, operators, .. }) =
                addresses.filter(|found| found.pid == child.id())
                && client.get(format!("{operators}/readyz")).send().is_ok_and(|answer| answer.status() == 200)
            {
                return Ok((Daemon { child, events, operators, client }, begun.elapsed()));
            }
            if begun.elapsed() > PATIENCE {
                bail!("carpe run is not ready after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Daemon {
    /// What `/status` says.
    pub(crate) fn status(&self) -> Result<Value> {
        let answer = self.client.get(format!("{}/status", self.operators)).send()?;
        Ok(serde_json::from_slice(&answer.bytes()?)?)
    }

    /// Waits until all that was accepted is handled, and every action has come to something.
    pub(crate) fn settle(&self) -> Result<()> {
        let begun = Instant::now();
        let idle = |status: &Value| {
            let all = |list: &Value, idle: fn(&Value) -> bool| {
                list.as_array().is_some_and(|list| list.iter().all(idle))
            };
            status["intake"]["waiting_events"] == 0
                && all(&status["plugins"], |plugin| {
                    plugin["work"]["behind"] == 0 && plugin["work"]["waiting"] == 0
                })
                && all(&status["sinks"], |sink| sink["waiting"] == 0)
        };
        loop {
            let before = self.status()?;
            if idle(&before) && self.status()?["journal"]["end"] == before["journal"]["end"] {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("carpe is not done after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What its threads have run so far.
    pub(crate) fn ran(&self) -> Result<Ran> {
        process::ran(self.child.id())
    }

    /// Memory that it has now, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) << 10)
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, as `kill` does, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What all that lies in a folder takes on the disk, in bytes.
fn bytes_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_of(&entry.path()),
        // What it takes, not how long it is: files are made longer than what is in them so far.
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}
