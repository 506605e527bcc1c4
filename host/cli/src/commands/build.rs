//! `carpe build`.

use std::process::ExitCode;

use crate::args::BuildArgs;
use crate::failure::Failure;
use crate::output::print;

pub(crate) fn build(args: &BuildArgs) -> Result<ExitCode, Failure> {
    let mut options = carpe_build::Options::default();
    options.out.clone_from(&args.out);
    options.target_dir.clone_from(&args.target_dir);
    options.verbose = !args.quiet;
    let built = carpe_build::build(&args.folder, &options).map_err(anyhow::Error::new)?;
    print(&format!("{}\n", built.display()))?;
    Ok(ExitCode::SUCCESS)
}
