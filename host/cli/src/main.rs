//! The `carpe` command.
fn main() {}
