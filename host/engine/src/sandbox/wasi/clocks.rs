//! `wasi:clocks`: clocks that tell a guest nothing. A rule's time is in its inputs.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource};

use super::State;
use super::io::Pollable;

/// Both clocks claim to count nanoseconds.
const RESOLUTION: u64 = 1;

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut wall = linker.instance("wasi:clocks/wall-clock@0.2.0")?;
    // It stands at the beginning of 1970.
    wall.func_wrap("now", |_, ()| Ok((Datetime { seconds: 0, nanoseconds: 0 },)))?;
    wall.func_wrap("resolution", |_, ()| Ok((Datetime { seconds: 0, nanoseconds: 1 },)))?;

    let mut monotonic = linker.instance("wasi:clocks/monotonic-clock@0.2.0")?;
    monotonic.func_wrap("now", |mut store: StoreContextMut<'_, State>, ()| {
        let now = &mut store.data_mut().wasi.monotonic;
        *now = now.saturating_add(1);
        Ok((*now,))
    })?;
    monotonic.func_wrap("resolution", |_, ()| Ok((RESOLUTION,)))?;
    // Every wait is over at once, and the clock agrees: a runtime that looks at it afterwards would
    // otherwise wait again, for ever.
    monotonic.func_wrap("subscribe-instant", |mut store: StoreContextMut<'_, State>, (when,): (u64,)| {
        let now = &mut store.data_mut().wasi.monotonic;
        *now = when.max(*now);
        Ok((Resource::<Pollable>::new_own(0),))
    })?;
    monotonic.func_wrap("subscribe-duration", |mut store: StoreContextMut<'_, State>, (duration,): (u64,)| {
        let now = &mut store.data_mut().wasi.monotonic;
        *now = now.saturating_add(duration);
        Ok((Resource::<Pollable>::new_own(0),))
    })
}
