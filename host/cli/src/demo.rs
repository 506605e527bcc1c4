//! `carpe demo`: the real daemon, a simulated city with its enterprises, and a plugin that is replaced while events flow.

mod checks;
mod city;
mod compiled;
mod configuration;
mod daemon;
mod enterprise;
mod feed;
mod guardrails;
mod operator;
mod plugins;
mod reload;
mod screen;
mod summary;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::args::DemoArgs;
use crate::failure::{Failure, Kind};
use crate::output::{print, print_json};

use checks::Day;
use city::City;
use city::homes::PATIENTS;
use city::machines::Repairs;
use city::rivers::GAUGES;
use city::street::{CARS, LAMPS};
use city::vending::Shelves;
use configuration::RULES;
use daemon::Daemon;
use enterprise::Enterprises;
use feed::{Feed, now};
use operator::Operator;
use screen::Screen;
use summary::{Calls, Events, OfGuardrail, OfRule, Summary};

/// In so long each rule has its moments.
const FAST_SECONDS: u64 = 10;
/// How long what is under way may take at the end: an order that nobody answers is waited for and undone.
const FINISH: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

pub(crate) fn demo(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let plugins = plugins::find(args.plugins.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the threads for input and output")?;
    runtime.block_on(async {
        tokio::select! {
            ended = play(args, &plugins) => ended,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Kind::Failed, "the demo was interrupted")),
        }
    })
}

async fn play(args: &DemoArgs, plugins: &Path) -> Result<ExitCode, Failure> {
    let seconds = if args.fast { FAST_SECONDS } else { args.seconds };
    let screen = Screen::new(args.json);
    let seed = args.seed;
    let (repairs, shelves) = (Repairs::default(), Shelves::default());
    let enterprises = Enterprises::open(seed, &repairs, &shelves).await?;
    screen.line(&format!(
        "A city for {seconds} s (seed {seed}): {CARS} cars in a street with {LAMPS} lamps, {GAUGES} river gauges, \
         {PATIENTS} patients,\nambulances, walkers, videos, machines, viewers; and {} enterprises behind webhooks.\n\
         A host starts as a process of its own, and compiles {} plugins, once...",
        enterprises.all.len(),
        RULES.len()
    ));
    let mut daemon = Daemon::start(plugins, &enterprises).await?;
    let start = daemon.start;
    screen.say(&format!("the host is ready, after {:.1} s", start.as_secs_f64()));
    let stdout = daemon.stdout().context("the host has no standard output")?;
    let shown = tokio::spawn(screen.clone().follow(stdout));

    let mut city = City::new(seed, repairs, shelves);
    let feed = Arc::new(Feed::new(daemon.events()?));
    enterprises.post.deliver(feed.clone());
    let operator = Operator::new(daemon.operators()?, &screen);
    let lived = async {
        let day = feed.day(&mut city, Duration::from_secs(seconds));
        let changes = async {
            tokio::time::sleep(Duration::from_secs(seconds).mul_f64(0.35)).await;
            let reload = reload::replace(&daemon, &feed, &screen).await?;
            let refused = reload::replace_by_half(&daemon, &screen).await?;
            let muted = operator.mute_offers().await?;
            Ok::<_, Failure>((reload, refused, muted))
        };
        let ((), (reload, refused, muted)) = tokio::try_join!(day, changes)?;
        screen.say(
            "the day is over: the last cars leave, the last doses come due, the last orders are seen to",
        );
        feed.evening(&mut city).await?;
        let status = finish(&daemon, &feed, &city, &enterprises).await?;
        Ok::<_, Failure>((reload, refused, muted, status))
    };
    // The person is in their office until the day is over.
    let (reload, refused, muted, status) = tokio::select! {
        lived = lived => lived?,
        failure = operator.work() => return Err(failure),
    };
    let stop = daemon.stop().await?;
    shown.await.context("the host's moments cannot be read")?;

    let moments = screen.seen().moments.clone();
    let said = operator.said().clone();
    let day = Day {
        status: &status,
        feed: &feed,
        city: &city,
        enterprises: &enterprises,
        moments: &moments,
        said: &said,
        muted,
    };
    let summary = Summary {
        seed,
        seconds,
        start_ms: millis(start),
        stop_ms: millis(stop),
        events: events(&feed, &city, &status),
        rules: OfRule::all(&status, &enterprises),
        guardrails: OfGuardrail::all(&status, &said),
        enterprises: calls(&enterprises),
        reload,
        refused,
        checks: day.checks(),
        moments,
    };
    if args.json {
        print_json(&summary)?;
    } else {
        print(&summary.describe())?;
    }
    Ok(if summary.all_holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits until all has happened that follows from what was sent. Returns the status then.
async fn finish(
    daemon: &Daemon,
    feed: &Feed,
    city: &City,
    enterprises: &Enterprises,
) -> Result<Value, Failure> {
    let deadline = Instant::now() + FINISH;
    // An action on its way back into the host is in no queue: it is over only if nothing came of it since.
    let mut journal_end = Value::Null;
    loop {
        let status = daemon.status().await?;
        let still = journal_end == status["journal"]["end"];
        journal_end = status["journal"]["end"].clone();
        if (still && is_idle(&status) && is_settled(feed, city, enterprises)) || Instant::now() > deadline {
            return Ok(status);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Nothing waits or is held in the host, and no car or vehicle is on its way: these have timers.
fn is_idle(status: &Value) -> bool {
    let list = |name: &str| status[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let has_no_timers = |rule: &str| checks::plugin(status, rule)["work"]["timers"] == 0;
    list("plugins").iter().all(|plugin| plugin["work"]["behind"] == 0 && plugin["work"]["waiting"] == 0)
        && status["open_actions"] == 0
        && has_no_timers("streetlights-cars")
        && has_no_timers("traffic-lights")
}

/// Nothing is to be expected of the enterprises any more.
fn is_settled(feed: &Feed, city: &City, enterprises: &Enterprises) -> bool {
    let books = &enterprises.books;
    enterprises.post.open() == 0
        && now() > feed.last_deadline()
        && feed.missed().is_subset(&books.reminders.0.all())
        && city.viewers.orders.is_subset(&books.viewers.0.all())
        && checks::wronged(books).is_empty()
}

fn events(feed: &Feed, city: &City, status: &Value) -> Events {
    Events {
        sent: feed.sent.load(Relaxed),
        accepted: feed.accepted.load(Relaxed),
        repeated: feed.repeated.load(Relaxed),
        late: city.rivers.late,
        refused: feed.refused.load(Relaxed),
        reason: feed.reason(),
        set_aside: status["dead_letters"].as_u64().unwrap_or_default(),
    }
}

fn calls(enterprises: &Enterprises) -> Calls {
    let tally = enterprises.tally();
    Calls {
        enterprises: enterprises.all.len(),
        requests: tally.requests,
        busy: tally.busy,
        cut: tally.cut,
        late: tally.late,
        refused: tally.refused,
        repeated: tally.repeated,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
