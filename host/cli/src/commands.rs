//! The commands that are neither a host nor a demo of one.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod config;
pub(crate) mod consent;
pub(crate) mod dead_letters;
pub(crate) mod dev;
pub(crate) mod erase;
pub(crate) mod held;
pub(crate) mod moments;
pub(crate) mod mute;
pub(crate) mod new;
pub(crate) mod replay;
pub(crate) mod send;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod test;
pub(crate) mod verify;
