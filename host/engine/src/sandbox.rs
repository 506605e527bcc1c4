//! Where rules run: WebAssembly components without capabilities, each instance with bounded memory,
//! tables, stack and time.
//!
//! The only module that names the WebAssembly runtime. A [`Sandbox`] loads a [`Component`] from bytes
//! (blocking, off the hot path); a component makes [`Instance`]s; an instance handles batches.
//! The same component, configuration and batch give the same effects on every machine: a guest sees
//! no clock, no randomness and nothing of the machine but its own memory.

mod clock;
mod compile;
mod component;
mod deadline;
mod engine;
mod error;
mod inspect;
mod instance;
mod limiter;
mod log;
mod state;
mod toolchain;
mod trap;
mod wasi;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::Linker;

pub use self::component::Component;
pub use self::error::{CallError, LoadError, SandboxError, Trap};
pub use self::instance::Instance;
pub use self::log::{GuestLog, LogLevel};

use self::clock::Clock;
use self::compile::{Compiler, Undone};
use self::component::Loaded;
use self::inspect::Outline;
use self::state::State;

/// What bounds a sandbox as a whole. What bounds one instance is in [`crate::Limits`].
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// Instances that can live at once. Each has 4 GiB of address space reserved, and no memory
    /// until it uses it.
    pub max_instances: u32,
    /// Of those, how many may be kept for the next batch of their rule; 0: each batch has a fresh one.
    pub idle_instances: usize,
    /// How many bytes of linear memory those may hold together: an instance in Python has a hundred times what one
    /// in Rust has.
    pub idle_bytes: usize,
    /// Where compiled components are kept; none: they are compiled anew at each start. Whoever can
    /// write to it can run code in the host: it must belong to the host alone.
    pub cache_dir: Option<PathBuf>,
    /// About how many bytes are kept there; what was not used for longest goes first.
    pub cache_bytes: u64,
    /// A larger component is refused unread.
    pub max_component_bytes: usize,
    /// A component that takes longer to compile is refused.
    pub compile_timeout: Duration,
    /// Stack of a guest. The thread that calls it needs as much, and some more.
    pub stack_bytes: usize,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        SandboxOptions {
            max_instances: 1_000,
            idle_instances: 512,
            idle_bytes: 1 << 30,
            cache_dir: None,
            cache_bytes: 1 << 30,
            max_component_bytes: 64 << 20,
            compile_timeout: Duration::from_secs(120),
            stack_bytes: 512 << 10,
        }
    }
}

/// Where rules run. Clones are the same sandbox.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    engine: Engine,
    linker: Linker<State>,
    compiler: Compiler,
    clock: Arc<Clock>,
    max_component_bytes: usize,
    /// Those in use, by hash: one component that runs twice is compiled and held once.
    loaded: Mutex<HashMap<[u8; 32], Weak<Loaded>>>,
}

impl Sandbox {
    /// Makes a sandbox and starts its clock, a thread that ends with it.
    ///
    /// # Errors
    /// The machine does not give the address space, or the cache's folder cannot be used.
    pub fn new(options: SandboxOptions) -> Result<Sandbox, SandboxError> {
        let engine = engine::new(&options)?;
        let linker = component::new_linker(&engine)
            .map_err(|error| SandboxError::Engine { reason: format!("{error:#}") })?;
        let clock = Arc::new(Clock::start(&engine).map_err(SandboxError::Clock)?);
        Ok(Sandbox(Arc::new(Inner {
            engine,
            linker,
            compiler: Compiler::new(options.compile_timeout),
            clock,
            max_component_bytes: options.max_component_bytes,
            loaded: Mutex::default(),
        })))
    }

    /// Checks and compiles a component, or takes it from the cache. Blocks for as long as that takes,
    /// at most twice the compile timeout. Nothing of the component runs.
    ///
    /// # Errors
    /// Size, form, version of the contract and imports are checked before anything is compiled.
    pub fn load(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        let inner = &self.0;
        if bytes.len() > inner.max_component_bytes {
            return Err(LoadError::TooBig { bytes: bytes.len(), limit: inner.max_component_bytes });
        }
        let hash = *blake3::hash(bytes).as_bytes();
        if let Some(loaded) = inner.in_use(&hash) {
            return Ok(Component(loaded));
        }
        let outline = Outline::read(bytes)?;
        outline.check(bytes)?;
        let compiled = inner.compile(bytes)?;
        let loaded = Arc::new(Loaded::new(&inner.linker, &inner.clock, hash, outline, &compiled)?);
        inner.remember(hash, &loaded);
        Ok(Component(loaded))
    }
}

impl Inner {
    fn compile(&self, bytes: &[u8]) -> Result<wasmtime::component::Component, LoadError> {
        let (engine, bytes) = (self.engine.clone(), bytes.to_vec());
        let compiled =
            self.compiler.run(move || wasmtime::component::Component::from_binary(&engine, &bytes));
        match compiled {
            Ok(Ok(component)) => Ok(component),
            Ok(Err(error)) => Err(LoadError::Compile { reason: trap::reason(&error) }),
            Err(Undone::Overran) => Err(LoadError::CompileTimeout { limit: self.compiler.timeout() }),
            Err(Undone::Busy) => Err(LoadError::CompilerBusy),
            Err(Undone::Failed) => Err(LoadError::Compile { reason: "the compiler broke down".to_owned() }),
        }
    }

    fn in_use(&self, hash: &[u8; 32]) -> Option<Arc<Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(hash)?.upgrade()
    }

    fn remember(&self, hash: [u8; 32], component: &Arc<Loaded>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, component| component.strong_count() > 0);
        loaded.insert(hash, Arc::downgrade(component));
    }
}
