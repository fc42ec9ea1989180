//! The epoch's clock: a thread that ticks every millisecond while the engine exists.

use std::{io, thread, time::Duration};
use wasmtime::Engine;

/// How long a guest computes before it yields to other work.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Starts the clock. It ends when the engine's last owner is dropped.
///
/// # Errors
/// If the system cannot start a thread.
pub(crate) fn start(engine: &Engine) -> io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new().name("module-epoch".into()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    })?;
    Ok(())
}
