//! The epoch's clock: a thread that ticks every millisecond, as long as the engine lives.

use std::{io, thread, time::Duration};
use wasmtime::Engine;

/// How long a guest computes before it gives way to other work.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Starts the clock. It ends by itself when the engine's last owner is gone.
///
/// # Errors
/// When the host gives no thread.
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
