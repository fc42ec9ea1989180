//! Maps a failed call to an error for its caller.

use crate::guest::{Guest, TEXT_LEN_MAX, clean};
use littoral_model::ports::ModuleError;
use std::sync::Arc;
use wasmtime::{PoolConcurrencyLimitError, Trap};

/// Returns the error for a call that ended before the guest returned.
pub(crate) fn of(error: &wasmtime::Error, guest: &Guest, module: &Arc<str>, bounds: &crate::Config) -> ModuleError {
    let module = module.to_string();
    if error.is::<PoolConcurrencyLimitError>() {
        return ModuleError::Busy { module, limit: bounds.instances_max as usize };
    }
    if guest.pace.interrupted || error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return ModuleError::Timeout { module, deadline_ms: bounds.deadline_ms };
    }
    if guest.limits.was_rejected() {
        return ModuleError::OutOfMemory { module, limit_bytes: bounds.memory_bytes };
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => {
            let cause = guest.last_error.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
            ModuleError::Trap { module, reason: clean(&format!("{trap}{cause}"), 2 * TEXT_LEN_MAX) }
        }
        // wasmtime has no public type for this error; a test verifies its text.
        None if root(error).contains("fuel allocated for hostcalls") => {
            let reason = format!("it passed more than {} bytes at once", bounds.output_bytes);
            ModuleError::WrongShape { module, reason }
        }
        // The guest returned, but its result could not be read: text that is not UTF-8, pointers beyond its memory, or
        // more bytes than it may return.
        None => ModuleError::WrongShape { module, reason: clean(&root(error), TEXT_LEN_MAX) },
    }
}

/// Returns the error for a call that got no instance.
pub(crate) fn starting(error: &wasmtime::Error, module: &Arc<str>, bounds: &crate::Config) -> ModuleError {
    let module = module.to_string();
    if error.is::<PoolConcurrencyLimitError>() {
        return ModuleError::Busy { module, limit: bounds.instances_max as usize };
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return ModuleError::Timeout { module, deadline_ms: bounds.deadline_ms };
    }
    let reason = clean(&format!("it could not be started: {}", chain(error)), TEXT_LEN_MAX);
    ModuleError::Trap { module, reason }
}

/// Returns the error that the guest itself reported.
pub(crate) fn reported(text: &str, module: &Arc<str>) -> ModuleError {
    ModuleError::Failed { module: module.to_string(), message: clean(text, TEXT_LEN_MAX) }
}

/// Returns the error for rows that a guest needs and that are unknown at this node.
pub(crate) fn unavailable(text: &str, module: &Arc<str>) -> ModuleError {
    ModuleError::Unavailable { module: module.to_string(), reason: clean(text, TEXT_LEN_MAX) }
}

/// Returns the rejection of a component, in one bounded line.
pub(crate) fn rejected(what: &str, error: &wasmtime::Error) -> ModuleError {
    ModuleError::Rejected(clean(&format!("{what}: {}", chain(error)), 2 * TEXT_LEN_MAX))
}

fn root(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

fn chain(error: &wasmtime::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
