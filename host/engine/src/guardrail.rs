//! What stands between a moment and the world: the operator's guardrails.
#![cfg_attr(not(test), expect(dead_code, reason = "nothing judges by them yet"))]

pub(crate) mod amount;
mod config;
mod json_pointer;
pub(crate) mod quiet;
pub(crate) mod window;

pub use config::{
    Approval, Budget, Consent, Each, Exclusive, Frequency, Guardrail, Kind, Mute, Pattern, Quiet, Rate,
    Selector, Then, Threshold,
};
pub use json_pointer::JsonPointer;
pub use quiet::{QuietHours, TimeOfDay, TimeZone};
