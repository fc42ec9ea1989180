//! Writes lines to the host's log.

pub use crate::bindings::littoral::feature::logging::Level;

/// Writes a line to the host's log; natively, to standard error. The host truncates long lines and limits their number.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::littoral::feature::logging::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

/// Makes a panic log its location and message before it ends the call; a trap alone has neither.
#[cfg(target_arch = "wasm32")]
pub(crate) fn panics() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static SET: AtomicBool = AtomicBool::new(false);
    if !SET.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    }
}
