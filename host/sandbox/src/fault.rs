//! What a failed call means to its caller.

use crate::guest::{Guest, WORDS_LEN_MAX, clean};
use littoral_model::ports::ModuleError;
use std::sync::Arc;
use wasmtime::{PoolConcurrencyLimitError, Trap};

/// The error for a call that ended outside the guest's own answer.
pub(crate) fn of(error: &wasmtime::Error, guest: &Guest, module: &Arc<str>, bounds: &crate::Config) -> ModuleError {
    let module = module.to_string();
    if error.is::<PoolConcurrencyLimitError>() {
        return ModuleError::Busy { module, limit: bounds.instances_max as usize };
    }
    if guest.pace.interrupted || error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return ModuleError::Timeout { module, deadline_ms: bounds.deadline_ms };
    }
    if guest.limits.was_refused() {
        return ModuleError::OutOfMemory { module, limit_bytes: bounds.memory_bytes };
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => {
            let said = guest.last_words.as_ref().map(|words| format!(" ({words})")).unwrap_or_default();
            ModuleError::Trap { module, reason: clean(&format!("{trap}{said}"), 2 * WORDS_LEN_MAX) }
        }
        // wasmtime does not give this error a public type; a test holds us to its words.
        None if root(error).contains("fuel allocated for hostcalls") => {
            let reason = format!("it handed over more than its {} bytes at once", bounds.output_bytes);
            ModuleError::WrongShape { module, reason }
        }
        // The guest ended well, and what it returned could not be read: text that is not UTF-8, pointers beyond its
        // memory, more bytes than it may return.
        None => ModuleError::WrongShape { module, reason: clean(&root(error), WORDS_LEN_MAX) },
    }
}

/// The error for a call that found no instance.
pub(crate) fn starting(error: &wasmtime::Error, module: &Arc<str>, bounds: &crate::Config) -> ModuleError {
    let module = module.to_string();
    if error.is::<PoolConcurrencyLimitError>() {
        return ModuleError::Busy { module, limit: bounds.instances_max as usize };
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return ModuleError::Timeout { module, deadline_ms: bounds.deadline_ms };
    }
    let reason = clean(&format!("it could not be started: {}", chain(error)), WORDS_LEN_MAX);
    ModuleError::Trap { module, reason }
}

/// The error for what the guest itself reported.
pub(crate) fn reported(words: &str, module: &Arc<str>) -> ModuleError {
    ModuleError::Failed { module: module.to_string(), message: clean(words, WORDS_LEN_MAX) }
}

/// The error for rows that a guest needs and that are unknown on this host.
pub(crate) fn unavailable(words: &str, module: &Arc<str>) -> ModuleError {
    ModuleError::Unavailable { module: module.to_string(), reason: clean(words, WORDS_LEN_MAX) }
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
