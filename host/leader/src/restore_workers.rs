//! The threads that restore a snapshot's rows: one per core.

use littoral_log::snapshot::RawRows;
use littoral_recovery::RestoreWorkers;
use parking_lot::Mutex;
use std::{sync::mpsc::sync_channel, thread};

/// How many parts are read ahead of the threads. Each has a few megabytes at most.
const PARTS_AHEAD: usize = 4;

/// One thread per core of the host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AllCores;

impl RestoreWorkers for AllCores {
    fn share(&self, next: &mut dyn FnMut() -> Option<RawRows>, work: &(dyn Fn(RawRows) + Sync)) {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let (sender, receiver) = sync_channel::<RawRows>(PARTS_AHEAD);
        let receiver = Mutex::new(receiver);
        let receive = || receiver.lock().recv();
        thread::scope(|scope| {
            let mut started = 0;
            for _ in 0..cores {
                let thread = thread::Builder::new().name("leader-restore".to_owned());
                let running = thread.spawn_scoped(scope, || {
                    while let Ok(part) = receive() {
                        work(part);
                    }
                });
                started += usize::from(running.is_ok());
            }
            while let Some(part) = next() {
                // Without threads, this one restores the rows.
                match started {
                    0 => work(part),
                    _ => drop(sender.send(part)),
                }
            }
            drop(sender);
        });
    }
}
