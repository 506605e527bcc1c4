//! The contract, as this version of the crate knows it: for toolchains that make bindings from it.

use std::fs;
use std::path::{Path, PathBuf};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use crate::{BuildError, checked};

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

/// Makes a core module that has the contract's functions by hand a component: of `world`, which stands in the contract or in
/// `worlds`, a text beside it. What the module asks WASI 0.1 for, if anything, an adapter asks WASI 0.2 for.
pub(crate) fn component_of(core: Vec<u8>, worlds: Option<&str>, world: &str) -> Result<Vec<u8>, BuildError> {
    checked(embed(core, worlds, world).map_err(BuildError::NotAPlugin)?)
}

fn embed(
    mut core: Vec<u8>,
    worlds: Option<&str>,
    world: &str,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut sources = SourceMap::default();
    for (name, text) in FILES.into_iter().chain(worlds.map(|worlds| ("worlds.wit", worlds))) {
        sources.push_str(name, text);
    }
    let group = sources.parse().map_err(|(_, error)| error.to_string())?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group)?;
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8, false)?;
    let encode = || {
        ComponentEncoder::default()
            .module(&core)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .validate(true)
            .encode()
    };
    Ok(encode()?)
}
