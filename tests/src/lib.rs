//! Placeholder text of the crate, replaced by its first module.
