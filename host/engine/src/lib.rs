//! A WebAssembly rule-plugin host: streams events into sandboxed rules, and their moments and actions out.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod event;
pub mod journal;
mod limits;
pub mod rule;
mod sink;

pub use event::{AdmitError, Data, Event, INSTANT_LIMIT, Instant, format_instant, parse_instant};
pub use limits::Limits;
pub use sink::{Answer, Delivery, Reply, Sink};
