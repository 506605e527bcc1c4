//! The `carpe` command, as people and scripts use it.

mod carpe;
mod check;
mod config;
mod daemon;
mod demo;
mod once;
