//! `orders --orders N --kills K --seed S`: has N orders made through the rule `recipe-order` in the real `carpe run`, kills
//! it K times meanwhile, and judges what became of each.
//!
//! `--carpe PATH`: the command to be killed; else it is built. `--keep FOLDER`: leave the host's folder there; it is left
//! anyway if something is wrong.
#![expect(clippy::expect_used, reason = "a tool for tests may panic as tests do")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use carpe_tests::crash::folder_in;
use carpe_tests::daemon::carpe;
use carpe_tests::orders::{Options, run};

/// The stories of how many orders are told, if something is wrong with them.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let (mut orders, mut kills, mut seed) = (1_000, 25, 1);
    let (mut command, mut keep) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let Some(value) = arguments.next() else {
            eprintln!("{name} needs a value");
            return ExitCode::from(2);
        };
        match &name[..] {
            "--orders" => orders = value.parse().expect("a number of orders"),
            "--kills" => kills = value.parse().expect("a number of kills"),
            "--seed" => seed = value.parse().expect("a number as seed"),
            "--carpe" => command = Some(PathBuf::from(value)),
            "--keep" => keep = Some(PathBuf::from(value)),
            _ => {
                eprintln!("unknown: {name}; there are --orders --kills --seed --carpe --keep");
                return ExitCode::from(2);
            }
        }
    }
    let folder = folder_in(keep.as_deref());
    let command = command.map(|path| path.canonicalize().expect("the command"));
    let options = Options {
        orders,
        kills,
        seed,
        carpe: command.unwrap_or_else(|| carpe().to_owned()),
        plant: std::env::var("CARPE_PLANT").ok(),
        fault: None,
        folder: folder.clone(),
    };
    let begun = Instant::now();
    let report = run(&options);
    eprint!("{}", report.told(SHOWN));
    if keep.is_some() || !report.is_clean() {
        eprintln!("the host's folder: {}", folder.display());
    } else {
        std::fs::remove_dir_all(&folder).expect("removed");
    }
    print!("{}", report.table());
    println!("{:.1?}", begun.elapsed());
    println!("{report}");
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
