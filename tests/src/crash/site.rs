//! Where a host that is killed lives: its folder, with configuration and plugins, and its process.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::daemon::{Addresses, LISTEN, ask_to_stop};

/// How long the host gives one try of the webhook.
pub const TRY_MS: u64 = 400;

/// The folder of a host, and how it is started.
pub struct Site {
    folder: PathBuf,
    carpe: PathBuf,
    /// Which fault is on, in a host that was built with them.
    plant: Option<String>,
}

/// A host that was started. It is killed when dropped.
pub struct Started<'s> {
    site: &'s Site,
    child: Child,
}

impl Site {
    /// Writes the configuration: of `carpe.toml`, `configuration` is all but where its folders are and where it
    /// listens.
    pub fn new(folder: &Path, carpe: &Path, plant: Option<String>, configuration: &str) -> Site {
        let configuration = format!("data = 'data'\nplugins = 'plugins'\n{LISTEN}{configuration}");
        fs::create_dir_all(folder.join("plugins")).expect("a folder");
        fs::write(folder.join("carpe.toml"), configuration).expect("written");
        Site { folder: folder.to_owned(), carpe: carpe.to_owned(), plant }
    }

    /// The host's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Writes a file of the plugins' folder, in one step, as careful tools do.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let (part, whole) = (self.folder.join("plugins/.part"), self.folder.join("plugins").join(name));
        fs::write(&part, bytes).expect("written");
        fs::rename(part, whole).expect("renamed");
    }

    /// Starts the host with so many threads for its rules, and does not wait.
    pub fn start(&self, threads: u64) -> Started<'_> {
        let mut command = Command::new(&self.carpe);
        command
            .args(["run", "--threads", &threads.to_string()])
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(self.log());
        command.env_remove("CARPE_PLANT");
        if let Some(plant) = &self.plant {
            command.env("CARPE_PLANT", plant);
        }
        Started { site: self, child: command.spawn().expect("carpe starts") }
    }

    fn log(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.folder.join("log")).expect("a file")
    }

    /// The last lines of the host's log.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Started<'_> {
    /// Waits until it takes events. Returns where. `Err`: why it never will.
    pub fn ready(&mut self) -> Result<String, String> {
        self.addresses().map(|addresses| addresses.events)
    }

    /// Waits as [`Started::ready`] does.
    pub(crate) fn addresses(&mut self) -> Result<Addresses, String> {
        let data = self.site.data();
        self.wait("it is not ready", |child| Addresses::read(&data, child))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `look` gives something. `Err`: the host ended, or it took too long.
    pub fn wait<T>(&mut self, what: &str, mut look: impl FnMut(&Child) -> Option<T>) -> Result<T, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(&self.child) {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait().expect("it ran") {
                return Err(format!("it ended by itself, {status}:\n{}", self.site.last_words()));
            }
            if Instant::now() > until {
                return Err(format!("{what} after {PATIENCE:?}:\n{}", self.site.last_words()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ran");
    }

    /// Asks it to stop, and goes on.
    pub fn ask_to_stop(&self) {
        ask_to_stop(&self.child);
    }

    /// Waits until it has stopped.
    pub fn ended(mut self) -> Result<ExitStatus, String> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("it ran") {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(format!("it does not stop:\n{}", self.site.last_words()))
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
