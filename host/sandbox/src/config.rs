//! The bounds of modules.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which instance serves a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instances {
    /// A new instance for each call: no state of the guest outlives the call.
    Fresh,
    /// An instance that served earlier calls of the same release, if there is one. This is faster, but later calls of
    /// the release see what the guest keeps in its memory.
    #[default]
    Warm,
}

/// The bounds of modules. Every bound applies to one call unless stated otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which instance serves a call.
    pub instances: Instances,
    /// The number of rows, of different requests, that one call of a row-wise module on a warm instance may process. 0:
    /// every request has its own calls. Default 256.
    pub joined_rows: usize,
    /// The processor time that a guest may use, in milliseconds. Default 20.
    pub deadline_ms: u64,
    /// The duration of a call with its lookups and its time in the queue, in milliseconds. Default 2,000.
    pub wall_ms: u64,
    /// Memory of an instance, in bytes. Default 32 MiB.
    pub memory_bytes: u64,
    /// Elements of an instance's tables. Default 10,000.
    pub table_elements: u64,
    /// Bytes that a guest may pass to the host at once: a result, or the keys of a lookup. Default 8 MiB.
    pub output_bytes: u64,
    /// Keys that a call may look up in total. Default 20,000.
    pub lookup_keys: u64,
    /// Lines that a call may log; each is truncated to 1,024 bytes. Default 20.
    pub log_lines: u64,
    /// Lines that all calls of one release may log per second. Default 100.
    pub log_lines_per_second: u64,
    /// Concurrent calls of one release; 0 for half of all instances. Default 0.
    pub calls_per_module: usize,
    /// Instances of all modules, running or idle. Default 256.
    pub instances_max: u32,
    /// Largest component, in bytes. Default 32 MiB.
    pub component_bytes: u64,
    /// Memory of the compiling process, in bytes of address space. Default 4 GiB.
    pub compile_memory_bytes: u64,
    /// Processor time and wall time of the compiling process, in seconds. Default 60.
    pub compile_seconds: u64,
    /// The directory for compiled modules; a restarted node need not compile them again. Default: none.
    pub cache_dir: Option<PathBuf>,
    /// The program that compiles, called with `module-compile`. Default: this program.
    pub compile_command: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instances: Instances::default(),
            joined_rows: 256,
            deadline_ms: 20,
            wall_ms: 2_000,
            memory_bytes: 32 << 20,
            table_elements: 10_000,
            output_bytes: 8 << 20,
            lookup_keys: 20_000,
            log_lines: 20,
            log_lines_per_second: 100,
            calls_per_module: 0,
            instances_max: 256,
            component_bytes: 32 << 20,
            compile_memory_bytes: 4 << 30,
            compile_seconds: 60,
            cache_dir: None,
            compile_command: None,
        }
    }
}

impl Config {
    /// Returns the number of concurrent calls of one release.
    #[must_use]
    pub fn calls_max(&self) -> usize {
        match self.calls_per_module {
            0 => (self.instances_max as usize / 2).max(1),
            calls => calls,
        }
    }
}
