//! Builds Carpe's plugins: from a folder of source, in Rust, JavaScript, TypeScript, Python, Go, C or WebAssembly text, to a
//! component that the host loads.
//!
//! ```no_run
//! use carpe_build::{Options, build};
//! # fn main() -> Result<(), carpe_build::BuildError> {
//! let component = build("plugins/flood-alert".as_ref(), &Options::default())?;
//! assert!(component.ends_with("plugins/flood-alert.wasm"));
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

mod c;
mod cargo;
mod environment;
mod error;
mod go;
mod javascript;
mod language;
mod python;
mod text;
mod wit;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, DecodedWasm};

pub use error::BuildError;
pub use language::Language;

/// The target that rules in Rust are built for: it has no operating system, so a rule can ask it for nothing.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to write the component: a file, or a folder that exists. Default: beside the source folder, so that
    /// `plugins/NAME/` gives `plugins/NAME.wasm`.
    pub out: Option<PathBuf>,
    /// Where tools keep what they make on the way. Rust: builds that share it compile what they have in common once.
    /// Python: a component whose sources are still the same is taken from it. Go: its cache is there. Default: Cargo's
    /// and Go's own choices, or `target` in the folder.
    pub target_dir: Option<PathBuf>,
    /// Let the tools' progress and warnings go to standard error. Otherwise they are shown only in an error.
    pub verbose: bool,
}

/// Builds the rule in `folder`, in the [`Language`] that it is written in, and writes it as a component. In place of the folder it
/// may be a file of WebAssembly text.
///
/// Returns where it was written. A component that was there before is replaced in one step: a host that watches sees
/// the old one or the new one. One that would be the same is not written again.
///
/// # Errors
/// The toolchain, the compilation or the component is at fault; nothing was written then.
pub fn build(folder: &Path, options: &Options) -> Result<PathBuf, BuildError> {
    let component = component(folder, options)?;
    place(folder, options.out.as_deref(), &component)
}

/// Builds the rule in `folder`, and returns the component: it is written nowhere.
///
/// # Errors
/// The toolchain, the compilation or the component is at fault.
pub fn component(folder: &Path, options: &Options) -> Result<Vec<u8>, BuildError> {
    let folder = canonical(folder)?;
    match Language::of(&folder)? {
        Language::Rust => cargo::build(&folder, options),
        Language::JavaScript => javascript::build(&folder, options),
        Language::Python => python::build(&folder, options),
        Language::Go => go::build(&folder, options),
        Language::C => c::build(&folder),
        Language::Text => text::build(&folder),
    }
}

/// Writes the component of the rule in `folder` where [`Options::out`] says, as [`build`] does. Returns where.
///
/// # Errors
/// It cannot be written; what was there before is there still.
pub fn place(folder: &Path, out: Option<&Path>, component: &[u8]) -> Result<PathBuf, BuildError> {
    let out = out_path(&canonical(folder)?, out);
    write_atomically(&out, component).map_err(|source| BuildError::Io {
        doing: "write the component",
        path: out.clone(),
        source,
    })?;
    Ok(out)
}

fn canonical(folder: &Path) -> Result<PathBuf, BuildError> {
    fs::canonicalize(folder).map_err(|source| BuildError::Io {
        doing: "open the folder",
        path: folder.to_owned(),
        source,
    })
}

/// Makes a core module, as Cargo builds one that uses the SDK, a component.
///
/// Function names stay in it, so that a backtrace can be read.
///
/// # Errors
/// It isn't a core module, holds no description of its interface, or imports what a rule can't have.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encode = || ComponentEncoder::default().module(core)?.validate(true).encode();
    let component = encode().map_err(|error| BuildError::NotAPlugin(error.into_boxed_dyn_error()))?;
    // An empty module becomes an empty component.
    checked(component)
}

/// A component, if it is a rule's.
fn checked(component: Vec<u8>) -> Result<Vec<u8>, BuildError> {
    if exports_a_rule(&component) {
        Ok(component)
    } else {
        Err(BuildError::NotAPlugin("it exports no `carpe:rule/rule`".into()))
    }
}

fn exports_a_rule(component: &[u8]) -> bool {
    let Ok(DecodedWasm::Component(resolve, world)) = wit_component::decode(component) else { return false };
    resolve.worlds[world]
        .exports
        .keys()
        .any(|export| resolve.name_world_key(export).starts_with("carpe:rule/rule@"))
}

fn out_path(folder: &Path, out: Option<&Path>) -> PathBuf {
    let name = if text::is_file(folder) { folder.file_stem() } else { folder.file_name() };
    // Only `/` has no name.
    let name = name.unwrap_or("rule".as_ref());
    match out {
        Some(out) if out.is_dir() => with_wasm(out.join(name)),
        Some(out) => out.to_owned(),
        None => with_wasm(folder.with_file_name(name)),
    }
}

/// Not `with_extension`: a folder's name may have a dot in it.
fn with_wasm(path: PathBuf) -> PathBuf {
    let mut path = path.into_os_string();
    path.push(".wasm");
    path.into()
}

fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new();
    // As for any file that is made: a host that runs as somebody else must be able to read it.
    #[cfg(unix)]
    file.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = file.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
