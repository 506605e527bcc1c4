//! From the runtime's errors to ours.

use wasmtime::{PoolConcurrencyLimitError, WasmBacktrace};

use super::deadline::Overrun;
use super::error::{CallError, Trap};
use super::limiter::Refused;
use super::log::clean;
use crate::limits::Limits;

/// Frames of a backtrace that are kept. A panic in Rust takes a dozen by itself.
pub(super) const FRAMES: usize = 32;

/// The runtime tells of this only in words; `tests/sandbox.rs` notices if they change.
const TOO_MUCH_RETURNED: &str = "fuel allocated for hostcalls has been exhausted";

/// Says why a call failed, from what the runtime says and what the instance was refused before.
pub(super) fn explain(error: &wasmtime::Error, refused: Option<Refused>, limits: &Limits) -> CallError {
    match error.downcast_ref::<Overrun>() {
        Some(Overrun::Cpu(limit)) => return CallError::CpuTime { limit: *limit },
        Some(Overrun::Wall(limit)) => return CallError::WallTime { limit: *limit },
        None => {}
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return CallError::NoRoom(reason(error));
    }
    let trap = Trap { reason: reason(error), backtrace: backtrace(error) };
    if trap.reason.contains(TOO_MUCH_RETURNED) {
        return CallError::TooMuchReturned { limit: limits.effects_bytes };
    }
    if error.downcast_ref::<wasmtime::Trap>() == Some(&wasmtime::Trap::StackOverflow) {
        return CallError::StackOverflow(trap);
    }
    match refused {
        Some(Refused::Memory) => CallError::Memory { limit: limits.memory_bytes, trap },
        Some(Refused::Table) => CallError::Table { limit: limits.table_elements, trap },
        None => CallError::Trap(trap),
    }
}

/// What an error says, without the backtrace that the runtime wraps around it.
pub(super) fn reason(error: &wasmtime::Error) -> String {
    let root = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None if error.is::<WasmBacktrace>() => error.root_cause().to_string(),
        None => format!("{error:#}"),
    };
    clean(root.strip_prefix("wasm trap: ").unwrap_or(&root)).into_owned()
}

fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        // `#` leaves out the hash at the end of a Rust name.
        Some(name) => clean(&format!("{:#}", rustc_demangle::demangle(name))).into_owned(),
        None => format!("function {}", frame.func_index()),
    };
    backtrace.frames().iter().take(FRAMES).map(name).collect()
}
