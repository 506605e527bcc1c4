//! `carpe verify`: whether a data folder holds what its journal comes to.

use std::path::Path;
use std::process::ExitCode;

use carpe::replay::{ReplayOptions, Verified};
use carpe::sandbox::SandboxOptions;
use carpe_connect::sinks::printable;

use crate::args::VerifyArgs;
use crate::failure::{Failure, Kind};
use crate::output::{counted, grouped, print, print_json};

const WORD_CHARACTERS: usize = 500;

/// What to do where a host uses the folder.
pub(super) const IN_USE: &str =
    "`carpe backup FOLDER` copies it while the host runs: look at the copy, with --data FOLDER";

/// How a data folder is computed again.
pub(super) fn options(data: &Path, threads: usize) -> ReplayOptions {
    ReplayOptions { data_dir: data.to_owned(), threads, sandbox: sandbox(data) }
}

/// With the compile cache of the data folder if it is there and may be written to; a copy has none.
fn sandbox(data: &Path) -> SandboxOptions {
    let cache = data.join("cache");
    let usable = cache.is_dir() && rustix::fs::access(&cache, rustix::fs::Access::WRITE_OK).is_ok();
    SandboxOptions { cache_dir: usable.then_some(cache), ..SandboxOptions::default() }
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let data = &args.data.data;
    let verified = carpe::replay::verify(&options(data, 1));
    let doing = format!("verify {}", data.display());
    let verified = verified.map_err(|error| Failure::of_data(error, &doing, IN_USE))?;
    match args.json {
        true => print_json(&verified)?,
        false => print(&describe(&verified))?,
    }
    if verified.differing == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let differences = counted(verified.differing, "difference");
    let failure =
        Failure::new(Kind::Failed, format!("{} is not what it should be: {differences}", data.display()));
    Err(failure.with_hint(
        "keep the folder as it is; what `carpe replay` computes is what the journal comes to, and `carpe run --data \
         BACKUP` goes on from a backup",
    ))
}

fn describe(verified: &Verified) -> String {
    let mut text = format!(
        "read: {}, each with its checksum\n\
         computed again: from position {} to {}\n\
         compared: {}, {} of checkpoints, {}\n",
        if verified.entries == 1 {
            "1 entry".to_owned()
        } else {
            format!("{} entries", grouped(verified.entries))
        },
        grouped(verified.from),
        grouped(verified.until),
        counted(verified.bases as u64, "later base"),
        counted(verified.rules as u64, "rule"),
        counted(verified.keys, "key"),
    );
    if verified.erased > 0 {
        text += &format!("erased: {}, whose effects are left out\n", grouped(verified.erased));
    }
    for difference in &verified.differences {
        let words = [Some(&difference.place), Some(&difference.rule), difference.key.as_ref()];
        let place: Vec<String> =
            words.into_iter().flatten().map(|word| printable(word, WORD_CHARACTERS)).collect();
        text += &format!("{}: {}\n", place.join(", "), printable(&difference.what, WORD_CHARACTERS));
    }
    let told = verified.differences.len() as u64;
    if verified.differing > told {
        text += &format!("and {} more\n", grouped(verified.differing - told));
    }
    if verified.differing == 0 {
        text += "all is as it should be\n";
    }
    text
}
