//! `carpe dev`: after each change of a rule's sources, build it, tell it its stories, and load it into a running host.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use carpe_connect::sinks::printable;
use notify::{RecursiveMode, Watcher as _};
use serde::Deserialize;

use super::test::{build, tell_all};
use crate::args::{DevArgs, HostArgs, TestArgs};
use crate::client::{HostClient, Listener, block_on};
use crate::failure::{Failure, Kind, causes, listed};
use crate::output::print;

/// An editor writes a file in several steps, and several files at once.
const SETTLED: Duration = Duration::from_millis(100);
/// How long a host may take to see that a file has changed.
const FOUND_WITHIN: Duration = Duration::from_secs(3);
/// How long it may take to say what it makes of it: it has to compile it.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(50);
const REASON_CHARACTERS: usize = 500;

/// What tools write, besides what is hidden.
const NOT_SOURCES: [&str; 5] = ["target", "node_modules", "__pycache__", "Cargo.lock", "package-lock.json"];

pub(crate) fn dev(args: &DevArgs) -> Result<ExitCode, Failure> {
    let folder = std::fs::canonicalize(&args.folder)
        .with_context(|| format!("cannot open the folder {}", args.folder.display()))?;
    if args.once {
        let passed = round(args, &folder)?;
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    // That something has changed is all that has to be known.
    let (send, changes) = sync_channel(1);
    let root = folder.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if let Some(path) = event.paths.iter().find(|path| !event.kind.is_access() && is_source(&root, path))
        {
            let _ = send.try_send(path.clone());
        }
    });
    let mut watcher = watcher.with_context(|| format!("cannot watch {}", folder.display()))?;
    watcher
        .watch(&folder, RecursiveMode::Recursive)
        .with_context(|| format!("cannot watch {}", folder.display()))?;
    loop {
        round(args, &folder)?;
        print(&format!("watching {}\n", args.folder.display()))?;
        let Some(changed) = next_change(&changes) else {
            return Err(Failure::new(Kind::Failed, "the folder is not watched any more"));
        };
        let changed = changed.strip_prefix(&folder).unwrap_or(&changed).display().to_string();
        print(&format!("\n{changed} has changed\n"))?;
    }
}

/// Waits for a change, and until nothing changes any more. None: there will be none.
fn next_change(changes: &Receiver<PathBuf>) -> Option<PathBuf> {
    let first = changes.recv().ok()?;
    loop {
        match changes.recv_timeout(SETTLED) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return Some(first),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Whether a file of the folder is written by people, and not by tools.
fn is_source(folder: &Path, path: &Path) -> bool {
    let Ok(path) = path.strip_prefix(folder) else { return false };
    let by_people = |part: &OsStr| {
        let part = part.to_string_lossy();
        !part.starts_with('.') && !NOT_SOURCES.contains(&part.as_ref())
    };
    path.iter().all(by_people) && path.extension().is_none_or(|extension| extension != "wasm")
}

/// Builds, tests, and loads. Returns whether all of it went well; what did not is printed.
fn round(args: &DevArgs, folder: &Path) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let component = match build(folder, args.target_dir.as_deref()) {
        Ok(component) => component,
        Err(error) => {
            eprint!("{}", listed(&causes(error.as_ref())));
            return Ok(false);
        }
    };
    print(&format!("built in {}\n", seconds(begun)))?;
    let hash = blake3::hash(&component).to_string();
    if !tell(args, folder, Arc::clone(&component))? {
        return Ok(false);
    }
    let out = carpe_build::place(folder, args.out.as_deref(), &component)?;
    print(&format!("{} is up to date, after {}\n", out.display(), seconds(begun)))?;
    show_host(&args.host, &out, &hash)
}

/// Tells the rule its stories, if it has some. Returns whether none failed.
fn tell(args: &DevArgs, folder: &Path, component: Arc<[u8]>) -> anyhow::Result<bool> {
    let tested = TestArgs {
        rule: folder.to_owned(),
        scenarios: None,
        only: None,
        seed: 1,
        junit: None,
        target_dir: args.target_dir.clone(),
    };
    if !folder.join("scenarios").is_dir() {
        print("it has no stories: write some into its folder `scenarios`\n")?;
        return Ok(true);
    }
    // Where a host has its data, it finds compiled what was compiled here.
    let cache =
        Some(&args.host.data).filter(|data| data.is_dir()).map(|data| carpe::cache_dir(data)).transpose();
    let cache = cache.with_context(|| format!("cannot use {}", args.host.data.display()))?;
    let told = tell_all(&tested, Some(component), cache);
    match told {
        Ok(failed) => Ok(failed == 0),
        Err(error) => {
            eprint!("{}", listed(&causes(error.as_ref())));
            Ok(false)
        }
    }
}

#[derive(Deserialize)]
struct Shown {
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
struct Plugin {
    file: String,
    state: String,
    reason: Option<String>,
    loading: Option<String>,
    hash: Option<String>,
}

/// Says what the host makes of it, if one runs that has the file in its folder. Returns whether it takes it.
fn show_host(host: &HostArgs, out: &Path, hash: &str) -> anyhow::Result<bool> {
    let Ok(host) = HostClient::new(host, Listener::Operators) else { return Ok(true) };
    let name = out.file_stem().unwrap_or_default().to_string_lossy();
    let begun = Instant::now();
    let mut patience = FOUND_WITHIN;
    while begun.elapsed() < patience {
        let Ok(shown) = block_on(host.show::<Shown>(&["status"], &[])) else { return Ok(true) };
        let plugin = shown.plugins.into_iter().find(|plugin| plugin.file == name);
        if plugin.as_ref().is_some_and(|plugin| plugin.loading.is_some()) {
            patience = PATIENCE;
        }
        // Before it is looked at, and while it is, what stands there is of the version before.
        if let Some(Plugin { state, reason, loading: None, hash: running, .. }) = plugin {
            if running.as_deref() == Some(hash) {
                print(&format!("the host runs it, after {}: {state}\n", seconds(begun)))?;
                return Ok(true);
            }
            if let Some(reason) = reason.filter(|_| state == "failing" || state == "refused") {
                print(&format!("the host refuses it: {}\n", printable(&reason, REASON_CHARACTERS)))?;
                return Ok(false);
            }
        }
        std::thread::sleep(PAUSE);
    }
    print(&format!(
        "a host runs, but has not taken {} up: is it in its folder of plugins?\n",
        out.display()
    ))?;
    Ok(true)
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}
