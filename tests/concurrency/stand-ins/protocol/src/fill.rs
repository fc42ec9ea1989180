//! `littoral_protocol::fill`: the shipped rule, which a test can disable to show that the models need it.

use littoral_model::position::Lsn;
use littoral_protocol::fill::Stripe as Shipped;
use std::cell::Cell;

thread_local! {
    /// A model's threads all run on the thread that called it.
    static CHECKED: Cell<bool> = const { Cell::new(true) };
}

/// Runs `model` with a stripe that admits every reply.
pub fn without_the_check(model: impl FnOnce()) {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            CHECKED.set(true);
        }
    }
    let _again = Again;
    CHECKED.set(false);
    model();
}

/// `littoral_protocol::fill::Stripe`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stripe(Shipped);

impl Stripe {
    /// Like the shipped method.
    pub fn publish(&mut self, lsn: Lsn) {
        self.0.publish(lsn);
    }

    /// Like the shipped method, unless disabled.
    ///
    /// # Errors
    /// As the shipped method.
    pub fn admit(&self, as_of: Lsn) -> Result<(), Lsn> {
        if CHECKED.get() { self.0.admit(as_of) } else { Ok(()) }
    }
}
