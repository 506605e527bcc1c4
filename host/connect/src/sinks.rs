//! Where actions go out.
//!
//! A sink makes one try at a time; the host's outbox tries again, with backoff and jitter, as the sink's
//! answer asks for.

mod file;
mod line_writer;
mod stdout;
mod text;
mod webhook;

pub use file::{FileSink, FileSinkError};
pub use stdout::{StdoutFormat, StdoutSink};
pub use text::{describe, printable};
pub use webhook::{Webhook, WebhookError};
