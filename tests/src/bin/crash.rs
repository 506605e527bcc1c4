//! `crash --rounds N --seed S`: kills the real `carpe run` at random points, and judges what is left.
//!
//! `--carpe PATH`: the command to be killed; else it is built. `--durability WORD`: as in `carpe.toml`. `--with TABLES`:
//! more of `carpe.toml`. `--keep FOLDER`: leave the host's folder there; it is left anyway if something is wrong.
#![expect(clippy::expect_used, reason = "a tool for tests may panic as tests do")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use carpe_tests::crash::{Options, folder_in, run};
use carpe_tests::daemon::carpe;

/// How much of what is wrong is shown.
const SHOWN: usize = 20;

fn main() -> ExitCode {
    let (mut rounds, mut seed, mut configuration) = (100, 1, String::new());
    let mut durability = "durable".to_owned();
    let (mut command, mut keep) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let Some(value) = arguments.next() else {
            eprintln!("{name} needs a value");
            return ExitCode::from(2);
        };
        match &name[..] {
            "--rounds" => rounds = value.parse().expect("a number of rounds"),
            "--seed" => seed = value.parse().expect("a number as seed"),
            "--durability" => durability = value,
            "--with" => configuration += &value,
            "--carpe" => command = Some(PathBuf::from(value)),
            "--keep" => keep = Some(PathBuf::from(value)),
            _ => {
                eprintln!("unknown: {name}; there are --rounds --seed --durability --with --carpe --keep");
                return ExitCode::from(2);
            }
        }
    }
    let folder = folder_in(keep.as_deref());
    let command = command.map(|path| path.canonicalize().expect("the command"));
    let options = Options {
        rounds,
        seed,
        carpe: command.unwrap_or_else(|| carpe().to_owned()),
        plant: std::env::var("CARPE_PLANT").ok(),
        configuration,
        durability,
        folder: folder.clone(),
    };
    let begun = Instant::now();
    let report = run(&options);
    for violation in report.violations.iter().take(SHOWN) {
        eprintln!("round {} of seed {seed}: {violation}", report.rounds);
    }
    if report.violations.len() > SHOWN {
        eprintln!("and {} more", report.violations.len() - SHOWN);
    }
    if keep.is_some() || !report.is_clean() {
        eprintln!("the host's folder: {}", folder.display());
    } else {
        std::fs::remove_dir_all(&folder).expect("removed");
    }
    let (requests, actions) = report.requests;
    println!("{:.1?}, {actions} actions in {requests} requests", begun.elapsed());
    println!("{report}");
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
