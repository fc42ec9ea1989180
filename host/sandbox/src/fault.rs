//! What a failed call means to its caller.

use crate::guest::{Guest, clean};
use littoral_model::ports::ModuleError;
use std::sync::Arc;
use wasmtime::Trap;

/// Bytes of a guest's words in an error.
const WORDS_LEN_MAX: usize = 512;

/// The error for a call that ended outside the guest's own answer.
pub(crate) fn of(error: &wasmtime::Error, guest: &Guest, module: &Arc<str>, bounds: &crate::Config) -> ModuleError {
    let module = module.to_string();
    if guest.interrupted || error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return ModuleError::Timeout { module, deadline_ms: bounds.deadline_ms };
    }
    if guest.limits.was_refused() {
        return ModuleError::OutOfMemory { module, limit_bytes: bounds.memory_bytes };
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => ModuleError::Trap { module, reason: clean(&trap.to_string(), WORDS_LEN_MAX) },
        // The guest ended well, and what it returned could not be read: text that is not UTF-8, pointers beyond its
        // memory, more bytes than it may return.
        None => ModuleError::WrongShape { module, reason: clean(&root(error), WORDS_LEN_MAX) },
    }
}

/// The error for what the guest itself reported.
pub(crate) fn reported(words: &str, module: &Arc<str>) -> ModuleError {
    ModuleError::Failed { module: module.to_string(), message: clean(words, WORDS_LEN_MAX) }
}

/// The refusal of a component, in one bounded line.
pub(crate) fn refused(what: &str, error: &wasmtime::Error) -> ModuleError {
    ModuleError::Refused(clean(&format!("{what}: {}", chain(error)), 2 * WORDS_LEN_MAX))
}

fn root(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

fn chain(error: &wasmtime::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
