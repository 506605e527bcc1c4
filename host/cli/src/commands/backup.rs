//! `carpe backup`: a copy of a data folder.

use std::process::ExitCode;

use crate::args::BackupArgs;
use crate::failure::Failure;
use crate::output::{bytes, counted, grouped, print, print_json};

pub(crate) fn backup(args: &BackupArgs) -> Result<ExitCode, Failure> {
    let (data, copy) = (&args.data.data, args.folder.display());
    let done = carpe::backup::backup(data, &args.folder);
    let done = done.map_err(|error| {
        let doing = format!("back up {}", data.display());
        Failure::of_data(error, &doing, "stop what uses it, or try again")
    })?;
    if args.json {
        print_json(&done)?;
        return Ok(ExitCode::SUCCESS);
    }
    let from = match done.base {
        Some(base) => format!("states can be computed again from the base at {}", grouped(base)),
        None => "states can be computed again from its beginning".to_owned(),
    };
    print(&format!(
        "copied to {copy}: {}, {}; the journal from position {} to {}; {from}\n\
         not in it: the folder of plugins, and carpe.toml\n\
         to check it: carpe verify --data {copy}\n\
         to go on from it: carpe run --data {copy}\n",
        counted(done.files as u64, "file"),
        bytes(done.bytes),
        grouped(done.start),
        grouped(done.end),
    ))?;
    Ok(ExitCode::SUCCESS)
}
