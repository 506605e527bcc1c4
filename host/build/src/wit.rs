//! The contract, as this version of the crate knows it: for toolchains that make bindings from it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::BuildError;

/// The files of `wit/`.
pub(crate) const FILES: [(&str, &str); 6] = [
    ("columns.wit", include_str!("../../../wit/columns.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("migration.wit", include_str!("../../../wit/migration.wit")),
    ("rule.wit", include_str!("../../../wit/rule.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("world.wit", include_str!("../../../wit/world.wit")),
];

/// Writes them into a folder `wit` that is made in `folder`. Returns its path.
pub(crate) fn write_into(folder: &Path) -> Result<PathBuf, BuildError> {
    let wit = folder.join("wit");
    let write = || {
        fs::create_dir(&wit)?;
        FILES.iter().try_for_each(|(name, text)| fs::write(wit.join(name), text))
    };
    write().map_err(|source| BuildError::Io { doing: "write the contract", path: wit.clone(), source })?;
    Ok(wit)
}
