//! What is slow, dead or broken holds up only its own: with figures, which are printed and never asserted on.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::routing::post;
use carpe::status::{BreakerState, PluginState, SinkStatus};
use carpe::{Host, SinkOptions};
use carpe_connect::sinks::Webhook;
use carpe_tests::events::{count, harmless};
use carpe_tests::folder::Folder;
use carpe_tests::guests::{guest, sandbox};
use carpe_tests::{plugin, wait_for, wait_until_eq};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Events that are sent one after the other, each when the one before has arrived; then so many at once.
const PACED: u64 = 200;
const AT_ONCE: u64 = 2_000;
const KEYS: u64 = 20;
/// Of each dead sink.
const MAX_WAITING: usize = 300;
const THREADS: usize = 2;

/// When each event's action arrived, by key and number.
type Arrived = Arc<Mutex<BTreeMap<(String, u64), Instant>>>;

async fn take(State(arrived): State<Arrived>, Json(action): Json<Value>) -> StatusCode {
    let at = Instant::now();
    let key = action["data"]["key"].as_str().unwrap_or_default().to_owned();
    let n = action["data"]["n"].as_u64().unwrap_or_default();
    arrived.lock().expect("whole").entry((key, n)).or_insert(at);
    StatusCode::NO_CONTENT
}

fn serve(runtime: &Runtime, router: Router) -> String {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    runtime.spawn(async move { axum::serve(listener, router).await });
    url
}

/// Receivers on real sockets: one that takes all at once, one that is always unavailable, one that takes connections
/// and never says a word.
struct World {
    runtime: Runtime,
    arrived: Arrived,
    urls: BTreeMap<&'static str, String>,
    _silent: TcpListener,
    _folder: Folder,
    host: Host,
}

impl World {
    fn start(sinks: &[&'static str]) -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let arrived = Arrived::default();
        let quick = Router::new().route("/", post(take)).with_state(Arc::clone(&arrived));
        let unavailable = Router::new().route("/", post(|| async { StatusCode::SERVICE_UNAVAILABLE }));
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let hangs = format!("http://{}/", silent.local_addr().expect("an address"));
        let urls = BTreeMap::from([
            ("quick", serve(&runtime, quick)),
            ("unavailable", serve(&runtime, unavailable)),
            ("hangs", hangs),
        ]);
        let folder = Folder::new();
        let mut builder = Host::builder()
            .plugins_dir(folder.path())
            .sandbox(sandbox())
            .threads(THREADS)
            .retries(Duration::from_millis(20), Duration::from_secs(3_600), Duration::from_millis(300));
        for name in sinks {
            // One rule for each, that is given the same events.
            let manifest = format!("name = '{name}'\n[[route]]\naction = '*'\nsink = '{name}'\n");
            folder.plugin(name, guest("counter"), &manifest);
            let timeout = Duration::from_millis(300);
            let sink =
                Webhook::new(*name, &urls[name], None, timeout, runtime.handle().clone()).expect("a webhook");
            let mut options = SinkOptions::default();
            if *name != "quick" {
                options.max_waiting = MAX_WAITING;
            }
            builder = builder.sink_with(*name, Arc::new(sink), options);
        }
        let host = builder.start().expect("starts");
        World { runtime, arrived, urls, _silent: silent, _folder: folder, host }
    }

    fn arrived(&self) -> usize {
        self.arrived.lock().expect("whole").len()
    }

    /// Sends all events and waits until the quick sink has them. Prints how long that took.
    fn measure(&self, what: &str) {
        let (key, mut latencies) = ("paced", Vec::new());
        for n in 1..=PACED {
            let begun = Instant::now();
            self.host.submit(count(key, n)).expect("room").wait().expect("accepted");
            let at = wait_for("the action arrives", || {
                self.arrived.lock().expect("whole").get(&(key.to_owned(), n)).copied()
            });
            latencies.push(at.duration_since(begun));
        }
        let begun = Instant::now();
        let all = (0..AT_ONCE).map(|n| count(&format!("key-{}", n % KEYS), n / KEYS + 1)).collect();
        self.host.submit_all(all).expect("room").wait().expect("accepted");
        wait_until_eq("all actions arrive", (PACED + AT_ONCE) as usize, || self.arrived());
        let took = begun.elapsed();
        latencies.sort();
        println!(
            "{what}: the quick sink takes {:.0}/s; median {:?}, p99 {:?} from submit to arrival",
            AT_ONCE as f64 / took.as_secs_f64(),
            latencies[latencies.len() / 2],
            latencies[latencies.len() * 99 / 100],
        );
    }

    fn sink(&self, name: &str) -> SinkStatus {
        let sinks = self.host.status().sinks;
        sinks.into_iter().find(|sink| sink.name == name).expect("the sink")
    }
}

#[test]
fn a_slow_or_dead_sink_holds_up_only_its_own_actions() {
    let alone = World::start(&["quick"]);
    alone.measure("alone");
    drop(alone);

    let world = World::start(&["hangs", "quick", "unavailable"]);
    assert_eq!(world.urls.len(), 3);
    world.measure("beside one that hangs and one that answers 503");
    for dead in ["hangs", "unavailable"] {
        let status = wait_for("the breaker is open", || {
            Some(world.sink(dead)).filter(|sink| sink.breaker.state == BreakerState::Open)
        });
        assert_eq!((status.delivered, status.failed), (0, 0), "{dead}");
        // One batch of each lane may overshoot it.
        assert!((MAX_WAITING..=MAX_WAITING + THREADS * 256).contains(&status.waiting), "{status:?}");
        let rests = wait_for("its rule rests", || plugin(&world.host, dead).filter(|it| it.reason.is_some()));
        let reason = rests.reason.unwrap_or_default();
        assert!(reason.starts_with(&format!("the sink `{dead}` has as many actions waiting")), "{reason}");
        assert_eq!(rests.state, PluginState::Active, "no quarantine");
        let work = rests.work.expect("it runs");
        println!(
            "{dead}: {} wait, {} inputs handled, {} tries repeated",
            status.waiting, work.inputs, status.retries
        );
        assert!(work.inputs < PACED + AT_ONCE, "what it does not come to waits in the journal");
    }
    // The last outcomes may still be on their way into the journal.
    wait_until_eq("all are delivered", PACED + AT_ONCE, || world.sink("quick").delivered);
    let quick = world.sink("quick");
    assert_eq!((quick.failed, quick.breaker.opened), (0, 0));
    assert_eq!(world.host.intake().refused, 0);
    // Also now: intake and the other rules go on.
    world.host.submit(count("paced", PACED + 1)).expect("room").wait().expect("accepted");
    wait_until_eq("it arrives", (PACED + AT_ONCE) as usize + 1, || world.arrived());
    world.runtime.shutdown_background();
}

#[test]
fn a_broken_plugin_holds_up_no_other() {
    const EVENTS: u64 = 50_000;
    let manifest = |name: &str, more: &str| format!("[configuration]\nname = '{name}'\n{more}");
    let run = |what: &str, broken: &[(&str, &str)]| {
        let folder = Folder::new();
        folder.plugin("good", guest("hostile"), &manifest("good", ""));
        for (name, more) in broken {
            folder.plugin(name, guest("hostile"), &manifest(name, more));
        }
        let host = Host::builder().plugins_dir(folder.path()).sandbox(sandbox()).threads(THREADS);
        let host = host.start().expect("starts");
        let begun = Instant::now();
        let events: Vec<_> =
            (0..EVENTS).map(|n| harmless(&n.to_string(), &format!("key-{}", n % 50))).collect();
        for batch in events.chunks(host.max_batch_events()) {
            host.submit_all(batch.to_vec()).expect("room").wait().expect("accepted");
        }
        let work = wait_for("the good one has all", || {
            plugin(&host, "good").and_then(|it| it.work).filter(|work| work.inputs == EVENTS)
        });
        let took = begun.elapsed();
        println!("{what}: the good rule handles {:.0}/s", EVENTS as f64 / took.as_secs_f64());
        assert_eq!((work.traps, work.dead_letters), (0, 0));
        wait_for("its cursor is at the end", || {
            plugin(&host, "good").and_then(|it| it.work).filter(|work| work.behind == 0)
        });
        for (name, _) in broken {
            let it = wait_for("it breaks", || {
                plugin(&host, name).filter(|it| it.work.as_ref().is_some_and(|work| work.traps > 0))
            });
            let work = it.work.expect("it runs");
            println!("  {name}: {} set aside, {} entries behind", work.dead_letters, work.behind);
        }
    };
    run("alone", &[]);
    run("beside one that traps on each event", &[("traps", "on_event = 'trap'")]);
    run(
        "beside one that loops until its deadline",
        &[("loops", "on_event = 'loop'\n[limits]\nhandle_cpu_ms = 50")],
    );
}
