//! The `carpe` command, as people and scripts use it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed test may panic, in what it shares with others too"
)]

mod author;
mod carpe;
mod check;
mod config;
mod daemon;
mod data;
mod demo;
mod guardrails;
mod guide;
mod new;
mod once;
mod operators;
mod stories;
