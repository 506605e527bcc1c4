//! The host from end to end: what it promises, and what guests, files and crashes do to break it.
#![expect(clippy::expect_used, clippy::panic, reason = "what tests share may panic as tests do")]

mod columns;
mod conformance;
mod contract;
mod crash;
mod embed;
mod faults;
mod filters;
mod go;
mod guardrails;
mod guests;
mod hostile;
mod kept;
mod limits;
mod operators;
mod orders;
mod power;
mod recorded;
mod recovery;
mod reload;
mod replay;
mod rules;
mod scenarios;
mod score;
mod slow_sink;
mod streams;
