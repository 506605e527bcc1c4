//! The plugin folder: which plugins there are, and how the operator wants each to run.
//!
//! `NAME.wasm` is a plugin's component, [`Manifest`] what may stand beside it in `NAME.toml`.
//! [`PluginFolder::watch`] turns a folder into a stream of [`FolderChange`]s: it says what settled there,
//! and nothing of what it is worth. Whether a component is any good is for whoever listens to find out.
//!
//! The registry takes it from there: each settled file is loaded, tried, and switched to, or refused with
//! words; `folder` and what it uses never look into a component.

mod configuration;
mod folder;
mod folder_error;
mod limit_overrides;
pub(crate) mod load;
mod manifest;
mod name;
pub(crate) mod registry;
mod rule_log;
mod scan;
mod settling;
mod signal;

pub use configuration::{Configuration, ConfigurationError};
pub use folder::{FolderChange, FolderOptions, FolderWatcher, PluginFolder};
pub use folder_error::FolderError;
pub use limit_overrides::LimitOverrides;
pub use load::{Inspection, TrialError, inspect};
pub use manifest::{Begin, Manifest, ManifestError, Release, parse_toml};
pub use name::{NameError, check_name};
