//! What can go wrong when a plugin is built.

use std::io;
use std::path::PathBuf;

/// Why a plugin could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A file or folder could not be used.
    #[error("cannot {doing}: {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nothing says which language the rule is written in.
    #[error("{} holds no rule: it has none of {manifests}", folder.display())]
    NoLanguage {
        /// The folder.
        folder: PathBuf,
        /// The files that it may have.
        manifests: String,
    },
    /// A package's own description cannot be used.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// A tool that is needed is not installed.
    #[error("{tool} is missing, in {looked}: {remedy}")]
    NoTool {
        /// Its name.
        tool: &'static str,
        /// Where it was looked for.
        looked: String,
        /// What to do.
        remedy: String,
    },
    /// A tool that is needed is too old.
    #[error("{} is too old ({said}): {remedy}", path.display())]
    OldTool {
        /// Where it is.
        path: PathBuf,
        /// What it says of itself.
        said: String,
        /// What to do.
        remedy: String,
    },
    /// Cargo or rustc could not be started.
    #[error("cannot start `{program}`: is Rust installed, and on the path? See https://rustup.rs")]
    NoToolchain {
        /// Which.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The standard library for WebAssembly is not installed.
    #[error("Rust's {target} target is not installed: run `rustup target add {target}`")]
    NoTarget {
        /// The missing target.
        target: &'static str,
    },
    /// Node could not be started.
    #[error("cannot start `node`: is Node.js 20 or later installed, and on the path? See https://nodejs.org")]
    NoNode(#[source] io::Error),
    /// A package that builds rules is not installed.
    #[error(
        "`{package}` is not installed: run `npm install` in {}{}", folder.display(),
        if *is_named { String::new() } else { format!(", after `npm install {how} {package}`: its package.json does not name it") }
    )]
    NoPackage {
        /// Which.
        package: &'static str,
        /// Under which option npm is to install it, so that it is named where it belongs.
        how: &'static str,
        /// The plugin's folder.
        folder: PathBuf,
        /// Whether its package.json names it.
        is_named: bool,
    },
    /// A package.json is not what it should be.
    #[error("{} {what}", path.display())]
    Package {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Cargo, or another tool, reported errors.
    #[error("{} does not compile{}", folder.display(), indent(output))]
    Compile {
        /// The plugin's folder.
        folder: PathBuf,
        /// What it said; empty if it was shown already.
        output: String,
    },
    /// The package built, but into no plugin.
    #[error("{} builds no plugin: its Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\"]`", folder.display())]
    NoLibrary {
        /// The plugin's folder.
        folder: PathBuf,
    },
    /// The module that was built cannot become a component.
    #[error("this module cannot become a plugin: does it export a rule?")]
    NotAPlugin(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn indent(output: &str) -> String {
    match output.trim_end() {
        "" => String::new(),
        text => format!(":\n{text}"),
    }
}
