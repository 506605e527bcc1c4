//! A host that is killed: sends itself events without end, and prints the number of each round once all of the
//! round is accepted.
//!
//! `victim DATA PLUGINS DELIVERIES THREADS FIRST`: rounds begin at number FIRST; each delivery is a line of the file
//! DELIVERIES.

use std::collections::VecDeque;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use carpe::{Answer, Data, Delivery, Host, Reply, Route, Sink, Target};
use carpe_tests::events::count;
use carpe_tests::guests::sandbox;

/// Keys of each round.
const KEYS: usize = 10;

/// Rounds that wait to be accepted.
const UNDER_WAY: usize = 3;

struct Lines(File);

impl Sink for Lines {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        let Data::Json(data) = &delivery.event.data else { return };
        // One call writes a line, so that a kill leaves it whole or not there.
        let line = format!("{} {data}\n", delivery.id);
        if (&self.0).write_all(line.as_bytes()).is_ok() {
            reply.send(Answer::Delivered(Data::Absent));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, plugins, deliveries, threads, first] = &arguments[..] else {
        return Err("usage: victim DATA PLUGINS DELIVERIES THREADS FIRST".into());
    };
    let sink = Lines(OpenOptions::new().create(true).append(true).open(deliveries)?);
    let host = Host::builder()
        .data_dir(data)
        .plugins_dir(plugins)
        .sandbox(sandbox())
        .threads(threads.parse()?)
        .checkpoint_every(Duration::from_millis(100))
        .sink("lines", Arc::new(sink))
        .route(Route::new("*", Target::Sink("lines".to_owned())))
        .start()?;
    let mut stdout = std::io::stdout().lock();
    let mut under_way = VecDeque::new();
    for n in first.parse::<u64>()?.. {
        let events = (0..KEYS).map(|key| count(&format!("key-{key}"), n)).collect();
        under_way.push_back((n, host.submit_all(events)?));
        if under_way.len() > UNDER_WAY
            && let Some((n, receipt)) = under_way.pop_front()
        {
            receipt.wait()?;
            writeln!(stdout, "{n}")?;
            stdout.flush()?;
        }
    }
    Ok(())
}
