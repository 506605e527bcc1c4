//! Plugins that are replaced while events flow: by a good build, and by a bad one.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::daemon::Daemon;
use super::feed::Feed;
use super::screen::Screen;
use super::{POLL, millis};
use crate::failure::{Failure, Kind};

/// How long a new version may take to be loaded or refused.
const RELOAD: Duration = Duration::from_secs(60);

/// A plugin that was replaced while events flowed.
#[derive(Clone, Default, Serialize)]
pub(super) struct Reload {
    pub(super) plugin: String,
    pub(super) from: String,
    pub(super) to: String,
    /// From the new file to its being active.
    pub(super) ms: u64,
    /// Events that were accepted meanwhile.
    pub(super) events_meanwhile: u64,
}

/// A bad version, and why the host did not take it.
#[derive(Clone, Default, Serialize)]
pub(super) struct Refusal {
    pub(super) plugin: String,
    pub(super) reason: String,
}

/// Puts another build of a plugin in its place, and waits until it has taken over.
pub(super) async fn replace(daemon: &Daemon, feed: &Feed, screen: &Screen) -> Result<Reload, Failure> {
    const PLUGIN: &str = "flood-alert";
    let from = hash(&daemon.plugin(PLUGIN).await?);
    screen.say(&format!("-- a new build of {PLUGIN} is put into the folder, while events flow"));
    let new = rebuilt(&daemon.component(PLUGIN)?);
    let accepted_before = feed.accepted.load(Relaxed);
    let begun = Instant::now();
    daemon.replace(PLUGIN, &new)?;
    let plugin =
        wait_for(daemon, PLUGIN, |plugin| plugin["state"] == "active" && hash(plugin) != from).await?;
    let took = begun.elapsed();
    let reload = Reload {
        plugin: PLUGIN.to_owned(),
        to: hash(&plugin),
        ms: millis(took),
        events_meanwhile: feed.accepted.load(Relaxed) - accepted_before,
        from,
    };
    screen.say(&format!(
        "-- it has taken over ({} instead of {}) after {:.2} s and {} events, with the state of every gauge",
        short(&reload.to),
        short(&reload.from),
        took.as_secs_f64(),
        reload.events_meanwhile
    ));
    Ok(reload)
}

/// Puts half a file in the place of a plugin, which the host must not take, and then the whole one again.
pub(super) async fn replace_by_half(daemon: &Daemon, screen: &Screen) -> Result<Refusal, Failure> {
    const PLUGIN: &str = "medication";
    let good = daemon.component(PLUGIN)?;
    screen.say(&format!("-- {PLUGIN} is replaced by half of its file"));
    daemon.replace(PLUGIN, &good[..good.len() / 2])?;
    let plugin = wait_for(daemon, PLUGIN, |plugin| plugin["state"] == "failing").await?;
    let reason = plugin["reason"].as_str().unwrap_or_default().to_owned();
    screen.say(&format!("-- refused: {reason} The last good version goes on"));
    daemon.replace(PLUGIN, &good)?;
    wait_for(daemon, PLUGIN, |plugin| plugin["state"] == "active").await?;
    Ok(Refusal { plugin: PLUGIN.to_owned(), reason })
}

/// The beginning of a hash.
pub(super) fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// What a compiler would give that changed nothing but the build: the same code, and another hash.
fn rebuilt(component: &[u8]) -> Vec<u8> {
    // A custom section: its id, its size, its name's size, its name, and what is in it.
    const SECTION: &[u8] = b"\0\x0e\x05build\x00\x00second";
    let mut rebuilt = component.to_vec();
    rebuilt.extend_from_slice(SECTION);
    rebuilt
}

fn hash(plugin: &Value) -> String {
    plugin["hash"].as_str().unwrap_or_default().to_owned()
}

async fn wait_for(
    daemon: &Daemon,
    plugin: &str,
    is_there: impl Fn(&Value) -> bool,
) -> Result<Value, Failure> {
    let deadline = Instant::now() + RELOAD;
    loop {
        let shown = daemon.plugin(plugin).await?;
        if is_there(&shown) {
            return Ok(shown);
        }
        if Instant::now() > deadline {
            let failure =
                Failure::new(Kind::Failed, format!("{plugin} did not become what it should: {shown}"));
            return Err(failure);
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_has_one_more_section() {
        let rebuilt = rebuilt(b"x");
        let section = &rebuilt[1..];
        assert_eq!(section[0], 0, "the id of a custom section");
        assert_eq!(usize::from(section[1]), section.len() - 2, "its size");
        assert_eq!(&section[3..8], b"build");
    }
}
