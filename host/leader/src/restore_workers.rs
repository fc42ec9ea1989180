//! The threads that restore a snapshot's rows: one per core.

use littoral_log::snapshot::RawRows;
use littoral_recovery::RestoreWorkers;
use littoral_runtime::{all_cores, share_work};

/// One thread per core of the host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AllCores;

impl RestoreWorkers for AllCores {
    fn share(&self, next: &mut dyn FnMut() -> Option<RawRows>, work: &(dyn Fn(RawRows) + Sync)) {
        share_work(all_cores(), "leader-restore", next, work);
    }
}
