//! Where events come into a Carpe host, and where its actions go out.
//!
//! Sources hand events to an [`Intake`] (a [`carpe::Host`]); sinks are given actions by the host's outbox.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod config;
mod consents;
mod intake;
mod media_type;
pub mod operators;
mod secret;
mod server;
pub mod sinks;
pub mod sources;

pub use consents::{ConsentFile, ConsentFileStatus, ConsentJson};
pub use intake::{Bounds, Intake};
pub use secret::{Secret, SecretError};
pub use server::{ListenError, Server, ServerLimits};
