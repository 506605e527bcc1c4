//! The rule `rising` as a core module in wasmtime: the least that a host does, with no components, no deadline and no
//! limits.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use carpe::rule::{Batch, Effects};
use wasmtime::{Engine, Instance, Memory, Module, Store, TypedFunc};

use super::flat;

pub(crate) struct CoreRule {
    store: Store<()>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    handle: TypedFunc<(u32, u32), u64>,
    bytes: Vec<u8>,
}

impl CoreRule {
    pub(crate) fn new(module: &Path) -> Result<CoreRule> {
        CoreRule::load(module).map_err(told)
    }

    fn load(module: &Path) -> wasmtime::Result<CoreRule> {
        let engine = Engine::default();
        let module = Module::from_file(&engine, module)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance.get_memory(&mut store, "memory");
        Ok(CoreRule {
            memory: memory.ok_or_else(|| wasmtime::Error::msg("the module has no memory"))?,
            alloc: instance.get_typed_func(&mut store, "alloc")?,
            handle: instance.get_typed_func(&mut store, "handle")?,
            store,
            bytes: Vec::new(),
        })
    }

    pub(crate) fn handle(&mut self, batch: &Batch<'_>) -> Result<Effects> {
        flat::encode(batch, &mut self.bytes)?;
        let effects = self.call().map_err(told)?;
        let memory = self.memory.data(&self.store);
        flat::decode(memory.get(effects).context("effects outside of the memory")?)
    }

    /// Where the effects are.
    fn call(&mut self) -> wasmtime::Result<Range<usize>> {
        let length = u32::try_from(self.bytes.len())?;
        let address = self.alloc.call(&mut self.store, length)?;
        self.memory.write(&mut self.store, address as usize, &self.bytes)?;
        let effects = self.handle.call(&mut self.store, (address, length))?;
        let (address, length) = ((effects >> 32) as usize, (effects & 0xffff_ffff) as usize);
        Ok(address..address + length)
    }
}

fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}
