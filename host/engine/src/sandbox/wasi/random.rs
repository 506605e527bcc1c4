//! `wasi:random`: one fixed stream, the same for every call of every instance.

use wasmtime::component::{Linker, LinkerInstance};
use wasmtime::{StoreContextMut, bail};

use super::State;

/// Bytes that a guest may ask for at once; runtimes ask for a few dozen.
const BYTES_AT_ONCE: u64 = 64 << 10;

/// Names the stream. Another text is another stream, and changes what rules computed.
const SEED: &[u8] = b"carpe: the random bytes of every rule";

pub(super) struct RandomStream(blake3::OutputReader);

impl RandomStream {
    pub(super) fn new() -> RandomStream {
        RandomStream(blake3::Hasher::new().update(SEED).finalize_xof())
    }

    /// Back to the beginning.
    pub(super) fn reset(&mut self) {
        self.0.set_position(0);
    }

    fn bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        match usize::try_from(length) {
            Ok(known) if length <= BYTES_AT_ONCE => {
                let mut bytes = vec![0; known];
                self.0.fill(&mut bytes);
                Ok(bytes)
            }
            _ => bail!("it asked for {length} random bytes; at most {BYTES_AT_ONCE} are given at once"),
        }
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut random = linker.instance("wasi:random/random@0.2.0")?;
    add_stream(&mut random, "get-random-bytes", "get-random-u64")?;
    let mut insecure = linker.instance("wasi:random/insecure@0.2.0")?;
    add_stream(&mut insecure, "get-insecure-random-bytes", "get-insecure-random-u64")?;
    let mut seed = linker.instance("wasi:random/insecure-seed@0.2.0")?;
    seed.func_wrap("insecure-seed", |mut store: StoreContextMut<'_, State>, ()| {
        let random = &mut store.data_mut().wasi.random;
        Ok(((random.number(), random.number()),))
    })
}

fn add_stream(interface: &mut LinkerInstance<'_, State>, bytes: &str, number: &str) -> wasmtime::Result<()> {
    interface.func_wrap(bytes, |mut store: StoreContextMut<'_, State>, (length,): (u64,)| {
        Ok((store.data_mut().wasi.random.bytes(length)?,))
    })?;
    interface.func_wrap(number, |mut store: StoreContextMut<'_, State>, ()| {
        Ok((store.data_mut().wasi.random.number(),))
    })
}
