//! The `carpe` command.
#![forbid(unsafe_code)]

mod args;
mod client;
mod commands;
mod config;
mod demo;
mod failure;
mod line;
mod logging;
mod output;
mod run;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use failure::Failure;

/// Every event is a few small allocations, made by one thread and freed by another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match execute(Args::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprint!("{failure}");
            failure.kind.code()
        }
    }
}

fn execute(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Run(args) => run::run(*args),
        Command::Check(args) => commands::check::check(&args),
        Command::New(args) => commands::new::new(&args),
        Command::Build(args) => commands::build::build(&args),
        Command::Compile(args) => commands::compile::compile(&args),
        Command::Bench(args) => commands::bench::bench(&args),
        Command::Dev(args) => commands::dev::dev(&args),
        Command::Test(args) => commands::test::test(&args),
        Command::Send(args) => commands::send::send(&args),
        Command::Status(args) => commands::status::status(&args),
        Command::Moments(args) => commands::moments::moments(&args),
        Command::Held(args) => commands::held::held(&args),
        Command::Consent(args) => commands::consent::consent(&args),
        Command::Mute(args) => commands::mute::mute(&args),
        Command::Unmute(args) => commands::mute::unmute(&args),
        Command::DeadLetters(args) => commands::dead_letters::dead_letters(&args),
        Command::State(args) => commands::state::state(&args),
        Command::Erase(args) => commands::erase::erase(&args),
        Command::Backup(args) => commands::backup::backup(&args),
        Command::Verify(args) => commands::verify::verify(&args),
        Command::Replay(args) => commands::replay::replay(&args),
        Command::Config(args) => commands::config::config(&args),
        Command::Demo(args) => demo::demo(&args),
    }
}
