//! `carpe compile`: what a host would compile when it starts, compiled before.
//!
//! What is compiled lies in the data folder's cache, as if the host had made it: nothing compiled elsewhere is ever taken.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use carpe::sandbox::{Sandbox, SandboxOptions};

use super::check::read;
use crate::args::CompileArgs;
use crate::config::Config;
use crate::failure::{Explain as _, Failure, Kind, causes, listed};
use crate::output::{counted, grouped, print};

pub(crate) fn compile(args: &CompileArgs) -> Result<ExitCode, Failure> {
    let config = Config::load(args.config.as_deref())?;
    let plugins = args.plugins.as_ref().unwrap_or(&config.plugins);
    let data = args.data.as_ref().unwrap_or(&config.data);
    let files = match args.files.as_slice() {
        [] => components(plugins)?,
        files => files.to_vec(),
    };
    let options = config.sandbox.options();
    let limit = options.max_component_bytes as u64;
    let cache = carpe::cache_dir(data).with_context(|| format!("cannot make {}", data.display()))?;
    let sandbox = Sandbox::new(SandboxOptions { cache_dir: Some(cache), ..options });
    let sandbox = sandbox.map_err(anyhow::Error::new).kind(Kind::Config)?;
    let mut refused = 0;
    for file in &files {
        let begun = Instant::now();
        let compiled = read(file, limit).and_then(|component| Ok(sandbox.load(&component)?));
        match compiled {
            Ok(_) => {
                let took = grouped(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
                print(&format!("{}: ready, after {took} ms\n", file.display()))?;
            }
            Err(error) => {
                refused += 1;
                eprint!("{}: a host would refuse it\n{}", file.display(), listed(&causes(error.as_ref())));
            }
        }
    }
    let count = |count: usize| counted(count as u64, "component");
    print(&format!("{} of {} ready in {}\n", files.len() - refused, count(files.len()), data.display()))?;
    Ok(if refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All components of a folder of plugins, by their names.
fn components(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let doing = || format!("cannot read the folder of plugins {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(doing)? {
        let path = entry.with_context(doing)?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
