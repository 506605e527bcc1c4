//! What the end-to-end tests share.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic as tests do"
)]

pub mod contract;
pub mod crash;
pub mod daemon;
pub mod events;
pub mod folder;
pub mod guests;
pub mod log;
pub mod orders;
pub mod receiver;
pub mod recorder;
pub mod score;
pub mod soak;
pub mod wat;

use std::fmt::Debug;
use std::time::{Duration, Instant};

use carpe::Host;
use carpe::status::{PluginState, PluginStatus};

/// How long something may take that should take no time, on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` gives something. Panics with `what` when it takes too long.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `look` gives `expected`.
pub fn wait_until_eq<T: PartialEq + Debug>(what: &str, expected: T, mut look: impl FnMut() -> T) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {found:?} is not {expected:?} after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The status of a plugin by its file's name without `.wasm`.
pub fn plugin(host: &Host, file: &str) -> Option<PluginStatus> {
    host.status().plugins.into_iter().find(|plugin| plugin.file == file)
}

/// Waits until a plugin is in a state, for good: it is not being loaded.
pub fn wait_for_state(host: &Host, file: &str, state: PluginState) -> PluginStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = plugin(host, file);
        if let Some(found) = found.clone().filter(|found| found.state == state) {
            return found;
        }
        assert!(Instant::now() < deadline, "{file} is not {state:?} after {PATIENCE:?}: {found:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until all that was accepted is handled. Panics with the host's status if it takes too long.
pub fn settle(host: &Host) {
    if !host.settle(PATIENCE) {
        let status = serde_json::to_string_pretty(&host.status()).unwrap_or_default();
        panic!("the host is not done after {PATIENCE:?}: {status}");
    }
}
