//! Finds a compiler of C that knows WebAssembly, and has its C library.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::BuildError;
use crate::environment::{environments, looked};

/// What was tried; other versions may do.
const VERSION: &str = "0.17.1";

/// Where Debian's package `wasi-libc` puts its headers.
const DEBIAN_WASI: &str = "/usr/include/wasm32-wasi";

/// Versions of clang that may be installed under a name of their own.
const CLANGS: std::ops::RangeInclusive<u32> = 16..=29;

/// An installed compiler.
pub(super) enum Tool {
    /// One program for all.
    Zig(PathBuf),
    /// clang, and beside it clang++.
    Clang(PathBuf),
}

impl Tool {
    /// Looks for zig as Python's package `ziglang` brings it, then in the path; then for clang, of the WASI SDK or of Debian.
    pub(super) fn find(folder: &Path) -> Result<Self, BuildError> {
        let zig = environments(folder).find_map(|environment| zig_of(&environment));
        if let Some(zig) = zig.or_else(|| on_path("zig")) {
            return Ok(Tool::Zig(zig));
        }
        if let Some(sdk) = env::var_os("WASI_SDK_PATH") {
            let clang = Path::new(&sdk).join("bin/clang");
            if clang.is_file() {
                return Ok(Tool::Clang(clang));
            }
        }
        if Path::new(DEBIAN_WASI).is_dir() {
            let names = CLANGS.rev().map(|version| format!("clang-{version}"));
            if let Some(clang) = names.chain(["clang".to_owned()]).find_map(|name| on_path(&name)) {
                return Ok(Tool::Clang(clang));
            }
        }
        Err(BuildError::NoTool {
            tool: "a C compiler for WebAssembly",
            looked: looked(folder),
            remedy: format!(
                "run `python3 -m venv .venv && .venv/bin/pip install ziglang=={VERSION}` there or above, or install \
                 clang, lld, wasi-libc and libclang-rt for wasm32"
            ),
        })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Tool::Zig(path) | Tool::Clang(path) => path,
        }
    }

    /// The stack lies below all data, so that it overflows into a trap. zig does that by itself, and knows no word for it.
    pub(super) fn link_arguments(&self) -> &'static [&'static str] {
        match self {
            Tool::Zig(_) => &[],
            Tool::Clang(_) => &["-Wl,--stack-first"],
        }
    }

    /// Compiles or links, in a folder.
    pub(super) fn command(&self, is_cpp: bool, folder: &Path) -> Command {
        let mut command = match self {
            Tool::Zig(zig) => {
                let mut command = Command::new(zig);
                command.arg(if is_cpp { "c++" } else { "cc" });
                command
            }
            Tool::Clang(clang) if is_cpp => {
                let name = clang.file_name().unwrap_or_default().to_string_lossy();
                Command::new(clang.with_file_name(name.replacen("clang", "clang++", 1)))
            }
            Tool::Clang(clang) => Command::new(clang),
        };
        command.current_dir(folder).arg("--target=wasm32-wasi");
        command
    }
}

fn zig_of(environment: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(environment.join("lib"))
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("site-packages/ziglang/zig"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}
