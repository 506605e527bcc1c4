//! Files and streams that events are read from.

use std::path::Path;

use carpe::{DeadLetterInfo, Host, Status};
use carpe_connect::config::SourceConfig;
use carpe_connect::sinks::printable;
use carpe_connect::sources::file::Progress;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::progress::Reading;
use crate::config::Config;
use crate::failure::causes;
use crate::output::{counted, grouped};

const KEY_CHARACTERS: usize = 100;
const REASON_CHARACTERS: usize = 300;

/// What to do when a file could not be read to its end.
const GO_ON: &str = "what came before it is accepted: the next run goes on there";

/// Sources that run beside the host.
pub(super) struct Sources {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Starts the sources of the configuration. One that fails is logged; the host goes on.
pub(super) fn start(config: &Config, host: &Host) -> Sources {
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for source in &config.sources {
        let name = match source {
            SourceConfig::File(file) => file.path.display().to_string(),
            _ => "stdin".to_owned(),
        };
        let source = source.source(&config.folder);
        let (host, mut stopped) = (host.clone(), stopped.clone());
        tasks.spawn(async move {
            let stop = async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            match source.run(host, stop, Reading::of(Path::new(&name)).report()).await {
                Ok(progress) => tracing::info!(events = progress.events, "{name} has been read"),
                Err(error) => {
                    tracing::error!("{name} is not read any more: {}; {GO_ON}", causes(&error).join(": "));
                }
            }
        });
    }
    Sources { tasks, stop }
}

/// Waits until what they have read is durable.
pub(super) async fn stop(mut sources: Sources) {
    sources.stop.send_replace(true);
    while sources.tasks.join_next().await.is_some() {}
}

/// What came of files that were read to their end.
#[derive(Default)]
pub(super) struct Read {
    events: u64,
    repeated: u64,
    bad_lines: u64,
}

impl Read {
    pub(super) fn add(&mut self, progress: &Progress) {
        self.events += progress.events;
        self.repeated += progress.repeated;
        self.bad_lines += progress.bad_lines;
    }

    /// In a few lines, for people.
    pub(super) fn summary(&self, status: &Status, dead_letters: &[DeadLetterInfo]) -> String {
        let mut text = counted(self.events, "event");
        if self.repeated > 0 {
            text += &format!(" (and {} that the host had already)", grouped(self.repeated));
        }
        if self.bad_lines > 0 {
            text += &format!(", {}", counted(self.bad_lines, "bad line"));
        }
        text += &format!(", {}", counted(status.moments, "moment"));
        let actions: Vec<String> = status
            .actions
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(outcome, count)| format!("{} {outcome}", grouped(*count)))
            .collect();
        match actions.is_empty() {
            true => text += ", no action\n",
            false => text += &format!(", actions: {}\n", actions.join(", ")),
        }
        if self.events == 0 && self.repeated == 0 {
            text += "nothing new: the data folder remembers how far each file was read\n";
        }
        let timers: usize =
            status.plugins.iter().filter_map(|plugin| Some(plugin.work.as_ref()?.timers)).sum();
        if timers > 0 {
            text += &format!("{} set, for a later run\n", counted(timers as u64, "timer"));
        }
        if status.dead_letters > 0 {
            text +=
                &format!("{} set aside, that no rule could handle:\n", counted(status.dead_letters, "input"));
            for letter in dead_letters {
                let key = printable(&letter.key, KEY_CHARACTERS);
                let reason = printable(&letter.reason, REASON_CHARACTERS);
                text += &format!("  {} {key} (entry {}): {reason}\n", letter.rule, letter.position);
            }
        }
        if status.plugins.is_empty() {
            text += "no plugin was there to handle them\n";
        }
        text
    }
}
