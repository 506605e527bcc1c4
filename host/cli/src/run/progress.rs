//! What takes longer than a second says so.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use carpe::Host;
use carpe_connect::sources::file::Progress;

use crate::output::{bytes, grouped};

const PATIENCE: Duration = Duration::from_secs(1);
/// So often after that.
const PAUSE: Duration = Duration::from_secs(2);

/// Waits for a start, and says when it takes long.
pub(super) async fn while_starting<T>(start: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let mut start = std::pin::pin!(start);
    let mut pause = PATIENCE;
    loop {
        tokio::select! {
            started = &mut start => return started,
            () = tokio::time::sleep(pause) => {
                let seconds = begun.elapsed().as_secs();
                tracing::info!("starting: the journal is read and plugins are compiled ({seconds} s)");
                pause = PAUSE;
            }
        }
    }
}

/// Says how far rules are behind that go on where the last run ended, until none is.
pub(super) async fn while_catching_up(host: Host) {
    let mut pause = PATIENCE;
    loop {
        tokio::time::sleep(pause).await;
        pause = PAUSE;
        let asked = host.clone();
        let Ok(status) = tokio::task::spawn_blocking(move || asked.status()).await else { return };
        let behind = status.plugins.iter().filter_map(|plugin| Some((plugin, plugin.work.as_ref()?.behind)));
        // While events come in, being a little behind is no news.
        let Some((plugin, behind)) =
            behind.max_by_key(|(_, behind)| *behind).filter(|(_, behind)| *behind > 1_000)
        else {
            return;
        };
        let rule = plugin.rule.as_deref().unwrap_or(&plugin.file);
        tracing::info!("catching up: {rule} has {} journal entries to go", grouped(behind));
    }
}

/// Waits until all that was accepted is done, and says what it waits for.
pub(super) async fn while_settling(host: Host) -> anyhow::Result<()> {
    loop {
        let asked = host.clone();
        let settled = tokio::task::spawn_blocking(move || asked.settle(PAUSE)).await;
        if settled.context("the host broke down")? {
            return Ok(());
        }
        let asked = host.clone();
        let status =
            tokio::task::spawn_blocking(move || asked.status()).await.context("the host broke down")?;
        let behind: u64 = status.plugins.iter().filter_map(|plugin| Some(plugin.work.as_ref()?.behind)).sum();
        let waiting: usize = status.sinks.iter().map(|sink| sink.waiting).sum();
        let last_error = status.sinks.iter().find_map(|sink| sink.last_error.as_deref());
        tracing::info!(
            behind,
            waiting_actions = waiting,
            last_error,
            "finishing: rules read on, actions go out (an interrupt stops it; the next run goes on)"
        );
    }
}

/// How far a file has been read, now and then.
pub(super) struct Reading {
    name: String,
    next: Instant,
}

impl Reading {
    pub(super) fn of(file: &Path) -> Reading {
        Reading { name: file.display().to_string(), next: Instant::now() + PATIENCE }
    }

    pub(super) fn report(mut self) -> impl FnMut(&Progress) {
        move |progress| {
            if Instant::now() < self.next {
                return;
            }
            self.next = Instant::now() + PAUSE;
            let name = &self.name;
            let events = grouped(progress.events);
            match progress.total_bytes.filter(|&total| total > 0) {
                Some(total) => {
                    let percent = progress.bytes.saturating_mul(100) / total;
                    tracing::info!("reading {name}: {percent} % of {} ({events} events)", bytes(total));
                }
                None => tracing::info!("reading {name}: {} ({events} events)", bytes(progress.bytes)),
            }
        }
    }
}
