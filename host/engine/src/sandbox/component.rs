//! A component that was checked, compiled and linked, and can be instantiated at once.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{InstancePre, Linker};

use super::clock::Clock;
use super::error::{CallError, LoadError};
use super::inspect::Outline;
use super::instance::Instance;
use super::log::GuestLog;
use super::state::State;
use super::{trap, wasi};
use crate::contract;
use crate::contract::v0_1_0::Log;
use crate::limits::Limits;
use crate::rule::Description;

/// A compiled rule. Clones are the same one.
#[derive(Clone)]
pub struct Component(pub(super) Arc<Loaded>);

pub(super) struct Loaded {
    hash: [u8; 32],
    outline: Outline,
    component: InstancePre<State>,
    exports: contract::v0_1_0::Exports,
    clock: Arc<Clock>,
}

/// All that a guest can import.
pub(super) fn new_linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    contract::v0_1_0::add_to_linker(&mut linker, |state: &mut State| Log(&mut state.log))?;
    wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

impl Loaded {
    pub(super) fn new(
        linker: &Linker<State>,
        clock: &Arc<Clock>,
        hash: [u8; 32],
        outline: Outline,
        component: &wasmtime::component::Component,
    ) -> Result<Loaded, LoadError> {
        let misfit = |error: wasmtime::Error| LoadError::Misfit { reason: trap::reason(&error) };
        let component = linker.instantiate_pre(component).map_err(misfit)?;
        let exports =
            contract::v0_1_0::Exports::find(&component, outline.has_migration(), outline.has_columns())
                .map_err(misfit)?;
        Ok(Loaded { hash, outline, component, exports, clock: Arc::clone(clock) })
    }
}

impl Component {
    /// The BLAKE3 hash of its bytes.
    pub fn hash(&self) -> [u8; 32] {
        self.0.hash
    }

    /// The names of what it imports.
    pub fn imports(&self) -> &[String] {
        &self.0.outline.imports
    }

    /// The names of what it exports, what the host does not know included.
    pub fn exports(&self) -> &[String] {
        &self.0.outline.exports
    }

    /// Whether it can bring older state along.
    pub fn has_migration(&self) -> bool {
        self.0.outline.has_migration()
    }

    /// The version of the contract that it was made for.
    pub fn contract_version(&self) -> &'static str {
        contract::VERSION
    }

    /// Makes an instance: runs its start functions and its `init`, under the limits for a start.
    ///
    /// # Errors
    /// [`CallError::Rule`] holds what the rule says is wrong with the configuration.
    pub fn instantiate(
        &self,
        configuration: &str,
        limits: &Limits,
        log: Arc<dyn GuestLog>,
    ) -> Result<(Instance, Description), CallError> {
        Instance::start(&self.0.component, &self.0.exports, &self.0.clock, configuration, limits, log)
    }
}
