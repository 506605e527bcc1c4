//! `wasi:filesystem`: there is no file. Nothing is preopened, so no guest can hold a descriptor, and
//! functions on one exist only so that a runtime that knows of them links.

use wasmtime::bail;
use wasmtime::component::{Linker, Resource, ResourceType};

use super::State;

enum Descriptor {}
enum DirectoryEntryStream {}

const FUNCTIONS: [&str; 29] = [
    "[method]descriptor.advise",
    "[method]descriptor.append-via-stream",
    "[method]descriptor.create-directory-at",
    "[method]descriptor.get-flags",
    "[method]descriptor.get-type",
    "[method]descriptor.is-same-object",
    "[method]descriptor.link-at",
    "[method]descriptor.metadata-hash",
    "[method]descriptor.metadata-hash-at",
    "[method]descriptor.open-at",
    "[method]descriptor.read",
    "[method]descriptor.read-directory",
    "[method]descriptor.read-via-stream",
    "[method]descriptor.readlink-at",
    "[method]descriptor.remove-directory-at",
    "[method]descriptor.rename-at",
    "[method]descriptor.set-size",
    "[method]descriptor.set-times",
    "[method]descriptor.set-times-at",
    "[method]descriptor.stat",
    "[method]descriptor.stat-at",
    "[method]descriptor.symlink-at",
    "[method]descriptor.sync",
    "[method]descriptor.sync-data",
    "[method]descriptor.unlink-file-at",
    "[method]descriptor.write",
    "[method]descriptor.write-via-stream",
    "[method]directory-entry-stream.read-directory-entry",
    "filesystem-error-code",
];

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:filesystem/types@0.2.0")?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |_, _| Ok(()))?;
    types.resource("directory-entry-stream", ResourceType::host::<DirectoryEntryStream>(), |_, _| Ok(()))?;
    for name in FUNCTIONS {
        // The type of each does not matter: it never returns.
        types.func_new(name, |_, _, _, _| bail!("it used a file, and a rule has none"))?;
    }
    linker
        .instance("wasi:filesystem/preopens@0.2.0")?
        .func_wrap("get-directories", |_, ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)))
}
