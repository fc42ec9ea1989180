//! The leader's queue under random schedules.

use littoral_concurrency::{explore::explore, queue};

#[test]
fn every_accepted_write_is_committed_once_and_in_order() {
    explore(15_000, 3, queue::every_accepted_write_is_committed_once_and_in_order);
}
