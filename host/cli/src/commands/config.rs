//! `carpe config`.

use std::path::Path;
use std::process::ExitCode;

use crate::args::ConfigArgs;
use crate::config::{Config, DEFAULT};
use crate::failure::Failure;
use crate::output::print;

pub(crate) fn config(args: &ConfigArgs) -> Result<ExitCode, Failure> {
    match &args.check {
        Some(file) => check(file)?,
        None => print(DEFAULT)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::load(Some(file))?;
    let Config { sources, sinks, routes, guardrails, .. } = &config;
    Ok(print(&format!(
        "{} is a configuration: {} besides HTTP, {}, {}, {}\n",
        file.display(),
        crate::output::counted(sources.len() as u64, "source"),
        crate::output::counted(sinks.len() as u64, "sink"),
        crate::output::counted(routes.len() as u64, "route"),
        crate::output::counted(guardrails.len() as u64, "guardrail"),
    ))?)
}
