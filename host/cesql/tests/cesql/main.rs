//! The specification's test kit, and what must hold for any text.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may panic as tests do")]

mod kit;
mod properties;
