//! `soak --minutes N`: has the real `carpe run` work steadily for so long, and says whether what it uses stays flat.
//!
//! `--carpe PATH`: the command; else it is built. `--out FILE.csv`: where the samples of each second go, else
//! `target/soak/soak-N.csv`. `--keep FOLDER`: leave the host's folder there; it is left anyway if something is wrong.
#![expect(clippy::expect_used, reason = "a tool for tests may panic as tests do")]

use std::path::PathBuf;
use std::process::ExitCode;

use carpe_tests::crash::folder_in;
use carpe_tests::daemon::carpe;
use carpe_tests::guests::target;
use carpe_tests::soak::{Options, run};

fn main() -> ExitCode {
    let (mut minutes, mut command, mut out, mut keep) = ("3".to_owned(), None, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let Some(value) = arguments.next() else {
            eprintln!("{name} needs a value");
            return ExitCode::from(2);
        };
        match &name[..] {
            "--minutes" => minutes = value,
            "--carpe" => command = Some(PathBuf::from(value)),
            "--out" => out = Some(PathBuf::from(value)),
            "--keep" => keep = Some(PathBuf::from(value)),
            _ => {
                eprintln!("unknown: {name}; there are --minutes --carpe --out --keep");
                return ExitCode::from(2);
            }
        }
    }
    let folder = folder_in(keep.as_deref());
    let command = command.map(|path| path.canonicalize().expect("the command"));
    let options = Options {
        minutes: minutes.parse().expect("a number of minutes"),
        carpe: command.unwrap_or_else(|| carpe().to_owned()),
        out: out.unwrap_or_else(|| target().join(format!("soak/soak-{minutes}.csv"))),
        folder: folder.clone(),
    };
    let flat = match run(&options) {
        Ok(report) => {
            for wrong in &report.wrong {
                eprintln!("{wrong}");
            }
            println!("samples: {}", options.out.display());
            println!("{report}");
            report.wrong.is_empty()
        }
        Err(why) => {
            eprintln!("{why}");
            println!("soak: minutes={minutes} flat=no");
            false
        }
    };
    if keep.is_some() || !flat {
        eprintln!("the host's folder: {}", folder.display());
    } else {
        std::fs::remove_dir_all(&folder).expect("removed");
    }
    if flat { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
