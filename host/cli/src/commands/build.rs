//! `carpe build`.

use std::process::ExitCode;

use anyhow::Context;

use crate::args::BuildArgs;
use crate::failure::Failure;
use crate::output::print;

pub(crate) fn build(args: &BuildArgs) -> Result<ExitCode, Failure> {
    // Cargo runs in the folder of source: a relative path is meant from here.
    let target_dir = args.target_dir.as_deref().map(std::path::absolute).transpose();
    let target_dir = target_dir.context("cannot find --target-dir")?;
    let options = carpe_build::Options { out: args.out.clone(), target_dir, verbose: !args.quiet };
    let built = carpe_build::build(&args.folder, &options).map_err(anyhow::Error::new)?;
    print(&format!("{}\n", built.display()))?;
    Ok(ExitCode::SUCCESS)
}
