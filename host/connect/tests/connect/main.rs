//! Sources, sinks and listeners, over real sockets and files.

mod file_sink;
mod file_source;
mod http_source;
mod intake;
mod operators;
mod webhook;
mod wire;
