//! Sources, sinks and listeners, over real sockets and files.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, too, may fail only so")]

mod file_sink;
mod file_source;
mod http_source;
mod intake;
mod operators;
mod webhook;
mod wire;
