use super::*;
use crate::{membership::Identity, peers::Links};
use littoral_leader::{CommitWaiters, FreshLog};
use littoral_lease::{self as lease, Timing, clock, store::open};
use littoral_log::{
    AppendError, Batch, Bounds, CutError, Identity as LogIdentity, Log, ReadError, Retention, detached::Detached,
};
use littoral_model::{position::Incarnation, record::ChainHash};
use littoral_protocol::members::EpochHistory;
use std::{
    io,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// An empty log that checks, whenever its history is read, that no append can end meanwhile.
#[derive(Debug, Default)]
struct Watched {
    membership: OnceLock<Weak<Membership>>,
    read: AtomicU32,
    read_during_appends: AtomicU32,
}

impl Log for Watched {
    fn identity(&self) -> LogIdentity {
        LogIdentity { region: "eu".parse().unwrap(), incarnation: Incarnation(7) }
    }

    fn history(&self) -> EpochHistory {
        if let Some(membership) = self.membership.get().and_then(Weak::upgrade) {
            self.read.fetch_add(1, Relaxed);
            // An append holds this lock until its records are durable.
            self.read_during_appends.fetch_add(u32::from(membership.writing.try_lock().is_some()), Relaxed);
        }
        EpochHistory::default()
    }

    fn promised(&self) -> Epoch {
        Epoch(3)
    }

    fn promise(&self, _: Epoch) -> io::Result<()> {
        Ok(())
    }

    fn is_new(&self) -> bool {
        unreachable!()
    }

    fn bounds(&self) -> Bounds {
        unreachable!()
    }

    fn append(&self, _: Batch) -> Result<RecordBlock, AppendError> {
        unreachable!()
    }

    fn append_block(&self, _: &RecordBlock) -> Result<(), AppendError> {
        unreachable!()
    }

    fn cut(&self, _: Lsn) -> Result<Option<Detached>, CutError> {
        unreachable!()
    }

    fn committed(&self) -> Lsn {
        unreachable!()
    }

    fn note_committed(&self, _: Lsn) {
        unreachable!()
    }

    fn read(&self, _: Lsn, _: usize) -> Result<RecordBlock, ReadError> {
        unreachable!()
    }

    fn read_cached(&self, _: Lsn, _: usize) -> Option<RecordBlock> {
        unreachable!()
    }

    fn chain_at(&self, _: Lsn) -> Result<Option<ChainHash>, ReadError> {
        unreachable!()
    }

    fn trim(&self, _: Retention) -> Result<Lsn, ReadError> {
        unreachable!()
    }

    fn prepare(&self) {
        unreachable!()
    }

    fn mark(&self) -> io::Result<()> {
        unreachable!()
    }

    fn bytes(&self) -> u64 {
        unreachable!()
    }
}

#[tokio::test]
async fn a_log_is_described_only_between_appends() {
    let directory = tempfile::tempdir().unwrap();
    let (timing, address) = (Timing::AGGRESSIVE, format!("dir:{}", directory.path().display()));
    let store = open::open(&address, &timing, clock::system(), Default::default(), None).unwrap();
    let epochs = lease::EpochStride::default();
    let config = lease::Config { name: "a".to_owned(), contact: "a:1".to_owned(), timing, epochs };
    let (lease, _service) = lease::service::new(config, store, clock::system()).unwrap();
    let log = Arc::new(Watched::default());
    let commits = Arc::new(CommitWaiters::new(Lsn::NONE, 1));
    let identity = Identity { me: "a".to_owned(), members: Vec::new(), lease, timing, links: Links::default() };
    let membership = Arc::new(Membership::new(identity, FreshLog { log: log.clone(), applied: Lsn::NONE, commits }));
    log.membership.set(Arc::downgrade(&membership)).unwrap();

    assert_eq!(membership.describe_log().promised, Epoch(3), "to the leader that it joins");
    assert_eq!(membership.prepare(Epoch(5)).unwrap().promised, Epoch(5), "to a candidate");
    assert_eq!((log.read.load(Relaxed), log.read_during_appends.load(Relaxed)), (2, 0));
}
