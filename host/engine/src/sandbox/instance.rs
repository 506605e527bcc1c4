//! A living instance of a component, and calls into it.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};

use super::clock::Clock;
use super::error::CallError;
use super::log::{GuestLog, clean};
use super::state::State;
use super::trap;
use crate::contract::v0_1_0::{Exports, Functions};
use crate::limits::Limits;
use crate::rule::{Batch, Description, Effects};

/// Resources of the closed WASI that a guest may hold at once.
const HANDLES: usize = 1_000;

/// How often an instance is tried to be made if the system is busy.
const MOST_TRIES: usize = 5;

/// A rule with memory of its own, used by one thread at a time. Disposable: another one made from
/// the same component and configuration does the same.
pub struct Instance {
    store: Store<State>,
    functions: Functions,
    limits: Limits,
    dead: bool,
}

impl Instance {
    pub(super) fn start(
        component: &InstancePre<State>,
        exports: &Exports,
        clock: &Arc<Clock>,
        configuration: &str,
        limits: &Limits,
        log: Arc<dyn GuestLog>,
    ) -> Result<(Instance, Description), CallError> {
        let mut tries = 0;
        let (mut store, instance) = loop {
            let mut store = new_store(component, clock, limits, Arc::clone(&log));
            // Start functions run here, so the deadline comes first.
            enter(&mut store, limits.init_cpu(), init_wall(limits));
            let instance = component.instantiate(&mut store);
            store.data_mut().leave();
            tries += 1;
            if tries == MOST_TRIES || !instance.as_ref().is_err_and(is_passing) {
                break (store, instance);
            }
        };
        let instance = instance.map_err(|error| explain(&error, &store, limits))?;
        let functions = exports.of(&mut store, &instance);
        let functions = functions.map_err(|error| CallError::Misfit(trap::reason(&error)))?;
        let mut started = Instance { store, functions, limits: limits.clone(), dead: false };
        let description = started.call(limits.init_cpu(), init_wall(limits), |functions, store| {
            functions.init(store, configuration)
        })?;
        Ok((started, description))
    }

    /// Has the rule decide about a batch.
    ///
    /// # Errors
    /// The batch has no effect. After anything but [`CallError::Rule`] the instance is dead.
    pub fn handle(&mut self, batch: &Batch<'_>) -> Result<Effects, CallError> {
        let (cpu, wall) = (self.limits.handle_cpu(), self.limits.handle_wall());
        self.call(cpu, wall, |functions, store| functions.handle(store, batch))
    }

    /// Brings one key's state from an earlier version of its format to today's. `None` forgets it.
    ///
    /// # Errors
    /// As for [`Instance::handle`]; also [`CallError::Rule`] if the component has no migration.
    pub fn migrate(
        &mut self,
        from_version: u32,
        key: &str,
        state: &[u8],
    ) -> Result<Option<Vec<u8>>, CallError> {
        let (cpu, wall) = (self.limits.handle_cpu(), self.limits.handle_wall());
        self.call(cpu, wall, |functions, store| functions.migrate(store, from_version, key, state))
    }

    /// Gives it batches in records only, as if it did not take columns: for tests that compare the two.
    #[doc(hidden)]
    pub fn forget_columns(&mut self) {
        self.functions.forget_columns();
    }

    /// Whether it trapped or overran a limit, and so cannot be used any more.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Bytes of linear memory that it holds now.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    fn call<R>(
        &mut self,
        cpu_limit: Duration,
        wall_limit: Duration,
        function: impl FnOnce(&mut Functions, &mut Store<State>) -> wasmtime::Result<Result<R, String>>,
    ) -> Result<R, CallError> {
        if self.dead {
            return Err(CallError::Dead);
        }
        enter(&mut self.store, cpu_limit, wall_limit);
        let returned = function(&mut self.functions, &mut self.store);
        self.store.data_mut().leave();
        match returned {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(message)) => Err(CallError::Rule(clean(&message).into_owned())),
            Err(error) => {
                self.dead = true;
                Err(explain(&error, &self.store, &self.limits))
            }
        }
    }
}

fn new_store(
    component: &InstancePre<State>,
    clock: &Arc<Clock>,
    limits: &Limits,
    log: Arc<dyn GuestLog>,
) -> Store<State> {
    let mut store = Store::new(component.engine(), State::new(Arc::clone(clock), limits, log));
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.effects_bytes);
    store.set_max_component_handles(HANDLES);
    store.epoch_deadline_callback(|mut store| {
        store.data_mut().check()?;
        Ok(UpdateDeadline::Continue(1))
    });
    store
}

/// Whether the system only could not do it at this moment. The first instance of a component seals an image of its memory,
/// which fails with `EBUSY` while the kernel has a page of it in hand (`F_ADD_SEALS` in fcntl(2)).
fn is_passing(error: &wasmtime::Error) -> bool {
    let is_busy = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::ResourceBusy;
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(is_busy))
}

fn enter(store: &mut Store<State>, cpu_limit: Duration, wall_limit: Duration) {
    store.data_mut().enter(cpu_limit, wall_limit);
    store.set_epoch_deadline(1);
}

fn explain(error: &wasmtime::Error, store: &Store<State>, limits: &Limits) -> CallError {
    trap::explain(error, store.data().limiter.refused(), limits)
}

/// A start has no wall-clock limit of its own: it may take what its CPU time and a call may.
fn init_wall(limits: &Limits) -> Duration {
    limits.init_cpu() + limits.handle_wall()
}
