//! `carpe demo`: the real daemon, a simulated city, and a plugin that is replaced while events flow.

mod city;
mod daemon;
mod feed;
mod receiver;
mod screen;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::args::DemoArgs;
use crate::failure::{Failure, Kind};
use crate::output::{print, print_json};

use city::{CARS, City, GAUGES, LAMPS, PATIENTS};
use daemon::{Daemon, PLUGINS};
use feed::Books;
use receiver::{Receiver, now};
use screen::Screen;
use summary::{Check, Events, Latency, Refusal, Reload, Summary, short};

const FAST_SECONDS: u64 = 5;
/// How long a new version may take to be loaded or refused.
const RELOAD: Duration = Duration::from_secs(60);
/// How long what is under way may take at the end.
const FINISH: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

pub(crate) fn demo(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let plugins = find_plugins(args.plugins.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the threads for input and output")?;
    runtime.block_on(async {
        tokio::select! {
            ended = play(args, &plugins) => ended,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Kind::Failed, "the demo was interrupted")),
        }
    })
}

/// Where the built examples are.
fn find_plugins(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = match named {
        Some(folder) => folder.to_owned(),
        None => {
            let program = std::env::current_exe().context("cannot find this command")?;
            program.ancestors().nth(2).unwrap_or(Path::new("")).join("plugins")
        }
    };
    let missing = PLUGINS.iter().map(|name| folder.join(format!("{name}.wasm"))).find(|file| !file.is_file());
    match missing {
        None => Ok(folder),
        Some(file) => {
            let failure = Failure::new(Kind::Failed, format!("{} is not there", file.display()));
            Err(failure
                .with_hint("`make demo` builds the example plugins; --plugins FOLDER says where they are"))
        }
    }
}

async fn play(args: &DemoArgs, plugins: &Path) -> Result<ExitCode, Failure> {
    let seconds = if args.fast { FAST_SECONDS } else { args.seconds };
    let screen = Screen::new(args.json);
    let seed = args.seed;
    screen.line(&format!(
        "A city for {seconds} s (seed {seed}): {CARS} cars in a street with {LAMPS} lamps, {GAUGES} river gauges, \
         {PATIENTS} patients.\nA host starts as a process of its own, and compiles {} plugins...",
        PLUGINS.len()
    ));
    let receiver = Receiver::start().await?;
    let mut daemon = Daemon::start(plugins, &receiver).await?;
    let start = daemon.start;
    screen.say(&format!("the host is ready, after {:.1} s", start.as_secs_f64()));
    let stdout = daemon.stdout().context("the host has no standard output")?;
    let shown = tokio::spawn(screen.clone().follow(stdout));

    let mut city = City::new(seed);
    let books = Books::default();
    let (reload, refused) = {
        let feed = books.feed_day(&mut city, &daemon.events, Duration::from_secs(seconds));
        let changes = async {
            tokio::time::sleep(Duration::from_secs(seconds).mul_f64(0.35)).await;
            let reload = replace(&daemon, &books, &screen).await?;
            let refused = replace_by_half(&daemon, &screen).await?;
            Ok::<_, Failure>((reload, refused))
        };
        let ((), changed) = tokio::try_join!(feed, changes)?;
        changed
    };
    screen.say("the day is over: the last cars leave, the last doses come due");
    books.feed_evening(&mut city, &daemon.events).await?;
    let status = finish(&daemon, &books, &receiver).await?;
    let stop = daemon.stop().await?;
    shown.await.context("the host's moments cannot be read")?;

    let moments = screen.seen().moments.clone();
    let checks = checks(&status, &books, &city, &receiver, &moments);
    let summary = Summary {
        seed,
        seconds,
        start_ms: millis(start),
        stop_ms: millis(stop),
        events: Events {
            sent: books.sent.get(),
            accepted: books.accepted.get(),
            repeated: books.repeated.get(),
        },
        moments,
        actions: serde_json::from_value(status["actions"].clone()).unwrap_or_default(),
        latency: Latency::of(std::mem::take(&mut receiver.arrived().latencies_ms)),
        reload,
        refused,
        checks,
    };
    if args.json {
        print_json(&summary)?;
    } else {
        print(&summary.describe())?;
    }
    Ok(if summary.nothing_lost() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Puts another build of a plugin in its place, and waits until it has taken over.
async fn replace(daemon: &Daemon, books: &Books, screen: &Screen) -> Result<Reload, Failure> {
    const PLUGIN: &str = "flood-alert";
    let from = hash(&daemon.plugin(PLUGIN).await?);
    screen.say(&format!("-- a new build of {PLUGIN} is put into the folder, while events flow"));
    let new = rebuilt(&daemon.component(PLUGIN)?);
    let accepted_before = books.accepted.get();
    let begun = Instant::now();
    daemon.replace(PLUGIN, &new)?;
    let plugin =
        wait_for(daemon, PLUGIN, |plugin| plugin["state"] == "active" && hash(plugin) != from).await?;
    let took = begun.elapsed();
    let reload = Reload {
        plugin: PLUGIN.to_owned(),
        to: hash(&plugin),
        ms: millis(took),
        events_meanwhile: books.accepted.get() - accepted_before,
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
async fn replace_by_half(daemon: &Daemon, screen: &Screen) -> Result<Refusal, Failure> {
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

/// Waits until all has happened that follows from what was sent. Returns the status then.
async fn finish(daemon: &Daemon, books: &Books, receiver: &Receiver) -> Result<Value, Failure> {
    let deadline = Instant::now() + FINISH;
    // An action on its way back into the host is in no queue: it is over only if nothing came of it since.
    let mut journal_end = Value::Null;
    loop {
        let status = daemon.status().await?;
        let still = journal_end == status["journal"]["end"];
        journal_end = status["journal"]["end"].clone();
        let plugins = status["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
        let sinks = status["sinks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let idle =
            plugins.iter().all(|plugin| plugin["work"]["behind"] == 0 && plugin["work"]["waiting"] == 0)
                && sinks.iter().all(|sink| sink["waiting"] == 0);
        // A car that is gone has no timer.
        let street = plugins.iter().find(|plugin| plugin["file"] == "streetlights-cars");
        let empty = street.is_some_and(|plugin| plugin["work"]["timers"] == 0);
        let reminded =
            now() > books.last_deadline() && books.missed().is_subset(&receiver.arrived().reminders);
        if (still && idle && empty && reminded) || Instant::now() > deadline {
            return Ok(status);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What must hold if nothing was lost and nothing was done twice.
fn checks(
    status: &Value,
    books: &Books,
    city: &City,
    receiver: &Receiver,
    moments: &std::collections::BTreeMap<String, u64>,
) -> Vec<Check> {
    let plugins = status["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sinks = status["sinks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
    let moment = |kind: &str| moments.get(kind).copied().unwrap_or_default();
    let flood = plugins.iter().find(|plugin| plugin["file"] == "flood-alert");
    let handled = flood.map_or(0, |plugin| number(&plugin["work"]["inputs"]));
    let delivered =
        sinks.iter().find(|sink| sink["name"] == "city").map_or(0, |sink| number(&sink["delivered"]));
    let arrived = receiver.arrived();
    let (sent, accepted) = (books.sent.get(), number(&status["intake"]["accepted"]));
    let (missed, unsure) = (books.missed(), books.unsure());
    let strange =
        arrived.reminders.iter().filter(|dose| !missed.contains(*dose) && !unsure.contains(*dose)).count();
    let absent = missed.difference(&arrived.reminders).count();
    let (rising, over) = (moment("flood.rising"), moment("flood.over"));
    let (lit, dark) = (moment("lamp.needed"), moment("lamp.unneeded"));
    let check = |holds: bool, what: String| Check { holds, what };
    vec![
        check(
            sent == accepted && books.accepted.get() == sent && books.repeated.get() == 0,
            format!("each of {sent} events was accepted once: {accepted}"),
        ),
        check(
            handled == city.gauge_events,
            format!(
                "flood-alert handled each of {} gauge readings once, over its reload: {handled}",
                city.gauge_events
            ),
        ),
        check(
            (rising, over) == (city.rises, city.falls),
            format!("{} rivers rose and {} fell: {rising} alerts, {over} all-clears", city.rises, city.falls),
        ),
        check(
            absent == 0 && strange == 0,
            format!(
                "{} doses were missed: {absent} reminders missing, {strange} without cause",
                missed.len()
            ),
        ),
        check(lit == dark, format!("{lit} times a lamp was lit, and {dark} times it went out again")),
        check(
            arrived.count() == delivered && arrived.forged == 0,
            format!(
                "each of {delivered} delivered actions arrived, correctly signed: {} ({} repeated)",
                arrived.count(),
                arrived.repeated
            ),
        ),
        check(status["dead_letters"] == 0, format!("inputs that were set aside: {}", status["dead_letters"])),
    ]
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
