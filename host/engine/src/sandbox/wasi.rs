//! A closed, deterministic WASI 0.2, for languages whose runtimes cannot do without.
//!
//! There is nothing behind it: no files, no network, no environment, no arguments, no input. The wall
//! clock stands still, the monotonic clock counts how often it was asked and what was waited for, random
//! bytes come from one fixed stream; clocks and stream begin anew with every call, so that a rule stays a function of its
//! batch. What a guest prints goes to the log.

mod cli;
mod clocks;
mod filesystem;
mod io;
mod random;

use wasmtime::component::Linker;

use self::io::Printed;
use self::random::RandomStream;
use super::log::Writer;
use super::state::State;

/// The interfaces that a guest may import, in any version 0.2.x: the linker takes a guest's older or
/// newer patch version for the one here.
pub(super) const INTERFACES: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// What the closed WASI holds for one instance.
pub(super) struct Wasi {
    /// What the monotonic clock said last, in nanoseconds.
    monotonic: u64,
    random: RandomStream,
    printed: Printed,
}

impl Wasi {
    pub(super) fn new() -> Wasi {
        Wasi { monotonic: 0, random: RandomStream::new(), printed: Printed::default() }
    }

    /// Begins anew, as before every call.
    pub(super) fn reset(&mut self) {
        self.monotonic = 0;
        self.random.reset();
    }

    /// Logs the lines that were begun and not ended.
    pub(super) fn flush(&mut self, log: &mut Writer) {
        self.printed.flush(log);
    }
}

/// Gives guests all of [`INTERFACES`].
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    io::add_to_linker(linker)?;
    cli::add_to_linker(linker)?;
    clocks::add_to_linker(linker)?;
    random::add_to_linker(linker)?;
    filesystem::add_to_linker(linker)
}
