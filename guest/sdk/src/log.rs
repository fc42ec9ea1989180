//! Lines for the host's log.

pub use crate::bindings::littoral::feature::logging::Level;

/// Writes a line to the host's log; natively, to standard error. The host cuts and counts lines.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::littoral::feature::logging::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}
