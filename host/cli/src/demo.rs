//! `carpe demo`.
use std::process::ExitCode;
use crate::args::DemoArgs;
use crate::failure::Failure;
pub(crate) fn demo(_: &DemoArgs) -> Result<ExitCode, Failure> { Ok(ExitCode::SUCCESS) }
