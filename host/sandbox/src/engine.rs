//! The engines: one for calls, and a similar one without pools for the compiling process.

use crate::config::Config;
use wasmtime::{Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

/// Bytes of stack that a guest may use.
const GUEST_STACK: usize = 512 << 10;
/// Bytes of a call's stack, for the guest and the host functions that it calls.
const CALL_STACK: usize = 1 << 20;
/// Bytes of a linear memory that stay resident between two instances: the pages that a small guest uses.
const KEEP_RESIDENT: usize = 1 << 20;

/// The settings that both engines must share, so that one can run what the other compiled.
fn common() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .strategy(Strategy::Cranelift)
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(CALL_STACK);
    config
}

/// Creates the engine that runs modules.
///
/// # Errors
/// If the system has no address space for the pools.
pub(crate) fn running(bounds: &Config) -> wasmtime::Result<Engine> {
    let instances = bounds.instances_max;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        // A component of one guest module has two or three additional helper modules.
        .total_core_instances(instances.saturating_mul(8))
        .max_core_instances_per_component(8)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .total_memories(instances)
        .max_memories_per_component(1)
        .max_memory_size(usize::try_from(bounds.memory_bytes)?)
        .total_tables(instances.saturating_mul(4))
        .max_tables_per_component(4)
        .table_elements(usize::try_from(bounds.table_elements)?)
        .total_stacks(instances)
        .max_unused_warm_slots(instances)
        .async_stack_keep_resident(64 << 10)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// Creates the engine that compiles. It has no pools, so that it fits the bounds of the compiling process.
///
/// # Errors
/// If this host cannot compile.
pub(crate) fn compiling() -> wasmtime::Result<Engine> {
    let mut config = common();
    // The bounds of time and processors are for one thread.
    config.parallel_compilation(false);
    Engine::new(&config)
}
