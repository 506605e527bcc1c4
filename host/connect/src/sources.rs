//! Where events come in.

pub mod file;
pub mod http;
