//! C and C++: runs a compiler that knows WebAssembly, on the rule's sources and the SDK's.
//!
//! The SDK lowers the contract by hand (`sdk/c/src/guest.c`), so nothing is generated but the text of what `rule.toml`
//! says; the contract is embedded into the module that comes of it, and checked against what that exports.

mod manifest;
mod tool;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::{BuildError, wit};
use manifest::Manifest;
use tool::Tool;

/// The SDK's sources, and the JSON library's, from its folder.
const SDK: [&str; 10] = [
    "src/arena.c",
    "src/event.c",
    "src/guest.c",
    "src/json.c",
    "src/log.c",
    "src/output.c",
    "src/run.c",
    "src/text.c",
    "src/type.c",
    "vendor/yyjson.c",
];

/// A reactor: it has functions to call, and no `main`. Names of functions stay, so that a backtrace can be read; what else
/// says where and when it was built does not, so that the same source gives the same bytes. A stack of 1 MiB, as in Rust:
/// zig would take 16.
const LINK: [&str; 3] = ["-mexec-model=reactor", "-Wl,--strip-debug", "-Wl,-z,stack-size=1048576"];

/// The contract has no world of its own with all that can be exported.
const WORLDS: &str = "package carpe:rule@0.1.0;
world migrating-column-plugin {
  include column-plugin;
  export migration;
}
";

/// Compiles the sources in `folder`, and makes what comes of them a component.
pub(crate) fn build(folder: &Path) -> Result<Vec<u8>, BuildError> {
    let manifest = Manifest::read(folder)?;
    let sdk = manifest.sdk()?;
    let tool = Tool::find(folder)?;
    let work = tempfile::tempdir().map_err(|source| BuildError::Io {
        doing: "make a folder in",
        path: std::env::temp_dir(),
        source,
    })?;
    let core = compile(folder, &manifest, &sdk, &tool, work.path())?;
    let world = if manifest.migrates { "migrating-column-plugin" } else { "column-plugin" };
    wit::component_of(core, Some(WORLDS), world)
}

/// Returns the core module.
fn compile(
    folder: &Path,
    manifest: &Manifest,
    sdk: &Path,
    tool: &Tool,
    work: &Path,
) -> Result<Vec<u8>, BuildError> {
    let about = work.join("about.c");
    fs::write(&about, manifest.about()).map_err(|source| BuildError::Io {
        doing: "write",
        path: about.clone(),
        source,
    })?;
    let mut objects = Vec::new();
    let mut object = |source: &Path, own: bool| {
        let object = work.join(format!("{}.o", objects.len()));
        let is_cpp = manifest::is_cpp(source);
        let mut command = tool.command(is_cpp, folder);
        command.args(["-O2", "-g0", if is_cpp { "-std=c++20" } else { "-std=c11" }]);
        if is_cpp {
            command.args(["-fno-exceptions", "-fno-rtti"]);
        }
        // `__FILE__` does not say where the folders lie. Nothing here depends on the folder to work in: zig keeps what it
        // compiled under all that it was told.
        let (place, name) = if own { (folder, ".") } else { (sdk, "sdk") };
        command.arg(format!("-ffile-prefix-map={}={name}", place.display()));
        command.arg("-I").arg(sdk.join("include")).arg("-isystem").arg(sdk.join("vendor"));
        command.arg("-DYYJSON_DISABLE_NON_STANDARD");
        if manifest.migrates {
            command.arg("-DCARPE_MIGRATES");
        }
        if own {
            command.args(["-Wall", "-Wextra"]);
            command.args(manifest.include.iter().map(|path| format!("-I{}", path.display())));
        }
        command.arg("-c").arg(source).arg("-o").arg(&object);
        objects.push(object);
        run(&mut command, tool, folder)
    };
    for source in &manifest.sources {
        object(source, true)?;
    }
    for source in SDK {
        object(&sdk.join(source), false)?;
    }
    object(&about, false)?;
    let module = work.join("rule.core.wasm");
    let mut command = tool.command(manifest.sources.iter().any(|source| manifest::is_cpp(source)), folder);
    command.args(LINK).args(tool.link_arguments()).args(&objects).arg("-o").arg(&module);
    run(&mut command, tool, folder)?;
    fs::read(&module).map_err(|source| BuildError::Io { doing: "read what was linked", path: module, source })
}

/// Runs a command that says nothing on its standard output; what it says otherwise is shown if it fails.
fn run(command: &mut Command, tool: &Tool, folder: &Path) -> Result<(), BuildError> {
    let Output { status, stderr, .. } = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BuildError::Io { doing: "start", path: tool.path().to_owned(), source })?;
    if status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&stderr).into_owned();
    Err(BuildError::Compile { folder: folder.to_owned(), output })
}
