//! Runs modules: untrusted WebAssembly components, in bounded time and memory.
//!
//! | what a guest may do | what bounds it | what the caller sees |
//! |---|---|---|
//! | compute | a deadline in processor time; every millisecond it gives way to other work | `Timeout` |
//! | wait | a bound by the clock | `Timeout` |
//! | allocate | a memory and a table limit | `OutOfMemory` |
//! | trap, panic, overflow its stack | the sandbox | `Trap` |
//! | return anything | its declaration, and a bound in bytes | `WrongShape` |
//! | look up rows | declared views, a number of keys, bytes of an answer | the guest gets an error |
//! | log | lines a call, bytes a line, lines a second and release | lines are dropped |
//! | be called at once | a quota a release | `Busy` |
//!
//! Isolation by instance policy ([`Instances`]): a *fresh* instance a call shares nothing with any other call, its memory is
//! as the component defines it. A *warm* instance serves one call after another of one release: what the guest keeps in its
//! globals and memory, later calls of the same release see, never another module or release. An instance that failed,
//! or that has grown large, is thrown away under both.
//!
//! Invariants: this crate alone names wasmtime. Untrusted bytes are compiled in a process of their own
//! ([`compile_child`]); native code comes only from that process or from our cache of its output, behind a checksum.

#![warn(clippy::unwrap_used)]

mod bindings;
mod cache;
mod call;
pub mod compile_child;
mod compiler;
mod config;
mod deadline;
mod engine;
mod fault;
mod guest;
mod joined;
mod keys;
mod lane;
mod limits;
mod lookup;
mod manifest;
mod meter;
mod release;
pub mod returned;
mod runtime;
mod thread_time;
mod ticker;
mod turn;
mod version;

pub use config::{Config, Instances};
pub use runtime::{Runtime, StartError};
