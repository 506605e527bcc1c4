//! A host on a failing file layer (`tests/faults/shim.c`): each change of a file below its data folder fails in turn, in
//! the journal, the checkpoints and the bases alike, while the host runs and while it starts. After each, every event
//! that was accepted counts once.
//!
//! `faulty DATA PLUGINS CONTROL SORT`: SORT is the shim's sort of fault.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use carpe::replay::{ReplayOptions, verify};
use carpe::{Host, Retention, StartError, SubmitError};
use carpe_tests::PATIENCE;
use carpe_tests::events::{Count, count, count_of};
use carpe_tests::guests::sandbox;

const KEYS: u64 = 5;
/// So many rounds go by between two starts.
const ROUNDS_OF_A_RUN: u64 = 6;

/// The shim's numbers.
struct Faults(File);

impl Faults {
    fn set(&self, place: u64, number: i64) -> std::io::Result<()> {
        self.0.write_all_at(&number.to_ne_bytes(), place * 8)
    }

    fn get(&self, place: u64) -> std::io::Result<i64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, place * 8)?;
        Ok(i64::from_ne_bytes(bytes))
    }

    /// The n-th change from now on fails, and `lasting` - 1 after it.
    fn arm(&self, n: u64, lasting: i64, sort: i64) -> std::io::Result<()> {
        self.set(1, lasting)?;
        self.set(0, i64::try_from(n).unwrap_or(i64::MAX))?;
        self.set(2, sort)
    }

    fn disarm(&self) -> std::io::Result<i64> {
        self.set(2, 0)?;
        self.get(3)
    }
}

fn start(data: &str, plugins: &str) -> Result<Host, StartError> {
    let mut retention = Retention::default();
    retention.keep_bytes = 512 << 10;
    Host::builder()
        .data_dir(data)
        .plugins_dir(plugins)
        .sandbox(sandbox())
        .threads(2)
        .segments(64 << 10, false)
        .retention(retention)
        .known_ids(1_000, Duration::from_secs(600))
        .checkpoint_every(Duration::from_millis(20))
        .start()
}

/// Sends the `n`-th event of each key until they are accepted, as a careful sender does.
fn send(host: &Host, n: u64) -> Result<(), Box<dyn Error>> {
    let padded = |key: u64| {
        let padding = "x".repeat(2_000);
        count(&format!("key-{key}"), n).with_json(format!("{{\"n\":{n},\"padding\":\"{padding}\"}}"))
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = (0..KEYS).map(padded).collect();
        let sent = host.submit_all(events).map(|receipt| receipt.wait());
        match sent.and_then(|accepted| accepted) {
            Ok(_) => return Ok(()),
            Err(SubmitError::Journal(_) | SubmitError::Busy { .. }) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn check(host: &Host, n: u64) -> Result<(), Box<dyn Error>> {
    if !host.settle(PATIENCE) {
        return Err(format!("not settled: {:?}", host.status()).into());
    }
    for key in 0..KEYS {
        let seen = count_of(host, "counter", &format!("key-{key}"));
        if seen != Count::exact(n) {
            return Err(format!("key-{key}: {seen:?} after {n} events").into());
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, plugins, control, sort] = &arguments[..] else {
        return Err("usage: faulty DATA PLUGINS CONTROL SORT".into());
    };
    let faults = Faults(File::options().read(true).write(true).open(control)?);
    let sort: i64 = sort.parse()?;
    let (mut n, mut refused, mut positions) = (0, 0, 0);
    let mut host = start(data, plugins)?;
    // While it runs: until a round has fewer changes than that.
    for position in 1.. {
        let before = faults.get(3)?;
        faults.arm(position, if position % 3 == 0 { 3 } else { 1 }, sort)?;
        for _ in 0..8 {
            n += 1;
            send(&host, n)?;
        }
        let checkpointed = host.checkpoint(PATIENCE);
        let hits = faults.disarm()? - before;
        check(&host, n).map_err(|error| format!("change {position}, checkpoints {checkpointed}: {error}"))?;
        if position % ROUNDS_OF_A_RUN == 0 {
            drop(host);
            host = start(data, plugins)?;
            check(&host, n).map_err(|error| format!("after change {position}, started again: {error}"))?;
        }
        positions = position;
        if hits == 0 && position > 40 {
            break;
        }
    }
    // While it starts, after a stop without a word.
    for position in 1.. {
        drop(host);
        let before = faults.get(3)?;
        faults.arm(position, 1, sort)?;
        let started = start(data, plugins);
        let hits = faults.disarm()? - before;
        host = match started {
            Ok(host) => host,
            Err(_) => {
                refused += 1;
                start(data, plugins)?
            }
        };
        n += 1;
        send(&host, n)?;
        check(&host, n).map_err(|error| format!("a start with change {position} failing: {error}"))?;
        positions += 1;
        if hits == 0 {
            break;
        }
    }
    let drained = host.shutdown(PATIENCE).drained;
    let options = ReplayOptions { data_dir: data.into(), threads: 2, sandbox: sandbox() };
    let verified = verify(&options)?;
    if !drained || verified.differing > 0 {
        return Err(format!("drained: {drained}, {:?}", verified.differences).into());
    }
    let hits = faults.get(3)?;
    println!(
        "faults: sort={sort} positions={positions} struck={hits} refused-starts={refused} events={}",
        n * KEYS
    );
    Ok(())
}
