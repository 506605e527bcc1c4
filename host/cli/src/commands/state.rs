//! `carpe state`: what the rules of a running host remember.

mod import;

use std::path::Path;
use std::process::ExitCode;

use carpe::format_instant;
use carpe_connect::operators::KeyJson;
use carpe_connect::sinks::printable;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::args::{HostArgs, KeyArgs, StateArgs, StateCommand};
use crate::client::{HostClient, Listener, block_on};
use crate::failure::Failure;
use crate::output::{Lines, columns, counted, grouped, is_stdout, print, print_json};
use import::{Import, import};

const WORD_CHARACTERS: usize = 200;
/// What is shown of a state in a list, and of one alone.
const STATE_CHARACTERS: usize = 100;
const WHOLE_STATE_CHARACTERS: usize = 100_000;
/// So many keys are asked for at once.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
struct Rules {
    rules: Vec<RuleKeys>,
}

#[derive(Serialize, Deserialize)]
struct RuleKeys {
    rule: String,
    keys: u64,
}

#[derive(Deserialize)]
struct Page {
    keys: Vec<KeyJson>,
    next: Option<String>,
}

pub(crate) fn state(args: &StateArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        None => rules(&args.host, args.json)?,
        Some(StateCommand::List { rule, after, limit, host, json }) => {
            list(host, rule, after.as_deref(), limit.get(), *json)?;
        }
        Some(StateCommand::Show(args)) => show(args)?,
        Some(StateCommand::Export { rule, out, host }) => export(host, rule, out)?,
        Some(StateCommand::Import { rule, file, host, json }) => {
            let done = import(&client(host)?, rule, file)?;
            report(&done, "imported", *json)?;
        }
        Some(StateCommand::Forget { rule, which, host, json }) => {
            let host = client(host)?;
            let done = match which.all {
                true => block_on(forget_all(&host, rule)),
                false => block_on(forget(&host, rule, &which.keys)),
            }?;
            report(&done, "forgotten", *json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn client(host: &HostArgs) -> Result<HostClient, Failure> {
    HostClient::new(host, Listener::Operators)
}

fn report(done: &Import, verb: &str, json: bool) -> Result<(), Failure> {
    match json {
        true => print_json(&json!({ "keys": done.keys }))?,
        false => print(&format!("{verb}: {}\n", counted(done.keys, "key")))?,
    }
    Ok(())
}

fn rules(host: &HostArgs, json: bool) -> Result<(), Failure> {
    let Rules { rules } = block_on(client(host)?.show(&["rules"], &[]))?;
    if json {
        return Ok(rules.iter().try_for_each(print_json)?);
    }
    let mut rows = vec![["RULE", "KEYS"].map(str::to_owned)];
    rows.extend(rules.iter().map(|rule| [printable(&rule.rule, WORD_CHARACTERS), grouped(rule.keys)]));
    Ok(print(&if rules.is_empty() { "no rule has run yet\n".to_owned() } else { columns(&rows) })?)
}

async fn page(host: &HostClient, rule: &str, after: Option<&str>, limit: usize) -> Result<Page, Failure> {
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(after.map(|after| ("after", after)));
    host.show(&["state", rule], &query).await
}

fn list(host: &HostArgs, rule: &str, after: Option<&str>, limit: usize, json: bool) -> Result<(), Failure> {
    let Page { keys, next } = block_on(page(&client(host)?, rule, after, limit))?;
    if json {
        return Ok(keys.iter().try_for_each(print_json)?);
    }
    let mut rows = vec![["KEY", "TIMERS", "STATE"].map(str::to_owned)];
    rows.extend(keys.iter().map(|key| {
        [printable(&key.key, WORD_CHARACTERS), grouped(key.timers.len() as u64), shown(key, STATE_CHARACTERS)]
    }));
    let mut text = if keys.is_empty() { "no keys\n".to_owned() } else { columns(&rows) };
    if let Some(next) = next {
        text += &format!("there are more: --after '{}'\n", printable(&next, WORD_CHARACTERS));
    }
    Ok(print(&text)?)
}

/// A state for people.
fn shown(key: &KeyJson, most: usize) -> String {
    match (&key.state, &key.state_base64) {
        (Some(text), _) => printable(text.get(), most),
        (None, Some(base64)) => printable(&format!("base64 {base64}"), most),
        (None, None) => "-".to_owned(),
    }
}

fn show(args: &KeyArgs) -> Result<(), Failure> {
    // Not as a part of the path: `..` would not arrive.
    let look = client(&args.host)?;
    let key: KeyJson = block_on(look.show(&["state", &args.rule], &[("key", &args.key)]))?;
    if args.json {
        return Ok(print_json(&key)?);
    }
    let mut text =
        format!("{} (format {} of its state)\n", printable(&key.key, WORD_CHARACTERS), key.state_version);
    for timer in &key.timers {
        let name = printable(&timer.name, WORD_CHARACTERS);
        text += &format!("  timer {name} is due at {}\n", format_instant(timer.due));
    }
    text += &format!("  {}\n", shown(&key, WHOLE_STATE_CHARACTERS));
    Ok(print(&text)?)
}

fn export(host: &HostArgs, rule: &str, out: &Path) -> Result<(), Failure> {
    let host = client(host)?;
    let written = block_on(async {
        // The first page first: for a rule that there is not, no file is made.
        let mut next = page(&host, rule, None, PAGE).await?;
        let (mut lines, mut count) = (Lines::create(out)?, 0);
        loop {
            for key in &next.keys {
                lines.write(&line(key)?)?;
                count += 1;
            }
            let Some(after) = next.next else { break };
            next = page(&host, rule, Some(&after), PAGE).await?;
        }
        lines.finish()?;
        Ok(count)
    })?;
    if !is_stdout(out) {
        print(&format!("exported: {} to {}\n", counted(written, "key"), out.display()))?;
    }
    Ok(())
}

/// A key as one line of JSON.
pub(crate) fn line(key: &KeyJson) -> anyhow::Result<String> {
    Ok(serde_json::to_string(key)? + "\n")
}

async fn forget(host: &HostClient, rule: &str, keys: &[String]) -> Result<Import, Failure> {
    // A name that is mistyped is found before anything is forgotten.
    for key in keys {
        host.show::<KeyJson>(&["state", rule], &[("key", key)]).await?;
    }
    let mut import = Import::default();
    for key in keys {
        import.add(host, rule, line(&KeyJson::forgotten(key))?).await?;
    }
    import.send(host, rule).await?;
    Ok(import)
}

async fn forget_all(host: &HostClient, rule: &str) -> Result<Import, Failure> {
    let (mut import, mut after) = (Import::default(), None::<String>);
    loop {
        let Page { keys, next } = page(host, rule, after.as_deref(), PAGE).await?;
        for key in keys {
            import.add(host, rule, line(&KeyJson::forgotten(key.key))?).await?;
        }
        import.send(host, rule).await?;
        after = next;
        if after.is_none() {
            return Ok(import);
        }
    }
}
