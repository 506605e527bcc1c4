//! `carpe build`.

use std::process::ExitCode;

use anyhow::Context;

use crate::args::BuildArgs;
use crate::failure::Failure;
use crate::output::print;

pub(crate) fn build(args: &BuildArgs) -> Result<ExitCode, Failure> {
    let mut options = carpe_build::Options::default();
    options.out.clone_from(&args.out);
    // Cargo runs in the folder of source: a relative path is meant from here.
    let absolute = args.target_dir.as_deref().map(std::path::absolute).transpose();
    options.target_dir = absolute.context("cannot find --target-dir")?;
    options.verbose = !args.quiet;
    let built = carpe_build::build(&args.folder, &options).map_err(anyhow::Error::new)?;
    print(&format!("{}\n", built.display()))?;
    Ok(ExitCode::SUCCESS)
}
