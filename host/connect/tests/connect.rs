//! Sources, sinks and listeners, over real sockets and files.

#[path = "connect/file_sink.rs"]
mod file_sink;
#[path = "connect/file_source.rs"]
mod file_source;
#[path = "connect/http_source.rs"]
mod http_source;
#[path = "connect/intake.rs"]
mod intake;
#[path = "connect/operators.rs"]
mod operators;
#[path = "connect/webhook.rs"]
mod webhook;
#[path = "connect/wire.rs"]
mod wire;
