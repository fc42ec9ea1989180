//! Runs a target and reports whether it passed, without output for panics that the product catches.

use crate::Target;
use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the target on one input.
///
/// The product expects panics of one library and catches them. libFuzzer's hook would end the process, and the default
/// hook reads debug information, whose memory would count as the target's.
///
/// # Errors
/// The text and location of the target's last panic.
pub fn of(target: &Target, input: &[u8]) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if RUNNING.get() {
                LAST_PANIC.set(panic.to_string());
            } else {
                before(panic);
            }
        }));
    });
    RUNNING.set(true);
    let held = catch_unwind(AssertUnwindSafe(|| target.check(input)));
    RUNNING.set(false);
    held.map_err(|_| LAST_PANIC.take())
}
