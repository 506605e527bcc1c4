//! A WebAssembly rule-plugin host: streams events into sandboxed rules, and their moments and actions out.
//!
//! A [`Host`] takes [`Event`]s, journals them, gives them to the rules that subscribe to them, and sends the
//! actions of the [`Moment`]s that occur to [`Sink`]s. It opens no socket, installs no logger and keeps no
//! global state; several hosts can live in one process.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = carpe::Host::builder().plugins_dir("plugins").data_dir(".carpe").start()?;
//! let mut moments = host.moments();
//! host.submit(carpe::Event::new("1", "/gauges", "gauge.level").with_subject("elbe-7"))?.wait()?;
//! let moment = moments.recv_blocking()?;
//! println!("{}: {}", moment.kind, moment.why);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod backup;
mod checkpoint;
mod contract;
mod data_folder;
mod event;
pub mod guardrail;
mod host;
pub mod journal;
mod life;
mod limits;
mod moment;
mod outbox;
mod pipeline;
#[cfg(feature = "planted-faults")]
mod planted;
pub mod plugin;
mod recovery;
pub mod replay;
mod retention;
mod route;
pub mod rule;
pub mod sandbox;
mod sink;
pub mod status;
mod words;

pub use checkpoint::CheckpointError;
pub use data_folder::{DataFolderError, cache_dir};
pub use event::{
    AdmitError, Data, DataRef, Event, EventBatch, EventRef, INSTANT_LIMIT, Instant, PackedEvent, Text,
    format_instant, parse_instant,
};
pub use guardrail::Guardrail;
pub use host::{
    CONSENTS_AT_ONCE, ConsentGiven, DeadLetterInfo, HeldInfo, Host, HostBuilder, KEYS_AT_ONCE, KeyInfo,
    Moments, MomentsError, OperateError, Receipt, ShutdownReport, StartError,
};
pub use life::{ActionLife, LifeStep, MomentFilter, MomentLife, Stage};
pub use limits::Limits;
pub use moment::{Moment, MomentAction};
pub use pipeline::intake::{Accepted, SubmitError};
pub use pipeline::timeline::Timeline;
pub use plugin::Manifest;
pub use retention::Retention;
pub use route::{Route, RouteFilter, Target};
pub use sink::{Answer, Delivery, Reply, Sink, SinkOptions, WhenFull};
pub use status::Status;
