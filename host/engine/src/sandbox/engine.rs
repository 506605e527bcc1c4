//! The engine: what WebAssembly may do here, and the clock that interrupts it.

use std::path::Path;

use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use super::error::SandboxError;
use super::{SandboxOptions, limiter, trap};
use crate::data_folder::create_private;

/// Address space of one memory: with all that 32 bits can reach reserved, no access needs a check.
const MEMORY_RESERVATION: usize = 4 << 30;

/// No table can be larger, whatever the limits say.
const TABLE_ELEMENTS: usize = 1 << 20;

/// Files in the cache of compiled components: a few versions of many plugins.
const CACHE_FILES: u64 = 10_000;

/// Makes the engine and starts its clock. It compiles on one thread (the runtime is built without
/// parallel compilation), so as not to take the cores from what is running.
pub(super) fn new(options: &SandboxOptions) -> Result<Engine, SandboxError> {
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(options.max_instances)))
        .memory_init_cow(true)
        .epoch_interruption(true)
        .max_wasm_stack(options.stack_bytes)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(trap::FRAMES))
        .generate_address_map(true)
        // Names of functions are enough: source lines would make the host read a guest's debug
        // information, after its deadline and outside the sandbox.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    deterministic(&mut config);
    if let Some(folder) = &options.cache_dir {
        config.cache(Some(cache(folder, options.cache_bytes)?));
    }
    let engine =
        Engine::new(&config).map_err(|error| SandboxError::Engine { reason: format!("{error:#}") })?;
    Ok(engine)
}

/// The same inputs give the same outputs, bit for bit, on every machine. (Several memories stay
/// allowed: a component composed of others passes strings between theirs.)
fn deterministic(config: &mut Config) {
    config
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .shared_memory(false)
        .wasm_memory64(false);
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(limiter::CORE_INSTANCES))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(3))
        .max_core_instances_per_component(limiter::CORE_INSTANCES)
        .max_memories_per_component(limiter::MEMORIES)
        .max_memories_per_module(limiter::MEMORIES)
        .max_tables_per_component(limiter::TABLES)
        .max_tables_per_module(limiter::TABLES)
        .max_memory_size(MEMORY_RESERVATION)
        .table_elements(TABLE_ELEMENTS)
        // Large interpreters have tens of thousands of functions, globals and types.
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(16 << 20);
    pool
}

fn cache(folder: &Path, bytes: u64) -> Result<Cache, SandboxError> {
    let failed = |reason: String| SandboxError::Cache { path: folder.to_owned(), reason };
    let folder = std::path::absolute(folder).map_err(|error| failed(error.to_string()))?;
    create_private(&folder).map_err(|error| failed(error.to_string()))?;
    if others_can_write(&folder) {
        let reason = "others can write to it, and what lies there is run as it is: `chmod go-w` it, and look whether all that it \
                      holds is yours";
        return Err(failed(reason.to_owned()));
    }
    let mut config = CacheConfig::new();
    config
        .with_directory(folder)
        .with_files_total_size_soft_limit(bytes)
        .with_file_count_soft_limit(CACHE_FILES);
    Cache::new(config).map_err(|error| failed(format!("{error:#}")))
}

fn others_can_write(folder: &Path) -> bool {
    #[cfg(unix)]
    return std::fs::metadata(folder)
        .is_ok_and(|data| std::os::unix::fs::MetadataExt::mode(&data) & 0o022 != 0);
    #[cfg(not(unix))]
    return false;
}
