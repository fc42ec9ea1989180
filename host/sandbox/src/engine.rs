//! The engine: one for calls, and one like it, without its pools, in the compiling process.

use crate::config::Config;
use wasmtime::{Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

/// Bytes of stack that a guest may use.
const GUEST_STACK: usize = 512 << 10;
/// Bytes of a call's stack: the guest's and the host functions' that it calls.
const CALL_STACK: usize = 1 << 20;
/// Bytes of a linear memory that stay resident in its slot between two instances: the pages that a small guest uses.
const KEEP_RESIDENT: usize = 1 << 20;

/// What both engines must agree on for one to run what the other compiled.
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

/// The engine that runs modules.
///
/// # Errors
/// When the host does not give the address space for the pools.
pub(crate) fn running(bounds: &Config) -> wasmtime::Result<Engine> {
    let instances = bounds.instances_max;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        // A component of one guest module has two or three helper modules besides.
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

/// The engine that compiles: no pools, so that it fits the compiling process's bounds.
///
/// # Errors
/// When this host cannot compile at all.
pub(crate) fn compiling() -> wasmtime::Result<Engine> {
    let mut config = common();
    // The bounds of time and processors are those of one thread.
    config.parallel_compilation(false);
    Engine::new(&config)
}
