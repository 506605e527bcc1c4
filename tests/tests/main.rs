//! The host from end to end: what it promises, and what guests, files and crashes do to break it.
#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests may panic as tests do")]

mod embed;
mod guests;
mod hostile;
mod limits;
mod recorded;
mod recovery;
mod reload;
mod rules;
mod scenarios;
mod streams;
