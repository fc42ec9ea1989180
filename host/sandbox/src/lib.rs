//! Runs modules: untrusted WebAssembly components, in bounded time and memory.
//!
//! | what a guest may do | the bound | the caller's error |
//! |---|---|---|
//! | compute | a deadline in processor time; every millisecond the guest yields to other work | `Timeout` |
//! | wait | a limit by the clock | `Timeout` |
//! | allocate | a memory and a table limit | `OutOfMemory` |
//! | trap, panic, overflow its stack | the sandbox | `Trap` |
//! | return anything | its declaration, and a number of bytes | `WrongShape` |
//! | look up rows | declared views, a number of keys, bytes per answer | the guest gets an error |
//! | log | lines per call, bytes per line, lines per second and release | lines are dropped |
//! | be called concurrently | a quota per release | `Busy` |
//!
//! The instance policy ([`Instances`]) determines isolation. A *fresh* instance per call shares nothing with any other
//! call; its memory is as the component defines it. A *warm* instance serves successive calls of one release: later
//! calls of that release, but never another module or release, see what the guest keeps in its globals and memory.
//! Under both policies, an instance that failed or that has grown large is dropped.
//!
//! Invariants: only this crate uses wasmtime. Untrusted bytes are compiled in a separate process ([`compile_child`]).
//! Native code comes only from that process or from our cache of its output, which is protected by checksums.

#![warn(clippy::unwrap_used)]

mod bindings;
mod cache;
mod call;
mod call_queue;
pub mod compile_child;
mod compiler;
mod config;
mod deadline;
mod engine;
mod fault;
mod guest;
mod keys;
mod limits;
mod lookup;
mod manifest;
mod meter;
mod release;
pub mod returned;
mod runtime;
mod shared_call;
mod sharing;
mod thread_time;
mod ticker;
mod version;

/// The versions of the WIT package `littoral:feature` that modules may be built for, newest first.
pub const INTERFACES: [&str; 2] = ["0.2.0", "0.1.0"];

pub use config::{Config, Instances};
pub use runtime::{Runtime, StartError};
