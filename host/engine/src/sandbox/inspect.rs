//! What a component wants and offers, read from its outline before any of it is compiled: a plugin
//! that is refused costs next to nothing.

use wasmparser::{Chunk, ComponentTypeRef, Parser, Payload};

use super::error::LoadError;
use super::log::clean;
use super::{toolchain, wasi};
use crate::contract;

const MAGIC: &[u8] = b"\0asm";
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];

/// Names that are listed of each sort; a component with more is no rule that anybody wrote.
const NAMES: usize = 1_000;

/// The names of what a component imports and exports, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
    /// Imports that are not whole interfaces.
    loose_imports: Vec<String>,
}

impl Outline {
    /// Reads the names from the outermost level of a component. What lies deeper is skipped; whether
    /// it is valid is for the compiler to say.
    ///
    /// # Errors
    /// It is no component, or not a whole one.
    pub(super) fn read(bytes: &[u8]) -> Result<Outline, LoadError> {
        check_header(bytes)?;
        let truncated = || LoadError::Truncated { bytes: bytes.len() };
        let mut outline = Outline::default();
        let mut parser = Parser::new(0);
        let mut rest = bytes;
        while !rest.is_empty() {
            let payload = match parser.parse(rest, false).map_err(malformed)? {
                Chunk::NeedMoreData(_) => return Err(truncated()),
                Chunk::Parsed { consumed, payload } => {
                    rest = rest.get(consumed..).ok_or_else(truncated)?;
                    payload
                }
            };
            match payload {
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        outline.import(&import.map_err(malformed)?)?;
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        push(&mut outline.exports, export.map_err(malformed)?.name.name)?;
                    }
                }
                Payload::ModuleSection { unchecked_range, .. }
                | Payload::ComponentSection { unchecked_range, .. } => {
                    let inner = unchecked_range.len();
                    rest = rest.get(inner..).ok_or_else(truncated)?;
                }
                _ => {}
            }
        }
        Ok(outline)
    }

    /// Whether this host can run it, as far as names tell.
    ///
    /// # Errors
    /// It speaks another version of the contract, exports no rule, or imports what no rule may have.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), LoadError> {
        let expected = format!("{}@{}", contract::RULE, contract::VERSION);
        if !self.exports.contains(&expected) {
            if let Some(other) = self.exports.iter().find(|name| split(name).0 == contract::RULE) {
                return Err(other_contract(other));
            }
            return Err(LoadError::NoRule { expected, exports: self.exports.clone() });
        }
        let mut forbidden = Vec::new();
        for name in &self.imports {
            let is_loose = self.loose_imports.contains(name);
            forbidden
                .extend(check_import(name)?.or(is_loose.then_some(ONLY_THESE)).map(|advice| (name, advice)));
        }
        let Some(&(_, advice)) = forbidden.first() else { return Ok(()) };
        Err(LoadError::ForbiddenImport {
            imports: forbidden.into_iter().map(|(name, _)| name.clone()).collect(),
            advice,
            toolchain: toolchain::advice(bytes),
        })
    }

    /// Whether it exports the contract's optional interface `migration`.
    pub(super) fn has_migration(&self) -> bool {
        self.exports(contract::MIGRATION)
    }

    /// Whether it exports the contract's optional interface `columns`.
    pub(super) fn has_columns(&self) -> bool {
        self.exports(contract::COLUMNS)
    }

    fn exports(&self, interface: &str) -> bool {
        self.exports.iter().any(|name| split(name) == (interface, contract::VERSION))
    }

    fn import(&mut self, import: &wasmparser::ComponentImport<'_>) -> Result<(), LoadError> {
        let name = import.name.name;
        if !matches!(import.ty, ComponentTypeRef::Instance(_)) {
            push(&mut self.loose_imports, name)?;
        }
        push(&mut self.imports, name)
    }
}

const ONLY_THESE: &str = "a rule may import carpe:rule/log and, for languages that need it, a closed WASI 0.2 without \
                          network and files";

/// What to do instead of a whole interface that no rule may have.
fn check_import(name: &str) -> Result<Option<&'static str>, LoadError> {
    let (interface, version) = split(name);
    if in_package(interface, contract::PACKAGE) {
        if version != contract::VERSION {
            return Err(other_contract(name));
        }
        if contract::IMPORTS.contains(&interface) {
            return Ok(None);
        }
    }
    let is = |package| in_package(interface, package);
    Ok(Some(if wasi::INTERFACES.contains(&interface) {
        if version.starts_with("0.2.") {
            return Ok(None);
        }
        "of WASI only 0.2 is there: build it for wasm32-wasip2, or without WASI"
    } else if is("wasi:sockets") || is("wasi:http") {
        "a rule has no network: let it return an action, and route that to a sink"
    } else if is("wasi:keyvalue") || is("wasi:blobstore") {
        "a rule keeps what it remembers in the state of a key, which it returns from `handle`"
    } else if is("wasi:config") {
        "a rule is given its configuration by `init`"
    } else {
        ONLY_THESE
    }))
}

/// `a:b/c@1.2.3` is interface `a:b/c` in version `1.2.3`.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

fn in_package(interface: &str, package: &str) -> bool {
    interface.strip_prefix(package).is_some_and(|rest| rest.starts_with('/'))
}

fn other_contract(name: &str) -> LoadError {
    let found = match split(name).1 {
        "" => "(none named)",
        version => version,
    };
    LoadError::OtherContract { name: name.to_owned(), found: found.to_owned(), supported: contract::VERSION }
}

fn push(names: &mut Vec<String>, name: &str) -> Result<(), LoadError> {
    if names.len() >= NAMES {
        let reason = format!("it imports or exports more than {NAMES} things");
        return Err(LoadError::Malformed { reason, offset: 0 });
    }
    names.push(clean(name).into_owned());
    Ok(())
}

fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    let (magic, version) = bytes.split_at(bytes.len().min(4));
    if magic.is_empty() || !MAGIC.starts_with(magic) {
        return Err(LoadError::NotWasm);
    }
    let Some(version) = version.get(..4) else { return Err(LoadError::Truncated { bytes: bytes.len() }) };
    match version {
        COMPONENT => Ok(()),
        CORE_MODULE => Err(LoadError::CoreModule),
        _ => {
            Err(LoadError::Malformed { reason: "its format is of an unknown version".to_owned(), offset: 4 })
        }
    }
}

fn malformed(error: wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Malformed { reason: clean(error.message()).into_owned(), offset: error.offset() }
}
