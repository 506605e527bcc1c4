//! The host from end to end: what it promises, and what guests, files and crashes do to break it.

mod embed;
mod guests;
mod hostile;
mod limits;
mod recorded;
mod recovery;
mod reload;
mod rules;
mod scenarios;
mod streams;
