//! Lines for the operator's log.
//!
//! A line is not an effect: it is written even if the input fails, and again if the host handles the input again.
//! Natively, in a rule's own tests, lines go to standard error.
//!
//! ```
//! # use carpe_sdk::log;
//! log::info!("gauge {} rises", "elbe-7");
//! ```

pub use crate::{__debug as debug, __error as error, __info as info, __warn as warn};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the rule's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is odd, and the rule can go on.
    Warn,
    /// Something is wrong.
    Error,
}

/// Writes one line. The host cuts long ones and limits how many come a second.
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::guest::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

/// Writes a line of level [`Level::Debug`], formatted as by [`format!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __debug { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($text)+)) } }

/// Writes a line of level [`Level::Info`], formatted as by [`format!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __info { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($text)+)) } }

/// Writes a line of level [`Level::Warn`], formatted as by [`format!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __warn { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($text)+)) } }

/// Writes a line of level [`Level::Error`], formatted as by [`format!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __error { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($text)+)) } }
