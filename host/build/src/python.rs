//! Python: runs componentize-py.
//!
//! It loads the rule once, while the component is built, and takes a picture of the memory: so a rule's modules are in
//! the component, and no file is. The picture is never the same twice, since Python draws its hash seed and notes the
//! times of folders, and componentize-py lets nobody say otherwise. So that the same source gives the same component (and a host
//! compiles it once, which takes it seconds), a component is kept under a hash of all that it was made from.

mod manifest;
mod tool;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::{BuildError, Options, checked, exports_a_rule, wit};
use manifest::Manifest;
use tool::Tool;

/// The module that componentize-py is told to load.
const APP: &str = "carpe_app";

/// Builds the package in `folder`.
pub(crate) fn build(folder: &Path, options: &Options) -> Result<Vec<u8>, BuildError> {
    let manifest = Manifest::read(folder)?;
    let tool = Tool::find(folder)?;
    let sdk = tool::find_sdk(folder, &manifest, &tool)?;
    let stage = tempfile::tempdir().map_err(|source| BuildError::Io {
        doing: "make a folder in",
        path: std::env::temp_dir(),
        source,
    })?;
    let sources = Sources::stage(folder, &manifest, &sdk, stage.path())?;

    let mut hash = blake3::Hasher::new();
    hash.update(tool.identity(!manifest.dependencies.is_empty()).as_bytes());
    hash.update(manifest.world().as_bytes());
    hash_files(&mut hash, stage.path())?;
    let kept = Kept::new(folder, &manifest, options, &hash.finalize());
    if let Some(component) = kept.read() {
        return Ok(component);
    }
    let component = componentize(folder, &manifest, &tool, &sources, stage.path())?;
    kept.write(&component);
    Ok(component)
}

/// What the component is made from, in a folder of its own: without compiled files, which Python would leave beside
/// the sources, and without all that is no part of it.
struct Sources {
    /// The rule's folder of source, as the author knows it.
    root: PathBuf,
    app: PathBuf,
    sdk: PathBuf,
    wit: PathBuf,
}

impl Sources {
    fn stage(folder: &Path, manifest: &Manifest, sdk: &Path, stage: &Path) -> Result<Self, BuildError> {
        let module = &manifest.module;
        let roots = [folder.to_owned(), folder.join("src")];
        let holds_module = |root: &&PathBuf| {
            root.join(format!("{module}.py")).is_file() || root.join(module).join("__init__.py").is_file()
        };
        let root = roots.iter().find(holds_module).ok_or_else(|| manifest.error(format!(
            "there is no module `{module}` beside it or in `src`: write {module}.py, or say `module = \"...\"` under `[tool.carpe]`"
        )))?;
        let sources = Sources {
            root: root.clone(),
            app: stage.join("app"),
            sdk: stage.join("sdk"),
            wit: wit::write_into(stage)?,
        };
        let copy = |from: &Path, to: &Path| {
            copy_modules(from, to).map_err(|source| BuildError::Io {
                doing: "copy the sources in",
                path: from.to_owned(),
                source,
            })
        };
        copy(root, &sources.app)?;
        copy(&sdk.join("carpe_sdk"), &sources.sdk.join("carpe_sdk"))?;
        let app = sources.app.join(format!("{APP}.py"));
        fs::write(&app, manifest.app()).map_err(|source| BuildError::Io {
            doing: "write",
            path: app,
            source,
        })?;
        Ok(sources)
    }
}

/// Copies modules, and packages with what lies in them. Not tests: they are not part of a rule.
fn copy_modules(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if path.join("__init__.py").is_file() && name != "tests" {
                copy_all(&path, &to.join(name))?;
            }
        } else if name.ends_with(".py") && !name.starts_with("test_") && name != "conftest.py" {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.path().is_dir() {
            if name != "__pycache__" && name != "tests" {
                copy_all(&entry.path(), &to.join(name))?;
            }
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// Takes in the paths and contents of all files, in an order that does not depend on the file system.
fn hash_files(hash: &mut blake3::Hasher, folder: &Path) -> Result<(), BuildError> {
    let mut pending = vec![folder.to_owned()];
    let mut files = Vec::new();
    let mut walk = || -> io::Result<()> {
        while let Some(next) = pending.pop() {
            for entry in fs::read_dir(next)? {
                let path = entry?.path();
                if path.is_dir() { pending.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        for file in &files {
            let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy();
            let content = fs::read(file)?;
            for part in [name.as_bytes(), content.as_slice()] {
                hash.update(&(part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        Ok(())
    };
    walk().map_err(|source| BuildError::Io { doing: "read", path: folder.to_owned(), source })
}

fn componentize(
    folder: &Path,
    manifest: &Manifest,
    tool: &Tool,
    sources: &Sources,
    stage: &Path,
) -> Result<Vec<u8>, BuildError> {
    let out = stage.join("out.wasm");
    let io_error = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| BuildError::Io { doing, path, source }
    };
    // It looks for packages in the virtual environment that it is told of, or else in the system's: neither is part of
    // what was hashed.
    let nowhere = stage.join("nowhere");
    let site_packages = nowhere.join("lib/site-packages");
    fs::create_dir_all(&site_packages).map_err(io_error("make", &site_packages))?;
    let mut command = tool.command();
    command.current_dir(stage).env("VIRTUAL_ENV", &nowhere).stdin(Stdio::null());
    command.arg("--quiet").arg("--wit-path").arg(&sources.wit).args(["--world", manifest.world()]);
    command.args(["componentize", "--stub-wasi", APP, "--output"]).arg(&out);
    command.arg("--python-path").arg(&sources.app).arg("--python-path").arg(&sources.sdk);
    if !manifest.dependencies.is_empty()
        && let Some(site_packages) = tool.site_packages()
    {
        command.arg("--python-path").arg(site_packages);
    }
    let output = command.output().map_err(io_error("start", tool.path()))?;
    if !output.status.success() {
        let output = readable(&String::from_utf8_lossy(&output.stderr), &sources.root);
        return Err(BuildError::Compile { folder: folder.to_owned(), output });
    }
    let component = fs::read(&out).map_err(io_error("read what componentize-py built", &out))?;
    checked(component)
}

/// What componentize-py says of an error in the rule, without the frames that are not the rule's, and with the files
/// called what the author calls them.
fn readable(output: &str, root: &Path) -> String {
    let traceback = "Traceback (most recent call last):\n";
    // The first is of the tool itself; the last of the rule.
    let Some(begin) = output.rfind(traceback) else { return output.to_owned() };
    if output.find(traceback) == Some(begin) {
        return output.to_owned();
    }
    let text = output.get(begin + traceback.len()..).unwrap_or_default();
    let text = text.split("\n\nCaused by:").next().unwrap_or(text);
    let mut kept = String::new();
    let mut ours = true;
    for line in text.lines() {
        if let Some(file) = line.strip_prefix("  File \"") {
            ours = file.starts_with("/0/") && !file.starts_with(&format!("/0/{APP}.py"));
        } else if !line.starts_with(' ') {
            ours = true;
        }
        if ours {
            kept.push_str(&line.replace("\"/0/", &format!("\"{}/", root.display())));
            kept.push('\n');
        }
    }
    kept
}

/// Where a component is kept.
struct Kept {
    folder: PathBuf,
    prefix: String,
    name: String,
}

impl Kept {
    fn new(folder: &Path, manifest: &Manifest, options: &Options, hash: &blake3::Hash) -> Self {
        let target = options.target_dir.clone().unwrap_or_else(|| folder.join("target"));
        let prefix = format!("{}-", manifest.module);
        Kept { folder: target.join("python"), name: format!("{prefix}{}.wasm", hash.to_hex()), prefix }
    }

    fn read(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join(&self.name)).ok().filter(|component| exports_a_rule(component))
    }

    /// In place of what was made from earlier sources. That it is kept is a convenience: without it, the build went well.
    fn write(&self, component: &[u8]) {
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            for entry in fs::read_dir(&self.folder)?.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let hash = name.strip_prefix(&self.prefix).and_then(|rest| rest.strip_suffix(".wasm"));
                if hash.is_some_and(|hash| hash.len() == 64) {
                    fs::remove_file(entry.path())?;
                }
            }
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(component)?;
            file.persist(self.folder.join(&self.name))?;
            Ok(())
        };
        let _ = write();
    }
}

#[cfg(test)]
mod tests;
