//! `carpe erase`: somebody is to be forgotten.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::args::EraseArgs;
use crate::client::{HostClient, Listener, block_on};
use crate::failure::Failure;
use crate::output::{print, print_json};

/// So long is waited for an erasure that is to be done now; the host goes on with it all the same.
const WAIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What no host can reach.
const ELSEWHERE: &str =
    "Not reached: backups, files that events came from, logs, and what sinks were sent.\n";

#[derive(Deserialize)]
struct Asked {
    position: u64,
}

#[derive(Deserialize)]
struct Pending {
    pending: Vec<u64>,
    failed: Option<String>,
}

pub(crate) fn erase(args: &EraseArgs) -> Result<ExitCode, Failure> {
    let host = HostClient::new(&args.host, Listener::Operators)?;
    let wish = json!({ "subject": args.subject, "rule": args.rule, "key": args.key, "now": args.now });
    let (position, left) = block_on(async {
        let Asked { position } = host.change(&["erasures"], &wish).await?;
        let left = match args.now {
            true => wait(&host, position).await?,
            false => Some(None),
        };
        Ok((position, left))
    })?;
    if args.json {
        print_json(&json!({ "position": position, "done": left.is_none() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let when = match left {
        None => "Journal, bases and checkpoints of the data folder hold nothing of it any more.\n".to_owned(),
        Some(failed) => {
            let by = match (args.now, failed) {
                (true, Some(reason)) => format!("as soon as it can ({reason})"),
                (true, None) => "soon".to_owned(),
                (false, _) => {
                    "within the time that `[journal] erase_seconds` says (a day, if nothing)".to_owned()
                }
            };
            format!("Journal, bases and checkpoints follow {by}: `carpe status` says when it is done.\n")
        }
    };
    let at_once = "States, timers, waiting actions and dead letters are gone.\n";
    print(&format!("Asked for at position {position}.\n{at_once}{when}{ELSEWHERE}"))?;
    Ok(ExitCode::SUCCESS)
}

/// None: it is done; else what holds it up, if that is known.
async fn wait(host: &HostClient, position: u64) -> Result<Option<Option<String>>, Failure> {
    let begun = Instant::now();
    loop {
        let Pending { pending, failed } = host.show(&["erasures"], &[]).await?;
        if !pending.contains(&position) {
            return Ok(None);
        }
        if begun.elapsed() > WAIT {
            return Ok(Some(failed));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
