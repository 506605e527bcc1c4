//! The real daemon, as a child process in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::compiled::Compiled;
use super::configuration::{RULES, Rule, SECRET, carpe_toml};
use super::enterprise::Enterprises;
use super::guardrails;
use crate::args::HostArgs;
use crate::client::{HostClient, Listener};
use crate::failure::Failure;
use crate::run::Addresses;

/// A start compiles ten plugins, one of them with all of Python in it.
const START: Duration = Duration::from_secs(240);
const STOP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
/// What is shown of the log when the daemon fails.
const LOG_LINES: usize = 15;

pub(super) struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    compiled: Compiled,
    /// How long it took from the start of the process to the open listeners.
    pub(super) start: Duration,
    events: String,
    operators_url: String,
    operators: HostClient,
}

impl Daemon {
    /// Starts `carpe run` with the components in `plugins`. Its standard output is to be read by the caller.
    pub(super) async fn start(plugins: &Path, enterprises: &Enterprises) -> Result<Daemon, Failure> {
        let compiled = Compiled::beside(plugins);
        let folder = compiled.folder().context("cannot make a folder for the demo")?;
        furnish(folder.path(), plugins, enterprises)?;
        compiled.lend(folder.path());
        let begun = Instant::now();
        let program = std::env::current_exe().context("cannot find this command")?;
        let log = std::fs::File::create(folder.path().join("log")).context("cannot make the demo's log")?;
        let child = Command::new(program)
            .args(["run", "--json", "--config"])
            .arg(folder.path().join("carpe.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start `carpe run`")?;
        let mut daemon = Starting { child, folder };
        let addresses = daemon.addresses().await?;
        let Starting { child, folder } = daemon;
        let operators_url = addresses.operators.context("the host listens for no operators")?;
        Ok(Daemon {
            child,
            compiled,
            start: begun.elapsed(),
            events: addresses.events.context("the host listens for no events")?,
            operators: client(operators_url.clone(), Listener::Operators)?,
            operators_url,
            folder,
        })
    }

    /// One more client for events.
    pub(super) fn events(&self) -> Result<HostClient, Failure> {
        client(self.events.clone(), Listener::Events)
    }

    /// One more client for operators.
    pub(super) fn operators(&self) -> Result<HostClient, Failure> {
        client(self.operators_url.clone(), Listener::Operators)
    }

    pub(super) fn stdout(&mut self) -> Option<tokio::process::ChildStdout> {
        self.child.stdout.take()
    }

    pub(super) async fn status(&self) -> Result<Value, Failure> {
        self.operators.show(&["status"], &[]).await
    }

    /// One plugin's part of the status.
    pub(super) async fn plugin(&self, file: &str) -> Result<Value, Failure> {
        let mut status = self.status().await?;
        let plugins = status["plugins"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let plugin = plugins.into_iter().find(|plugin| plugin["file"] == file);
        Ok(plugin.with_context(|| format!("the host knows nothing of {file}"))?)
    }

    /// Puts a component into the folder, in one step.
    pub(super) fn replace(&self, plugin: &str, component: &[u8]) -> anyhow::Result<()> {
        let target = self.folder.path().join("plugins").join(format!("{plugin}.wasm"));
        let staged = self.folder.path().join("staged");
        std::fs::write(&staged, component)
            .and_then(|()| std::fs::rename(&staged, &target))
            .with_context(|| format!("cannot replace {}", target.display()))
    }

    pub(super) fn component(&self, plugin: &str) -> anyhow::Result<Vec<u8>> {
        let file = self.folder.path().join("plugins").join(format!("{plugin}.wasm"));
        std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Asks it to stop, and waits until it has. Returns how long that took.
    pub(super) async fn stop(mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        if let Some(pid) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .context("cannot stop the host")?;
        }
        let ended = tokio::time::timeout(STOP, self.child.wait()).await;
        let status = ended.context("the host did not stop")?.context("cannot wait for the host")?;
        if !status.success() {
            bail!("the host ended with {status}; its log ends:\n{}", log_end(self.folder.path()));
        }
        let took = begun.elapsed();
        self.compiled.take_back(self.folder.path());
        Ok(took)
    }
}

fn client(url: String, listener: Listener) -> Result<HostClient, Failure> {
    HostClient::new(&HostArgs { to: Some(url), data: PathBuf::new(), token_file: None }, listener)
}

struct Starting {
    child: Child,
    folder: tempfile::TempDir,
}

impl Starting {
    async fn addresses(&mut self) -> anyhow::Result<Addresses> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(addresses) = Addresses::read(&self.folder.path().join("data"))? {
                return Ok(addresses);
            }
            let ended = self.child.try_wait().context("cannot wait for the host")?;
            if ended.is_some() || Instant::now() > deadline {
                bail!("the host did not start; its log ends:\n{}", log_end(self.folder.path()));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn log_end(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// Configuration, plugins, the secret of the enterprises, and what people have consented to.
fn furnish(folder: &Path, plugins: &Path, enterprises: &Enterprises) -> anyhow::Result<()> {
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    std::fs::create_dir(folder.join("plugins")).context("cannot make the demo's folder of plugins")?;
    for Rule { name, settings } in RULES {
        let from = plugins.join(format!("{name}.wasm"));
        std::fs::copy(&from, folder.join("plugins").join(format!("{name}.wasm")))
            .with_context(|| format!("cannot copy {}", from.display()))?;
        write(&format!("plugins/{name}.toml"), &settings())?;
    }
    write("carpe.toml", &carpe_toml(enterprises))?;
    write(guardrails::CONSENTS, &guardrails::consents()?)?;
    write(SECRET, &enterprises.secret)
}
