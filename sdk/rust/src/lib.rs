//! Write rules for Carpe in Rust.
//!
//! Four ideas are all there is to know:
//! - a [`Rule`] is a pure function, typed by the operator's configuration: its fields;
//! - an [`Event`] is what happened, about one key, e.g. one machine;
//! - the state ([`Rule::State`]) is what the rule remembers of that key;
//! - an [`Output`] takes what should follow: moments with actions, and timers.
//!
//! This is a whole plugin:
//! ```
//! use carpe_sdk::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct Overheat { max_celsius: f64 }            // the operator's configuration
//!
//! impl Rule for Overheat {
//!     type State = Streak;                         // what is remembered per key
//!     fn on_event(&self, event: &Event, streak: &mut Streak, out: &mut Output) -> Result<()> {
//!         if streak.of(event.number("/celsius")? > self.max_celsius) == 3 {
//!             out.moment("machine.overheating").why("too hot three times in a row").action("notify.service", json!({}));
//!         }
//!         Ok(())
//!     }
//! }
//! export_rule!(Overheat, on("machine.temperature").moment("machine.overheating").action("notify.service"));
//! # fn main() {}
//! ```
//! Its package has `crate-type = ["cdylib"]` and depends on `carpe-sdk` and `serde`. `carpe build FOLDER`
//! makes it a component.
//!
//! # What holds
//! - **A rule has no clock, no files, no network, no memory of its own.** It depends on its
//!   configuration, the input and the key's state alone, so every decision can be computed again. Iterate over
//!   a `BTreeMap`, not a `HashMap`, whose order is nobody's promise.
//! - **An `Err` sets one input aside.** What that input had changed is undone: its state, timers and
//!   moments. It goes to the dead letters with the message; the others count.
//! - **A panic sets one input aside too**, at a higher price: the host tries the batch again in halves
//!   on new instances. Its message goes to the host's log.
//! - **States are kept as JSON.** It is not the smallest format, but the one that forgives: a field added with
//!   `#[serde(default)]` needs no migration, a wrong type is an error instead of another number, an
//!   operator can read it, and a rule written anew in another language can go on with it. A state equal to
//!   its `Default` is not kept at all, so a key that has come to rest takes no room.
//! - Instants are milliseconds since the Unix epoch ([`Instant`]).
//!
//! # Patterns
//! The module [`mod@patterns`] has what no rule should have to write twice: windows, hysteresis, geofences, a robust
//! baseline, steps that are undone when one fails, and more.
//!
//! # Tests
//! The module [`mod@test`] runs a rule natively, without WebAssembly, with a timeline of its own.
#![deny(missing_docs)]

mod about;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[cfg(any(target_arch = "wasm32", test))]
mod columns;
mod contract;
mod error;
mod event;
mod export;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
pub mod log;
mod output;
pub mod patterns;
mod pointer;
mod rule;
mod runner;
mod streak;
#[cfg(not(target_arch = "wasm32"))]
pub mod test;
mod text;

pub use about::{About, Described, on};
pub use contract::{INSTANT_LIMIT, Instant, Status};
pub use error::{Error, Result};
pub use event::{Event, Outcome, Timer};
pub use output::{Moment, Output, TimerSetting};
pub use rule::{Rule, State};
pub use streak::Streak;

/// What a rule's file begins with: `use carpe_sdk::prelude::*;`.
pub mod prelude {
    pub use std::time::Duration;

    pub use serde::{Deserialize, Serialize};
    pub use serde_json::json;

    pub use crate::{
        About, Error, Event, Instant, Outcome, Output, Result, Rule, Status, Streak, Timer, export_rule, log,
        on,
    };
}
